"""Pictures out of nothing but noise: small paintings of no photo. (The ways between them: `inference.imagine`.)"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.errors import ModelError
from sfumato.networks.config import NOISE_WIDTHS
from sfumato.networks.layers import conv, upsample

START = 4  # side of the grid that the noise becomes


def pixel_norm(h: Tensor) -> Tensor:
    """Each pixel's features (B, C, H, W) at a mean square of 1 (Karras et al. 2018, §4.2)."""
    h32 = h.float()
    return (h32 * torch.rsqrt(h32.square().mean(1, keepdim=True) + 1e-8)).to(h.dtype)


class NoiseGenerator(nn.Module):
    """z (B, `z_size`), N(0, I) -> pictures (B, 3, `side`, `side`) in [0, 1].

    The ladder of DCGAN (Radford et al. 2016), one rung an octave, but each enlarges by interpolation and then convolves
    (Odena et al. 2016): no checkerboards. Pixels are normalised, each by itself, and no channel over a picture or a
    batch: a channel's statistics invite droplets that spoil them on purpose (Karras et al. 2020, §2), and a batch's
    would make a picture depend on those beside it, and one process's pictures differ from two processes'.
    """

    def __init__(self, z_size: int = 100, side: int = 64, widths: tuple[int, ...] | None = None) -> None:
        """`widths` are the channels at sides 4, 8, ..., `side`.

        Raises:
            ModelError: another side than 64 or 128, or another number of widths than octaves.
        """
        super().__init__()
        if side not in NOISE_WIDTHS:
            raise ModelError(f"a noise generator paints sides of {' or '.join(map(str, NOISE_WIDTHS))}, not {side}")
        usual = NOISE_WIDTHS[side]
        widths = usual if widths is None else widths
        if len(widths) != len(usual):
            raise ModelError(f"a noise generator of side {side} has {len(usual)} widths, not {len(widths)}")
        self.z_size, self.side = z_size, side
        self.enter = nn.Linear(z_size, widths[0] * START**2)
        self.convs = nn.ModuleList([conv(a, b) for a, b in zip((widths[0], *widths), widths, strict=False)])
        self.colour = conv(widths[-1], 3)
        with torch.no_grad():
            self.enter.weight.normal_(0, z_size**-0.5)
            # The picture of z = 0, to which truncation leads: with none, normalised pixels would look the same at any
            # length of z.
            self.enter.bias.normal_(0, 0.5)
            for convolution in self.convs:
                nn.init.kaiming_normal_(convolution.get_parameter("weight"), 0.2)
                convolution.get_parameter("bias").zero_()

    def forward(self, z: Tensor) -> Tensor:
        h = pixel_norm(self.enter(z).unflatten(1, (-1, START, START)))
        for i, convolution in enumerate(self.convs):
            h = upsample(h) if i else h
            h = pixel_norm(F.leaky_relu(convolution(h), 0.2))
        return torch.sigmoid(self.colour(h).float())
