"""The style sub-network: a picture to a style code, by pooled statistics at every scale and so without any layout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.layers import conv, space_to_depth
from sfumato.networks.statistics import EPSILON, MEASURED, Measured


class StyleEncoder(nn.Module):
    """Picture (B, 3, h, w) in [0, 1], sides 16 or more -> code (B, `texture_size` + MEASURED).

    The last values are measured (`statistics.Measured`): palette and contrast. The others are learnt, from channel
    means and deviations at strides 2 to 16 of the picture with its colours whitened: the two parts say different
    things. Pooling removes positions, so nothing of the style picture's layout can reach the output.
    """

    def __init__(self, widths: tuple[int, ...], texture_size: int) -> None:
        super().__init__()
        pairs = zip((12, *widths), widths, strict=False)
        self.convs = nn.ModuleList([conv(a, b, stride=2 if i else 1) for i, (a, b) in enumerate(pairs)])
        pooled = 2 * sum(widths) + MEASURED
        self.head = nn.Sequential(
            nn.Linear(pooled, texture_size), nn.LeakyReLU(0.2), nn.Linear(texture_size, texture_size)
        )
        self.code_size = texture_size + MEASURED

    def forward(self, x: Tensor) -> Tensor:
        measured, white = Measured.of(x)
        packed = measured.pack()
        height, width = x.shape[2:]
        # Even sizes for the 2×2 blocks; one row or column less cannot matter to pooled statistics.
        h = space_to_depth(white[:, :, : height // 2 * 2, : width // 2 * 2])
        pooled = []
        for convolution in self.convs:
            h = F.leaky_relu(convolution(h), 0.2)
            variance, level_mean = torch.var_mean(h.float(), (2, 3), correction=0)
            pooled += [level_mean, (variance + EPSILON).sqrt()]
        return torch.cat([self.head(torch.cat([*pooled, packed], 1)).float(), packed], 1)
