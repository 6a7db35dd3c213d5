"""The generator: recolours the photo and repaints its detail under a style code; every statistic is given by value."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.content_encoder import ContentEncoder
from sfumato.networks.layers import SubPixel, conv, full_precision, join_bands, split_bands, upsample
from sfumato.networks.statistics import (
    BANDS,
    MEASURED,
    Affine,
    AffineSource,
    Given,
    Measure,
    Measured,
    ToneCurve,
    band_deviations,
    map_colours,
    tones,
)

STRIDE = 2**BANDS  # pictures are padded to a multiple of it: of the lowest band, and of the deepest features (8)
# Values of the recolouring: whitening matrix and offset; twice the gain of each band and a tone curve; colouring matrix
# and mean. Twice, because each of the two undoes a little of the other (Heeger & Bergen 1995 iterate them).
RECOLOUR_SIZES = [9, 3, *[3 * BANDS, ToneCurve.SIZE] * 2, 9, 3]
RECOLOUR = sum(RECOLOUR_SIZES)
GATES = slice(RECOLOUR, RECOLOUR + 3 * BANDS)  # place of the gates among the affines


def _equalise(x: Tensor, gains: Tensor) -> Tensor:
    """Multiply each octave of each channel of x (B, 3, H, W) by its gain (B, 3·BANDS); other sizes are padded."""
    height, width = x.shape[2:]
    bands, low = split_bands(F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect"), BANDS)
    bands = [b * g[:, :, None, None] for b, g in zip(bands, gains.chunk(BANDS, 1), strict=True)]
    return join_bands(bands, low)[:, :, :height, :width]


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

    The photo is first *recoloured*: whitened, each octave of its detail brought to the contrast that the code has
    there, its tones to the code's by a curve, and coloured (Σ_z^½ · curve · gains · Σ_c^-½). The detail of that passes
    to the output through gates that the code sets (driven down for paintings by the `leak` term); all else is painted
    by the decoder. Everything is convolutions and per-channel values: crops and tiles agree with the whole.
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
        self.gate = nn.Linear(style_size, 3 * BANDS)
        nn.init.constant_(self.gate.bias, 2.0)  # nearly open
        with torch.no_grad():  # starts near a plain recolouring: what is left to learn is texture
            self.paint.conv.weight.mul_(0.1)
            assert self.paint.conv.bias is not None
            self.paint.conv.bias.zero_()

    def measure(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        """Thumbnail (B, 3, h, w) in [0, 1], sides 16 or more; code (B, D) -> affines (B, A) float32."""
        return self.measure_and_paint(thumbnail, code)[0]

    def measure_and_paint(self, thumbnail: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """`measure`, and the thumbnail as painted on the way (B, 3, h, w)."""
        own, white = Measured.of(thumbnail)
        # The measured part is not learnt: without its gradient the full-size layers have less to keep.
        target = Measured.unpack(code.detach())
        assert own.whiten is not None
        with full_precision(thumbnail):
            whiten_offset = -(own.whiten @ own.mean[:, :, None])[:, :, 0]
        recolour = [own.whiten.flatten(1), whiten_offset]
        for _ in range(2):
            gains = target.bands / band_deviations(white)
            white = _equalise(white, gains)
            curve = ToneCurve.between(tones(white), target.tones)
            white = curve(white)
            recolour += [gains, curve.pack()]
        recolour += [target.root.flatten(1), target.mean]
        # The measured values are small numbers beside the learnt ones: scaled to be heard.
        style = self.style(torch.cat([code[:, :-MEASURED], 4 * code[:, -MEASURED:]], 1))
        source = Measure(style)
        source.value(RECOLOUR, torch.cat(recolour, 1))
        source.value(3 * BANDS, torch.sigmoid(self.gate(style).float()))
        painted = self._paint(thumbnail, source, *source.values)
        return source.affines(), painted

    def forward(self, x: Tensor, affines: Tensor) -> Tensor:
        """Photo (B, 3, H, W) in [0, 1], sides 16 or more; affines (B, A) -> picture (B, 3, H, W), near [0, 1]."""
        source = Given(affines)
        recolour, gates = source.value(RECOLOUR), source.value(3 * BANDS)
        return self._paint(x, source, recolour, gates)

    def _paint(self, x: Tensor, source: AffineSource, recolour: Tensor, gates: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
        whiten, offset, *stages, matrix, mean = recolour.split(RECOLOUR_SIZES, 1)
        white = map_colours(whiten.unflatten(1, (3, 3)), x) + offset[:, :, None, None]
        for gains, curve in zip(stages[::2], stages[1::2], strict=True):
            white = ToneCurve.unpack(curve)(_equalise(white, gains))
        recoloured = map_colours(matrix.unflatten(1, (3, 3)), white) + mean[:, :, None, None]
        kept = _equalise(recoloured, gates)

        fine, middle, deep = self.content_encoder(2 * recoloured - 1, source)
        h = self.enter(deep, source)
        for block in self.blocks:
            h = block(h, source)
        h = F.relu(self.reduce_affine1(self.reduce1(h), source))
        h = upsample(h) + self.skip1(middle, source)
        h = F.relu(self.affine1(self.conv1(h), source))
        h = F.relu(self.reduce_affine2(self.reduce2(h), source))
        h = upsample(h) + self.skip2(fine, source)
        h = F.relu(self.affine2(self.conv2(h), source))
        painted: Tensor = kept + self.paint(h).float()
        return painted[:, :, :height, :width]
