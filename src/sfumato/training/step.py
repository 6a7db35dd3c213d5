"""The losses of generator and discriminator in a training step of the arbitrary kind."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfumato.data.batches import Batch, sample_boxes
from sfumato.losses.adversarial_terms import Key, discriminator_loss, generator_loss
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.losses.contrastive import style_contrast
from sfumato.losses.perceptual import (
    CONTENT_LAYER,
    StyleTarget,
    alternate_views,
    consistency_loss,
    content_loss,
    gram_loss,
    identity_loss,
    laplacian_loss,
    range_loss,
    raw_content_loss,
    sliced_loss,
    statistics_loss,
    style_target,
    total_variation_loss,
)
from sfumato.losses.total_loss import total_loss
from sfumato.networks.generator import GATES
from sfumato.networks.model import StyleTransferModel
from sfumato.networks.perceptual import VGG19


@dataclass(frozen=True)
class GeneratorOutput:
    """The generator's loss, its report, and the outputs that the discriminator's step needs."""

    loss: Tensor  # a scalar
    report: dict[str, Tensor]  # detached, unweighted terms
    fake: Tensor  # (B, 3, S, S), outputs, detached
    code: Tensor | None  # (B, D), style codes, detached; None for an unconditional discriminator
    back: Tensor | None = None  # (B, 3, S, S), photos made from the paintings, detached; None without a cycle


def generator_step(
    model: StyleTransferModel,
    discriminator: nn.Module | None,
    vgg: VGG19,
    batch: Batch,
    descriptions: Tensor,
    content: Tensor,
    style: StyleTarget,
    weights: LossWeights,
    identity_samples: int,
    adversarial: AdversarialConfig,
    key: Key,
    conditional: bool = True,
) -> GeneratorOutput:
    """Compute all terms of the generator's loss.

    Args:
        model: the model.
        discriminator: None leaves the adversarial term out.
        vgg: computes `STYLE_LAYERS`.
        batch: the step's pictures.
        descriptions: outputs of `StyleEncoder.describe` for the paintings, (B, D).
        content: normalised features of the photos' crops.
        style: statistics of the paintings.
        weights: weights of the terms; some terms are only computed if their weight is above 0.
        identity_samples: number of samples of the identity term, half photos and half paintings.
        adversarial: settings of the adversarial term.
        key: seed and step.
        conditional: whether the discriminator is conditional on the style code.
    """
    generator, encode = model.generator, model.style_encoder
    code = encode.code(descriptions)
    norm_params, painted_thumbnail = generator.measure_and_paint(batch.thumbnail, code)
    fake = generator(batch.crop, norm_params)
    rows = batch.rows
    features = vgg(alternate_views(fake, rows))
    output = style_target(features)
    terms = {
        "content": content_loss(features[CONTENT_LAYER], content),
        "statistics": statistics_loss(output, style),
        "gram": gram_loss(output, style),
        "total_variation": total_variation_loss(fake),
        "range": range_loss(fake),
        "leak": norm_params[:, GATES].square().mean(),
    }
    # These terms have no cached targets; without a weight they are not computed.
    if weights.content_raw:
        with torch.no_grad():
            bare = vgg(alternate_views(batch.crop, rows))[CONTENT_LAYER]
        terms["content_raw"] = raw_content_loss(features[CONTENT_LAYER], bare)
    if weights.laplacian:
        terms["laplacian"] = laplacian_loss(fake, batch.crop)
    if weights.sliced:
        with torch.no_grad():
            painting_features = vgg(alternate_views(batch.patch, rows))
        terms["sliced"] = sliced_loss(features, painting_features, *key)
    if weights.style_contrast:
        terms["style_contrast"] = style_contrast(encode(fake), code, others=rows.others(code))
    if identity_samples:  # strength 0: a picture with its own code
        whole = [min(count, batch.count) for count in ((identity_samples + 1) // 2, identity_samples // 2)]
        photos, paintings = (rows.first(count) for count in whole)
        terms["identity"] = fake.new_zeros(())
        if photos or paintings:
            thumbnails = [batch.thumbnail[:photos], batch.style[:paintings]]
            crops = torch.cat([batch.crop[:photos], batch.patch[:paintings]])
            own = [generator.measure(t, encode(t)) for t in thumbnails if len(t)]
            share = len(crops) * rows.of / sum(whole)
            terms["identity"] = share * identity_loss(generator(crops, torch.cat(own)), crops)
    if batch.zoom_count:
        terms["consistency"] = consistency(generator, batch, norm_params, painted_thumbnail)
    condition = code.detach() if conditional else None
    if discriminator is not None:
        terms["adversarial"] = generator_loss(adversarial, discriminator, fake, batch.patch, condition, key, rows)
    loss, report = total_loss(terms, weights)
    return GeneratorOutput(loss, report, fake.detach(), condition)


def consistency(generator: nn.Module, batch: Batch, norm_params: Tensor, painted: Tensor) -> Tensor:
    """Return the consistency loss between painted zoom crops and their regions of the painted thumbnails, a scalar.

    Args:
        generator: paints the zoom crops.
        batch: must have zoom crops in its global batch.
        norm_params: (B, A), measured on the thumbnails.
        painted: the painted thumbnails, (B, 3, T, T).
    """

    def loss(here: int) -> Tensor:
        return consistency_loss(generator(batch.zoomed, norm_params[:here]), sample_boxes(painted[:here], batch.boxes))

    return batch.rows.part(batch.zoom_count, loss, painted)


def discriminator_step(
    discriminator: nn.Module, batch: Batch, output: GeneratorOutput, adversarial: AdversarialConfig, key: Key
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the discriminator's loss and report (`discriminator_loss`).

    The negatives are the outputs and, for a conditional discriminator, the paintings under the codes of others.
    """
    wrong = None
    if output.code is not None and batch.wrong:
        wrong = batch.rows.gather(output.code)[batch.wrong]
    return discriminator_loss(adversarial, discriminator, batch.patch, output.fake, output.code, key, wrong, batch.rows)
