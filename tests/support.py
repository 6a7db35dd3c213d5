"""What tests of several commands use."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from typer.testing import CliRunner, Result

from sfumato.cli import app
from sfumato.image import Picture, to_uint8

if TYPE_CHECKING:
    from torch import nn

    from sfumato.checkpoint import Model

# How much numbers may differ that are equal but for rounding. A test with another bound says why.
FLOAT64 = 1e-9  #: The same sums in float64, in another order.
FLOAT32 = 1e-6  #: Some operations in float32 on values of about 1: some units in the last place (1.2e-7).
SUM32 = 1e-5  #: Sums over a picture in float32, in another order.
NETWORK32 = 1e-4  #: Many layers in float32, in another order or by another library.


def run(*arguments: object, columns: int = 200) -> Result:
    """The command in this process. An exception that the command lets through fails the test."""
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def on_terminal(*arguments: object, **environment: str) -> tuple[bytes, int]:
    """What the command, as a process of its own, writes to a terminal, and its exit code."""
    import pty  # which Windows lacks

    child, screen = pty.fork()
    if child == 0:
        words = [sys.executable, "-m", "sfumato", *map(str, arguments)]
        os.execve(sys.executable, words, {**os.environ, **environment})
    told = b""
    while True:
        try:
            told += os.read(screen, 65536)
        except OSError:
            break
    return told, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def assert_one_sentence(result: Result, code: int, sentence: str) -> None:
    """A mistake is told in one line, with its exit code, and nothing else is said."""
    assert result.exit_code == code
    assert sentence in result.stderr
    assert result.stderr.startswith("sfumato: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def files(folder: Path) -> list[str]:
    """The files under a folder, named from there."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pixels(path: str | Path) -> npt.NDArray[Any]:
    return np.asarray(Image.open(path))


def save_scenes(folder: Path, count: int, seed: int) -> None:
    """So many pictures of 72 x 96, in a folder that is made for them."""
    folder.mkdir()
    for i in range(count):
        Image.fromarray(to_uint8(scene(72, 96, seed + i))).save(folder / f"{i}.png")


def save_run(folder: Path, model: Model, discriminator: nn.Module) -> Path:
    """As much of a run as export asks for, at step 7; the folder of its checkpoint."""
    from safetensors.torch import save_file

    from sfumato.checkpoint import save_model

    checkpoint = folder / "checkpoints" / "00000007"
    checkpoint.mkdir(parents=True)
    save_model(checkpoint / "model.safetensors", model, {"step": "7"}, model.state_dict())
    state = {f"discriminator.{key}": tensor.contiguous() for key, tensor in discriminator.state_dict().items()}
    save_file(state, checkpoint / "state.safetensors")
    return checkpoint


def scene(height: int, width: int, seed: int | Sequence[int] = 0, level: float = 0.5, length: float = 20) -> Picture:
    """A picture of coloured waves, of ``length`` pixels a radian at frequency 1, and some grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / length
    waves = np.stack([np.sin(x * a + y * b) for a, b in rng.uniform(0.5, 3, (3, 2))])
    grain = rng.normal(0, 0.06, waves.shape)
    return np.asarray(np.clip(level + 0.25 * waves + grain, 0, 1), np.float32)[None]


def shapes(seed: int, side: int = 64) -> npt.NDArray[np.uint8]:
    """A photo of soft gradients behind a disc and a bar, (3, side, side)."""
    rng = np.random.default_rng([seed, 0])
    y, x = np.mgrid[0:side, 0:side] / side
    planes = np.stack([a + b * x + c * y for a, b, c in rng.uniform(-0.5, 0.5, (3, 3))]) + 0.5
    cx, cy, bar = rng.uniform(0.2, 0.8, 3)
    planes = np.where((x - cx) ** 2 + (y - cy) ** 2 < 0.03, rng.random((3, 1, 1)), planes)
    planes = np.where(abs(x - bar) < 0.05, rng.random((3, 1, 1)), planes)
    return np.asarray(np.round(255 * np.clip(planes, 0, 1)), np.uint8)


def pattern(seed: int, side: int = 64) -> npt.NDArray[np.uint8]:
    """A painting of stripes or dots in two colours, (3, side, side)."""
    rng = np.random.default_rng([seed, 1])
    y, x = np.mgrid[0:side, 0:side]
    a, b = rng.uniform(0.3, 1.2, 2)
    wave = np.sin(a * x + b * y) if seed % 2 else np.sin(a * x) * np.sin(b * y)
    first, second = rng.random((2, 3, 1, 1))
    return np.asarray(np.round(255 * np.where(wave > 0, first, second)), np.uint8)


def work(hand: int, number: int, height: int = 96, width: int = 112) -> Picture:
    """A picture by one of two hands: dark, red and rough, or light, blue and smooth."""
    seeds = [hand, number]
    picture = scene(height, width, seeds)
    if hand:
        colour = np.array([0.5, 0.8, 1.0], np.float32)[:, None, None]
        return np.asarray(np.clip(0.55 + 0.4 * picture * colour, 0, 1), np.float32)
    colour = np.array([0.9, 0.35, 0.2], np.float32)[:, None, None]
    grain = np.random.default_rng(seeds).normal(0, 0.12, picture.shape)
    return np.asarray(np.clip(picture * colour + grain, 0, 1), np.float32)


def save_works(folder: Path, hand: int, count: int, first: int = 0) -> list[Path]:
    """So many works by a hand, as PNG files in a folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"work-{hand}-{number}.png" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        Image.fromarray(to_uint8(work(hand, number))).save(path)
    return paths
