"""A small network that doubles a picture's size; `sfumato finish --upscale 2` runs it, exported, after painting."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.layers import conv

SCALE = 2


class Upscaler(nn.Module):
    """A residual sub-pixel network for upscaling by 2.

    It has a head, `blocks` residual blocks of two convolutions without normalisation (Lim et al. 2017, EDSR, section
    3.1), and a tail to the four phases of each colour, which are shuffled into place (Shi et al. 2016, ESPCN, eq. 4).
    The tail's output is added to the repeated input pixel (Du et al. 2021, "Anchor-based plain net"): an untrained
    network repeats pixels and learns only the missing detail.
    """

    def __init__(self, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.head = conv(3, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width)) for _ in range(blocks)
        )
        self.tail = conv(width, 3 * SCALE**2)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]  # the tail has a bias

    @property
    def reach(self) -> int:
        """Radius of the receptive field, in pixels of the small picture."""
        return 2 + 2 * len(self.blocks)

    def forward(self, picture: Tensor) -> Tensor:
        """Upscale pictures (B, 3, H, W) in [0, 1], H and W from 2, to (B, 3, 2H, 2W), not clipped."""
        x = self.head(2 * picture - 1)
        for block in self.blocks:
            x = x + block(x)
        repeated = picture.repeat_interleave(SCALE**2, 1)  # the phases of a colour lie side by side
        return F.pixel_shuffle(self.tail(x) + repeated, SCALE)
