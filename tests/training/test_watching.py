"""The trainer under the monitor: failures are planted into a real, tiny training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.errors import TrainingError
from sfumato.training.config import TrainConfig
from sfumato.training.health import read_history
from sfumato.training.loop import Trainer
from sfumato.training.monitor import MonitorConfig
from sfumato.training.state import checkpoints

PHASES = ({"steps": 40, "batch": 2, "crop": 32, "zoom_crops": 0, "thumbnails": [32], "adversarial": True},)
WATCHED = {"phases": PHASES, "probe_every": 2, "checkpoint_every": 4, "identity_samples": 0, "sample_every": 1000}
QUICK = MonitorConfig(warmup=0, settle=1, settle_steps=0)


def train(trainer: Any, out: Any, plant: Any = lambda trainer: None, steps: int = 40, **changes: Any) -> Any:
    """Run with a planted failure; the sentences that were said, and the error that ended it."""
    changes = {**WATCHED, **changes}
    changes["phases"] = tuple({**phase, "steps": steps} for phase in changes["phases"])
    made = trainer(out, **changes)
    plant(made)
    messages = []
    try:
        made.run(lambda progress: messages.extend(progress.messages))
    except TrainingError as error:
        return made, [*messages, str(error)]
    return made, messages


def found(trainer: Any) -> Any:
    return {finding.rule for finding in trainer.watch.monitor.all_findings}


def each_step(change: Any) -> Any:
    """Plants `change(trainer)` after every step."""

    def plant(trainer: Any) -> None:
        step = trainer.step

        def stepped() -> Any:
            result = step()
            change(trainer)
            return result

        trainer.step = stepped

    return plant


def test_a_healthy_run_raises_no_alarm_and_leaves_its_page(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    made, messages = train(trainer, tmp_path, steps=12)
    assert messages == []
    assert found(made) == set()
    looks = read_history(tmp_path / "log.jsonl")
    assert [step for step, _ in looks] == list(range(1, 13))
    assert {"diversity", "recognition", "style_sensitivity", "checkerboard"} <= looks[1][1].keys()
    assert {"loss", "real_accuracy", "sign_balance", "adversarial_gradient", "weight_size"} <= looks[0][1].keys()
    assert "diversity" not in looks[0][1]
    assert "healthy" in (tmp_path / "health.html").read_text()


def test_watching_changes_nothing_in_training(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    seen, _ = train(trainer, tmp_path / "seen", steps=5)
    unseen, _ = train(trainer, tmp_path / "unseen", steps=5, probe_every=0, log_every=5)
    for (name, one), (_, other) in zip(seen.state.tensors(), unseen.state.tensors(), strict=True):
        assert torch.equal(one, other), name


def test_a_batch_that_is_not_finite_is_left_out(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    def plant(made: Any) -> None:
        draw = made.task.draw

        def drawn(step: Any, phase: Any, record: Any) -> Any:
            batch = draw(step, phase, record)
            if step == 3:
                batch.pictures.crop[:] = float("nan")
            return batch

        made.task.draw = drawn

    made, messages = train(trainer, tmp_path, plant, steps=8)
    assert made.state.step == 8
    assert "left out" in messages[0]
    assert all(tensor.isfinite().all() for _, tensor in made.state.tensors())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "decision" in line] == [4]


def test_a_constant_generator_is_found_repaired_in_vain_and_given_up_with_a_verdict(
    trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    def plant(made: Any) -> None:
        made.task.painter = lambda model: lambda style: torch.full_like(made.watch.probes.photos, 0.5)

    made, messages = train(trainer, tmp_path, plant, monitor=QUICK)
    assert "constant_output" in found(made)
    assert messages[-1].startswith("Stopped at step")
    assert "one picture for everything" in messages[-1]
    assert "Stopped" in (tmp_path / "health.html").read_text()
    actions = [action for decision in made.watch.monitor.state.decisions for action in decision.actions]
    assert actions[-1] == "stop"


def test_a_dead_discriminator_is_found(trainer: Callable[..., Trainer], config: TrainConfig, tmp_path: Path) -> None:
    @each_step
    def plant(made: Any) -> None:
        with torch.no_grad():
            for parameter in made.state.discriminator.parameters():
                parameter.zero_()

    model = config.model.model_copy(update={"discriminator_spectral": False})  # whose norm has no direction at 0
    made, _ = train(trainer, tmp_path, plant, steps=16, monitor=QUICK, model=model)
    assert "dead_discriminator" in found(made)


def test_one_style_for_all_is_found(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    def plant(made: Any) -> None:
        painter = made.task.painter
        made.task.painter = lambda model: lambda style: painter(model)(0)

    made, messages = train(trainer, tmp_path, plant, steps=16, monitor=QUICK)
    assert "one_style" in found(made)
    assert "nearly the same output" in messages[0]


@pytest.mark.slow
def test_a_learning_rate_that_is_a_hundred_times_too_high_is_found_and_lowered(
    trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    made, _ = train(trainer, tmp_path, steps=24, monitor=QUICK, learning_rate=0.1, clip=1e9, warmup=1)
    assert found(made) & {"steps_too_large", "divergence", "not_finite"}
    assert made.watch.monitor.effects.learning_rate < 1


def test_a_discriminator_that_wins_is_found(
    trainer: Callable[..., Trainer], config: TrainConfig, tmp_path: Path
) -> None:
    """The generator is deaf; the discriminator may learn as fast as it likes, and is shown white as paintings."""

    def plant(made: Any) -> None:
        draw = made.task.draw

        def drawn(step: Any, phase: Any, record: Any) -> Any:
            batch = draw(step, phase, record)
            batch.pictures.patch.fill_(1)
            return batch

        made.task.draw = drawn

    free = {"discriminator_spectral": False, "discriminator_widths": (16, 16, 16), "discriminator_conditional": False}
    model = config.model.model_copy(update=free)
    made, messages = train(
        trainer, tmp_path, plant, steps=60, monitor=MonitorConfig(warmup=0, actions=()), model=model,
        learning_rate=1e-9, discriminator_learning_rate=2e-3, adversarial={"gan_loss": "bce"}, probe_every=0,
    )  # fmt: skip
    assert "discriminator_wins" in found(made)
    assert any("always right" in sentence for sentence in messages)


@pytest.mark.slow
def test_a_discriminator_that_knows_its_few_paintings_is_found(
    trainer: Callable[..., Trainer], config: TrainConfig, tmp_path: Path
) -> None:
    """The generator is deaf, and the discriminator may learn as fast as it likes."""
    model = config.model.model_copy(update={"discriminator_spectral": False, "discriminator_widths": (16, 16, 16)})
    made, _ = train(
        trainer, tmp_path, steps=120, monitor=MonitorConfig(actions=()), model=model, learning_rate=1e-9,
        discriminator_learning_rate=5e-3, adversarial={"gan_loss": "nonsaturating"}, probe_every=0,
    )  # fmt: skip
    assert found(made) & {"discriminator_wins", "overfitting"}  # the second hides behind the first


def test_a_raise_of_the_penalty_begins_one(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    made = trainer(tmp_path, **WATCHED)
    phase = made.config.phases[0]
    assert made.stepper.adversarial_config(phase, made.watch.monitor.effects) == made.config.adversarial
    effects = made.watch.monitor.effects.model_copy(update={"gamma": 2.0, "augmentation": 0.2, "learning_rate": 0.5})
    made.watch.monitor.state = made.watch.monitor.state.model_copy(update={"effects": effects})
    adversarial = made.stepper.adversarial_config(phase, effects)
    assert adversarial.r1 == pytest.approx(0.0002 * 32**2 / 2)
    assert adversarial.augment.p == pytest.approx(0.2)
    made.step()
    (group,) = made.state.generator_optimizer.param_groups
    assert group["lr"] == pytest.approx(0.5 * made.config.learning_rate / 2)  # half of the first of two warm-up steps


def test_what_the_monitor_knows_survives_a_resume(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    whole, _ = train(trainer, tmp_path / "whole", steps=8)
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    for path in checkpoints(tmp_path / "parts"):
        if int(path.name) > 4:
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
    again = trainer(tmp_path / "parts", **{**WATCHED, "phases": ({**PHASES[0], "steps": 8},)})
    assert again.resume()
    assert again.state.step == 4
    assert again.watch.monitor.state.step == 4
    again.run(lambda progress: None)
    assert again.watch.monitor.state == whole.watch.monitor.state
    assert read_history(tmp_path / "parts" / "log.jsonl") == read_history(tmp_path / "whole" / "log.jsonl")
