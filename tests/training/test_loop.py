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
from training_runs import ignore, log, same, short, state


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
    with pytest.raises(UsageError, match="is of the kind 'collection', and this run of 'arbitrary'"):
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
    with pytest.raises(UsageError, match=r"has written into .* in the meantime"):
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
