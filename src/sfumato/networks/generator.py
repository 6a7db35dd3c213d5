"""The generator: recolours the photo and repaints its detail under a style code; every statistic is given by value."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.content_encoder import ContentEncoder
from sfumato.networks.layers import SubPixel, conv, split_bands, upsample
from sfumato.networks.statistics import (
    Affine,
    AffineSource,
    Given,
    Measure,
    colour_statistics,
    matrix_roots,
    unpack_colour,
)
from sfumato.networks.style_encoder import COLOUR_SIZE

STRIDE = 8  # of the deepest level: pictures are padded to a multiple of it


class ResidualBlock(nn.Module):
    """h + affine(conv(relu(affine(conv(h))))), all at one size."""

    def __init__(self, width: int, style_size: int) -> None:
        super().__init__()
        self.conv1, self.affine1 = conv(width, width), Affine(width, style_size)
        self.conv2, self.affine2 = conv(width, width), Affine(width, style_size)

    def forward(self, h: Tensor, source: AffineSource) -> Tensor:
        inner: Tensor = F.relu(self.affine1(self.conv1(h), source))
        inner = self.affine2(self.conv2(inner), source)
        return h + inner


class Generator(nn.Module):
    """`measure(thumbnail, code)` gives every scale and shift; `forward(photo, affines)` paints with them.

    The photo is first brought to the code's colours by one 3×3 matrix (whitening and colouring, Σ_z^½ Σ_c^-½). Of that
    recoloured photo only the low band passes to the output as it is; its detail passes through a gate that the code
    sets (near 1 for a photograph's own code, driven to 0 for paintings by the `leak` term) and is otherwise painted by
    the decoder. All the rest is convolutions and per-channel affines, so crops and tiles agree with the whole.
    """

    def __init__(self, widths: tuple[int, int, int], blocks: int, code_size: int, style_size: int) -> None:
        super().__init__()
        fine, middle, deep = widths
        self.content_encoder = ContentEncoder(widths)
        self.style = nn.Sequential(nn.Linear(code_size, style_size), nn.LeakyReLU(0.2))
        self.enter = Affine(deep, style_size)
        self.blocks = nn.ModuleList([ResidualBlock(deep, style_size) for _ in range(blocks)])
        self.reduce1, self.reduce_affine1 = conv(deep, middle), Affine(middle, style_size)
        self.skip1 = Affine(middle, style_size)
        self.conv1, self.affine1 = conv(middle, middle), Affine(middle, style_size)
        self.reduce2, self.reduce_affine2 = conv(middle, fine), Affine(fine, style_size)
        self.skip2 = Affine(fine, style_size)
        self.conv2, self.affine2 = conv(fine, fine), Affine(fine, style_size)
        self.paint = SubPixel(fine, 3)
        self.gate = nn.Linear(style_size, 3)
        nn.init.zeros_(self.gate.bias)
        with torch.no_grad():  # starts near a plain recolouring: the style losses then have little colour left to learn
            self.paint.conv.weight.mul_(0.3)
            assert self.paint.conv.bias is not None
            self.paint.conv.bias.zero_()

    def measure(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        """Thumbnail (B, 3, h, w) in [0, 1], sides 16 or more; code (B, D) -> affines (B, A) float32."""
        return self.measure_and_paint(thumbnail, code)[0]

    def measure_and_paint(self, thumbnail: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """`measure`, and the thumbnail as painted on the way (B, 3, h, w)."""
        mean, covariance = colour_statistics(thumbnail)
        _, whiten = matrix_roots(covariance)
        # The colour part is measured, not learnt: without its gradient the full-size layers have less to keep.
        target_mean, target_root = unpack_colour(code[:, -COLOUR_SIZE:].detach().float())
        matrix = target_root @ whiten
        offset = target_mean - (matrix @ mean[:, :, None])[:, :, 0]
        style = self.style(code)
        source = Measure(style)
        source.value(12, torch.cat([matrix.flatten(1), offset], 1))
        source.value(3, torch.sigmoid(self.gate(style).float()))
        painted = self._paint(thumbnail, source, source.values[0], source.values[1])
        return source.affines(), painted

    def forward(self, x: Tensor, affines: Tensor) -> Tensor:
        """Photo (B, 3, H, W) in [0, 1], sides 16 or more; affines (B, A) -> picture (B, 3, H, W), near [0, 1]."""
        source = Given(affines)
        colour, gate = source.value(12), source.value(3)
        return self._paint(x, source, colour, gate)

    def _paint(self, x: Tensor, source: AffineSource, colour: Tensor, gate: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
        matrix = colour[:, :9].unflatten(1, (3, 3))
        base = (matrix @ x.float().flatten(2)).unflatten(2, x.shape[2:]) + colour[:, 9:, None, None]
        low, detail = split_bands(base, STRIDE)

        fine, middle, deep = self.content_encoder(2 * base - 1, source)
        h = self.enter(deep, source)
        for block in self.blocks:
            h = block(h, source)
        h = F.relu(self.reduce_affine1(self.reduce1(h), source))
        h = upsample(h) + self.skip1(middle, source)
        h = F.relu(self.affine1(self.conv1(h), source))
        h = F.relu(self.reduce_affine2(self.reduce2(h), source))
        h = upsample(h) + self.skip2(fine, source)
        h = F.relu(self.affine2(self.conv2(h), source))
        painted: Tensor = low + gate[:, :, None, None] * detail + self.paint(h).float()
        return painted[:, :, :height, :width]
