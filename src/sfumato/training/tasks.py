"""What the trainer asks of a kind of GAN: networks, batches, the generator's and the discriminator's step, and pictures
to look at."""

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
from sfumato.losses.adversarial_terms import generator_loss
from sfumato.losses.config import AdversarialConfig, LossWeights
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.parallel import WHOLE, Rows
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.probes import LAYER, Painter, Probes
from sfumato.training.step import GeneratorOutput
from sfumato.training.validation import PairValidator

ModelT = TypeVar("ModelT", bound=nn.Module)  # what is trained: a `checkpoint.Model`
BatchT = TypeVar("BatchT")  # what a step is given: a batch and the targets of its pictures
ModuleT = TypeVar("ModuleT", bound=nn.Module)
PROBES, PROBE_SIDE = 4, 96  # how many photos, and paintings, the monitor has; pixels a side
RecordTime = Callable[[str], None]  # tells what the time since the last call went into


def to_device(module: ModuleT, device: torch.device) -> ModuleT:
    """The module on its device, in the memory order in which convolutions are fastest."""
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def pick_evenly(pictures: Sequence[Tensor], count: int) -> Sequence[Tensor]:
    """So many of them, evenly over all."""
    return pictures[:: max(1, len(pictures) // count)][:count]


def probe_pictures(pictures: Sequence[Tensor], side: int = PROBE_SIDE) -> Tensor:
    """Four of the pictures held (each (3, h, w) uint8) as the monitor's probes have them: (4, 3, side, side) in
    [0, 1]."""
    return torch.stack([BatchSource.centre(picture, side) for picture in pick_evenly(pictures, PROBES)])


def require_photos(content: FolderReport | None) -> FolderReport:
    """The photos of a kind that learns from some; UsageError where there are none."""
    if content is None:
        raise UsageError("this kind of model learns from photos too, and was given none")
    return content


def load_vgg(vgg_file: Path | None, device: torch.device, layers: tuple[str, ...] = (LAYER,)) -> VGG19:
    """A trained VGG19; by default what the monitor measures with, where a kind has none of its own."""
    return to_device(VGG19(load_vgg19_weights(vgg_file), layers), device)


def copy_weights(network: nn.Module, found: nn.Module, name: str) -> None:
    """The weights of `found`, read from the file `name`; UsageError where the networks differ."""
    try:
        network.load_state_dict(found.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:120]
        raise UsageError(f"{name} has other networks than this run ({reason}...); --set the same shapes") from error


class TrainingTask(ABC, Generic[ModelT, BatchT]):
    """One kind of GAN. Nothing here steps an optimiser, logs or saves: that is the trainer's.

    Attributes:
        model: what is trained against the discriminator, averaged, saved and exported; its ``config`` rebuilds it.
        discriminator: its opponent.
        digests: by name of the folder's option, a hash of the pictures trained on; a resumed run must have the same.
        rows: which samples of every batch are this process's.
    """

    config: TrainConfig
    model: ModelT
    discriminator: nn.Module
    digests: dict[str, str]
    rows: Rows = WHOLE

    def fit(self) -> None:
        """What is learnt of the pictures before the first step of a fresh run."""

    def start_from(self, found: nn.Module, name: str) -> None:
        """Take over the weights of a model that was trained before; UsageError where it is of another kind or shape."""
        if (kind := kind_of(found)) != self.config.kind:
            raise UsageError(f"{name} is of the kind {kind!r} and this run of {self.config.kind!r}")
        copy_weights(self.model, found, name)

    def check_pictures(self, about: Mapping[str, str], run: Path) -> None:
        """UsageError where a checkpoint of `run`, of which `about` tells, was trained on other pictures."""
        for name, digest in self.digests.items():
            if about[f"{name}_digest"] != digest:
                raise UsageError(
                    f"--{name} holds other pictures than {run} began with; give those (and the same --manifest and "
                    "hold_out), or a new --out"
                )

    @abstractmethod
    def new_model(self) -> ModelT:
        """Another model of the same shape, for the average of the weights."""

    @abstractmethod
    def draw(self, step: int, phase: Phase, record_time: RecordTime) -> BatchT:
        """What a step is given; the same whatever ran before (it is keyed by seed and step)."""

    @abstractmethod
    def generator_step(
        self,
        model: ModelT,
        opponent: nn.Module | None,
        batch: BatchT,
        weights: LossWeights,
        adversarial: AdversarialConfig,
        step: int,
    ) -> GeneratorOutput:
        """The generator's losses; adversarial only with an opponent. Each is scaled so that its mean over processes is
        that of the whole batch, and all processes report the same ones."""

    @abstractmethod
    def discriminator_step(
        self,
        discriminator: nn.Module,
        batch: BatchT,
        output: GeneratorOutput,
        adversarial: AdversarialConfig,
        step: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator's loss, and a report; scaled like the generator's."""

    @abstractmethod
    def samples(self, averaged: ModelT) -> list[list[Tensor]]:
        """Rows of pictures (1, 3, h, w) in [0, 1] that show how far training is, the same ones each time."""

    def probes(self) -> Probes | None:
        """What the monitor measures; None where there is too little for it."""
        return None

    @abstractmethod
    def painter(self, model: ModelT) -> Painter:
        """How the model paints the probes."""

    @abstractmethod
    def paintings(self, batch: BatchT) -> Tensor:
        """What the discriminator is shown as real, (B, 3, S, S)."""

    def adversarial_loss(
        self, opponent: nn.Module, batch: BatchT, output: GeneratorOutput, adversarial: AdversarialConfig, step: int
    ) -> Tensor:
        """The generator's adversarial loss on its outputs `output.fake` alone, for their gradient."""
        key = self.config.seed, step
        return generator_loss(adversarial, opponent, output.fake, self.paintings(batch), output.code, key, self.rows)

    def validator(self, photos: FolderReport, paintings: FolderReport) -> PairValidator | None:
        """Who judges the average on pictures that training does not see; None where nobody does."""
        return None

    def tensors(self) -> dict[str, Tensor]:
        """What it remembers from step to step besides the networks, by name; saved with every checkpoint."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave, on any device."""
