"""What many tests share: a keyed generator, small pictures, and the rules for GPUs and Hypothesis."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from sfumato.image import Picture, write_image
from sfumato.limits import restore_limits

# The same examples on every run and machine, and no time limit: continuous integration is slow and shared.
settings.register_profile("sfumato", derandomize=True, deadline=None)
settings.load_profile("sfumato")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="store what is painted now as the golden pictures (tests/golden)"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def _own_provenance(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keys and log of the tests, also for the processes that they start."""
    os.environ["SFUMATO_PROVENANCE"] = str(tmp_path_factory.mktemp("own") / "provenance")


@pytest.fixture(autouse=True)
def _own_limits() -> Iterator[None]:
    """Commands and workers set the limits of their process, which here is that of the tests."""
    with restore_limits():
        yield


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """`sfumato studio` logs to the stderr of its call, which is closed when the test has ended."""
    yield
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def picture(rng: np.random.Generator) -> Picture:
    """(1, 3, 24, 32), every value a whole number of 255ths, so that lossless files give it back exactly."""
    levels = rng.integers(0, 256, (1, 3, 24, 32))
    return (levels / 255).astype(np.float32)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG of 64 x 48: a smooth scene with edges, as photos are."""
    y, x = np.mgrid[0:48, 0:64].astype(np.float32)
    disc = ((x - 40) ** 2 + (y - 20) ** 2 < 150).astype(np.float32)
    planes = np.stack([x / 63, y / 47, 0.2 + 0.6 * disc])[None]  # (1, 3, 48, 64)
    path = tmp_path / "photo.jpg"
    write_image(planes, path)
    return path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what people like is kept, of its own for each test; it is not there yet."""
    folder = tmp_path / "store"
    monkeypatch.setenv("SFUMATO_PERSONAL", str(folder))
    return folder
