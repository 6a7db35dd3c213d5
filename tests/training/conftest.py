"""Synthetic photos and paintings in memory, and a training so small that a step takes a moment."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.data.folders import FolderReport, TrainingPicture
from sfumato.losses.config import LossWeights
from sfumato.networks.config import ModelConfig
from sfumato.networks.perceptual import LAYERS, VGG19
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.loop import Trainer
from support import pattern, shapes
from training_runs import state


def report(name: str, pictures: list[np.ndarray], groups: list[str]) -> FolderReport:
    hashes = [hashlib.sha256(p.tobytes()).hexdigest() for p in pictures]
    entries = zip(groups, hashes, pictures, strict=True)
    return FolderReport(Path(name), [TrainingPicture(Path(f"{h[:8]}.png"), g, h, p) for g, h, p in entries])


@pytest.fixture(scope="session")
def photos() -> FolderReport:
    return report("photos", [shapes(i) for i in range(3)], [""] * 3)


@pytest.fixture(scope="session")
def paintings() -> FolderReport:
    return report("paintings", [pattern(i) for i in range(4)], ["a", "a", "b", "c"])


@pytest.fixture(scope="session")
def six_each() -> tuple[FolderReport, FolderReport]:
    """Photos and paintings for runs whose learning matters."""
    photos = report("photos", [shapes(i) for i in range(6)], [""] * 6)
    return photos, report("paintings", [pattern(i) for i in range(6)], ["a", "a", "a", "b", "b", "c"])


@pytest.fixture(scope="session")
def apart() -> tuple[FolderReport, FolderReport]:
    """Photos and paintings that training never sees."""
    photos = report("photos", [shapes(i, 72) for i in range(100, 103)], [""] * 3)
    return photos, report("paintings", [pattern(i, 72) for i in range(100, 104)], ["a", "a", "b", "c"])


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    """Six steps, the last four adversarial; a checkpoint after three, a log line each."""
    model = ModelConfig(
        widths=(8, 8, 8),
        blocks=1,
        texture_size=8,
        style_size=8,
        discriminator_widths=(8, 8, 8),
    )
    sizes = {"batch": 2, "crop": 32, "zoom_crops": 1}
    phases = (
        Phase(steps=2, adversarial=False, thumbnails=(32,), **sizes),
        Phase(steps=4, thumbnails=(32, 48), **sizes),  # type: ignore[arg-type]
    )
    return TrainConfig(
        phases=phases,
        model=model,
        weights=LossWeights(),
        crops_per_photo=2,
        identity_samples=2,
        warmup=2,
        ema_half_life=10.0,
        checkpoint_every=3,
        sample_every=100,
        log_every=1,
    )


@pytest.fixture(scope="session")
def trainer(photos: FolderReport, paintings: FolderReport, config: TrainConfig) -> Callable[..., Trainer]:
    """Makes a trainer on the CPU in a run's folder; keywords change the config."""

    def make(
        out: Path,
        validation: tuple[FolderReport, FolderReport] | None = None,
        start: Path | None = None,
        pictures: tuple[FolderReport, FolderReport] = (photos, paintings),
        **changes: object,
    ) -> Trainer:
        changed = TrainConfig(**{**config.model_dump(), **changes})
        return Trainer(changed, *pictures, out, cache=None, cpu=True, validation=validation, start=start)

    return make


@pytest.fixture(scope="session")
def vgg() -> VGG19:
    """VGG19 to relu4_1 with random weights: where numbers need not be a trained eye's."""
    generator = torch.Generator().manual_seed(0)
    widths = [3, 64, 64, 128, 128, *[256] * 4, 512]
    weights = {}
    for name, a, b in zip(LAYERS, widths[:-1], widths[1:], strict=False):
        key = name.replace("relu", "conv")
        weights[f"{key}.weight"] = torch.randn(b, a, 3, 3, generator=generator) * (2 / (9 * a)) ** 0.5
        weights[f"{key}.bias"] = torch.zeros(b)
    return VGG19(weights, ("relu1_1", "relu2_1", "relu3_1", "relu4_1"))


@pytest.fixture(scope="session")
def unbroken(trainer: Callable[..., Trainer], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A whole run of six steps: its folder, the trainer's last state, and what it told."""
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    told = []
    whole = trainer(run)
    whole.run(told.append)
    return run, state(whole), told


@pytest.fixture
def copy(unbroken: Any, tmp_path: Path) -> Any:
    """The unbroken run's folder with its last checkpoint taken away, as after a crash."""
    run = shutil.copytree(unbroken[0], tmp_path / "run")
    shutil.rmtree(run / "checkpoints" / "00000006")
    return run
