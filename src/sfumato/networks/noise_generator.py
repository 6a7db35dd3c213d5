"""The generator of small paintings from noise, without a photo; `inference.imagine` interpolates between them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.errors import ModelError
from sfumato.networks.config import NOISE_WIDTHS
from sfumato.networks.layers import conv, upsample

START = 4  # side of the first feature map


def pixel_norm(h: Tensor) -> Tensor:
    """Normalise the features (B, C, H, W) of each pixel to a mean square of 1 (Karras et al. 2018, §4.2)."""
    h32 = h.float()
    return (h32 * torch.rsqrt(h32.square().mean(1, keepdim=True) + 1e-8)).to(h.dtype)


class NoiseGenerator(nn.Module):
    """A DCGAN generator (Radford et al. 2016) with one stage for each octave.

    Stages upsample by interpolation before the convolution, which avoids checkerboards (Odena et al. 2016). Features
    are normalised for each pixel (`pixel_norm`). Channel statistics of a picture would cause droplets (Karras et al.
    2020, §2); those of a batch would make a picture depend on the others, and results depend on the number of
    processes.
    """

    def __init__(self, z_size: int = 100, side: int = 64, widths: tuple[int, ...] | None = None) -> None:
        """Build the network.

        Args:
            z_size: size of z.
            side: side of the pictures in pixels, 64 or 128.
            widths: channels at sides 4, 8, ..., `side`; None: `NOISE_WIDTHS`.

        Raises:
            ModelError: the side is neither 64 nor 128, or the number of widths does not fit it.
        """
        super().__init__()
        if side not in NOISE_WIDTHS:
            raise ModelError(f"side must be {' or '.join(map(str, NOISE_WIDTHS))}, not {side}")
        usual = NOISE_WIDTHS[side]
        widths = usual if widths is None else widths
        if len(widths) != len(usual):
            raise ModelError(f"a noise generator of side {side} must have {len(usual)} widths, not {len(widths)}")
        self.z_size, self.side = z_size, side
        self.enter = nn.Linear(z_size, widths[0] * START**2)
        self.convs = nn.ModuleList([conv(a, b) for a, b in zip((widths[0], *widths), widths, strict=False)])
        self.colour = conv(widths[-1], 3)
        with torch.no_grad():
            self.enter.weight.normal_(0, z_size**-0.5)
            # A bias, because pixel_norm would otherwise make the output independent of z's length: truncation moves
            # towards the picture of z = 0.
            self.enter.bias.normal_(0, 0.5)
            for convolution in self.convs:
                nn.init.kaiming_normal_(convolution.get_parameter("weight"), 0.2)
                convolution.get_parameter("bias").zero_()

    def forward(self, z: Tensor) -> Tensor:
        """Generate pictures (B, 3, `side`, `side`) in [0, 1] from z (B, `z_size`), drawn from N(0, I)."""
        h = pixel_norm(self.enter(z).unflatten(1, (-1, START, START)))
        for i, convolution in enumerate(self.convs):
            h = upsample(h) if i else h
            h = pixel_norm(F.leaky_relu(convolution(h), 0.2))
        return torch.sigmoid(self.colour(h).float())
