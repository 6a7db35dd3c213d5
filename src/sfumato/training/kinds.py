"""What the trainer asks of a kind of GAN: networks, batches, the two halves of a step, and pictures to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from sfumato.checkpoint import Model
from sfumato.data.folders import FolderReport
from sfumato.losses.game import Game
from sfumato.losses.objective import LossWeights
from sfumato.training.config import Phase
from sfumato.training.step import GeneratorStep
from sfumato.training.validation import Validator

Drawn = TypeVar("Drawn")  # what a step is given: a batch and the targets of its pictures
Trained = TypeVar("Trained", bound=Model)
M = TypeVar("M", bound=nn.Module)
Lap = Callable[[str], None]  # tells what the time since the last call went into


def placed(module: M, device: torch.device) -> M:
    """The module on its device, in the memory order in which convolutions are fastest."""
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


class Kind(ABC, Generic[Drawn, Trained]):
    """One kind of GAN. Nothing here steps an optimiser, logs or saves: that is the trainer's.

    Attributes:
        model: what is trained against the discriminator, averaged, saved and exported; its ``config`` rebuilds it.
        discriminator: its opponent.
        digests: by name of the folder's option, a hash of the pictures trained on; a resumed run must have the same.
    """

    model: Trained
    discriminator: nn.Module
    digests: dict[str, str]

    @abstractmethod
    def fit(self) -> None:
        """What is learnt of the pictures before the first step of a fresh run."""

    @abstractmethod
    def new_model(self) -> Trained:
        """Another model of the same shape, for the average of the weights."""

    @abstractmethod
    def draw(self, step: int, phase: Phase, lap: Lap) -> Drawn:
        """What a step is given; the same whatever ran before (it is keyed by seed and step)."""

    @abstractmethod
    def generator_half(
        self, model: Trained, opponent: nn.Module | None, drawn: Drawn, weights: LossWeights, game: Game, step: int
    ) -> GeneratorStep:
        """The generator's losses; adversarial only with an opponent. `model` may be wrapped for many processes."""

    @abstractmethod
    def discriminator_half(
        self, discriminator: nn.Module, drawn: Drawn, half: GeneratorStep, game: Game, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator's loss, and a report. `discriminator` may be wrapped; `self.discriminator` is bare."""

    @abstractmethod
    def samples(self, averaged: Trained) -> list[list[Tensor]]:
        """Rows of pictures (1, 3, h, w) in [0, 1] that show how far training is, the same ones each time."""

    def validator(self, photos: FolderReport, paintings: FolderReport) -> Validator | None:
        """Who judges the average on pictures that training does not see; None where nobody does."""
        return None
