"""Twice the size, by a small network: what `sfumato finish --upscale 2` runs, exported, after painting."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.layers import conv

SCALE = 2


class Upscaler(nn.Module):
    """A residual sub-pixel network: (B, 3, H, W) in [0, 1] -> (B, 3, 2H, 2W), not clipped.

    A head, `blocks` residual blocks of two convolutions without normalisation (Lim et al. 2017, EDSR, section 3.1), and
    a tail to the four phases of each colour, which are shuffled into place (Shi et al. 2016, ESPCN, eq. 4). What the
    tail says is added to the pixel that the four lie in (Du et al. 2021, "Anchor-based plain net"): a new network
    repeats pixels, and learns only what is missing. H and W are 2 or more; a pixel depends on those within `reach`.
    """

    def __init__(self, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.head = conv(3, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width)) for _ in range(blocks)
        )
        self.tail = conv(width, 3 * SCALE**2)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]  # there is one

    @property
    def reach(self) -> int:
        """Pixels, of the small picture."""
        return 2 + 2 * len(self.blocks)

    def forward(self, picture: Tensor) -> Tensor:
        x = self.head(2 * picture - 1)
        for block in self.blocks:
            x = x + block(x)
        repeated = picture.repeat_interleave(SCALE**2, 1)  # the phases of a colour lie side by side
        return F.pixel_shuffle(self.tail(x) + repeated, SCALE)
