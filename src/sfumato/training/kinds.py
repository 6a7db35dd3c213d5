"""What the trainer asks of a kind of GAN: networks, batches, the two halves of a step, and pictures to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from sfumato.checkpoint import kind_of
from sfumato.data.batches import BatchSource
from sfumato.data.folders import FolderReport
from sfumato.errors import UsageError
from sfumato.losses.config import Game, LossWeights
from sfumato.losses.game import generator_loss
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.parallel import WHOLE, Rows
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.probes import LAYER, Painter, Probes
from sfumato.training.step import GeneratorStep
from sfumato.training.validation import PairValidator

Made = TypeVar("Made", bound=nn.Module)  # what is trained: a `checkpoint.Model`
Drawn = TypeVar("Drawn")  # what a step is given: a batch and the targets of its pictures
M = TypeVar("M", bound=nn.Module)
PROBES, PROBE_SIDE = 4, 96  # how many photos, and paintings, the monitor has; pixels a side
Lap = Callable[[str], None]  # tells what the time since the last call went into


def placed(module: M, device: torch.device) -> M:
    """The module on its device, in the memory order in which convolutions are fastest."""
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def spread(pictures: Sequence[Tensor], count: int) -> Sequence[Tensor]:
    """So many of them, evenly over all."""
    return pictures[:: max(1, len(pictures) // count)][:count]


def shown(pictures: Sequence[Tensor], side: int = PROBE_SIDE) -> Tensor:
    """Four of the pictures held (each (3, h, w) uint8) as the monitor's probes have them: (4, 3, side, side) in
    [0, 1]."""
    return torch.stack([BatchSource.centre(picture, side) for picture in spread(pictures, PROBES)])


def needed(content: FolderReport | None) -> FolderReport:
    """The photos of a kind that learns from some; UsageError where there are none."""
    if content is None:
        raise UsageError("this kind of model learns from photos too, and was given none")
    return content


def eye(vgg_file: Path | None, device: torch.device, layers: tuple[str, ...] = (LAYER,)) -> VGG19:
    """A trained VGG19; by default what the monitor looks with, where a kind has none of its own."""
    return placed(VGG19(load_vgg19_weights(vgg_file), layers), device)


def take_over(network: nn.Module, found: nn.Module, name: str) -> None:
    """The weights of `found`, read from the file `name`; UsageError where the networks differ."""
    try:
        network.load_state_dict(found.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:120]
        raise UsageError(f"{name} has other networks than this run ({reason}...); --set the same shapes") from error


class Kind(ABC, Generic[Made, Drawn]):
    """One kind of GAN. Nothing here steps an optimiser, logs or saves: that is the trainer's.

    Attributes:
        model: what is trained against the discriminator, averaged, saved and exported; its ``config`` rebuilds it.
        discriminator: its opponent.
        digests: by name of the folder's option, a hash of the pictures trained on; a resumed run must have the same.
        rows: which samples of every batch are this process's.
    """

    config: TrainConfig
    model: Made
    discriminator: nn.Module
    digests: dict[str, str]
    rows: Rows = WHOLE

    def fit(self) -> None:
        """What is learnt of the pictures before the first step of a fresh run."""

    def begin_with(self, found: nn.Module, name: str) -> None:
        """Take over the weights of a model that was trained before; UsageError where it is of another kind or shape."""
        if (kind := kind_of(found)) != self.config.kind:
            raise UsageError(f"{name} is of the kind {kind!r} and this run of {self.config.kind!r}")
        take_over(self.model, found, name)

    def check_pictures(self, about: Mapping[str, str], run: Path) -> None:
        """UsageError where a checkpoint of `run`, of which `about` tells, was trained on other pictures."""
        for name, digest in self.digests.items():
            if about[f"{name}_digest"] != digest:
                raise UsageError(
                    f"--{name} holds other pictures than {run} began with; give those (and the same --manifest and "
                    "hold_out), or a new --out"
                )

    @abstractmethod
    def new_model(self) -> Made:
        """Another model of the same shape, for the average of the weights."""

    @abstractmethod
    def draw(self, step: int, phase: Phase, lap: Lap) -> Drawn:
        """What a step is given; the same whatever ran before (it is keyed by seed and step)."""

    @abstractmethod
    def generator_half(
        self, model: Made, opponent: nn.Module | None, drawn: Drawn, weights: LossWeights, game: Game, step: int
    ) -> GeneratorStep:
        """The generator's losses; adversarial only with an opponent. Each is scaled so that its mean over processes is
        that of the whole batch, and all processes report the same ones."""

    @abstractmethod
    def discriminator_half(
        self, discriminator: nn.Module, drawn: Drawn, half: GeneratorStep, game: Game, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator's loss, and a report; scaled like the generator's."""

    @abstractmethod
    def samples(self, averaged: Made) -> list[list[Tensor]]:
        """Rows of pictures (1, 3, h, w) in [0, 1] that show how far training is, the same ones each time."""

    def probes(self) -> Probes | None:
        """What the monitor looks at; None where there is too little for it."""
        return None

    @abstractmethod
    def painter(self, model: Made) -> Painter:
        """How the model paints the probes."""

    @abstractmethod
    def paintings(self, drawn: Drawn) -> Tensor:
        """What the discriminator is shown as real, (B, 3, S, S)."""

    def told(self, opponent: nn.Module, drawn: Drawn, half: GeneratorStep, game: Game, step: int) -> Tensor:
        """The generator's adversarial loss on its outputs `half.fake` alone, for their gradient."""
        key = self.config.seed, step
        return generator_loss(game, opponent, half.fake, self.paintings(drawn), half.code, key, self.rows)

    def validator(self, photos: FolderReport, paintings: FolderReport) -> PairValidator | None:
        """Who judges the average on pictures that training does not see; None where nobody does."""
        return None

    def tensors(self) -> dict[str, Tensor]:
        """What it remembers from step to step besides the networks, by name; saved with every checkpoint."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave, on any device."""
