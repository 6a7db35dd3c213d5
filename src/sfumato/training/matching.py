"""The matching kind: a decoder of hypercolumns that paints the painting's own features in the photo's places.

A step decodes two sets of hypercolumns: those of a picture, which it must give back, and those that matching has put
together from a painting for a photo, which it must paint so that the same features are found again. The discriminator
compares the latter with crops of paintings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.data.batches import BatchSource, CropPairSource
from sfumato.data.folders import FolderReport
from sfumato.losses.adversarial_terms import discriminator_loss, generator_loss
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.losses.matching import feature_loss, lattice_loss, matched_loss, reconstruction_loss
from sfumato.losses.perceptual import range_loss
from sfumato.losses.total_loss import total_loss
from sfumato.networks.hypercolumn import CHANNELS, HYPERCOLUMN_LAYERS, hypercolumns
from sfumato.networks.matching import match
from sfumato.networks.model import MatchingModel, build_matching_discriminator, fuse
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.matching_validation import MatchingValidator
from sfumato.training.probes import Painter, Probes
from sfumato.training.step import GeneratorOutput
from sfumato.training.tasks import (
    RecordTime,
    TrainingTask,
    load_vgg,
    pick_evenly,
    probe_pictures,
    require_photos,
    to_device,
)

PROBE_STYLES = 2
SAMPLES = 6  # rows of them
FITTED = 32  # photos, and paintings, that the channels' statistics are taken of
_STREAM = 6  # of the seed, for strengths; 0 to 5 are others' (data/batches.py)
_EXCURSION = 0.2  # how far out of [0, 1] VGG19 still sees a decoded picture: beyond it is the range term's to correct


@dataclass(frozen=True)
class MatchedBatch:
    """What a step is given; hypercolumns are scaled. B samples, crops of S pixels a side."""

    picture: Tensor  # (B, 3, S, S) in [0, 1], to be given back: photos in even steps, paintings in odd ones
    own: Tensor  # (B, 640, S/4, S/4), its hypercolumns
    target: Tensor  # (B, 640, S/4, S/4), what matching and strength have made of photos and paintings
    paintings: Tensor  # (B, 3, S, S) in [0, 1]


def draw_strengths(count: int, share: float, seed: int, step: int) -> Tensor:
    """Strengths of a step's samples, (count,): uniform in [0, 1] for a share of them, and 1 for the others.

    They depend on nothing but the arguments.
    """
    fused, strength = np.random.default_rng([seed, _STREAM, step]).random((2, count))
    return torch.from_numpy(np.where(fused < share, strength, 1.0).astype(np.float32))


class MatchingTask(TrainingTask[MatchingModel, MatchedBatch]):
    """A `MatchingModel` against unconditional discriminators of paintings."""

    def __init__(
        self,
        config: TrainConfig,
        content: FolderReport | None,
        style: FolderReport,
        device: torch.device,
        cache: Path | None,
        vgg_file: Path | None,
    ) -> None:
        """`cache` is other kinds'; crops are fresh at each step."""
        content = require_photos(content)
        self.config, self.device = config, device
        self.digests = {"content": content.digest, "style": style.digest}
        self.model = to_device(self.new_model(), device)
        self.vgg = load_vgg(vgg_file, device, HYPERCOLUMN_LAYERS)
        self.discriminator = to_device(build_matching_discriminator(config.matching, self.vgg), device)
        self.source = CropPairSource(content, style, config.seed, device)

    def new_model(self) -> MatchingModel:
        return MatchingModel(self.config.matching)

    def _autocast(self) -> torch.autocast:
        """For what runs outside of the trainer's autocast."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.mixed_precision == "bf16")

    @torch.no_grad()
    def fit(self) -> None:
        """Mean and deviation of each channel over middle squares of photos and paintings, evenly over all."""
        side = self.config.phases[0].crop
        sums = torch.zeros(2, CHANNELS, dtype=torch.float64)  # of features and of their squares
        places = 0
        for picture in (*pick_evenly(self.source.content, FITTED), *pick_evenly(self.source.style, FITTED)):
            features = hypercolumns(self.vgg, BatchSource.centre(picture, side)[None])[0].flatten(1).cpu().double()
            sums += torch.stack([features, features.square()]).sum(2)
            places += features.shape[1]
        mean, square = sums / places
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        self.model.decoder.set_statistics(mean.float(), deviation.float())

    @torch.no_grad()
    def draw(self, step: int, phase: Phase, record_time: RecordTime) -> MatchedBatch:
        photos, paintings = self.source.batch(step, phase.batch, phase.crop, self.rows)
        record_time("data")
        with self._autocast():
            scale = self.model.decoder.scale
            content, style = (hypercolumns(self.vgg, torch.cat([photos, paintings])) * scale).chunk(2)
            strength = draw_strengths(phase.batch, self.config.fused, self.config.seed, step).to(self.device)
            matched = match(content, style, self.config.balance)
            target = fuse(matched, content, self.rows.pick(strength).view(-1, 1, 1, 1))
        record_time("matching")
        picture, own = (paintings, style) if step % 2 else (photos, content)
        return MatchedBatch(picture, own, target, paintings)

    def generator_step(
        self,
        model: MatchingModel,
        opponent: nn.Module | None,
        batch: MatchedBatch,
        weights: LossWeights,
        adversarial: AdversarialConfig,
        step: int,
    ) -> GeneratorOutput:
        scale = model.decoder.scale
        decoded = model.decoder(torch.cat([batch.own, batch.target]) / scale).float()
        features = hypercolumns(self.vgg, decoded.clamp(-_EXCURSION, 1 + _EXCURSION)) * scale
        (rebuilt, painted), (own, found) = decoded.chunk(2), features.chunk(2)
        terms = {
            "reconstruction": reconstruction_loss(rebuilt, batch.picture),
            "reconstruction_features": feature_loss(own, batch.own),
            "matched": matched_loss(found, batch.target),
            "range": range_loss(decoded),
            "lattice": lattice_loss(decoded),
        }
        if opponent is not None:
            key = self.config.seed, step
            terms["adversarial"] = generator_loss(adversarial, opponent, painted, batch.paintings, None, key, self.rows)
        loss, report = total_loss(terms, weights)
        return GeneratorOutput(loss, report, painted.detach(), None)

    def discriminator_step(
        self,
        discriminator: nn.Module,
        batch: MatchedBatch,
        output: GeneratorOutput,
        adversarial: AdversarialConfig,
        step: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        key = self.config.seed, step
        return discriminator_loss(adversarial, discriminator, batch.paintings, output.fake, None, key, rows=self.rows)

    def paintings(self, batch: MatchedBatch) -> Tensor:
        return batch.paintings

    @torch.no_grad()
    def paint(self, model: MatchingModel, photos: Tensor, paintings: Tensor) -> Tensor:
        """Photos (B, 3, H, W) with the features of paintings (B, 3, H', W'), in [0, 1]: (B, 3, 4⌊H/4⌋, 4⌊W/4⌋).

        In one pass, at the pictures' own size.
        """
        scale = model.decoder.scale
        with self._autocast():
            content, style = (hypercolumns(self.vgg, x) * scale for x in (photos, paintings))
            painted: Tensor = model(match(content, style, self.config.balance) / scale).float()
        return painted

    def samples(self, averaged: MatchingModel) -> list[list[Tensor]]:
        """Rows of a photo, a painting, and the photo painted with its features: middle squares, as large as the last
        phase's crops."""
        side = self.config.phases[-1].crop
        both = (self.source.content, self.source.style)
        chosen = [[BatchSource.centre(p, side)[None] for p in pick_evenly(some, SAMPLES)] for some in both]
        return [[p, s, self.paint(averaged, p, s)] for p, s in zip(*chosen, strict=False)]

    def probes(self) -> Probes | None:
        photos, paintings = probe_pictures(self.source.content), probe_pictures(self.source.style)
        if min(len(photos), len(paintings)) < 2:
            return None
        return Probes(self.vgg, photos=photos, paintings=paintings, styles=PROBE_STYLES)

    def painter(self, model: MatchingModel) -> Painter:
        photos, paintings = probe_pictures(self.source.content), probe_pictures(self.source.style)
        return lambda style: self.paint(model, photos, paintings[style].expand_as(photos))

    def validator(self, photos: FolderReport, paintings: FolderReport) -> MatchingValidator | None:
        config = self.config
        if not (config.validation_pairs and photos.pictures and len(paintings.pictures) > 1):
            return None
        return MatchingValidator(self.vgg, photos, paintings, config)
