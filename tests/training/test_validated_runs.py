"""Runs that are validated as they go: what is logged, saved, steered and stopped by it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.data.folders import FolderReport
from sfumato.errors import TrainingError, UsageError
from sfumato.training.config import TrainConfig
from sfumato.training.loop import Interrupted, Trainer
from sfumato.training.state import best_checkpoint, checkpoints
from support import SUM32
from training_runs import ignore, log, same, state

VALIDATED = {"validation_pairs": 2, "validation_side": 64, "validate_every": 2, "content_target": 0.7}


@pytest.fixture(scope="module")
def validated(
    trainer: Callable[..., Trainer], apart: tuple[FolderReport, FolderReport], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """As `unbroken`, judged every two steps, with the content weight under control."""
    run = tmp_path_factory.mktemp("runs") / "validated"
    told = []
    whole = trainer(run, apart, **VALIDATED)
    whole.run(told.append)
    return run, whole, told


#: No improvement is large enough for it: where it has patience, it stops as early as it may.
IMPATIENT = VALIDATED | {"content_target": 0.0, "validate_every": 1, "min_improvement": 100.0}


@pytest.fixture(scope="module")
def judged(
    trainer: Callable[..., Trainer], apart: tuple[FolderReport, FolderReport], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """As `unbroken`, judged after every step, and nothing follows from that."""
    run = tmp_path_factory.mktemp("runs") / "judged"
    whole = trainer(run, apart, **IMPATIENT)
    whole.run(ignore)
    return run, whole


def judgements(run: Any) -> Any:
    return [(line["step"], line["validation"]) for line in log(run) if "validation" in line]


def test_a_validated_run_logs_its_figures_and_the_weight_in_use(validated: Any, config: TrainConfig) -> None:
    run, whole, told = validated
    assert [step for step, _ in judgements(run)] == [2, 4, 6]
    assert [p.step for p in told if p.validation] == [2, 4, 6]
    for step, values in judgements(run):
        assert values.keys() == {"content", "style", "texture", "score", "content_weight"}
        assert values == {name: round(value, 5) for name, value in told[step - 1].validation.items()}
    weights = [values["content_weight"] for _, values in judgements(run)]
    assert weights[0] == config.weights.content
    assert np.sign(np.diff(weights)).tolist() == [np.sign(f["content"] - 0.7) for _, f in judgements(run)[:-1]]
    assert whole.state.record.content_weight != weights[-1]
    assert [line["step"] for line in log(run) if "validation" not in line] == [1, 2, 3, 4, 5, 6]
    events = b"".join(p.read_bytes() for p in run.rglob("events.out.tfevents*"))
    assert b"validation/score" in events


def test_the_best_is_marked_and_saved(validated: Any) -> None:
    run, whole, _ = validated
    best = best_checkpoint(run)
    # Step 2 is judged before the discriminator joins.
    scores = {step: values["score"] for step, values in judgements(run) if step > 2}
    assert best.step == min(scores, key=scores.get)
    assert best.score == pytest.approx(scores[best.step], abs=SUM32)
    assert best == whole.state.record.best
    assert json.loads((run / "best.json").read_text()) == best.model_dump()
    assert (run / "checkpoints" / f"{best.step:08d}" / "model.safetensors").is_file()


def test_validation_alone_changes_nothing_in_training(unbroken: Any, judged: Any) -> None:
    run, whole = judged
    assert same(state(whole), unbroken[1])
    assert [line for line in log(run) if "validation" not in line] == log(unbroken[0])


def test_the_weight_under_control_is_that_of_the_steps(unbroken: Any, validated: Any) -> None:
    """Until the first judgement both runs are one; from then on the loss has another content weight."""
    first, second = log(unbroken[0]), [line for line in log(validated[0]) if "validation" not in line]
    assert first[:2] == second[:2]
    assert first[2] == second[2] | {"gradient": first[2]["gradient"]}  # the same weights: only the gradient differs
    assert first[2]["gradient"] != second[2]["gradient"]
    assert not same(unbroken[1], state(validated[1]))


@pytest.mark.parametrize("at", [pytest.param(3, marks=pytest.mark.slow), 4])  # at a checkpoint, at a judgement
def test_a_validated_run_stopped_and_resumed_equals_an_unbroken_one_bit_for_bit(
    validated: Any, trainer: Callable[..., Trainer], apart: tuple[FolderReport, FolderReport], tmp_path: Path, at: int
) -> None:
    broken = trainer(tmp_path, apart, **VALIDATED)

    def stop(progress: Any) -> None:
        if progress.step == at:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        broken.run(stop)
    (tmp_path / "best.json").unlink()  # as if it had been killed before that was written
    resumed = trainer(tmp_path, apart, **VALIDATED)
    assert resumed.resume()
    assert resumed.state.record == broken.state.record
    resumed.estimate()
    resumed.run(ignore)
    assert same(state(resumed), state(validated[1]))
    assert resumed.state.record == validated[1].state.record
    assert log(tmp_path) == log(validated[0])
    assert best_checkpoint(tmp_path) == best_checkpoint(validated[0])


def test_a_run_stops_early_and_can_go_on(
    judged: Any, trainer: Callable[..., Trainer], apart: tuple[FolderReport, FolderReport], tmp_path: Path
) -> None:
    impatient = IMPATIENT | {"patience": 1}
    early = trainer(tmp_path, apart, **impatient)
    assert not early.stopped_early
    early.run(ignore)
    assert early.state.step == 4  # the last phase begins with the third step, which is the one to beat
    assert "at step 4 of 6: in 1 validations" in early.stopped_early
    assert checkpoints(tmp_path)[-1].name == "00000004"
    again = trainer(tmp_path, apart, **impatient)
    assert again.resume()
    assert again.stopped_early == early.stopped_early
    again.run(ignore)
    assert again.state.step == 4
    on = trainer(tmp_path, apart, **IMPATIENT)
    assert on.resume()
    assert not on.stopped_early
    on.run(ignore)
    run, whole = judged
    assert same(state(on), state(whole))
    assert log(tmp_path) == log(run)
    assert on.state.record == whole.state.record


def test_a_run_from_before_there_was_validation_is_resumed(
    copy: Any, trainer: Callable[..., Trainer], apart: tuple[FolderReport, FolderReport]
) -> None:
    path = copy / "checkpoints" / "00000003" / "state.json"
    numbers = json.loads(path.read_text())
    del numbers["validation"]
    path.write_text(json.dumps(numbers))
    resumed = trainer(copy, apart, **VALIDATED)
    assert resumed.resume()
    resumed.run(ignore)
    assert [step for step, _ in judgements(copy)] == [4, 6]


def test_a_target_needs_something_to_be_measured_on(
    trainer: Callable[..., Trainer], apart: tuple[FolderReport, FolderReport], tmp_path: Path
) -> None:
    photos, paintings = apart
    for few in (None, (photos, FolderReport(paintings.folder, paintings.pictures[:1]))):
        with pytest.raises(UsageError, match=r"content_target.*--manifest"):
            trainer(tmp_path, few, content_target=0.5)
        assert trainer(tmp_path, few).validator is None


def test_a_model_that_breaks_between_two_log_lines_is_not_kept_as_the_best(
    trainer: Callable[..., Trainer], apart: tuple[FolderReport, FolderReport], tmp_path: Path
) -> None:
    broken = trainer(tmp_path, apart, **VALIDATED, learning_rate=1e12, clip=1e30, log_every=100)
    with pytest.raises(TrainingError, match=r"not finite at step \d"):
        broken.run(ignore)
    assert checkpoints(tmp_path) == []
    assert not (tmp_path / "best.json").exists()
