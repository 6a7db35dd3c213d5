"""The state of a run and its checkpoints, from which training resumes as if it had not stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sfumato import __version__
from sfumato.checkpoint import Model, save_model
from sfumato.errors import ModelError, OutputError, UsageError
from sfumato.files import atomic_file, new_directory, read_json, sweep
from sfumato.training.config import TrainConfig
from sfumato.training.findings import MonitorState
from sfumato.training.optim import EMA
from sfumato.training.validation import Best, Record

CHECKPOINTS_KEPT = 2  # number of checkpoints on disk, besides the best one
BEST = "best.json"  # file in a run's folder with step, score and measures of its best checkpoint


class Memory(Protocol):
    """The state of a task besides its networks (`TrainingTask.tensors`)."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors to save, by name."""
        ...

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state from `tensors()`."""
        ...


@dataclass
class TrainingState:
    """The state of a run: networks, optimisers, average, step, the task's memory, validation and monitor.

    Random numbers need no state, because they depend only on seed and step.
    """

    model: Model
    discriminator: nn.Module
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam
    ema: EMA
    memory: Memory
    step: int = 0
    record: Record = field(default_factory=Record)
    monitor: MonitorState = field(default_factory=MonitorState)

    @classmethod
    def new(cls, model: Model, discriminator: nn.Module, memory: Memory, config: TrainConfig) -> TrainingState:
        """Make the state before the first step: Adam for both networks, and the model's weights as the average."""
        trainable = [p for p in model.parameters() if p.requires_grad]
        return cls(
            model,
            discriminator,
            torch.optim.Adam(trainable, config.learning_rate, betas=(config.momentum, 0.99)),
            torch.optim.Adam(discriminator.parameters(), config.discriminator_learning_rate, betas=(0.0, 0.99)),
            EMA(model, config.ema_half_life),
            memory,
        )

    @property
    def is_best(self) -> bool:
        """Whether the current step is the best by validation."""
        return self.record.best is not None and self.record.best.step == self.step

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor of the state with its name."""
        for name, module in (("model", self.model), ("discriminator", self.discriminator)):
            for key, tensor in module.state_dict().items():
                yield f"{name}.{key}", tensor
        for key, tensor in self.ema.values.items():
            yield f"ema.{key}", tensor
        for key, tensor in self.memory.tensors().items():
            yield f"memory.{key}", tensor
        for name, optimizer in self._optimizers():
            for index, entry in optimizer.state_dict()["state"].items():
                for key, tensor in entry.items():
                    yield f"{name}.{index}.{key}", tensor

    def _optimizers(self) -> tuple[tuple[str, torch.optim.Adam], ...]:
        return ("generator_optimizer", self.generator_optimizer), (
            "discriminator_optimizer",
            self.discriminator_optimizer,
        )

    def save(self, run: Path, config: TrainConfig, about: dict[str, str], healthy: int | None = None) -> Path:
        """Write RUN/checkpoints/STEP, whole or not at all, and RUN/best.json; remove older checkpoints.

        The newest checkpoints, the best one, and the newest up to `healthy` remain; a roll-back uses the latter.

        Args:
            run: the run's folder.
            config: gives the recipe's name.
            about: metadata of the run.
            healthy: the last step at which the monitor found no failure.

        Returns:
            The checkpoint's folder.

        Raises:
            OutputError: the checkpoint cannot be written.
        """
        directory = checkpoint(run, self.step)
        with new_directory(directory) as temporary:
            about = {**about, "version": __version__, "step": str(self.step), "recipe": config.recipe}
            averaged = {**self.model.state_dict(), **self.ema.values}
            save_model(temporary / "model.safetensors", self.model, about, averaged)
            # Clones, because safetensors refuses tensors that share memory, as the optimisers' step counts may.
            tensors = {k: t.detach().clone().contiguous() for k, t in self.tensors()}
            try:
                save_file(tensors, temporary / "state.safetensors")
            except SafetensorError as error:
                message = str(error).removeprefix("Error while serializing: ")
                raise OutputError(
                    f"cannot write the checkpoint {directory}: {message}; make room, and resume"
                ) from error
            numbers = {"step": self.step, "ema_pictures": self.ema.pictures, "about": about}
            numbers["validation"] = self.record.model_dump()
            numbers["monitor"] = self.monitor.model_dump(mode="json")
            (temporary / "state.json").write_text(json.dumps(numbers))
        self.mark_best(run)
        best = best_checkpoint(run)
        protected = {newest_until(run, healthy), None if best is None else checkpoint(run, best.step)}
        for old in checkpoints(run)[:-CHECKPOINTS_KEPT]:
            if old not in protected:  # renamed first, so that a half-removed folder is not taken for a checkpoint
                shutil.rmtree(old.rename(old.with_name(f".{old.name}")))
        return directory

    def mark_best(self, run: Path) -> None:
        """Write RUN/best.json from the record, or remove it if there is no best checkpoint."""
        if self.record.best is None:
            (run / BEST).unlink(missing_ok=True)
        else:
            with atomic_file(run / BEST) as file:
                file.write(f"{self.record.best.model_dump_json(indent=1)}\n".encode())

    def restore(self, directory: Path) -> dict[str, str]:
        """Restore a checkpoint's state and return its metadata.

        Raises:
            ModelError: the checkpoint cannot be read, or does not fit the config.
        """
        try:
            (directory / "state.safetensors").open("rb").close()  # safetensors reports "No such file" for any failure
            tensors = load_file(directory / "state.safetensors")
            numbers = read_json(directory / "state.json")
            # Older checkpoints may lack these entries.
            record = Record.parse(numbers.get("validation", {}))
            monitor = MonitorState.parse(numbers.get("monitor", {}))
            step, pictures, about = int(numbers["step"]), int(numbers["ema_pictures"]), dict[str, str](numbers["about"])
        except (
            OSError,
            SafetensorError,
            AttributeError,
            KeyError,
            OverflowError,
            TypeError,
            ValueError,
            UsageError,
        ) as error:
            hint = "remove it to resume from the one before"
            raise ModelError(f"cannot read the checkpoint {directory}: {error}; {hint}") from error

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}

        try:
            self.model.load_state_dict(part("model."))
            self.discriminator.load_state_dict(part("discriminator."))
        except RuntimeError as error:
            raise ModelError(
                f"{directory} was saved with another model config; resume with the run's own config"
            ) from error
        for key, tensor in part("ema.").items():
            self.ema.values[key].copy_(tensor)
        self.memory.restore(part("memory."))
        for name, optimizer in self._optimizers():
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in part(f"{name}.").items():
                index, entry = key.split(".")
                state.setdefault(int(index), {})[entry] = tensor
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        self.step, self.ema.pictures = step, pictures
        self.record, self.monitor = record, monitor
        return about


def checkpoints(run: Path) -> list[Path]:
    """List the run's complete checkpoints, oldest first."""
    folder = run / "checkpoints"
    return sorted(p for p in folder.iterdir() if re.fullmatch(r"\d{8}", p.name)) if folder.is_dir() else []


def newest_until(run: Path, step: int | None) -> Path | None:
    """Return the newest checkpoint of `step` or earlier; None if there is none."""
    return next((p for p in reversed(checkpoints(run)) if step is not None and int(p.name) <= step), None)


def checkpoint(run: Path, step: int) -> Path:
    """Return the path of the run's checkpoint of a step, whether or not it exists."""
    return run / "checkpoints" / f"{step:08d}"


def best_checkpoint(run: Path) -> Best | None:
    """Return the run's best checkpoint by validation; None if there is none, or if it was removed.

    Raises:
        ModelError: RUN/best.json is damaged.
    """
    try:
        best = Best.parse(read_json(run / BEST))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError, UsageError) as error:
        raise ModelError(f"cannot read {run / BEST}: {error}; remove it to use the newest checkpoint") from error
    return best if os.path.isdir(checkpoint(run, best.step)) else None  # os.path never raises, whatever the number


def remove_unfinished(run: Path) -> None:
    """Remove half-written and half-removed checkpoints of a killed run."""
    folder = run / "checkpoints"
    sweep(folder)
    for path in folder.glob(".[0-9]*") if folder.is_dir() else ():  # half removed
        shutil.rmtree(path, ignore_errors=True)


def shipped_weights(run: Path, *, newest: bool = False) -> tuple[Path, str]:
    """Choose the model.safetensors of a run to export.

    Returns:
        Path of the best checkpoint's model by validation, or, without validation or with `newest`, of the newest one's;
        and the reason, "best by validation" or "newest".

    Raises:
        ModelError: the folder holds no checkpoint, or RUN/best.json is damaged.
    """
    found = checkpoints(run)
    if not found:
        raise ModelError(f"{run} holds no checkpoint; give the --out folder of a training run")
    best = None if newest else best_checkpoint(run)
    folder = checkpoint(run, best.step) if best else found[-1]
    return folder / "model.safetensors", "best by validation" if best else "newest"
