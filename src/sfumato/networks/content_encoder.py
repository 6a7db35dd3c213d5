"""The content encoder: instance-normalised features that hold the photo's layout without its contrast."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.layers import conv, space_to_depth
from sfumato.networks.statistics import Affine, NormSource


class ContentEncoder(nn.Module):
    """An encoder with `widths` channels at strides 2, 4 and 8: convolution, instance normalisation and ReLU each."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        # The first level reads 2×2 blocks of pixels as 16 channels: a 6×6 kernel of stride 2 at a third of its cost.
        self.convs = nn.ModuleList(
            [conv(16, widths[0]), conv(widths[0], widths[1], stride=2), conv(widths[1], widths[2], stride=2)]
        )
        self.norms = nn.ModuleList([Affine(width) for width in widths])

    def forward(self, x: Tensor, norms: NormSource) -> list[Tensor]:
        """Encode whitened photo and noise (B, 4, H, W), H and W multiples of 8, as features at strides 2, 4 and 8."""
        h, levels = space_to_depth(x), []
        for convolution, norm in zip(self.convs, self.norms, strict=True):
            h = F.relu(norm(convolution(h), norms))
            levels.append(h)
        return levels
