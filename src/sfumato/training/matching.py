"""The training task of the matching kind: a decoder of hypercolumns, which paints with features of the painting.

A step decodes two sets of hypercolumns: those of a picture, which the decoder must reconstruct, and those that matching
assigned to a photo from a painting, whose decoded picture must have the same hypercolumns again. The discriminator
compares the latter pictures with crops of paintings.
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
SAMPLES = 6  # rows of a sheet of samples
FITTED = 32  # number of photos, and of paintings, from which the channels' statistics are computed
_STREAM = 6  # random stream for strengths; 0 to 5 are used elsewhere (data/batches.py)
_EXCURSION = 0.2  # decoded pictures are clipped for VGG19 this far outside [0, 1]; the range term corrects the rest


@dataclass(frozen=True)
class MatchedBatch:
    """A step's pictures and scaled hypercolumns: B samples, crops of S pixels a side."""

    picture: Tensor  # (B, 3, S, S) in [0, 1], to be reconstructed: photos in even steps, paintings in odd steps
    own: Tensor  # (B, 640, S/4, S/4), hypercolumns of `picture`
    target: Tensor  # (B, 640, S/4, S/4), matched hypercolumns, mixed with the photo's by the strength
    paintings: Tensor  # (B, 3, S, S) in [0, 1]


def draw_strengths(count: int, share: float, seed: int, step: int) -> Tensor:
    """Draw the strengths of a step's samples, (count,): uniform in [0, 1] for a `share` of them, 1 for the others.

    They depend only on the arguments.
    """
    fused, strength = np.random.default_rng([seed, _STREAM, step]).random((2, count))
    return torch.from_numpy(np.where(fused < share, strength, 1.0).astype(np.float32))


class MatchingTask(TrainingTask[MatchingModel, MatchedBatch]):
    """Training of a `MatchingModel` against unconditional discriminators of paintings."""

    def __init__(
        self,
        config: TrainConfig,
        content: FolderReport | None,
        style: FolderReport,
        device: torch.device,
        _cache: Path | None,
        vgg_file: Path | None,
    ) -> None:
        """Build networks and data; nothing is cached, because crops are new in each step."""
        content = require_photos(content)
        self.config, self.device = config, device
        self.digests = {"content": content.digest, "style": style.digest}
        self.model = to_device(self.new_model(), device)
        self.vgg = load_vgg(vgg_file, device, HYPERCOLUMN_LAYERS)
        self.discriminator = to_device(build_matching_discriminator(config.matching, self.vgg), device)
        self.source = CropPairSource(content, style, config.seed, device)

    def new_model(self) -> MatchingModel:
        """Build a model of the config's shape."""
        return MatchingModel(self.config.matching)

    def _autocast(self) -> torch.autocast:
        """Return the run's autocast, for passes outside the trainer's autocast."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.mixed_precision == "bf16")

    @torch.no_grad()
    def fit(self) -> None:
        """Set the decoder's mean and deviation of each channel, over middle squares of photos and paintings."""
        side = self.config.phases[0].crop
        sums = torch.zeros(2, CHANNELS, dtype=torch.float64)  # sums of features and of their squares
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
        """Draw a step's pictures, and match their hypercolumns."""
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
        """Compute the decoder's losses on reconstructed and on painted pictures."""
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
        """Compute the discriminators' loss on painted pictures and crops of paintings."""
        key = self.config.seed, step
        return discriminator_loss(adversarial, discriminator, batch.paintings, output.fake, None, key, rows=self.rows)

    def paintings(self, batch: MatchedBatch) -> Tensor:
        """Return the crops of paintings."""
        return batch.paintings

    @torch.no_grad()
    def paint(self, model: MatchingModel, photos: Tensor, paintings: Tensor) -> Tensor:
        """Paint photos with the features of paintings, in one pass at the pictures' own size.

        Args:
            model: the model.
            photos: (B, 3, H, W) in [0, 1].
            paintings: (B, 3, H', W') in [0, 1].

        Returns:
            Pictures (B, 3, 4⌊H/4⌋, 4⌊W/4⌋) in [0, 1].
        """
        scale = model.decoder.scale
        with self._autocast():
            content, style = (hypercolumns(self.vgg, x) * scale for x in (photos, paintings))
            painted: Tensor = model(match(content, style, self.config.balance) / scale).float()
        return painted

    def samples(self, averaged: MatchingModel) -> list[list[Tensor]]:
        """Return rows of a photo, a painting, and the photo painted with the painting's features.

        They are middle squares of the size of the last phase's crops.
        """
        side = self.config.phases[-1].crop
        both = (self.source.content, self.source.style)
        chosen = [[BatchSource.centre(p, side)[None] for p in pick_evenly(some, SAMPLES)] for some in both]
        return [[p, s, self.paint(averaged, p, s)] for p, s in zip(*chosen, strict=False)]

    def probes(self) -> Probes | None:
        """Return the monitor's probes; None with fewer than two photos or paintings."""
        photos, paintings = probe_pictures(self.source.content), probe_pictures(self.source.style)
        if min(len(photos), len(paintings)) < 2:
            return None
        return Probes(self.vgg, photos=photos, paintings=paintings, styles=PROBE_STYLES)

    def painter(self, model: MatchingModel) -> Painter:
        """Return a function that paints the probe photos with the features of a probe painting."""
        photos, paintings = probe_pictures(self.source.content), probe_pictures(self.source.style)
        return lambda style: self.paint(model, photos, paintings[style].expand_as(photos))

    def validator(self, photos: FolderReport, paintings: FolderReport) -> MatchingValidator | None:
        """Return the validator; None if validation is off, or without a photo and two paintings."""
        config = self.config
        if not (config.validation_pairs and photos.pictures and len(paintings.pictures) > 1):
            return None
        return MatchingValidator(self.vgg, photos, paintings, config)
