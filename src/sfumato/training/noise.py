"""The training task of the noise kind: small paintings from z, without photos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.data.batches import PaintingSource
from sfumato.data.folders import FolderReport
from sfumato.losses.adversarial_terms import discriminator_loss, generator_loss
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.losses.energy import energy_distance
from sfumato.losses.total_loss import total_loss
from sfumato.networks.discriminator import READ
from sfumato.networks.model import NoiseModel, build_noise_discriminator
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.probes import Painter, Probes
from sfumato.training.step import GeneratorOutput
from sfumato.training.tasks import PROBES, RecordTime, TrainingTask, load_vgg, probe_pictures, to_device

NoiseT = TypeVar("NoiseT", bound=nn.Module)  # the model
GRID = 8  # rows and columns of a sheet of samples
_STEP, _SAMPLES, _PROBES = 0, 1, 2  # random streams of z, so that steps, samples and probes differ
_KEY = 0x2E0  # first part of every random key of z


@dataclass(frozen=True)
class NoiseBatch:
    """A step's noise and paintings."""

    z: Tensor  # (B, Z), N(0, I)
    paintings: Tensor  # (B, 3, side, side) in [0, 1], or components (B, K, side/4, side/4)


class NoiseTask(TrainingTask[NoiseT, NoiseBatch], ABC):
    """Training of a model of the noise kind against an unconditional discriminator, without photos."""

    def __init__(
        self,
        config: TrainConfig,
        _content: FolderReport | None,
        style: FolderReport,
        device: torch.device,
        _cache: Path | None,
        vgg_file: Path | None,
    ) -> None:
        """Build networks and data, without photos or a cache; VGG19 is loaded here for a projected discriminator."""
        self.config, self.device, self.vgg_file = config, device, vgg_file
        self.digests = {"style": style.digest}
        self.model = to_device(self.new_model(), device)
        self.vgg = load_vgg(vgg_file, device, READ) if config.noise.discriminator == "projected" else None
        self.discriminator = to_device(build_noise_discriminator(config.noise, self.vgg), device)
        self.source = PaintingSource(style, config.seed, device)

    @abstractmethod
    def real(self, step: int, count: int) -> Tensor:
        """Return this process's part of a step's `count` paintings, as the discriminator reads them.

        They depend only on the seed, the step, `count` and the paintings.
        """

    @abstractmethod
    def generated(self, model: NoiseT, z: Tensor) -> Tensor:
        """Return what the model generates from z (B, Z), as the discriminator reads it."""

    @abstractmethod
    def pictures(self, model: NoiseT, z: Tensor) -> Tensor:
        """Return the pictures (B, 3, side, side) in [0, 1] that the model generates from z (B, Z)."""

    def draw(self, step: int, phase: Phase, record_time: RecordTime) -> NoiseBatch:
        """Draw a step's z and paintings."""
        real = self.real(step, phase.batch)
        batch = NoiseBatch(self.rows.pick(self._z(phase.batch, _STEP, step)), real)
        record_time("data")
        return batch

    def _z(self, count: int, *key: int) -> Tensor:
        """Draw z (count, Z) from N(0, I); it depends only on seed and key, and is the same on every device."""
        rng = np.random.default_rng([_KEY, self.config.seed, *key])
        return torch.from_numpy(rng.standard_normal((count, self.config.noise.z_size), np.float32)).to(self.device)

    def generator_step(
        self,
        model: NoiseT,
        opponent: nn.Module | None,
        batch: NoiseBatch,
        weights: LossWeights,
        adversarial: AdversarialConfig,
        step: int,
    ) -> GeneratorOutput:
        """Compute the adversarial loss and, if it has a weight, the energy distance of this process's samples."""
        assert opponent is not None, "the config checks that every phase of this kind is adversarial"
        fake, key = self.generated(model, batch.z), (self.config.seed, step)
        terms = {"adversarial": generator_loss(adversarial, opponent, fake, batch.paintings, None, key, self.rows)}
        if weights.energy:
            terms["energy"] = energy_distance(fake, batch.paintings)
        loss, report = total_loss(terms, weights)
        return GeneratorOutput(loss, report, fake.detach(), None)

    def discriminator_step(
        self,
        discriminator: nn.Module,
        batch: NoiseBatch,
        output: GeneratorOutput,
        adversarial: AdversarialConfig,
        step: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the discriminator's loss."""
        key = self.config.seed, step
        return discriminator_loss(adversarial, discriminator, batch.paintings, output.fake, None, key, rows=self.rows)

    def probes(self) -> Probes | None:
        """Return the monitor's probes; None with fewer than two paintings."""
        paintings = probe_pictures(self.source.style, self.config.noise.side)
        if len(paintings) < 2:
            return None
        return Probes(self.vgg or load_vgg(self.vgg_file, self.device), paintings=paintings)

    def painter(self, model: NoiseT) -> Painter:
        """Return a function that paints from fixed z."""
        z = self._z(PROBES, _PROBES)
        return lambda _style: self.pictures(model, z)

    def paintings(self, batch: NoiseBatch) -> Tensor:
        """Return the paintings."""
        return batch.paintings

    def samples(self, averaged: NoiseT) -> list[list[Tensor]]:
        """Return 8 × 8 pictures of fixed z."""
        pictures = self.pictures(averaged, self._z(GRID**2, _SAMPLES))
        return [list(row.split(1)) for row in pictures.split(GRID)]


class PixelNoiseTask(NoiseTask[NoiseModel]):
    """Training of a `NoiseModel`, which generates pixels."""

    def new_model(self) -> NoiseModel:
        """Build a model of the config's shape."""
        return NoiseModel(self.config.noise)

    def real(self, step: int, count: int) -> Tensor:
        """Return a step's paintings."""
        return self.source.batch(step, count, self.config.noise.side, self.rows)

    def generated(self, model: NoiseModel, z: Tensor) -> Tensor:
        """Return the pictures that the model generates from z."""
        pictures: Tensor = model(z)
        return pictures

    def pictures(self, model: NoiseModel, z: Tensor) -> Tensor:
        """Return the pictures that the model generates from z."""
        return self.generated(model, z)
