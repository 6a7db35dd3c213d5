"""The generator of the arbitrary kind: recolours a photo and repaints its detail under a style code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.content_encoder import ContentEncoder
from sfumato.networks.layers import SubPixel, conv, full_precision, space_to_depth, upsample
from sfumato.networks.statistics import (
    BAND_FLOOR,
    Affine,
    ColourStats,
    NormSource,
    RecordNorm,
    ReplayNorm,
    ToneCurve,
    band_deviations,
    colour_statistics,
    map_colours,
    matrix_roots,
    tones,
)
from sfumato.style_code import BANDS, COLOUR_STATS_SIZE

STRIDE = 2**BANDS  # stride of the lowest band, a multiple of the deepest features' (8); pictures are padded to it
# The order of the normalisation parameters: the photo's whitening and band gains; gates; amount of paint; the layers'
# scales and shifts; whitening, band gains and tone curve of the painted picture, `PASSES` times; the output's colours.
WHITEN = 9 + 3
GATES = slice(WHITEN + 3 * BANDS, WHITEN + 6 * BANDS)
PASSES = 2  # rounds of matching bands and tones: each undoes a little of the other (Heeger & Bergen 1995)
DISTANCES = 4  # number of distances between a photo and a style (`_distances`)
NOISE_PERIODS = (208, 264)  # pixels; multiples of the deepest stride, so that their sum repeats after 6,864


def _equalise(x: Tensor, gains: Tensor) -> Tensor:
    """Multiply each octave of each channel of x (B, 3, H, W) by its gain (B, 3·BANDS).

    H and W must be multiples of STRIDE. This equals multiplying and adding up the bands of `split_bands`, at half the
    cost: with y the result for the lower octaves, g·(x - up(low)) + up(y) = g·x + up(y - g·low).
    """
    levels = [x]
    for _ in range(BANDS):
        levels.append(F.avg_pool2d(levels[-1], 2))
    y = levels.pop()
    low = y
    for fine, gain in zip(reversed(levels), reversed(gains[:, :, None, None].chunk(BANDS, 1)), strict=True):
        y = torch.addcmul(upsample(torch.addcmul(y, low, gain, value=-1)), fine, gain)
        low = fine
    return y


class ResidualBlock(nn.Module):
    """A residual block with two convolutions and adaptive instance normalisation."""

    def __init__(self, width: int, style_size: int) -> None:
        super().__init__()
        self.conv1, self.affine1 = conv(width, width), Affine(width, style_size)
        self.conv2, self.affine2 = conv(width, width), Affine(width, style_size)

    def forward(self, h: Tensor, norms: NormSource) -> Tensor:
        """Return h + affine(conv(relu(affine(conv(h))))) for features (B, C, H, W)."""
        inner: Tensor = F.relu(self.affine1(self.conv1(h), norms))
        inner = self.affine2(self.conv2(inner), norms)
        return h + inner


@dataclass(frozen=True)
class _PassTarget:
    """The values from which a measuring pass computes its normalisation parameters, besides the layers' γ and β."""

    colours: ColourStats
    gates: Tensor  # (B, 3·BANDS)
    amount: Tensor  # (B, 1), amount of paint


def _require(target: _PassTarget | None) -> _PassTarget:
    assert target is not None, "a replayed pass computes no normalisation parameters"
    return target


class Noise(nn.Module):
    """A fixed field of standard normal noise over the plane; it decides where strokes fall in plain areas.

    It is the sum of two periodic tables with a long common period, so that the noise at any position can be looked up.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        for i, period in enumerate(NOISE_PERIODS):
            table = torch.randn(1, 1, period, period, generator=generator) / len(NOISE_PERIODS) ** 0.5
            table = table.half().float()  # rounded as in exported graphs
            self.register_buffer(f"table{i}", table, persistent=False)

    def forward(self, x: Tensor, origin: Tensor) -> Tensor:
        """Return the noise (B, 1, H, W) for a picture x (B, C, H, W) whose corner lies at `origin` (row, column)."""
        height, width = x.shape[2:]
        rows = origin[0] + torch.arange(height, device=x.device)
        columns = origin[1] + torch.arange(width, device=x.device)
        parts = [
            self.get_buffer(f"table{i}").index_select(2, rows % period).index_select(3, columns % period)
            for i, period in enumerate(NOISE_PERIODS)
        ]
        return (parts[0] + parts[1]).expand(x.shape[0], -1, -1, -1)


class Generator(nn.Module):
    """The generator: `measure(thumbnail, code)` returns every scale and shift, `forward(photo, norm_params)` paints.

    1. The photo is whitened and *equalised*: each octave of its detail gets the contrast that the code asks for.
    2. This detail is multiplied by gates that depend on the code; the `leak` term drives them down.
    3. The decoder adds paint, computed from the photo's features and a noise field. The amount of paint grows with the
       distance between photo and style.
    4. The painted picture is whitened and equalised in turn, a curve maps its tones to the code's, and it is coloured.

    Palette, tones and contrast are therefore the style's whatever was painted, and the networks have only strokes and
    shapes to learn. There are only convolutions and per-channel values, so crops and tiles agree with the whole.
    """

    def __init__(self, widths: tuple[int, int, int], blocks: int, code_size: int, style_size: int) -> None:
        super().__init__()
        fine, middle, deep = widths
        self.noise = Noise()
        self.content_encoder = ContentEncoder(widths)
        self.deep_noise = nn.Conv2d(64, deep, 1, bias=False)
        self.style = nn.Sequential(nn.Linear(code_size + 2 * DISTANCES, style_size), nn.LeakyReLU(0.2))
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
        nn.init.constant_(self.gate.bias, 1.0)
        with torch.no_grad():  # the initial output is closer to a recoloured photo than to noise
            self.paint.conv.weight.mul_(0.5)

    def measure(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        """Measure norm_params (B, A) float32 on a thumbnail under a code (B, D).

        The thumbnail is (B, 3, h, w) in [0, 1] with sides of 16 or more.
        """
        return self.measure_and_paint(thumbnail, code)[0]

    def measure_and_paint(self, thumbnail: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Return `measure(thumbnail, code)`, and the thumbnail painted in the same pass (B, 3, h, w)."""
        # The measured part of the code is not learnt; without its gradient the full-size layers store less.
        target = ColourStats.unpack(code.detach())
        distances = _distances(ColourStats.of(thumbnail)[0], target)
        # The measured values are smaller than the learnt ones: scaled by 4 to match their magnitude.
        inputs = [code[:, :-COLOUR_STATS_SIZE], 4 * code[:, -COLOUR_STATS_SIZE:], distances, torch.exp(-4 * distances)]
        style = self.style(torch.cat(inputs, 1))
        # From 0, if the photo is its own style, to nearly 1 for any other style.
        amount = 1 - torch.exp(-10 * distances.mean(1, keepdim=True))
        gates = 1 - amount * (1 - torch.sigmoid(self.gate(style).float()))
        norms, origin = RecordNorm(style), torch.zeros(2, dtype=torch.long, device=code.device)
        painted = self._paint(thumbnail, norms, origin, _PassTarget(target, gates, amount))
        return norms.norm_params(), painted

    def forward(self, x: Tensor, norm_params: Tensor, origin: Tensor | None = None) -> Tensor:
        """Paint a photo under given normalisation parameters.

        Args:
            x: photo or tile, (B, 3, H, W) in [0, 1], sides 16 or more.
            norm_params: (B, A), from `measure`.
            origin: position (row, column) of x in the whole photo, (2,) int64, default (0, 0). Multiples of 16 keep the
                coarser levels aligned.

        Returns:
            Picture (B, 3, H, W), near [0, 1].
        """
        origin = torch.zeros(2, dtype=torch.long, device=x.device) if origin is None else origin
        return self._paint(x, ReplayNorm(norm_params), origin)

    def _paint(self, x: Tensor, norms: NormSource, origin: Tensor, target: _PassTarget | None = None) -> Tensor:
        """Paint x in one pass; `norms` measures the parameters, for which it needs a `target`, or replays them."""
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
        white = _match_bands(x.float(), norms, target)
        gates = norms.value(3 * BANDS, lambda: _require(target).gates)
        amount = norms.value(1, lambda: _require(target).amount)
        detail = _equalise(white, gates)

        noise = self.noise(x, origin)
        fine, middle, deep = self.content_encoder(torch.cat([white, noise], 1), norms)
        deep = deep + self.deep_noise(space_to_depth(space_to_depth(space_to_depth(noise))))
        h = self.enter(deep, norms)
        for block in self.blocks:
            h = block(h, norms)
        h = F.relu(self.reduce_affine1(self.reduce1(h), norms))
        h = upsample(h) + self.skip1(middle, norms)
        h = F.relu(self.affine1(self.conv1(h), norms))
        h = F.relu(self.reduce_affine2(self.reduce2(h), norms))
        h = upsample(h) + self.skip2(fine, norms)
        h = F.relu(self.affine2(self.conv2(h), norms))
        white = torch.addcmul(detail, self.paint(h).float(), amount[:, :, None, None])
        for _ in range(PASSES):
            white = _match_tones(_match_bands(white, norms, target), norms, target)
        matrix, mean = norms.value(9 + 3, lambda: _colours(_require(target).colours)).split([9, 3], 1)
        painted: Tensor = map_colours(matrix.unflatten(1, (3, 3)), white) + mean[:, :, None, None]
        return painted[:, :, :height, :width]


def _distances(own: ColourStats, target: ColourStats) -> Tensor:
    """Return the distances of a photo to a style in palette, chroma, contrast and tones, (B, DISTANCES).

    Each is about 0 to 2, and 0 at strength 0, where the photo is its own style.
    """
    pairs = (
        (4 * own.mean, 4 * target.mean),
        (4 * own.root.flatten(1), 4 * target.root.flatten(1)),
        (own.bands.log(), target.bands.clamp(min=BAND_FLOOR**0.5).log()),
        (own.tones.flatten(1), target.tones.flatten(1)),
    )
    return torch.stack([((a - b).square().mean(1) + 1e-6).sqrt() for a, b in pairs], 1)


def _match_bands(x: Tensor, norms: NormSource, target: _PassTarget | None) -> Tensor:
    """Whiten x (B, 3, H, W) and give its bands the target's contrast; the result stays whitened."""

    def whitening() -> Tensor:
        mean, covariance = colour_statistics(x)
        _, whiten = matrix_roots(covariance)
        with full_precision(x):
            return torch.cat([whiten.flatten(1), -(whiten @ mean[:, :, None])[:, :, 0]], 1)

    def gains() -> Tensor:
        return _require(target).colours.bands / band_deviations(white)

    matrix, offset = norms.value(WHITEN, whitening).split([9, 3], 1)
    white = map_colours(matrix.unflatten(1, (3, 3)), x) + offset[:, :, None, None]
    return _equalise(white, norms.value(3 * BANDS, gains))


def _match_tones(white: Tensor, norms: NormSource, target: _PassTarget | None) -> Tensor:
    """Map the quantiles of whitened pictures (B, 3, H, W) to the target's."""

    def curve() -> Tensor:
        return ToneCurve.between(tones(white), _require(target).colours.tones).pack()

    return ToneCurve.unpack(norms.value(ToneCurve.SIZE, curve))(white)


def _colours(target: ColourStats) -> Tensor:
    return torch.cat([target.root.flatten(1), target.mean], 1)
