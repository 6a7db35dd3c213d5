from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sfumato.checkpoint import load_model
from sfumato.data.batches import Batch
from sfumato.data.folders import FolderReport
from sfumato.errors import UsageError
from sfumato.losses.adversarial_terms import discriminator_loss, generator_loss
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.losses.contrastive import patch_nce
from sfumato.losses.perceptual import (
    StyleTarget,
    alternate_views,
    gram_loss,
    identity_loss,
    luma_view,
    range_loss,
    statistics_loss,
    style_target,
)
from sfumato.networks.config import CollectionConfig
from sfumato.networks.discriminator import OfPhotos
from sfumato.networks.model import CollectionModel
from sfumato.networks.patch_head import draw_positions
from sfumato.training import config as configs
from sfumato.training.collection import CollectionTask
from sfumato.training.config import CYCLE, RECIPES, Phase, TrainConfig, load_recipe
from sfumato.training.loop import Interrupted, Trainer
from sfumato.training.state import checkpoints
from support import FLOAT32, NETWORK32, SUM32

NONE = dict.fromkeys(LossWeights().model_dump(), 0.0)
CONTRAST = LossWeights(
    **NONE | {"adversarial": 1, "contrast": 0.5, "contrast_identity": 0.25, "identity": 2, "range": 5}
)
ROUND = LossWeights(**NONE | {"adversarial": 1, "cycle": 10, "identity": 5, "range": 5, "consistency": 1})
SHAPES = {"widths": (8, 8, 8), "blocks": 2, "discriminator_widths": (8, 8, 8)}


def settings(cycle: bool = False, **changes: Any) -> TrainConfig:
    """A tiny collection's config: six steps, all but the first adversarial."""
    sizes = {"batch": 2, "crop": 32, "zoom_crops": 1}
    usual = {
        "kind": "collection",
        "phases": (
            Phase(steps=1, adversarial=False, thumbnails=(32,), **sizes),
            Phase(steps=5, thumbnails=(48,), **sizes),  # type: ignore[arg-type]
        ),
        "collection": {**SHAPES, "cycle": cycle, **changes.pop("collection", {})},
        "weights": ROUND if cycle else CONTRAST,
        "identity_samples": 1,
        "patches": 16,
        "pool": 3,
        "warmup": 1,
        "ema_half_life": 10.0,
        "checkpoint_every": 2,
        "sample_every": 100,
        "log_every": 1,
    }
    return TrainConfig(**TrainConfig(**{**usual, **changes}).model_dump())


@pytest.fixture
def kind(photos: FolderReport, paintings: FolderReport) -> Any:
    """Makes a collection on the CPU from the changes of its config."""

    def make(cycle: bool = False, **changes: Any) -> Any:
        torch.manual_seed(0)
        made = CollectionTask(settings(cycle, **changes), photos, paintings, torch.device("cpu"))
        made.discriminator.eval().requires_grad_(False)  # training would move spectral norm's vectors between two looks
        return made

    return make


@pytest.fixture
def trainer(photos: FolderReport, paintings: FolderReport) -> Any:
    def make(out: Any, cycle: bool = False, **changes: Any) -> Trainer:
        return Trainer(settings(cycle, **changes), photos, paintings, out, cache=None, cpu=True)

    return make


def drawn(kind: Any, step: int = 3) -> Any:
    return kind.draw(step, kind.config.phases[-1], lambda name: None)


def output(kind: Any, step: int = 3, batch: Any = None, opponent: bool = True, **changes: Any) -> Any:
    weights = kind.config.weights.model_copy(update=changes)
    judge = kind.discriminator if opponent else None
    return kind.generator_step(kind.model, judge, batch or drawn(kind, step), weights, kind.config.adversarial, step)


def test_style_terms_hold_outputs_to_the_whole_paintings_of_the_batch(
    photos: FolderReport, paintings: FolderReport
) -> None:
    weights = LossWeights(**NONE | {"contrast": 1, "statistics": 3, "gram": 2, "content": 0.1})
    torch.manual_seed(0)
    made = CollectionTask(settings(weights=weights), photos, paintings, torch.device("cpu"))
    batch = drawn(made)
    found, vgg = output(made, batch=batch, opponent=False), made.targets.vgg
    own = style_target(vgg(alternate_views(found.fake)))
    tables = []
    for i, index in enumerate(batch.style_ids):
        x = made.source.style[index][None].float() / 255
        tables.append(style_target(vgg(luma_view(x) if i % 2 else x)))
    expected = {"statistics": [], "gram": []}
    for i, wanted in enumerate(tables):
        mine = StyleTarget(*({layer: t[i : i + 1] for layer, t in part.items()} for part in vars(own).values()))
        expected["statistics"].append(float(statistics_loss(mine, wanted)))
        expected["gram"].append(float(gram_loss(mine, wanted)))
    for name, values in expected.items():
        assert float(found.report[name]) == pytest.approx(np.mean(values), rel=1e-3), name
    assert float(found.report["content"]) > 0
    found.loss.backward()
    assert made.model.generator.paint.conv.weight.grad.abs().max() > 0
    bare = CollectionTask(settings(), photos, paintings, torch.device("cpu"))
    assert bare.targets is None
    assert not {"statistics", "gram", "content"} & output(bare).report.keys()


@torch.no_grad()
def contrast(kind: Any, outputs: Any, inputs: Any, step: int = 3) -> float:
    return float(kind._contrast(kind.model, outputs, inputs, step))


def state(trainer: Any) -> Any:
    return {name: tensor.detach().clone() for name, tensor in trainer.state.tensors()}


def same(a: Any, b: Any) -> Any:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def ignore(progress: Any) -> None:
    pass


@pytest.mark.parametrize("cycle", [False, True])
def test_the_loss_is_the_weighted_sum_of_the_report(kind: Any, cycle: bool) -> None:
    one = kind(cycle)
    found, weights = output(one), one.config.weights.model_dump()
    assert {name for name in found.report if weights[name]} == {name for name in weights if weights[name]}
    expected = sum(weights[name] * float(term) for name, term in found.report.items())
    assert float(found.loss.detach()) == pytest.approx(expected, rel=SUM32)
    assert not any(term.requires_grad for term in found.report.values())
    assert found.code is None
    assert (found.back is not None) == cycle
    assert not any(x.requires_grad for x in (found.fake, found.back) if x is not None)


def test_terms_are_those_of_the_picture_that_was_painted(kind: Any) -> None:
    one = kind()
    batch, model = drawn(one), one.model.requires_grad_(False)
    found = output(one, batch=batch)
    fake = model.generator(batch.crop, model.generator.measure(batch.thumbnail))
    assert torch.allclose(found.fake, fake, atol=FLOAT32)
    small = torch.nn.functional.interpolate(batch.style[:1], (48, 48), mode="bilinear", antialias=True)
    kept = model.generator(batch.patch[:1], model.generator.measure(small))
    expected = {
        "range": range_loss(fake),
        "identity": identity_loss(kept, batch.patch[:1]),
        "adversarial": generator_loss(AdversarialConfig(), one.discriminator, fake, batch.patch, None, (0, 3)),
    }
    for name, value in expected.items():
        assert float(found.report[name]) == pytest.approx(float(value), rel=NETWORK32, abs=1e-7), name


def test_contrast_tells_an_output_of_this_crop_from_one_of_another(kind: Any) -> None:
    one = kind()
    crop = drawn(one).crop
    own, other = (contrast(one, x, crop) for x in (crop, crop.roll(1, 0)))
    assert own < 0.8 * other
    tinted = contrast(one, 0.2 + 0.6 * crop, crop)
    assert tinted < 0.5 * (own + other)  # statistics are each picture's own


def test_places_of_contrast_are_keyed_by_seed_and_step(kind: Any) -> None:
    one, other = kind(), kind(seed=1)
    crop = drawn(one).crop
    x = crop.flip(3)
    first, again, later = (contrast(one, x, crop, step) for step in (3, 3, 4))
    assert first == again
    assert first != later
    other.model.load_state_dict(one.model.state_dict())
    assert contrast(other, x, crop) != first


def test_contrast_takes_the_mean_over_layers_of_what_was_drawn(kind: Any) -> None:
    one = kind(patches=10**6)  # all places, so that no draw decides
    model, crop = one.model, drawn(one).crop
    output = crop.flip(2)
    features = model.generator.features(output), model.generator.features(crop)
    places = draw_positions(features[0], 10**6, torch.Generator().manual_seed(7))
    losses = [patch_nce(q, k) for q, k in zip(*(model.heads(f, places) for f in features), strict=True)]
    assert contrast(one, output, crop) == pytest.approx(float(sum(losses).detach() / 4), rel=SUM32)  # type: ignore[union-attr]


@pytest.mark.parametrize("normalization", ["instance", "batch", "none"])
@pytest.mark.parametrize("cycle", [False, True])
def test_gradients_reach_all_trained_weights(kind: Any, cycle: bool, normalization: str) -> None:
    one = kind(cycle, collection={"normalization": normalization})
    with torch.no_grad():  # a fresh generator paints next to nothing: no more than noise would come through it
        for name, parameter in one.model.named_parameters():
            if name.endswith("paint.conv.weight"):
                parameter.mul_(20)
    output(one).loss.backward()
    lost = [name for name, p in one.model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert lost == []
    # The shift of a block's last normalisation is taken out again by the next one.
    idle = [name for name, p in one.model.named_parameters() if p.grad.abs().max() == 0]
    assert [name for name in idle if not name.endswith("norm.beta")] == []
    one.discriminator.requires_grad_(True).zero_grad()
    loss, report = one.discriminator_step(one.discriminator, drawn(one), output(one), AdversarialConfig(), 3)
    loss.backward()
    idle = [name for name, p in one.discriminator.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    # Within the margin the hinge asks as much for paintings as against outputs.
    assert [name for name in idle if not name.endswith("logit.bias")] == []
    assert ("photos_d_accuracy" in report) == cycle


def test_without_an_opponent_nothing_is_adversarial(kind: Any) -> None:
    assert "adversarial" not in output(kind(), opponent=False).report
    assert "adversarial" not in output(kind(True), opponent=False).report


def test_a_cycle_costs_nothing_where_both_ways_change_nothing(kind: Any) -> None:
    one = kind(True)
    with torch.no_grad():
        for generator in (one.model.generator, one.model.back):
            generator.paint.conv.weight.zero_()
    found = output(one).report
    assert float(found["cycle"]) == float(found["identity"]) == 0
    with torch.no_grad():
        one.model.back.paint.conv.bias.fill_(0.2)  # brighter on the way back only
    found = output(one).report
    assert float(found["cycle"]) == pytest.approx(2 * np.tanh(0.2), rel=NETWORK32)


def test_each_side_of_a_cycle_has_its_own_discriminator(kind: Any) -> None:
    one = kind(True)
    batch, found = drawn(one), output(one)
    pair = one.discriminator.requires_grad_(False)
    adversarial = AdversarialConfig()
    expected = [
        float(generator_loss(adversarial, judge, fake, real, None, (0, 3)))
        for judge, fake, real in ((pair.paintings, found.fake, batch.patch), (pair.photos, found.back, batch.crop))
    ]
    assert expected[0] != expected[1]
    assert float(found.report["adversarial"]) == pytest.approx(sum(expected), rel=NETWORK32)
    assert all(torch.equal(a, b) for a, b in zip(OfPhotos(pair)(batch.crop), pair.photos(batch.crop), strict=True))


def test_running_averages_are_those_of_photos_alone(kind: Any) -> None:
    one = kind(collection={"normalization": "batch"})
    before = {name: buffer.clone() for name, buffer in one.model.generator.named_buffers()}
    batch = drawn(one)
    output(one, batch=batch)
    after = {name: buffer.clone() for name, buffer in one.model.generator.named_buffers()}
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert any(name.endswith("norm.mean") for name in moved)
    with torch.no_grad():
        for name, buffer in one.model.generator.named_buffers():
            buffer.copy_(before[name])
        one.model.generator.measure(batch.thumbnail)
    assert all(torch.allclose(b, after[n], atol=FLOAT32) for n, b in one.model.generator.named_buffers())


def test_the_discriminator_is_shown_what_the_pool_gives(kind: Any) -> None:
    one = kind(pool=2)
    batch, adversarial = drawn(one), AdversarialConfig()
    outputs = [output(one, step).fake + step / 10 for step in range(12)]
    seen = []
    for step, fake in enumerate(outputs):
        found = output(one, step)
        given = type(found)(found.loss, found.report, fake, None)
        loss, _ = one.discriminator_step(one.discriminator, batch, given, adversarial, step)
        fresh, _ = discriminator_loss(adversarial, one.discriminator, batch.patch, fake, None, (0, step))
        seen.append(float(loss.detach()) == pytest.approx(float(fresh.detach()), rel=FLOAT32))
    assert True in seen
    assert False in seen
    without = kind(pool=0)
    loss, _ = without.discriminator_step(without.discriminator, batch, given, adversarial, 11)
    assert float(loss.detach()) == pytest.approx(float(fresh.detach()), rel=FLOAT32)
    assert without.tensors() == {}


@pytest.mark.parametrize(
    ("cycle", "changes"),
    [
        (False, {}),
        (True, {"adversarial": AdversarialConfig(gan_loss="lsgan", r1=1.0, penalty_every=2, augment={"p": 0.5})}),  # type: ignore[arg-type]
        (False, {"collection": {"normalization": "batch"}, "adversarial": AdversarialConfig(gan_loss="relativistic")}),
    ],
)
def test_a_stopped_and_resumed_run_equals_an_unbroken_one_bit_for_bit_with_its_pool(
    trainer: Any, tmp_path: Path, cycle: bool, changes: Any
) -> None:
    whole = trainer(tmp_path / "whole", cycle, **changes)
    whole.run(ignore)
    broken = trainer(tmp_path / "broken", cycle, **changes)

    def stop_at_three(progress: Any) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        broken.run(stop_at_three)
    resumed = trainer(tmp_path / "broken", cycle, **changes)
    assert resumed.resume()
    assert same(state(resumed), state(broken))
    before = state(resumed)
    resumed.estimate()
    assert same(state(resumed), before)
    resumed.run(ignore)
    assert same(state(resumed), state(whole))
    sides = {"paintings", "photos"} if cycle else {"paintings"}
    pictures = {name: tensor for name, tensor in state(whole).items() if name.startswith("memory.")}
    assert {name.split(".")[1] for name in pictures} == sides
    assert all(tensor.shape == (3, 3, 32, 32) for tensor in pictures.values())


def test_a_run_leaves_a_model_that_rebuilds_itself_samples_and_a_log(trainer: Any, tmp_path: Path) -> None:
    run = trainer(tmp_path, True)
    run.run(ignore)
    newest = checkpoints(tmp_path)[-1]
    model, about = load_model(newest / "model.safetensors")
    assert isinstance(model, CollectionModel)
    assert model.config == run.config.collection
    assert about["kind"] == "collection"
    saved = load_file(newest / "state.safetensors")
    assert all(torch.equal(p, saved[f"ema.{name}"]) for name, p in model.named_parameters())
    assert (tmp_path / "samples" / "00000006.png").is_file()
    rows = run.task.samples(run.average.model())
    assert [len(row) for row in rows] == [4] * 4  # photos (and a blank), their paintings, paintings, their photos
    assert not run.stopped_early
    assert run.validator is None


def test_a_pool_that_was_made_smaller_takes_what_fits(trainer: Any, tmp_path: Path) -> None:
    trainer(tmp_path).run(ignore)
    longer = trainer(tmp_path, pool=1, phases=(Phase(steps=7, batch=2, crop=32, thumbnails=(32,)),))
    assert longer.resume()
    assert len(longer.task.pools["paintings"].pictures) == 1
    longer.run(ignore)
    assert len(longer.task.pools["paintings"].pictures) == 1


def test_a_batch_of_one_is_enough(kind: Any) -> None:
    one = kind(phases=(Phase(steps=1, batch=1, crop=32, thumbnails=(32,), zoom_crops=0),))
    batch = drawn(one)
    assert isinstance(batch, Batch)
    assert len(batch.crop) == 1
    assert output(one, batch=batch).loss.isfinite()


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("overrides", [(), CYCLE])
def test_every_recipe_is_valid_and_ends_adversarial(name: Any, overrides: Any) -> None:
    config = load_recipe(name, list(overrides), "collection")
    assert (config.recipe, config.kind, config.collection.cycle) == (name, "collection", bool(overrides))
    assert config.phases[-1].adversarial
    assert not config.is_validated
    assert config.checkpoint_every % config.log_every == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["weights.sliced=1"], r"weights\.sliced has no part in a collection; its terms are .*contrast"),
        (["content_target=1"], "content_target"),
        (["collection.cycle=true"], "--cycle"),
        (["weights.contrast=0"], r"weights\.contrast or weights\.content above 0"),
        (["weights.cycle=1"], r"weights\.cycle 0"),
        (["collection.normalization=layer"], "instance"),
        (["pool=-1"], "pool"),
        (["patches=0"], "patches"),
    ],
)
def test_what_is_wrong_is_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("tiny", overrides, "collection")


def test_a_kind_is_one_of_those_there_are_and_a_file_s_own(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="arbitrary, collection"):
        load_recipe("tiny", [], "cubist")
    path = tmp_path / "mine.toml"
    path.write_text('kind = "collection"\nphases = [{ steps = 5 }]\nweights = { contrast = 1 }\n')
    assert load_recipe(str(path)).kind == "collection"
    assert load_recipe(str(path), [], "collection").kind == "collection"
    with pytest.raises(UsageError, match="leave --kind out"):
        load_recipe(str(path), [], "arbitrary")
    path.write_text("phases = [{ steps = 5 }]\nweights = { contrast = 1 }\n")
    assert load_recipe(str(path), [], "collection").kind == "collection"
    assert configs.load_recipe(str(path)).kind == "arbitrary"


def test_a_collection_s_model_says_how_large_it_is() -> None:
    plain, there_and_back = (CollectionModel(CollectionConfig(**SHAPES, cycle=cycle)) for cycle in (False, True))  # type: ignore[arg-type]
    assert plain.back is None
    assert plain.heads is not None
    assert there_and_back.heads is None
    weights = [sum(p.numel() for p in part.parameters()) for part in (there_and_back.generator, there_and_back)]
    assert weights[1] == 2 * weights[0]


def test_a_projected_discriminator_trains_with_a_collection(photos: FolderReport, paintings: FolderReport) -> None:
    torch.manual_seed(0)
    collection = {**SHAPES, "discriminator": "projected"}
    made = CollectionTask(settings(collection=collection), photos, paintings, torch.device("cpu"))
    assert made.targets is None
    found = output(made)
    loss, report = made.discriminator_step(made.discriminator, drawn(made), found, made.config.adversarial, 3)
    loss.backward()
    assert {"d_accuracy", "discriminator"} <= report.keys()
    assert all(p.grad is not None for p in made.discriminator.parameters())
    assert all(p.grad is None for p in made.vgg.parameters())
