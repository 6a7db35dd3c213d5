"""Natural pictures, a tiny model, and the spectral measure of checkerboards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from sfumato.networks.config import ModelConfig
from sfumato.networks.model import StyleTransferModel


def grid(picture: Tensor) -> float:
    """Checkerboard of a picture (1, 3, H, W): log10 of the spectrum's energy at periods 2 and 4 over its surroundings.

    At six frequencies (down, across, both; Nyquist and half of it) the largest of 3×3 bins stands against the median
    of 17×17, under a Hann window; the mean of the six is returned. A photo's own value is what it is judged against.
    """
    x = picture.double().mean(1)[0].numpy()
    h, w = (side // 4 * 4 for side in x.shape)
    x = (x[:h, :w] - x[:h, :w].mean()) * np.hanning(h)[:, None] * np.hanning(w)
    energy = np.abs(np.fft.fft2(x)) ** 2
    peaks = []
    for v, u in ((h // 2, 0), (0, w // 2), (h // 2, w // 2), (h // 4, 0), (0, w // 4), (h // 4, w // 4)):
        around = np.roll(energy, (8 - v, 8 - u), (0, 1))[:17, :17]
        peaks.append(np.log10((around[7:10, 7:10].max() + 1e-9) / (np.median(around) + 1e-9)))
    return float(np.mean(peaks))


@pytest.fixture(scope="session")
def added_grid() -> Callable[[Tensor, Tensor], float]:
    """Checkerboard of an output over that of the picture that it was made from; 0 is none, 1 ten times the energy."""
    return lambda output, picture: grid(output) - grid(picture)


@pytest.fixture(scope="session")
def natural() -> Callable[..., Tensor]:
    """A photo's region, (1, 3, height, width) in [0, 1]."""
    whole = torch.from_numpy(data.astronaut().astype(np.float32) / 255).permute(2, 0, 1)[None]

    def region(height: int, width: int, top: int = 0, left: int = 100) -> Tensor:
        assert top + height <= 512
        assert left + width <= 512
        return whole[:, :, top : top + height, left : left + width].clone()

    return region


@pytest.fixture(scope="session")
def painting() -> Tensor:
    """Coloured stripes and dots, (1, 3, 96, 80) in [0, 1]."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(80.0), indexing="ij")
    planes = [torch.sin(x * 0.9 + y * 0.3), torch.sin(y * 0.7) * torch.sin(x * 0.6), torch.cos(x * 0.2 - y * 0.5)]
    return torch.stack([0.6 + 0.3 * planes[0], 0.4 + 0.3 * planes[1], 0.3 + 0.2 * planes[2]])[None]


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return ModelConfig(
        widths=(8, 12, 16),
        blocks=1,
        texture_size=16,
        style_size=16,
        discriminator_widths=(8, 12, 16),
    )


@pytest.fixture
def model(config: ModelConfig) -> StyleTransferModel:
    torch.manual_seed(0)
    return StyleTransferModel(config)


@pytest.fixture(scope="session")
def half() -> Callable[[Tensor], Tensor]:
    """A picture at half its size."""
    return lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)
