"""The style sub-network: a picture to a style code, by pooled statistics at every scale and so without any layout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.layers import conv, space_to_depth
from sfumato.networks.statistics import EPSILON, colour_statistics, matrix_roots, pack_colour

COLOUR_SIZE = 9


class StyleEncoder(nn.Module):
    """Picture (B, 3, h, w) in [0, 1] -> code (B, `texture_size` + 9).

    The last nine values are the colour part: mean and root of the covariance of the pixels. The others are learnt from
    channel means and deviations, at strides 2 to 16, of the picture with its colours whitened: the two parts say
    different things. Pooling removes positions, so nothing of the style picture's layout can reach the output.
    """

    def __init__(self, widths: tuple[int, ...], texture_size: int) -> None:
        super().__init__()
        pairs = zip((12, *widths), widths, strict=False)
        self.convs = nn.ModuleList([conv(a, b, stride=2 if i else 1) for i, (a, b) in enumerate(pairs)])
        self.head = nn.Sequential(
            nn.Linear(2 * sum(widths) + COLOUR_SIZE, texture_size),
            nn.LeakyReLU(0.2),
            nn.Linear(texture_size, texture_size),
        )
        self.code_size = texture_size + COLOUR_SIZE

    def forward(self, x: Tensor) -> Tensor:
        mean, covariance = colour_statistics(x)
        root, inverse = matrix_roots(covariance)
        colour = pack_colour(mean, root)
        white = (inverse @ (x.float() - mean[:, :, None, None]).flatten(2)).unflatten(2, x.shape[2:])
        height, width = x.shape[2:]
        # Even sizes for the 2×2 blocks; one row or column less cannot matter to pooled statistics.
        h = space_to_depth(white[:, :, : height // 2 * 2, : width // 2 * 2])
        pooled = []
        for convolution in self.convs:
            h = F.leaky_relu(convolution(h), 0.2)
            variance, level_mean = torch.var_mean(h.float(), (2, 3), correction=0)
            pooled += [level_mean, (variance + EPSILON).sqrt()]
        return torch.cat([self.head(torch.cat([*pooled, colour], 1)).float(), colour], 1)
