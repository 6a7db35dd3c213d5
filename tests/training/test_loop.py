from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sfumato.checkpoint import load_model, save_model
from sfumato.data.folders import FolderReport
from sfumato.errors import ModelError, OutputError, TrainingError, UsageError
from sfumato.networks.config import CollectionConfig
from sfumato.networks.model import CollectionModel
from sfumato.parallel import ProcessLostError
from sfumato.training.config import TrainConfig
from sfumato.training.loop import Interrupted, Trainer
from sfumato.training.run_folder import check_out
from sfumato.training.state import CHECKPOINTS_KEPT, best_checkpoint, checkpoints
from sfumato.training.stop_signal import stop_signal
from sfumato.training.validation import Best, Record


def state(trainer: Any) -> Any:
    """Every tensor of a trainer's state, copied."""
    return {name: tensor.detach().clone() for name, tensor in trainer.state.tensors()}


def log(run: Any) -> Any:
    """Log lines apart from what depends on the clock, and from the monitor's."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "health" not in line and "decision" not in line]
    return [{k: v for k, v in line.items() if k not in ("time", "pictures_per_second")} for line in lines]


def ignore(progress: Any) -> None:
    pass


def short(steps: int) -> dict[str, Any]:
    """Changes of the config to a cheap run of so many steps, where what is learnt is not the point."""
    phase = {"steps": steps, "batch": 2, "crop": 32, "zoom_crops": 0, "thumbnails": [32], "adversarial": False}
    return {"phases": (phase,), "identity_samples": 0}


def same(a: Any, b: Any) -> Any:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def unbroken(trainer: Callable[..., Trainer], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A whole run of six steps: its folder, the trainer's last state, and what it told."""
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    told = []
    whole = trainer(run)
    whole.run(told.append)
    return run, state(whole), told


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


@pytest.fixture
def copy(unbroken: Any, tmp_path: Path) -> Any:
    """The unbroken run's folder with its last checkpoint taken away, as after a crash."""
    run = shutil.copytree(unbroken[0], tmp_path / "run")
    shutil.rmtree(run / "checkpoints" / "00000006")
    return run


def test_a_run_leaves_checkpoints_samples_logs_and_its_config(unbroken: Any, config: TrainConfig) -> None:
    run, last, told = unbroken
    assert [p.name for p in checkpoints(run)] == ["00000003", "00000006"]
    assert sorted(p.name for p in checkpoints(run)[0].iterdir()) == [
        "model.safetensors",
        "state.json",
        "state.safetensors",
    ]
    assert TrainConfig.parse(json.loads((run / "config.json").read_text())) == config
    assert [line["step"] for line in log(run)] == [1, 2, 3, 4, 5, 6]
    assert np.asarray(Image.open(run / "samples" / "00000006.png")).std() > 10
    assert any(p.name.startswith("events.out.tfevents") and p.stat().st_size > 500 for p in run.rglob("*"))
    assert [t.step for t in told] == [1, 2, 3, 4, 5, 6]
    assert all(t.report is not None and t.pictures_per_second > 0 and "%" in t.where_time_goes for t in told)
    assert all(np.isfinite(v) for line in log(run) for v in line.values())
    assert all(t.isfinite().all() for t in last.values())


def test_the_discriminator_plays_in_adversarial_phases_only(unbroken: Any) -> None:
    lines = log(unbroken[0])
    assert (
        ["discriminator" in line for line in lines]
        == ["adversarial" in line for line in lines]
        == [False] * 2 + [True] * 4
    )


def test_the_checkpoint_ships_the_average_and_keeps_the_rest_apart(unbroken: Any) -> None:
    run, last, _ = unbroken
    newest = checkpoints(run)[-1]
    assert same(load_file(newest / "state.safetensors"), last)
    model, about = load_model(newest / "model.safetensors")
    assert all(torch.equal(p, last[f"ema.{name}"]) for name, p in model.named_parameters())
    assert not all(torch.equal(last[f"ema.{name}"], last[f"model.{name}"]) for name, _ in model.named_parameters())
    assert about["step"] == "6"
    assert {"content_digest", "style_digest", "seed", "recipe"} <= about.keys()


def test_a_run_stopped_by_a_signal_and_resumed_equals_an_unbroken_one_bit_for_bit(
    unbroken: Any, trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    broken = trainer(tmp_path)

    def stop_at_three(progress: Any) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted) as stopped:
        broken.run(stop_at_three)
    assert stopped.value.signal_number == signal.SIGTERM
    assert stopped.value.step in (3, 4)
    resumed = trainer(tmp_path)
    assert resumed.resume()
    assert resumed.state.step == stopped.value.step
    assert same(state(resumed), state(broken))
    resumed.estimate()  # as the command does
    resumed.run(ignore)
    assert same(state(resumed), unbroken[1])
    assert log(tmp_path) == log(unbroken[0])


def test_a_crashed_run_resumed_equals_an_unbroken_one_bit_for_bit(
    unbroken: Any, trainer: Callable[..., Trainer], copy: Any
) -> None:
    """The log is ahead of the checkpoint, its last line is torn, and the dead process has left a half checkpoint."""
    shutil.copytree(copy / "checkpoints" / "00000003", copy / "checkpoints" / ".00000006.4711")
    with (copy / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "pict')
    resumed = trainer(copy)
    assert resumed.resume()
    assert resumed.state.step == 3
    resumed.run(ignore)
    assert same(state(resumed), unbroken[1])
    assert log(copy) == log(unbroken[0])


def test_an_estimate_changes_nothing(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    fresh = trainer(tmp_path)
    before = state(fresh)
    estimate = fresh.estimate()
    assert estimate.seconds > 0
    assert 0.01 < estimate.gigabytes < 64
    assert same(state(fresh), before)
    assert fresh.state.step == 0
    assert not any(tmp_path.iterdir())


def test_a_signal_at_any_moment_of_a_step_is_followed_by_a_save(
    trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    """Here it comes after the step's own save was due, while progress is told."""
    run = trainer(tmp_path, **short(4), checkpoint_every=100)

    def stop_at_two(progress: Any) -> None:
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as stopped:
        run.run(stop_at_two)
    assert stopped.value.signal_number == signal.SIGINT
    assert [p.name for p in checkpoints(tmp_path)] == [f"{stopped.value.step:08d}"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # handed back


def test_only_the_newest_checkpoints_are_kept(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    run = trainer(tmp_path)
    for step in (1, 2, 3, 4):
        run.state.step = step
        run.save()
    assert [p.name for p in checkpoints(tmp_path)] == ["00000003", "00000004"]
    assert len(checkpoints(tmp_path)) == CHECKPOINTS_KEPT
    assert not [p for p in (tmp_path / "checkpoints").iterdir() if p.name.startswith(".")]


def test_a_run_may_begin_with_another_s_weights(unbroken: Any, trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    run, _, _ = unbroken
    weights = run / "checkpoints" / "00000006" / "model.safetensors"
    tuned = trainer(tmp_path / "tuned", start=weights, started_from="0" * 64)
    given = load_file(weights)
    assert same(dict(tuned.task.model.state_dict()), given)
    assert same(tuned.state.ema.values, {name: given[name] for name in tuned.state.ema.values})
    fresh = trainer(tmp_path / "fresh")
    begun = {name: value for name, value in state(fresh).items() if name.startswith("discriminator.")}
    assert begun
    assert all(torch.equal(value, state(tuned)[name]) for name, value in begun.items())  # the opponent is new
    assert tuned.about["started_from"] == "0" * 64
    assert "started_from" not in fresh.about


def test_weights_of_other_networks_are_no_beginning(
    unbroken: Any, trainer: Callable[..., Trainer], config: TrainConfig, tmp_path: Path
) -> None:
    weights = unbroken[0] / "checkpoints" / "00000006" / "model.safetensors"
    wider = config.model.model_copy(update={"texture_size": config.model.texture_size + 1})
    with pytest.raises(UsageError, match="has networks of other shapes"):
        trainer(tmp_path / "wider", start=weights, model=wider.model_dump())
    model = CollectionModel(CollectionConfig(widths=(8, 8, 8), blocks=1))
    save_model(tmp_path / "model.safetensors", model, {}, model.state_dict())
    with pytest.raises(UsageError, match="is of the kind 'collection' and this run of 'arbitrary'"):
        trainer(tmp_path / "other", start=tmp_path / "model.safetensors")


def test_another_seed_is_another_run(unbroken: Any, trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    other = trainer(tmp_path, seed=1)
    assert not torch.equal(state(other)["model.generator.conv1.weight"], unbroken[1]["model.generator.conv1.weight"])
    assert not torch.equal(
        other.task.source.batch(0, other.config.spec(other.config.phases[0])).crop,  # type: ignore[attr-defined]
        trainer(tmp_path).task.source.batch(0, other.config.spec(other.config.phases[0])).crop,  # type: ignore[attr-defined]
    )


def test_a_loss_that_is_not_finite_ends_the_run_with_a_sentence_and_no_checkpoint(
    trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"Stopped at step \d: numbers overflowed.*learning_rate"):
        trainer(tmp_path, learning_rate=1e12, clip=1e30).run(ignore)
    assert checkpoints(tmp_path) == []


def test_resuming_from_nothing_says_so(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    assert not trainer(tmp_path / "run").resume()


def test_a_checkpoint_of_another_model_is_refused(
    trainer: Callable[..., Trainer], copy: Any, config: TrainConfig
) -> None:
    other = trainer(copy, model={**config.model.model_dump(), "blocks": 2})
    with pytest.raises(ModelError, match="another model config"):
        other.resume()


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_one_sentence(trainer: Callable[..., Trainer], copy: Any, name: str) -> None:
    path = copy / "checkpoints" / "00000003" / name
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(ModelError, match="00000003"):
        trainer(copy).resume()


def test_a_run_that_died_before_its_first_checkpoint_starts_a_new_log(
    trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    again = trainer(tmp_path, **short(1))
    assert not again.resume()
    again.run(ignore)
    assert [line["step"] for line in log(tmp_path)] == [1]


def test_a_folder_that_holds_a_run_is_not_run_over(unbroken: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        check_out(unbroken[0], resume=False)
    check_out(unbroken[0], resume=True)
    check_out(tmp_path / "new", resume=False)


def test_one_training_at_a_time_writes_into_a_folder(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    first, second, third = (trainer(tmp_path, **short(1), seed=seed) for seed in (0, 0, 5))
    refused = []

    def meanwhile(progress: Any) -> None:
        for attempt in (lambda: second.run(ignore), *(partial(check_out, tmp_path, resume=x) for x in (False, True))):
            with pytest.raises(UsageError, match="another training is writing into") as refusal:
                attempt()  # type: ignore[operator]
            refused.append(refusal)

    first.run(meanwhile)
    assert len(refused) == 3
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=r"has written into .* meanwhile"):
        third.run(ignore)  # it knows nothing of what is there now
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    check_out(tmp_path, resume=True)  # the lock went with the run


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the size of files")
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_from_what_is_whole(
    trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    import resource

    run = short(2) | {"checkpoint_every": 1}

    def fill(progress: Any) -> None:
        if progress.step == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # as a disk on which no more than that is free

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OutputError, match=r"cannot write .*00000002.*File too large"):
            trainer(tmp_path, **run).run(fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["00000001"]
    again = trainer(tmp_path, **run)
    assert again.resume()
    again.run(ignore)
    assert [path.name for path in checkpoints(tmp_path)] == ["00000001", "00000002"]
    assert [line["step"] for line in log(tmp_path)] == [1, 2]


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
    assert best.score == pytest.approx(scores[best.step], abs=1e-5)
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


def test_the_best_checkpoint_is_kept_whatever_its_age(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    run = trainer(tmp_path)

    def save(step: Any, best: Any) -> Any:
        run.state.step, run.state.record = step, Record(best=Best(step=best, score=1.0, values={}))
        run.save()
        return [int(p.name) for p in checkpoints(tmp_path)]

    assert [save(step, best=1) for step in (1, 2, 3, 4)][-1] == [1, 3, 4]
    assert best_checkpoint(tmp_path).step == 1
    assert save(5, best=5) == [4, 5]
    assert best_checkpoint(tmp_path).step == 5
    shutil.rmtree(tmp_path / "checkpoints" / "00000005")
    assert best_checkpoint(tmp_path) is None  # what is not there is not the best
    (tmp_path / "best.json").write_text("{")
    with pytest.raises(ModelError, match=r"best\.json.*newest"):
        best_checkpoint(tmp_path)


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


def test_a_damaged_record_is_one_sentence(copy: Any, trainer: Callable[..., Trainer]) -> None:
    path = copy / "checkpoints" / "00000003" / "state.json"
    path.write_text(path.read_text().replace('"stale": 0', '"stale": "often"'))
    with pytest.raises(ModelError, match=r"00000003.*stale"):
        trainer(copy).resume()


@pytest.mark.parametrize("text", ["[]", "{}", '{"step": 1e400}', '{"step": []}', "[" * 200_000])
def test_a_state_that_is_none_is_one_sentence(copy: Any, trainer: Callable[..., Trainer], text: str) -> None:
    (copy / "checkpoints" / "00000003" / "state.json").write_text(text)
    with pytest.raises(ModelError, match=r"cannot read the checkpoint .*00000003"):
        trainer(copy).resume()


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


def test_the_launcher_s_signal_does_not_cut_off_the_word_of_a_lost_process() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(ProcessLostError), stop_signal():
            raise ProcessLostError("another process of this run has ended")
        os.kill(os.getpid(), signal.SIGTERM)  # type: ignore[unreachable]  # from torchrun, while the error is on its way to the terminal
        with stop_signal():
            pass
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
