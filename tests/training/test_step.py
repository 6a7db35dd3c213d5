from __future__ import annotations

from typing import Any

import pytest
import torch

from sfumato.data.batches import BatchSource
from sfumato.data.folders import FolderReport
from sfumato.losses.adversarial import GAN_LOSSES
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.losses.contrastive import style_contrast
from sfumato.losses.perceptual import (
    CONTENT_LAYER,
    alternate_views,
    content_loss,
    identity_loss,
    laplacian_loss,
    raw_content_loss,
    sliced_loss,
    statistics_loss,
    style_target,
    total_variation_loss,
)
from sfumato.networks.generator import GATES
from sfumato.networks.model import StyleTransferModel, build_discriminator
from sfumato.networks.perceptual import VGG19
from sfumato.training.config import TrainConfig
from sfumato.training.step import discriminator_step, generator_step
from sfumato.training.targets import Targets
from support import NETWORK32, SUM32

TERMS = {"content", "statistics", "gram", "total_variation", "range", "leak"}


@pytest.fixture
def parts(photos: FolderReport, paintings: FolderReport, config: TrainConfig, vgg: VGG19) -> Any:
    """What a step needs: (model, discriminator, vgg, batch, descriptions, content, style)."""
    torch.manual_seed(0)
    model = StyleTransferModel(config.model)
    discriminator = build_discriminator(config.model, model.code_size)
    source = BatchSource(photos, paintings, 0, torch.device("cpu"))
    targets = Targets(vgg, source, [p.sha256 for p in paintings.pictures], None)
    batches = (source.batch(step, config.spec(config.phases[-1])) for step in range(20))
    batch = next(b for b in batches if len(set(b.style_ids)) == 2)  # a neighbour's code must be another painting's
    content = targets.content(batch, remember=False)
    described = torch.cat([targets.description(model.style_encoder, i) for i in batch.style_ids])
    return model, discriminator, vgg, batch, described, content, targets.style(batch.style_ids)


KEY = (0, 3)  # seed and step


def step(
    parts: Any,
    *,
    adversarial: bool = True,
    identity_samples: int = 2,
    weights: Any = None,
    config: Any = None,
    key: Any = KEY,
    **more: Any,
) -> Any:
    model, discriminator, *rest = parts
    opponent = discriminator if adversarial else None
    return generator_step(
        model, opponent, *rest, weights or LossWeights(), identity_samples, config or AdversarialConfig(), key, **more
    )  # type: ignore[call-arg]


def test_the_loss_is_the_weighted_sum_of_the_report(parts: Any) -> None:
    result = step(parts)
    weights = LossWeights().model_dump()
    assert (
        result.report.keys() == TERMS | {"identity", "consistency", "adversarial"} == {n for n in weights if weights[n]}
    )
    assert float(result.loss.detach()) == pytest.approx(
        sum(weights[n] * float(t) for n, t in result.report.items()), rel=SUM32
    )
    assert not any(t.requires_grad for t in result.report.values())
    assert not result.fake.requires_grad
    assert not result.code.requires_grad


def test_terms_are_left_out_with_what_they_need(parts: Any) -> None:
    assert "adversarial" not in step(parts, adversarial=False).report
    assert "identity" not in step(parts, identity_samples=0).report
    model, discriminator, vgg, batch, *rest = parts
    without = batch.__class__(
        **{**batch.__dict__, "zoomed": batch.zoomed[:0], "boxes": batch.boxes[:0], "zoom_count": 0}
    )
    assert "consistency" not in step((model, discriminator, vgg, without, *rest)).report


def test_terms_are_those_of_the_picture_that_was_painted(parts: Any) -> None:
    model, discriminator, vgg, batch, described, content, style = parts
    discriminator.eval()  # training would move spectral norm's vectors between the two looks
    result = step(parts)
    features = vgg(alternate_views(result.fake))
    model.requires_grad_(False)
    discriminator.requires_grad_(False)
    expected = {
        "content": content_loss(features[CONTENT_LAYER], content),
        "statistics": statistics_loss(style_target(features), style),
        "total_variation": total_variation_loss(result.fake),
        "adversarial": GAN_LOSSES["hinge"].generator(discriminator(result.fake, result.code)),
        "leak": model.generator.measure(batch.thumbnail, result.code)[:, GATES].square().mean(),
    }
    for name, value in expected.items():
        assert float(result.report[name]) == pytest.approx(float(value), rel=NETWORK32), name
    assert torch.allclose(result.code, model.style_encoder.code(described))


def test_terms_with_a_weight_of_their_own_are_those_of_crop_and_patch(parts: Any) -> None:
    model, _, vgg, batch, *_ = parts
    only = {"adversarial": False, "identity_samples": 0}
    free = {"content_raw": 1, "laplacian": 1, "sliced": 1, "style_contrast": 1}
    weights = LossWeights(**free)
    result = step(parts, weights=weights, key=(0, 5), **only)  # type: ignore[arg-type]
    assert result.report.keys() - step(parts, **only).report.keys() == free.keys()  # type: ignore[arg-type]
    features, crop, patch = (vgg(alternate_views(x)) for x in (result.fake, batch.crop, batch.patch))
    expected = {
        "content_raw": raw_content_loss(features[CONTENT_LAYER], crop[CONTENT_LAYER]),
        "laplacian": laplacian_loss(result.fake, batch.crop),
        "sliced": sliced_loss(features, patch, 0, 5),
        "style_contrast": style_contrast(model.style_encoder(result.fake), result.code).detach(),
    }
    for name, value in expected.items():
        assert float(result.report[name]) == pytest.approx(float(value), rel=NETWORK32), name
    assert float(step(parts, weights=weights, key=(0, 6), **only).report["sliced"]) != float(result.report["sliced"])  # type: ignore[arg-type]
    bare = LossWeights(**dict.fromkeys(LossWeights().model_dump(), 0.0) | free)
    step(parts, weights=bare, **only).loss.backward()  # type: ignore[arg-type]
    assert model.generator.paint.conv.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_every_gan_loss_is_used_by_both_networks(parts: Any, name: Any) -> None:
    gan_loss = GAN_LOSSES[name]
    _, discriminator, _, batch, *_ = parts
    discriminator.eval()
    result = step(parts, identity_samples=0, config=AdversarialConfig(gan_loss=name))
    with torch.no_grad():
        fake, real = (discriminator(x, result.code) for x in (result.fake, batch.patch))
        wrong = discriminator(batch.patch, result.code.roll(1, 0))  # these paintings are two
    assert float(result.report["adversarial"]) == pytest.approx(float(gan_loss.generator(fake, real)), rel=NETWORK32)
    loss, report = discriminator_step(discriminator, batch, result, AdversarialConfig(gan_loss=name), KEY)
    assert float(loss.detach()) == pytest.approx(float(gan_loss.discriminator(real, fake, wrong)), rel=NETWORK32)
    assert float(report["d_accuracy"]) == float(gan_loss.accuracy(real, fake))


@pytest.mark.parametrize("identity", [1, 2, 3])
def test_identity_is_that_of_photos_and_paintings_under_their_own_codes(parts: Any, identity: int) -> None:
    model, _, _, batch, *_ = parts
    photos = (identity + 1) // 2
    pairs = [(batch.thumbnail[i : i + 1], batch.crop[i : i + 1]) for i in range(photos)]
    pairs += [(batch.style[i : i + 1], batch.patch[i : i + 1]) for i in range(identity - photos)]
    losses = []
    for thumbnail, crop in pairs:
        norm_params = model.generator.measure(thumbnail, model.style_encoder(thumbnail))
        losses.append(identity_loss(model.generator(crop, norm_params), crop).detach())
    assert float(step(parts, identity_samples=identity).report["identity"]) == pytest.approx(
        float(sum(losses)) / identity, rel=1e-3
    )


def test_gradients_reach_every_parameter_and_no_frozen_one(parts: Any) -> None:
    model, discriminator, vgg, *_ = parts
    discriminator.requires_grad_(False)
    step(parts).loss.backward()
    learnt = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learnt)
    assert all(p.grad is None for p in model.style_encoder.trunk.parameters())
    used = ["style_encoder.head.weight", "generator.gate.weight", "generator.deep_noise.weight"]
    used += ["generator.content_encoder.convs.0.weight", "generator.paint.conv.weight"]
    parameters = dict(model.named_parameters())
    assert all(parameters[name].grad.abs().max() > 0 for name in used)
    assert all(p.grad is None for p in (*vgg.parameters(), *discriminator.parameters()))


def test_the_discriminator_s_step_leaves_the_generator_alone(parts: Any) -> None:
    model, discriminator, _, batch, *_ = parts
    result = step(parts)
    loss, report = discriminator_step(discriminator, batch, result, AdversarialConfig(), KEY)
    loss.backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in discriminator.parameters())
    assert torch.equal(report["discriminator"], loss)
    assert 0 <= float(report["d_accuracy"]) <= 1
    assert not report["discriminator"].requires_grad


def test_the_discriminator_learns_to_tell_and_to_read_the_code(parts: Any) -> None:
    """A few steps on one batch: paintings up, outputs down, and paintings under a wrong code below their own."""
    _, discriminator, _, batch, *_ = parts
    result = step(parts)
    optimizer = torch.optim.Adam(discriminator.parameters(), 5e-3, betas=(0.0, 0.99))
    losses = []
    for _ in range(60):
        loss, report = discriminator_step(discriminator, batch, result, AdversarialConfig(), KEY)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert report["d_accuracy"] > 0.7
    discriminator.eval()
    with torch.no_grad():
        right, wrong = (discriminator(batch.patch, code)[0].mean() for code in (result.code, result.code.roll(1, 0)))
    assert right > wrong


def test_the_loss_falls_on_one_batch(parts: Any) -> None:
    model = parts[0]
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(8):
        result = step(parts, adversarial=False, identity_samples=0)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        losses.append(float(result.loss.detach()))
    assert max(losses[-3:]) < 0.9 * losses[0]
