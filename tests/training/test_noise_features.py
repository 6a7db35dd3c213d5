from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.checkpoint import load_model
from sfumato.data.folders import FolderReport
from sfumato.errors import UsageError
from sfumato.image import read_image
from sfumato.losses.config import AdversarialConfig, Augment, LossWeights
from sfumato.networks.config import NoiseConfig
from sfumato.networks.model import FeatureNoiseModel
from sfumato.parallel import Rows
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.loop import Trainer
from sfumato.training.noise_features import FeatureNoiseTask, check_decoder
from sfumato.training.state import checkpoints
from support import SUM32

CONFIG = TrainConfig(
    kind="noise",
    phases=(Phase(steps=4, batch=4),),
    noise=NoiseConfig(side=64, z_size=6, components=16, crops=3, widths=(8,), discriminator_widths=(8, 8, 8)),
    weights=LossWeights(adversarial=1.0, energy=2.0),
    adversarial=AdversarialConfig(
        gan_loss="relativistic", r1=1.0, r2=1.0, penalty_every=2, augment=Augment(p=1.0, colour=0.0)
    ),
    short_side=64,
    validation_pairs=0,
    momentum=0.0,
    warmup=2,
    ema_half_life=10.0,
    checkpoint_every=2,
    sample_every=4,
    log_every=1,
    probe_every=2,
)


@pytest.fixture(scope="module")
def task(paintings: FolderReport) -> FeatureNoiseTask:
    torch.manual_seed(0)
    task = FeatureNoiseTask(CONFIG, None, paintings, torch.device("cpu"), None, None)
    task.fit()
    return task


@pytest.fixture(scope="module")
def trainer(paintings: FolderReport) -> Any:
    def make(out: Path, pictures: FolderReport = paintings) -> Trainer:
        return Trainer(CONFIG, None, pictures, out, cache=None, cpu=True)

    return make


def state(made: Any) -> Any:
    return {name: tensor.clone() for name, tensor in made.state.tensors()}


def same(a: Any, b: Any) -> Any:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


@pytest.fixture(scope="module")
def unbroken(trainer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    run = tmp_path_factory.mktemp("runs") / "features"
    whole = trainer(run)
    whole.run(lambda told: None)
    return run, state(whole)


def test_crops_decode_to_the_paintings_that_they_were_cut_from(task: FeatureNoiseTask) -> None:
    """The whole way of a real sample: a crop, its components, and back to the picture."""
    drawn = [(painting, crop) for painting in range(2) for crop in range(3)]
    crops = torch.stack([task.source.crop(painting, crop, 64) for painting, crop in drawn])
    maps = task.features.maps(task.model, drawn)
    assert maps.shape == (6, 16, 16, 16)
    decoded = task.features.paint(task.model.space.restore(maps))
    assert decoded.shape == crops.shape
    apart = (decoded - crops).abs().mean((1, 2, 3))
    others = (decoded - crops.roll(3, 0)).abs().mean((1, 2, 3))
    assert (apart < 0.5 * others).all(), (apart, others)


def test_numbered_crops_are_always_the_same_and_odd_ones_are_mirrored(task: FeatureNoiseTask) -> None:
    first = task.source.crop(1, 2, 64)
    assert torch.equal(task.source.crop(1, 2, 64), first)
    assert not torch.equal(task.source.crop(1, 3, 64), first)
    square = replace_style(task, torch.arange(64).repeat(3, 64, 1).to(torch.uint8))
    assert torch.equal(square.crop(0, 1, 64), square.crop(0, 0, 64).flip(2))


def replace_style(task: FeatureNoiseTask, picture: Any) -> Any:
    source = object.__new__(type(task.source))
    source.style, source.seed = [picture], 0
    return source


def test_a_step_depends_on_seed_and_step_and_processes_share_it(
    task: FeatureNoiseTask, paintings: FolderReport
) -> None:
    first = task.draw(3, CONFIG.phases[0], lambda name: None)
    again = task.draw(3, CONFIG.phases[0], lambda name: None)
    assert first.paintings.shape == (4, 16, 16, 16)
    assert torch.equal(first.paintings, again.paintings)
    assert not torch.equal(first.paintings, task.draw(4, CONFIG.phases[0], lambda name: None).paintings)
    parts = []
    for process in (0, 1):
        task.rows = Rows(process, 2)
        parts.append(task.real(3, 4))
    task.rows = Rows(0, 1)
    assert sorted(map(str, torch.cat(parts).mean((1, 2, 3)).tolist())) == sorted(
        map(str, first.paintings.mean((1, 2, 3)).tolist())
    )


def test_gradients_reach_all_weights_of_both_networks(task: FeatureNoiseTask) -> None:
    batch = task.draw(0, CONFIG.phases[0], lambda name: None)
    output = task.generator_step(task.model, task.discriminator, batch, CONFIG.weights, CONFIG.adversarial, 0)
    assert output.fake.shape == batch.paintings.shape
    assert output.report.keys() == {"adversarial", "energy"}
    assert output.loss.item() == pytest.approx(
        output.report["adversarial"].item() + 2 * output.report["energy"].item(), rel=SUM32
    )
    output.loss.backward()
    loss, report = task.discriminator_step(task.discriminator, batch, output, CONFIG.adversarial, 0)
    assert {"r1", "r2"} <= report.keys()
    loss.backward()
    for network in (task.model, task.discriminator):
        dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
        # A relativistic loss cares for differences only: the last bias of a head adds the same to both.
        assert [name for name in dead if not (name.startswith(("heads", "whole.2")) and name.endswith("bias"))] == []
        network.zero_grad()


def test_a_run_leaves_a_model_with_its_space_samples_and_a_page(unbroken: Any, task: FeatureNoiseTask) -> None:
    run, _ = unbroken
    model, _ = load_model(checkpoints(run)[-1] / "model.safetensors")
    assert isinstance(model, FeatureNoiseModel)
    assert torch.equal(model.space.directions, task.model.space.directions)  # fitted, the same for the same paintings
    check_decoder(model, task.features.sha256, "it")
    sheet = read_image(run / "samples" / "00000004.png")
    assert 8 * 64 < sheet.shape[2] < 8 * 64 + 80
    assert (run / "health.html").is_file()


def test_a_stopped_and_resumed_run_equals_an_unbroken_one_bit_for_bit(
    unbroken: Any, trainer: Any, tmp_path: Path
) -> None:
    def stop(told: Any) -> None:
        if told.step == 3:  # after the checkpoint of step 2
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        trainer(tmp_path).run(stop)
    resumed = trainer(tmp_path)
    assert resumed.resume()
    assert resumed.state.step == 2
    resumed.run(lambda told: None)
    assert same(state(resumed), unbroken[1])


def test_other_paintings_and_other_decoders_are_refused(
    unbroken: Any, trainer: Any, paintings: FolderReport, task: FeatureNoiseTask
) -> None:
    fewer = replace(paintings, pictures=paintings.pictures[1:])
    with pytest.raises(UsageError, match="--style holds other pictures"):
        trainer(unbroken[0], fewer).resume()
    with pytest.raises(UsageError, match="it was trained with another decoder"):
        check_decoder(task.model, "0" * 64, "it")
