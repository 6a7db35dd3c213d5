"""Pictures out of nothing but noise: small paintings of no photo, and the ways between them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.checks import check_range
from sfumato.errors import ModelError, UsageError
from sfumato.networks.layers import conv, full_precision, upsample

START = 4  # side of the grid that the noise becomes
WIDTHS = {64: (160, 160, 128, 64, 32), 128: (160, 160, 128, 64, 32, 16)}  # by side: about 1 M weights


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
        if side not in WIDTHS:
            raise ModelError(f"a noise generator paints sides of {' or '.join(map(str, WIDTHS))}, not {side}")
        widths = WIDTHS[side] if widths is None else widths
        if len(widths) != len(WIDTHS[side]):
            raise ModelError(f"a noise generator of side {side} has {len(WIDTHS[side])} widths, not {len(widths)}")
        self.z_size, self.side = z_size, side
        self.enter = nn.Linear(z_size, widths[0] * START**2)
        self.convs = nn.ModuleList([conv(a, b) for a, b in zip((widths[0], *widths), widths, strict=False)])
        self.colour = conv(widths[-1], 3)
        with torch.no_grad():
            self.enter.weight.normal_(0, z_size**-0.5)
            # The picture of z = 0, to which `truncate` leads: with none, normalised pixels would look the same at any
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


def truncate(z: Tensor, psi: float) -> Tensor:
    """z (..., Z) pulled towards 0, the mean of all: psi·z. 1 leaves it; less is safer and less various.

    Raises:
        UsageError: psi is not in [0, 1].
    """
    return check_range(psi, 0.0, 1.0, "psi") * z


def walk(z0: Tensor, z1: Tensor, steps: int) -> Tensor:
    """From z0 to z1, both (..., Z), along the sphere: (steps, ..., Z), the ends included (slerp, White 2016).

    A straight line would pass nearer to 0 than any z that was drawn. Only where the two point the same way is the way
    straight; where they are opposite, so that every way round is as near, it is straight too, through 0.

    Raises:
        UsageError: fewer than 2 steps.
    """
    if steps < 2:
        raise UsageError(f"a walk has at least 2 steps, its ends, not {steps}")
    t = torch.linspace(0, 1, steps, dtype=z0.dtype, device=z0.device).view(-1, *[1] * z0.dim())
    with full_precision(z0):
        cosine = (F.normalize(z0, dim=-1) * F.normalize(z1, dim=-1)).sum(-1, keepdim=True).clamp(-1, 1)
    angle = cosine.acos()
    curved = angle.sin() > 1e-3  # elsewhere 0 over 0
    sine = torch.where(curved, angle.sin(), 1)
    first = torch.where(curved, ((1 - t) * angle).sin() / sine, 1 - t)
    second = torch.where(curved, (t * angle).sin() / sine, t)
    return first * z0 + second * z1
