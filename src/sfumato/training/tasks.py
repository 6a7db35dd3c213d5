"""The interface between the trainer and the four kinds of GAN, and helpers of the tasks."""

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

ModelT = TypeVar("ModelT", bound=nn.Module)  # the trained model, a `checkpoint.Model`
BatchT = TypeVar("BatchT")  # a step's pictures and targets
ModuleT = TypeVar("ModuleT", bound=nn.Module)
PROBES, PROBE_SIDE = 4, 96  # number of the monitor's photos, and of its paintings; their side in pixels
RecordTime = Callable[[str], None]  # attributes the time since its last call to a part of the step


def to_device(module: ModuleT, device: torch.device) -> ModuleT:
    """Move a module to a device, in the memory format in which convolutions are fastest."""
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def pick_evenly(pictures: Sequence[Tensor], count: int) -> Sequence[Tensor]:
    """Return about `count` pictures, at most, at even intervals."""
    return pictures[:: max(1, len(pictures) // count)][:count]


def probe_pictures(pictures: Sequence[Tensor], side: int = PROBE_SIDE) -> Tensor:
    """Return four of the pictures (3, h, w) uint8 as the monitor's probes, (4, 3, side, side) in [0, 1]."""
    return torch.stack([BatchSource.centre(picture, side) for picture in pick_evenly(pictures, PROBES)])


def require_photos(content: FolderReport | None) -> FolderReport:
    """Return the photos of a task that needs some.

    Raises:
        UsageError: there are none.
    """
    if content is None:
        raise UsageError("this kind of model learns from photos too; give a folder of photos")
    return content


def load_vgg(vgg_file: Path | None, device: torch.device, layers: tuple[str, ...] = (LAYER,)) -> VGG19:
    """Load a VGG19 on a device; the default layers are those of the monitor."""
    return to_device(VGG19(load_vgg19_weights(vgg_file), layers), device)


def copy_weights(network: nn.Module, found: nn.Module, name: str) -> None:
    """Copy the weights of `found`, which was read from the file `name`, to `network`.

    Raises:
        UsageError: the networks have different shapes.
    """
    try:
        network.load_state_dict(found.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:120]
        raise UsageError(
            f"{name} has networks of other shapes than this run ({reason}...); --set the same shapes"
        ) from error


class TrainingTask(ABC, Generic[ModelT, BatchT]):
    """The training of one kind of GAN: networks, batches and losses. The trainer steps optimisers, logs and saves.

    Attributes:
        config: the run's config.
        model: the model that is trained, averaged, saved and exported; its `config` rebuilds it.
        discriminator: the discriminator that the model is trained against.
        digests: hashes of the training pictures, by name of the folder's option; a resumed run must have the same.
        rows: the samples of every global batch that belong to this process.
    """

    config: TrainConfig
    model: ModelT
    discriminator: nn.Module
    digests: dict[str, str]
    rows: Rows = WHOLE

    def fit(self) -> None:
        """Fit parts of the model to the pictures, before the first step of a new run."""

    def start_from(self, found: nn.Module, name: str) -> None:
        """Copy the weights of a trained model, which was read from the file `name`.

        Raises:
            UsageError: it is of another kind or shape.
        """
        if (kind := kind_of(found)) != self.config.kind:
            raise UsageError(
                f"{name} is of the kind {kind!r}, and this run of {self.config.kind!r}; give --kind {kind}"
            )
        copy_weights(self.model, found, name)

    def check_pictures(self, about: Mapping[str, str], run: Path) -> None:
        """Check that a checkpoint of `run` was trained on the same pictures.

        Args:
            about: the checkpoint's metadata.
            run: the run's folder, for the message.

        Raises:
            UsageError: the pictures differ.
        """
        for name, digest in self.digests.items():
            if about[f"{name}_digest"] != digest:
                raise UsageError(
                    f"--{name} holds other pictures than {run} began with; give the same pictures, --manifest and "
                    "hold_out, or a new --out"
                )

    @abstractmethod
    def new_model(self) -> ModelT:
        """Build another model of the same shape, for the average of the weights."""

    @abstractmethod
    def draw(self, step: int, phase: Phase, record_time: RecordTime) -> BatchT:
        """Draw a step's batch; it depends only on seed, step, phase and pictures."""

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
        """Compute the generator's losses; the adversarial one only with an `opponent`, the discriminator.

        Losses are scaled so that their mean over processes is that of the global batch. All processes report the same
        terms.
        """

    @abstractmethod
    def discriminator_step(
        self,
        discriminator: nn.Module,
        batch: BatchT,
        output: GeneratorOutput,
        adversarial: AdversarialConfig,
        step: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the discriminator's loss, a scalar, and a report; scaled like the generator's."""

    @abstractmethod
    def samples(self, averaged: ModelT) -> list[list[Tensor]]:
        """Return rows of pictures (1, 3, h, w) in [0, 1] for a sheet of samples, always from the same inputs."""

    def probes(self) -> Probes | None:
        """Return the monitor's probes; None if there are too few pictures."""
        return None

    @abstractmethod
    def painter(self, model: ModelT) -> Painter:
        """Return a function that paints the probes with the model."""

    @abstractmethod
    def paintings(self, batch: BatchT) -> Tensor:
        """Return the discriminator's real pictures, (B, 3, S, S)."""

    def adversarial_loss(
        self, opponent: nn.Module, batch: BatchT, output: GeneratorOutput, adversarial: AdversarialConfig, step: int
    ) -> Tensor:
        """Return the adversarial loss of `output.fake`, a scalar, for its gradient at the outputs."""
        key = self.config.seed, step
        return generator_loss(adversarial, opponent, output.fake, self.paintings(batch), output.code, key, self.rows)

    def validator(self, photos: FolderReport, paintings: FolderReport) -> PairValidator | None:
        """Return the validator on pictures that are not trained on; None without validation."""
        del photos, paintings
        return None

    def tensors(self) -> dict[str, Tensor]:
        """Return the task's state besides the networks, by name; checkpoints store it."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the task's state from `tensors()`, which may be on any device."""
