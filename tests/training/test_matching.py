from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.checkpoint import load_model, save_model
from sfumato.data.batches import BatchSource, CropPairSource
from sfumato.data.folders import FolderReport
from sfumato.errors import UsageError
from sfumato.image import read_image
from sfumato.losses.config import AdversarialConfig, Augment, LossWeights
from sfumato.losses.matching import feature_loss, matched_loss, reconstruction_loss
from sfumato.networks.config import MatchingConfig
from sfumato.networks.hypercolumn import hypercolumns
from sfumato.networks.matching import match
from sfumato.networks.model import MatchingModel
from sfumato.parallel import Rows
from sfumato.training.config import RECIPES, Phase, TrainConfig, load_recipe
from sfumato.training.loop import Interrupted, Trainer
from sfumato.training.matching import MatchingTask, draw_strengths
from sfumato.training.matching_validation import MatchingValidator
from support import FLOAT32, NETWORK32, SUM32

SHAPES = MatchingConfig(widths=(8, 8, 8), blocks=1, discriminator_widths=(8, 8))
CONFIG = TrainConfig(
    kind="matching",
    phases=(Phase(steps=2, batch=2, crop=32, adversarial=False), Phase(steps=2, batch=2, crop=32)),
    matching=SHAPES,
    weights=LossWeights(adversarial=0.1, reconstruction=4.0, reconstruction_features=1.0, matched=2.0),
    adversarial=AdversarialConfig(augment=Augment(p=0.5)),
    validation_pairs=0,
    fused=0.5,
    warmup=2,
    ema_half_life=10.0,
    checkpoint_every=2,
    sample_every=4,
    probe_every=4,
    log_every=1,
)


def changed(**values: Any) -> TrainConfig:
    return TrainConfig(**{**CONFIG.model_dump(), **values})


def made(photos: Any, paintings: Any, **values: Any) -> Any:
    torch.manual_seed(0)
    kind = MatchingTask(changed(**values), photos, paintings, torch.device("cpu"), None, None)
    kind.fit()
    return kind


@pytest.fixture(scope="module")
def kind(photos: FolderReport, paintings: FolderReport) -> Any:
    return made(photos, paintings)


@pytest.fixture(scope="module")
def trainer(photos: FolderReport, paintings: FolderReport) -> Any:
    def make(out: Any, validation: Any = None, start: Any = None, **values: Any) -> Trainer:
        config = changed(**values)
        return Trainer(config, photos, paintings, out, cache=None, cpu=True, validation=validation, start=start)

    return make


def state(made: Any) -> Any:
    return {name: tensor.clone() for name, tensor in made.state.tensors()}


def same(a: Any, b: Any) -> Any:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


@pytest.fixture(scope="module")
def unbroken(trainer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    run = tmp_path_factory.mktemp("runs") / "matching"
    whole = trainer(run)
    whole.run(lambda told: None)
    return run, state(whole)


def drawn(kind: Any, step: int = 0) -> Any:
    return kind.draw(step, CONFIG.phases[0], lambda name: None)


def generator_step(kind: Any, opponent: Any = None, step: int = 0, weights: Any = CONFIG.weights) -> Any:
    return kind.generator_step(kind.model, opponent, drawn(kind, step), weights, CONFIG.adversarial, step)


def gradient(kind: Any, opponent: Any) -> Any:
    kind.model.zero_grad()
    kind.discriminator.requires_grad_(False)
    generator_step(kind, opponent).loss.backward()
    kind.discriminator.requires_grad_(True)
    return torch.cat([p.grad.flatten() for p in kind.model.parameters()])


# --- crops and strengths


def test_crops_are_keyed_by_seed_and_step_and_nothing_else(photos: FolderReport, paintings: FolderReport) -> None:
    cpu = torch.device("cpu")
    source = CropPairSource(photos, paintings, 0, cpu)
    first = source.batch(3, 4, 24)
    assert [tuple(crops.shape) for crops in first] == [(4, 3, 24, 24)] * 2
    source.batch(9, 2, 16)
    again, other = source.batch(3, 4, 24), source.batch(4, 4, 24)
    seeded = CropPairSource(photos, paintings, 1, cpu).batch(3, 4, 24)
    for i in range(2):
        assert first[i].min() >= 0
        assert first[i].max() <= 1
        assert torch.equal(first[i], again[i])
        assert not torch.equal(first[i], other[i])
        assert not torch.equal(first[i], seeded[i])
        parts = [source.batch(3, 4, 24, Rows(process, 2))[i] for process in range(2)]
        assert torch.equal(torch.stack(parts, 1).flatten(0, 1), first[i])


def test_crops_are_at_half_to_all_of_the_size_and_some_are_mirrored(paintings: FolderReport) -> None:
    """On ramps a crop's slope is its scale, and its sign says whether it was mirrored."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8), (3, 200, 200)).copy()
    report = FolderReport(paintings.folder, [replace(paintings.pictures[0], pixels=ramp)])
    _, crops = CropPairSource(report, report, 0, torch.device("cpu")).batch(0, 64, 40)
    slopes = (255 * (crops[:, 0, 20, 30] - crops[:, 0, 20, 10]) / 20).numpy()
    assert 0.95 < np.abs(slopes).min() < 1.15
    assert 1.8 < np.abs(slopes).max() < 2.05
    assert 16 < (slopes < 0).sum() < 48
    small = replace(report, pictures=[replace(report.pictures[0], pixels=ramp[:, :30, :50])])
    assert CropPairSource(small, small, 0, torch.device("cpu")).batch(0, 2, 40)[0].shape == (2, 3, 40, 40)


def test_a_share_of_the_strengths_is_random() -> None:
    strengths = draw_strengths(4000, 0.25, 0, 7)
    assert torch.equal(strengths, draw_strengths(4000, 0.25, 0, 7))
    assert not torch.equal(strengths, draw_strengths(4000, 0.25, 0, 8))
    fused = strengths[strengths < 1]
    assert len(fused) / 4000 == pytest.approx(0.25, abs=0.03)
    assert fused.min() >= 0
    assert float(fused.mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.equal(draw_strengths(5, 0, 0, 7), torch.ones(5))


def test_a_batch_is_a_picture_its_features_and_those_that_were_matched(
    kind: Any, photos: FolderReport, paintings: FolderReport
) -> None:
    for step in (0, 1):
        batch = drawn(kind, step)
        crops = kind.source.batch(step, 2, 32)
        assert torch.equal(batch.paintings, crops[1])
        assert torch.equal(batch.picture, crops[step])  # photos in even steps, paintings in odd ones
        content, style = (hypercolumns(kind.vgg, x) * kind.model.decoder.scale for x in crops)
        assert torch.allclose(batch.own, (content, style)[step], atol=SUM32)
        strength = draw_strengths(2, CONFIG.fused, 0, step).view(-1, 1, 1, 1)
        expected = (1 - strength) * content + strength * match(content, style, CONFIG.balance)
        assert torch.allclose(batch.target, expected, atol=1e-3)
    again = drawn(kind, 1)
    assert all(torch.equal(getattr(batch, name), getattr(again, name)) for name in ("picture", "own", "target"))


def test_strength_0_asks_for_the_photo_s_own_features(
    photos: FolderReport, paintings: FolderReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.training.matching.draw_strengths", lambda count, *key: torch.zeros(count))
    batch = drawn(made(photos, paintings), 0)
    assert torch.equal(batch.target, batch.own)


# --- losses


def test_losses_are_0_where_nothing_is_wrong_and_grow_with_the_fault() -> None:
    x = torch.rand(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    for loss in (reconstruction_loss, feature_loss, matched_loss):
        assert loss(x, x).item() == pytest.approx(0, abs=FLOAT32)
        assert loss(x + 0.1, x) < loss(x + 0.3, x)
    assert reconstruction_loss(x + 0.1, x).item() == pytest.approx(0.1 + 2 * 0.1, rel=NETWORK32)
    signs = torch.ones(4, 4)
    signs[::2] = -1  # means over 4 x 4 are 0: only the pixels differ
    assert reconstruction_loss(x + 0.1 * signs, x).item() == pytest.approx(0.1, rel=NETWORK32)
    assert matched_loss(-x, x).item() == pytest.approx(2 + 0.3 * 2 * x.mean().item(), rel=NETWORK32)
    assert matched_loss(2 * x, x).item() == pytest.approx(0.3 * x.mean().item(), rel=NETWORK32)


def test_the_loss_is_the_weighted_sum_of_its_terms(kind: Any) -> None:
    output = generator_step(kind, kind.discriminator)
    assert set(output.report) == {
        "reconstruction",
        "reconstruction_features",
        "matched",
        "lattice",
        "range",
        "adversarial",
    }
    weights = CONFIG.weights.model_dump()
    expected = sum(weights[name] * float(value) for name, value in output.report.items())
    assert output.loss.item() == pytest.approx(expected, rel=SUM32)
    assert output.fake.shape == (2, 3, 32, 32)
    assert not output.fake.requires_grad
    assert output.code is None


def test_the_discriminator_changes_the_generator_s_gradient(kind: Any) -> None:
    without, with_it = gradient(kind, None), gradient(kind, kind.discriminator)
    assert (with_it - without).norm() > 1e-4 * without.norm()
    batch, output = drawn(kind), generator_step(kind, kind.discriminator)
    told = kind.adversarial_loss(kind.discriminator, batch, output, CONFIG.adversarial, 0)
    # Spectral norm's vectors have moved in between.
    assert told.item() == pytest.approx(output.report["adversarial"].item(), rel=0.1)


@pytest.mark.parametrize("name", ["patch", "projected", "both"])
def test_gradients_reach_all_weights_of_both_networks(photos: FolderReport, paintings: FolderReport, name: str) -> None:
    shapes = SHAPES.model_copy(update={"discriminator": name})
    kind = made(photos, paintings, matching=shapes.model_dump())
    assert gradient(kind, kind.discriminator).isfinite().all()
    assert all(p.grad.abs().max() > 0 for p in kind.model.parameters())
    kind.model.zero_grad(set_to_none=True)
    batch, output = drawn(kind), generator_step(kind, kind.discriminator)
    loss, report = kind.discriminator_step(kind.discriminator, batch, output, CONFIG.adversarial, 0)
    loss.backward()
    assert all(p.grad is None for p in kind.model.parameters())
    assert all(p.grad.abs().max() > 0 for n, p in kind.discriminator.named_parameters() if "weight" in n)
    assert {"discriminator", "real_accuracy", "d_accuracy"} <= report.keys()


def test_statistics_are_taken_of_the_pictures(kind: Any) -> None:
    """All twelve are taken, whole: once normalised, channels have mean 0 and, where they vary, deviation 1."""
    decoder, pictures = kind.model.decoder, [*kind.source.content, *kind.source.style]
    whole = torch.stack([BatchSource.centre(picture, 32) for picture in pictures])
    normalised = ((hypercolumns(kind.vgg, whole) - decoder.mean) / decoder.deviation).transpose(0, 1).flatten(1)
    assert normalised.mean(1).abs().max() < 1e-3
    assert normalised.std(1).max() < 1.01
    assert normalised.std(1).median().item() == pytest.approx(1, abs=0.01)


# --- the trainer


def test_phases_bring_the_discriminator_in(unbroken: Any) -> None:
    lines = (unbroken[0] / "log.jsonl").read_text().splitlines()
    reports = [line for line in lines if '"matched"' in line]
    assert ['"adversarial"' in line for line in reports] == [False, False, True, True]


def test_a_run_leaves_a_model_and_samples(unbroken: Any) -> None:
    run, _ = unbroken
    model, about = load_model(run / "checkpoints" / "00000004" / "model.safetensors")
    assert isinstance(model, MatchingModel)
    assert (model.config, about["step"]) == (SHAPES, "4")
    assert not torch.equal(model.decoder.scale, torch.ones_like(model.decoder.scale))
    assert read_image(run / "samples" / "00000004.png").std() > 0.05
    assert (run / "health.html").is_file()


def test_a_run_stopped_by_a_signal_and_resumed_equals_an_unbroken_one_bit_for_bit(
    unbroken: Any, trainer: Any, tmp_path: Path
) -> None:
    broken = trainer(tmp_path)

    def stop_at_one(progress: Any) -> None:
        if progress.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        broken.run(stop_at_one)
    resumed = trainer(tmp_path)
    assert resumed.resume()
    assert same(state(resumed), state(broken))
    resumed.estimate()  # as the command does
    resumed.run(lambda told: None)
    assert same(state(resumed), unbroken[1])


def test_16_bits_on_the_cpu_train_the_same_way(kind: Any, photos: FolderReport, paintings: FolderReport) -> None:
    rounded = made(photos, paintings, mixed_precision="bf16")
    rounded.discriminator.load_state_dict(kind.discriminator.state_dict())
    exact = generator_step(kind, kind.discriminator).report
    with torch.autocast("cpu", torch.bfloat16):  # as the trainer does
        output = generator_step(rounded, rounded.discriminator)
    output.loss.backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in rounded.model.parameters())
    for name in ("reconstruction", "matched"):
        assert output.report[name].dtype == torch.float32
        assert output.report[name].item() == pytest.approx(exact[name].item(), rel=0.1)


def test_other_pictures_are_refused_on_resuming(unbroken: Any, photos: FolderReport, paintings: FolderReport) -> None:
    fewer = replace(paintings, pictures=paintings.pictures[1:])
    with pytest.raises(UsageError, match="--style holds other pictures"):
        Trainer(CONFIG, photos, fewer, unbroken[0], cache=None, cpu=True).resume()


def test_a_run_may_begin_with_a_model(unbroken: Any, trainer: Any, tmp_path: Path) -> None:
    start = unbroken[0] / "checkpoints" / "00000004" / "model.safetensors"
    found, _ = load_model(start)
    tuned = trainer(tmp_path / "tuned", start=start)
    assert all(torch.equal(t, found.state_dict()[n]) for n, t in tuned.state.model.state_dict().items())
    with pytest.raises(UsageError, match="has networks of other shapes"):
        trainer(tmp_path / "wide", start=start, matching={**SHAPES.model_dump(), "blocks": 2})
    save_model(tmp_path / "own.safetensors", MatchingModel(SHAPES), {}, MatchingModel(SHAPES).state_dict())
    with pytest.raises(UsageError, match="of the kind 'matching', and this run of 'arbitrary'"):
        trainer(tmp_path / "other", start=tmp_path / "own.safetensors", kind="arbitrary", weights={}, matching={})


def test_probes_are_photos_painted_with_the_features_of_two_paintings(kind: Any) -> None:
    probes, paint = kind.probes(), kind.painter(kind.model)
    with torch.no_grad():
        first, second = paint(0), paint(1)
    assert first.shape == second.shape == probes.photos.shape
    assert torch.equal(first, paint(0))
    assert not torch.equal(first, second)
    assert {"diversity", "recognition", "style_sensitivity"} <= probes.measure(paint).keys()


def test_samples_are_photo_painting_and_match(kind: Any) -> None:
    rows = kind.samples(kind.model)
    assert [len(row) for row in rows] == [3] * 3  # as many as there are photos
    assert all(picture.shape == (1, 3, 32, 32) for row in rows for picture in row)
    assert all(row[2].min() >= 0 and row[2].max() <= 1 for row in rows)


# --- validation


def test_validation_measures_the_decoder_on_unseen_pairs(kind: Any, apart: tuple[FolderReport, FolderReport]) -> None:
    config = changed(validation_pairs=3, validation_side=34)
    validator = MatchingValidator(kind.vgg, *apart, config)
    assert len(validator.pairs) == 3
    values = validator.measure(kind.model)
    assert set(values) == {"matched", "psnr"}
    assert values == validator.measure(kind.model)
    assert values != validator.measure(kind.model, pairs=1)
    assert validator.score({"matched": 0.3, "psnr": 20.0}, config) == pytest.approx(0.3 + 0.1)
    keys = {
        MatchingValidator(kind.vgg, *apart, changed(validation_pairs=3, **values)).key
        for values in (
            {"validation_side": 34},
            {"validation_side": 48},
            {"seed": 1},
            {"balance": 0.5},
        )
    }
    assert len(keys) == 4
    assert validator.key in keys


def test_training_improves_what_validation_measures(
    trainer: Any, apart: tuple[FolderReport, FolderReport], tmp_path: Path
) -> None:
    run = trainer(
        tmp_path,
        validation=apart,
        validation_pairs=2,
        validation_side=32,
        phases=[{"steps": 30, "batch": 2, "crop": 32, "adversarial": False}],
        learning_rate=1e-2,
    )
    before = run.validator.measure(run.state.model)
    for _ in range(30):
        run.step()
    after = run.validator.measure(run.state.model)
    assert after["psnr"] > before["psnr"] + 1
    assert after["matched"] < before["matched"]


def test_the_best_checkpoint_is_kept(trainer: Any, apart: tuple[FolderReport, FolderReport], tmp_path: Path) -> None:
    run = trainer(tmp_path, validation=apart, validation_pairs=2, validation_side=32, validate_every=1)
    told = []
    run.run(lambda progress: told.append(progress.validation))
    assert all(set(values) == {"matched", "psnr", "score"} for values in told)
    assert run.state.record.best.score == pytest.approx(min(values["score"] for values in told[2:]))
    assert (tmp_path / "best.json").is_file()
    assert run.task.validator(replace(apart[0], pictures=[]), apart[1]) is None


# --- configs


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_begin_without_the_discriminator_and_end_with_it(name: Any) -> None:
    config = load_recipe(name, ["seed=3"], "matching")
    assert (config.kind, config.recipe, config.seed) == ("matching", name, 3)
    assert [phase.adversarial for phase in config.phases] == [False] + [True] * (len(config.phases) - 1)
    assert len(config.phases) > 1
    assert config.is_validated
    assert config.checkpoint_every % config.log_every == 0
    assert config.painting_side >= config.short_side
    assert name == "tiny" or config.painting_side == 640  # brushwork is seen at full size


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": {"reconstruction": 1.0}}, r"weights\.matched above 0"),
        ({"weights": {"matched": 1.0}}, r"weights\.reconstruction"),
        ({"weights": {**CONFIG.weights.model_dump(), "sliced": 1.0}}, r"weights\.sliced has no part in matching"),
        ({"content_target": 0.5, "validation_pairs": 4}, "content_target adapts"),
        ({"balance": 1.5}, "balance"),
        ({"fused": -0.1}, "fused"),
        ({"painting_short_side": 32}, "painting_short_side"),
    ],
)
def test_what_this_kind_cannot_do_is_one_sentence(values: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        changed(**values)
