import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sfumato.checkpoint import load_model
from sfumato.errors import ModelError, TrainingError, UsageError
from sfumato.training.config import TrainConfig
from sfumato.training.loop import Interrupted, check_out
from sfumato.training.state import KEEP, checkpoints


def state(trainer):
    """Every tensor of a trainer's state, copied."""
    return {name: tensor.detach().clone() for name, tensor in trainer.state.tensors()}


def log(run):
    """Log lines apart from what depends on the clock."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("time", "pictures_per_second")} for line in lines]


def ignore(progress):
    pass


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def unbroken(trainer, tmp_path_factory):
    """A whole run of six steps: its folder, the trainer's last state, and what it told."""
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    told = []
    whole = trainer(run)
    whole.run(told.append)
    return run, state(whole), told


@pytest.fixture
def copy(unbroken, tmp_path):
    """The unbroken run's folder with its last checkpoint taken away, as after a crash."""
    run = shutil.copytree(unbroken[0], tmp_path / "run")
    shutil.rmtree(run / "checkpoints" / "00000006")
    return run


def test_a_run_leaves_checkpoints_samples_logs_and_its_config(unbroken, config):
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


def test_the_discriminator_plays_in_adversarial_phases_only(unbroken):
    lines = log(unbroken[0])
    assert (
        ["discriminator" in line for line in lines]
        == ["adversarial" in line for line in lines]
        == [False] * 2 + [True] * 4
    )


def test_the_checkpoint_ships_the_average_and_keeps_the_rest_apart(unbroken):
    run, last, _ = unbroken
    newest = checkpoints(run)[-1]
    assert same(load_file(newest / "state.safetensors"), last)
    model, about = load_model(newest / "model.safetensors")
    assert all(torch.equal(p, last[f"ema.{name}"]) for name, p in model.named_parameters())
    assert not all(torch.equal(last[f"ema.{name}"], last[f"model.{name}"]) for name, _ in model.named_parameters())
    assert about["step"] == "6"
    assert {"content_digest", "style_digest", "seed", "recipe"} <= about.keys()


def test_a_run_stopped_by_a_signal_and_resumed_equals_an_unbroken_one_bit_for_bit(unbroken, trainer, tmp_path):
    broken = trainer(tmp_path)

    def stop_at_three(progress):
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


def test_a_crashed_run_resumed_equals_an_unbroken_one_bit_for_bit(unbroken, trainer, copy):
    """The log is ahead of the checkpoint, and the dead process has left a half-written one."""
    shutil.copytree(copy / "checkpoints" / "00000003", copy / "checkpoints" / ".00000006.4711")
    resumed = trainer(copy)
    assert resumed.resume()
    assert resumed.state.step == 3
    resumed.run(ignore)
    assert same(state(resumed), unbroken[1])
    assert log(copy) == log(unbroken[0])


def test_an_estimate_changes_nothing(trainer, tmp_path):
    fresh = trainer(tmp_path)
    before = state(fresh)
    estimate = fresh.estimate()
    assert estimate.seconds > 0
    assert 0.01 < estimate.gigabytes < 64
    assert same(state(fresh), before)
    assert fresh.state.step == 0
    assert not any(tmp_path.iterdir())


def test_a_signal_at_any_moment_of_a_step_is_followed_by_a_save(trainer, tmp_path):
    """Here it comes after the step's own save was due, while progress is told."""
    run = trainer(tmp_path, checkpoint_every=100)

    def stop_at_two(progress):
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as stopped:
        run.run(stop_at_two)
    assert stopped.value.signal_number == signal.SIGINT
    assert [p.name for p in checkpoints(tmp_path)] == [f"{stopped.value.step:08d}"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # handed back


def test_only_the_newest_checkpoints_are_kept(trainer, tmp_path):
    run = trainer(tmp_path)
    for step in (1, 2, 3, 4):
        run.state.step = step
        run.save()
    assert [p.name for p in checkpoints(tmp_path)] == ["00000003", "00000004"]
    assert len(checkpoints(tmp_path)) == KEEP
    assert not [p for p in (tmp_path / "checkpoints").iterdir() if p.name.startswith(".")]


def test_another_seed_is_another_run(unbroken, trainer, tmp_path):
    other = trainer(tmp_path, seed=1)
    assert not torch.equal(state(other)["model.generator.conv1.weight"], unbroken[1]["model.generator.conv1.weight"])
    assert not torch.equal(
        other.source.batch(0, other.config.spec(other.config.phases[0])).crop,
        trainer(tmp_path).source.batch(0, other.config.spec(other.config.phases[0])).crop,
    )


def test_a_loss_that_is_not_finite_ends_the_run_with_a_sentence_and_no_checkpoint(trainer, tmp_path):
    with pytest.raises(TrainingError, match=r"not finite at step \d.*learning_rate"):
        trainer(tmp_path, learning_rate=1e12, clip=1e30).run(ignore)
    assert checkpoints(tmp_path) == []


def test_resuming_from_nothing_says_so(trainer, tmp_path):
    assert not trainer(tmp_path / "run").resume()


def test_a_checkpoint_of_another_model_is_refused(trainer, copy, config):
    other = trainer(copy, model={**config.model.model_dump(), "blocks": 2})
    with pytest.raises(ModelError, match="another model config"):
        other.resume()


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_one_sentence(trainer, copy, name):
    path = copy / "checkpoints" / "00000003" / name
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(ModelError, match="00000003"):
        trainer(copy).resume()


def test_a_log_whose_last_line_was_torn_by_a_crash_does_not_stop_a_resume(unbroken, trainer, copy):
    with (copy / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "pict')
    resumed = trainer(copy)
    assert resumed.resume()
    resumed.run(ignore)
    assert log(copy) == log(unbroken[0])


def test_a_run_that_died_before_its_first_checkpoint_starts_a_new_log(trainer, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    again = trainer(tmp_path)
    assert not again.resume()
    again.run(ignore)
    assert [line["step"] for line in log(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_folder_that_holds_a_run_is_not_run_over(unbroken, tmp_path):
    with pytest.raises(UsageError, match="--resume"):
        check_out(unbroken[0], resume=False)
    check_out(unbroken[0], resume=True)
    check_out(tmp_path / "new", resume=False)
