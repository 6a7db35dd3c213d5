"""The training task of the arbitrary kind: any photo in the style of any painting, by a style code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sfumato.data.batches import Batch, BatchSource
from sfumato.data.folders import FolderReport
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.losses.perceptual import STYLE_LAYERS, StyleTarget
from sfumato.networks.model import StyleTransferModel, build_discriminator
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.probes import Painter, Probes
from sfumato.training.step import GeneratorOutput, discriminator_step, generator_step
from sfumato.training.targets import Targets
from sfumato.training.tasks import (
    RecordTime,
    TrainingTask,
    load_vgg,
    pick_evenly,
    probe_pictures,
    require_photos,
    to_device,
)
from sfumato.training.validation import Validator

PROBE_STYLES = 2
FITTED = 256  # approximate largest number of paintings to which the style encoder's initial map is fitted


@dataclass(frozen=True)
class ArbitraryBatch:
    """A step's pictures and their targets."""

    pictures: Batch
    descriptions: Tensor  # (B, D), outputs of `StyleEncoder.describe` for the paintings
    content: Tensor  # (B, 512, S/8, S/8), normalised features of the photos' crops
    style: StyleTarget  # statistics of the paintings


class ArbitraryTask(TrainingTask[StyleTransferModel, ArbitraryBatch]):
    """Training of a `StyleTransferModel` against a discriminator, by default conditional on the style code."""

    def __init__(
        self,
        config: TrainConfig,
        content: FolderReport | None,
        style: FolderReport,
        device: torch.device,
        cache: Path | None,
        vgg_file: Path | None,
    ) -> None:
        content = require_photos(content)
        self.config = config
        self.digests = {"content": content.digest, "style": style.digest}
        self.model = to_device(self.new_model(), device)
        self.vgg = load_vgg(vgg_file, device, STYLE_LAYERS)
        self.discriminator = to_device(build_discriminator(config.model, self.model.code_size, self.vgg), device)
        self.source = BatchSource(content, style, config.seed, device)
        self.targets = Targets(self.vgg, self.source, [p.sha256 for p in style.pictures], cache)
        self.model.style_encoder.load_vgg_weights(self.vgg)

    def new_model(self) -> StyleTransferModel:
        """Build a model of the config's shape."""
        return StyleTransferModel(self.config.model)

    def fit(self) -> None:
        """Fit the style encoder's initial map to the paintings."""
        paintings = len(self.source.style)
        chosen = range(0, paintings, max(1, paintings // FITTED))
        encoder = self.model.style_encoder
        encoder.fit([self.targets.description(encoder, i) for i in chosen])

    def draw(self, step: int, phase: Phase, record_time: RecordTime) -> ArbitraryBatch:
        """Draw a step's pictures, and compute or look up their targets."""
        pictures = self.source.batch(step, self.config.spec(phase), self.rows)
        record_time("data")
        content = self.targets.content(pictures, remember=self.config.crops_per_photo > 0)
        style = self.targets.style(pictures.style_ids, pictures.rows)
        described = [self.targets.description(self.model.style_encoder, i) for i in pictures.style_ids]
        record_time("targets")
        return ArbitraryBatch(pictures, torch.cat(described), content, style)

    def generator_step(
        self,
        model: StyleTransferModel,
        opponent: nn.Module | None,
        batch: ArbitraryBatch,
        weights: LossWeights,
        adversarial: AdversarialConfig,
        step: int,
    ) -> GeneratorOutput:
        """Compute the generator's losses (`step.generator_step`)."""
        return generator_step(
            model,
            opponent,
            self.vgg,
            batch.pictures,
            batch.descriptions,
            batch.content,
            batch.style,
            weights,
            self.config.identity_samples,
            adversarial,
            (self.config.seed, step),
            self.config.model.discriminator_conditional,
        )

    def discriminator_step(
        self,
        discriminator: nn.Module,
        batch: ArbitraryBatch,
        output: GeneratorOutput,
        adversarial: AdversarialConfig,
        step: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the discriminator's loss (`step.discriminator_step`)."""
        return discriminator_step(discriminator, batch.pictures, output, adversarial, (self.config.seed, step))

    def samples(self, averaged: StyleTransferModel) -> list[list[Tensor]]:
        """Paint five photos in five styles; the first row has the paintings, the first column the photos."""
        photos, styles = pick_evenly(self.source.content, 5), pick_evenly(self.source.style, 5)
        rows = [[torch.ones(1, 3, 64, 64), *[s[None].float() / 255 for s in styles]]]
        for photo in photos:
            x = photo[None].float() / 255
            rows.append([x, *[averaged(x, x, s[None].float() / 255) for s in styles]])
        return rows

    def probes(self) -> Probes | None:
        """Return the monitor's probes; None with fewer than two photos or paintings."""
        photos, paintings = probe_pictures(self.source.content), probe_pictures(self.source.style)
        if min(len(photos), len(paintings)) < 2:
            return None
        return Probes(self.vgg, photos=photos, paintings=paintings, styles=PROBE_STYLES)

    def painter(self, model: StyleTransferModel) -> Painter:
        """Return a function that paints the probe photos in the style of a probe painting."""
        photos, paintings = probe_pictures(self.source.content), probe_pictures(self.source.style)

        def paint(style: int) -> Tensor:
            code = model.style_encoder(paintings[style][None]).expand(len(photos), -1)
            painted: Tensor = model.generator(photos, model.generator.measure(photos, code))
            return painted

        return paint

    def paintings(self, batch: ArbitraryBatch) -> Tensor:
        """Return the crops of paintings."""
        return batch.pictures.patch

    def validator(self, photos: FolderReport, paintings: FolderReport) -> Validator | None:
        """Return the validator; None if validation is off, or without a photo and two paintings."""
        config = self.config
        if not (config.validation_pairs and photos.pictures and len(paintings.pictures) > 1):
            return None
        return Validator(
            self.vgg,
            photos,
            paintings,
            count=config.validation_pairs,
            side=config.validation_side,
            seed=config.seed,
        )
