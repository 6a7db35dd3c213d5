from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.data.folders import FolderReport
from sfumato.errors import UsageError
from sfumato.image import read_image
from sfumato.losses.adversarial import find_gan_loss
from sfumato.losses.augment import augment_pictures
from sfumato.losses.config import AdversarialConfig, Augment, LossWeights
from sfumato.networks.config import NoiseConfig
from sfumato.networks.model import NoiseModel, build_noise_discriminator
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.loop import Interrupted, Trainer
from sfumato.training.monitor import MonitorConfig
from sfumato.training.noise import PixelNoiseTask
from support import NETWORK32, SUM32

SHAPES = NoiseConfig(
    generator="pixels",
    side=64,
    z_size=6,
    widths=(8, 8, 8, 8, 8),
    discriminator_widths=(8, 8, 8),
    discriminator_scales=2,
)
CONFIG = TrainConfig(
    kind="noise",
    phases=(Phase(steps=4, batch=3),),
    noise=SHAPES,
    weights=LossWeights(adversarial=1.0),
    adversarial=AdversarialConfig(gan_loss="relativistic", r1=1.0, r2=1.0, penalty_every=2, augment=Augment(p=1.0)),
    validation_pairs=0,
    momentum=0.0,
    warmup=2,
    ema_half_life=10.0,
    checkpoint_every=2,
    sample_every=4,
    log_every=1,
)


def changed(**values: Any) -> TrainConfig:
    return TrainConfig(**{**CONFIG.model_dump(), **values})


@pytest.fixture
def kind(paintings: FolderReport) -> PixelNoiseTask:
    torch.manual_seed(0)
    return PixelNoiseTask(CONFIG, None, paintings, torch.device("cpu"), None, None)


@pytest.fixture(scope="module")
def trainer(paintings: FolderReport) -> Any:
    def make(out: Any, **values: Any) -> Trainer:
        return Trainer(changed(**values), None, paintings, out, cache=None, cpu=True)

    return make


def state(made: Any) -> Any:
    return {name: tensor.clone() for name, tensor in made.state.tensors()}


def same(a: Any, b: Any) -> Any:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


@pytest.fixture(scope="module")
def unbroken(trainer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    run = tmp_path_factory.mktemp("runs") / "noise"
    whole = trainer(run)
    whole.run(lambda told: None)
    return run, state(whole)


def drawn(kind: Any, step: int = 0) -> Any:
    return kind.draw(step, CONFIG.phases[0], lambda name: None)


def halves(kind: Any, step: int = 0) -> Any:
    noise = drawn(kind, step)
    output = kind.generator_step(kind.model, kind.discriminator, noise, CONFIG.weights, CONFIG.adversarial, step)
    return noise, output, kind.discriminator_step(kind.discriminator, noise, output, CONFIG.adversarial, step)


def test_the_model_rebuilds_from_its_config_and_paints(kind: PixelNoiseTask) -> None:
    model = NoiseModel(SHAPES)
    assert model(torch.zeros(2, 6)).shape == (2, 3, 64, 64)
    assert kind.new_model().config == SHAPES
    logits = build_noise_discriminator(SHAPES)(torch.rand(2, 3, 64, 64))
    assert [tuple(scale.shape) for scale in logits] == [(2, 1, 8, 8), (2, 1, 4, 4)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"side": 96}, "side"),
        ({"side": 256}, "64 or 128 for pixels, not 256"),
        ({"widths": (8, 8)}, "5 numbers for a side of 64"),
        ({"side": 128, "widths": (8,) * 5}, "6 numbers for a side of 128"),
        ({"discriminator_widths": (8,) * 5, "discriminator_scales": 3}, "halves a side of 64 too often"),
    ],
)
def test_shapes_that_do_not_go_together_are_refused(values: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NoiseConfig(**{"generator": "pixels", "side": 64, **values})


def test_the_deepest_discriminator_that_is_allowed_runs() -> None:
    for side, scales in ((64, 2), (128, 3)):
        config = NoiseConfig(
            generator="pixels",
            side=side,  # type: ignore[arg-type]
            discriminator_widths=(4,) * 5,
            discriminator_scales=scales,
        )
        assert build_noise_discriminator(config)(torch.rand(1, 3, side, side))[-1].shape == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"phases": [{"steps": 2, "batch": 2, "adversarial": False}]}, "discriminator alone"),
        ({"weights": {"adversarial": 0}}, "discriminator alone"),
        ({"weights": {"adversarial": 1, "energy": 1}}, "weights.energy compares feature maps"),
        ({"content_target": 0.7, "validation_pairs": 4}, "content_target is for kinds that paint photos"),
        ({"short_side": 64, "noise": {"side": 128}}, r"short_side must be noise\.side \(128\)"),
    ],
)
def test_what_this_kind_cannot_do_is_one_sentence(values: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        changed(**values)


def test_a_step_is_keyed_by_seed_and_step_and_nothing_else(kind: PixelNoiseTask, paintings: FolderReport) -> None:
    first = drawn(kind, 3)
    assert first.z.shape == (3, 6)
    assert first.paintings.shape == (3, 3, 64, 64)
    drawn(kind, 9)
    again, other = drawn(kind, 3), drawn(kind, 4)
    assert torch.equal(first.z, again.z)
    assert torch.equal(first.paintings, again.paintings)
    assert not torch.equal(first.z, other.z)
    assert not torch.equal(first.paintings, other.paintings)
    seeded = PixelNoiseTask(changed(seed=1), None, paintings, torch.device("cpu"), None, None)
    assert not torch.equal(first.z, drawn(seeded, 3).z)
    many = torch.cat([drawn(kind, step).z for step in range(100)])
    assert abs(float(many.mean())) < 0.1
    assert float(many.std()) == pytest.approx(1, abs=0.1)


def test_the_generator_s_loss_is_the_adversarial_one_and_nothing_else(kind: PixelNoiseTask) -> None:
    noise, output, _ = halves(kind, step=5)
    assert set(output.report) == {"adversarial"}
    assert output.code is None
    assert not output.fake.requires_grad
    assert torch.equal(output.fake, kind.model(noise.z))
    shown = augment_pictures(CONFIG.adversarial.augment, noise.paintings, 0, 5, 0)
    painted = augment_pictures(CONFIG.adversarial.augment, output.fake, 0, 5, 1)
    with torch.no_grad():
        expected = find_gan_loss("relativistic").generator(kind.discriminator(painted), kind.discriminator(shown))
    assert output.loss.item() == pytest.approx(expected.item(), rel=SUM32)
    doubled = LossWeights(adversarial=2.0)
    other = kind.generator_step(kind.model, kind.discriminator, noise, doubled, CONFIG.adversarial, 5)
    assert other.loss.item() == pytest.approx(2 * output.loss.item(), rel=SUM32)


def test_penalties_come_on_their_steps(kind: PixelNoiseTask) -> None:
    for step in (0, 1, 2):
        _, _, (loss, report) = halves(kind, step)
        assert ({"r1", "r2"} <= report.keys()) == (step % 2 == 0)
        extra = sum(report.get(name, torch.zeros(())) for name in ("r1", "r2")) / 2 * 2
        assert loss.item() == pytest.approx((report["discriminator"] + extra).item(), rel=NETWORK32)


def test_gradients_reach_all_weights_of_both_networks(kind: PixelNoiseTask) -> None:
    kind.discriminator.requires_grad_(False)
    noise, output, _ = halves(kind)
    output.loss.backward()
    kind.discriminator.requires_grad_(True)
    loss, _ = kind.discriminator_step(kind.discriminator, noise, output, CONFIG.adversarial, 0)
    kind.model.zero_grad(set_to_none=False)
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in kind.model.parameters())  # its half is the other one
    output = kind.generator_step(kind.model, kind.discriminator, noise, CONFIG.weights, CONFIG.adversarial, 0)
    output.loss.backward()
    for network in (kind.model, kind.discriminator):
        # A relativistic loss cares for differences only: the last bias adds the same to both.
        dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
        assert [name for name in dead if not name.endswith("logit.bias")] == []


def test_probes_are_paintings_of_its_side_and_fixed_z(kind: PixelNoiseTask, paintings: FolderReport) -> None:
    probes = kind.probes()
    assert probes.photos is None
    assert probes.paintings.shape == (4, 3, 64, 64)
    with torch.no_grad():
        painted, again = kind.painter(kind.model)(0), kind.painter(kind.model)(0)
        seeded = PixelNoiseTask(changed(seed=1), None, paintings, torch.device("cpu"), None, None)
        other = seeded.painter(kind.model)(0)
    assert painted.shape == (4, 3, 64, 64)
    assert torch.equal(painted, again)
    assert not torch.equal(painted, other)
    assert {"diversity", "response", "checkerboard"} <= probes.measure(kind.painter(kind.model)).keys()
    assert probes.measure(lambda style: painted[:1].expand(4, -1, -1, -1))["diversity"] == 0
    few = replace(paintings, pictures=paintings.pictures[:1])
    assert PixelNoiseTask(CONFIG, None, few, torch.device("cpu"), None, None).probes() is None


def test_what_is_told_is_the_adversarial_loss_of_the_outputs(kind: PixelNoiseTask) -> None:
    noise, output, _ = halves(kind, step=5)
    told = kind.adversarial_loss(kind.discriminator, noise, output, CONFIG.adversarial, 5)
    assert told.item() == pytest.approx(output.report["adversarial"].item(), rel=SUM32)
    fake = output.fake.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        kind.adversarial_loss(kind.discriminator, noise, replace(output, fake=fake), CONFIG.adversarial, 5), fake
    )
    assert gradient.abs().max() > 0


def test_a_generator_of_one_picture_is_found(trainer: Any, tmp_path: Path) -> None:
    monitor = MonitorConfig(warmup=0, settle=1, settle_steps=0, actions=())
    made = trainer(tmp_path, phases=[{"steps": 8, "batch": 3}], probe_every=1, monitor=monitor.model_dump())
    made.task.painter = lambda model: lambda style: torch.full((4, 3, 64, 64), 0.5)
    made.run(lambda told: None)
    assert "constant_output" in {finding.rule for finding in made.watch.monitor.all_findings}


def test_watching_changes_nothing_in_training(unbroken: Any, trainer: Any, tmp_path: Path) -> None:
    unseen = trainer(tmp_path, probe_every=0)
    unseen.run(lambda told: None)
    assert same(state(unseen), unbroken[1])
    assert (unbroken[0] / "health.html").is_file()


def test_samples_are_a_grid_of_fixed_z(kind: PixelNoiseTask) -> None:
    with torch.no_grad():
        rows, again = kind.samples(kind.model), kind.samples(kind.model)
    assert [len(row) for row in rows] == [8] * 8
    pictures = torch.cat([picture for row in rows for picture in row])
    assert pictures.shape == (64, 3, 64, 64)
    assert torch.equal(pictures, torch.cat([picture for row in again for picture in row]))
    assert len({picture.numpy().tobytes() for picture in pictures}) == 64


def test_a_run_leaves_a_model_samples_and_a_log(unbroken: Any) -> None:
    run, _ = unbroken
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["00000002", "00000004"]
    sheet = read_image(run / "samples" / "00000004.png")
    assert 8 * 64 < sheet.shape[2] < 8 * 64 + 80  # pictures as they are, side by side
    assert sheet.std() > 0.05
    assert (run / "log.jsonl").read_text().count('"adversarial"') == 4


def test_it_learns(trainer: Any, tmp_path: Path) -> None:
    """Paintings that are all but black: in a few steps the pictures are darker than those it began with."""
    dark = trainer(tmp_path, phases=[{"steps": 40, "batch": 4}], learning_rate=5e-3, discriminator_learning_rate=5e-3)
    dark.task.source.style = [picture // 16 for picture in dark.task.source.style]
    z = dark.task._z(16, 9)
    with torch.no_grad():
        before = dark.state.model(z).mean().item()
    for _ in range(40):
        dark.step()
    with torch.no_grad():
        assert dark.state.model(z).mean().item() < 0.7 * before


def test_a_run_stopped_by_a_signal_and_resumed_equals_an_unbroken_one_bit_for_bit(
    unbroken: Any, trainer: Any, tmp_path: Path
) -> None:
    broken = trainer(tmp_path)

    def stop_at_one(progress: Any) -> None:
        if progress.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted) as stopped:
        broken.run(stop_at_one)
    assert stopped.value.step in (1, 2)
    resumed = trainer(tmp_path)
    assert resumed.resume()
    assert same(state(resumed), state(broken))
    resumed.estimate()  # as the command does
    resumed.run(lambda told: None)
    assert same(state(resumed), unbroken[1])


def test_other_paintings_are_refused_on_resuming(unbroken: Any, paintings: FolderReport) -> None:
    fewer = replace(paintings, pictures=paintings.pictures[1:])
    other = Trainer(CONFIG, None, fewer, unbroken[0], cache=None, cpu=True)
    with pytest.raises(UsageError, match="--style holds other pictures"):
        other.resume()


def test_no_step_is_given_the_samples_z(kind: PixelNoiseTask) -> None:
    samples = kind._z(64, 1)
    assert not any(np.isin(drawn(kind, step).z.numpy(), samples.numpy()).all() for step in range(20))
