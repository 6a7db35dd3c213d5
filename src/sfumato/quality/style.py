"""How much a picture looks like another in style: palette, contrast, texture, and whose style it is taken for.

Features are ``(C, h, w)`` float32 by layer. Distances are relative where a scale is given: 1 is "as far as one painting
is from any other" (`mean_distances`), so layers and backbones can be read alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from sfumato.errors import UsageError
from sfumato.image import Picture, luma, resize, thumbnail, thumbnail_size
from sfumato.quality.similarity import FeatureMap

if TYPE_CHECKING:
    from sfumato.quality.backbones import Backbone

_Float = npt.NDArray[np.float64]
Quantiles: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StyleStatistics:
    """What is compared of a picture's style, by layer.

    Attributes:
        backbone: whose features they are of; others are never compared with them.
        statistics: ``(2·C,)``, means and deviations of the channels (Huang & Belongie 2017).
        gram: ``(C, C)``, covariance of the channels of the *luma view*: texture, in which colour plays no part.
    """

    backbone: str
    statistics: dict[str, _Float]
    gram: dict[str, _Float]

    @classmethod
    def of(
        cls, backbone: str, features: Mapping[str, FeatureMap], luma_features: Mapping[str, FeatureMap]
    ) -> StyleStatistics:
        """From the features of a picture and of its `luma_view`."""
        statistics = {}
        for layer, f in features.items():
            flat = f.reshape(len(f), -1).astype(np.float64)
            statistics[layer] = np.concatenate([flat.mean(1), np.sqrt(flat.var(1) + 1e-6)])
        return cls(backbone, statistics, {layer: gram(f) for layer, f in luma_features.items()})

    @classmethod
    def of_picture(cls, backbone: Backbone, picture: Picture) -> StyleStatistics:
        """Of a picture ``(1, 3, H, W)``, as the backbone sees it and its `luma_view`."""
        return cls.of(backbone.name, backbone.features(picture), backbone.features(luma_view(picture)))


def gram(f: FeatureMap) -> _Float:
    """Centred Gram matrix ``(C, C)`` of features ``(C, h, w)``: their covariance over places (Gatys et al. 2016, eq. 3,
    centred so that it does not repeat the means)."""
    flat = f.reshape(len(f), -1).astype(np.float64)
    flat -= flat.mean(1, keepdims=True)
    return np.asarray(flat @ flat.T / flat.shape[1])


def luma_view(x: Picture) -> Picture:
    """Luma of ``(1, 3, H, W)`` with mean 0.5 and deviation 0.2, on three channels: what is left is texture."""
    y = luma(x[0].astype(np.float64))
    y = (y - y.mean()) / (y.std(ddof=1) + 1e-4) * 0.2 + 0.5
    return np.repeat(y[None, None].astype(np.float32), 3, 1)


def statistics_distance(a: StyleStatistics, b: StyleStatistics, scale: Mapping[str, float] | None = None) -> float:
    """Mean over layers of the mean squared difference of means and deviations, each layer divided by its ``scale``."""
    return _distance(a.backbone, b.backbone, a.statistics, b.statistics, scale)


def texture_distance(a: StyleStatistics, b: StyleStatistics, scale: Mapping[str, float] | None = None) -> float:
    """As `statistics_distance`, of the Gram matrices of the luma views (Gatys et al. 2016, eq. 5)."""
    return _distance(a.backbone, b.backbone, a.gram, b.gram, scale)


def mean_distances(styles: Sequence[StyleStatistics]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean distances between different paintings by layer, of statistics and of Gram matrices: the unit of both.

    Raises:
        UsageError: fewer than two paintings, which are no distance apart.
    """
    if len(styles) < 2:
        raise UsageError(f"relative style distances need two or more paintings, and there are {len(styles)}")

    def mean(kind: str, layer: str) -> float:
        stack = np.stack([getattr(style, kind)[layer].ravel() for style in styles])
        # Over ordered pairs, mean squared difference = 2·variance·n/(n - 1).
        return float(2 * stack.var(0, ddof=1).mean()) or 1.0

    first = styles[0]
    return (
        {layer: mean("statistics", layer) for layer in first.statistics},
        {layer: mean("gram", layer) for layer in first.gram},
    )


def retrieval_rank(
    output: StyleStatistics, styles: Mapping[str, StyleStatistics], own: str, scale: Mapping[str, float]
) -> int:
    """Place of the style that was asked for, among all by distance to the output: 1 is the nearest (top-1)."""
    distances = {name: statistics_distance(output, style, scale) for name, style in styles.items()}
    return 1 + sum(d < distances[own] for name, d in distances.items() if name != own)


def sliced_wasserstein(a: Picture | Sequence[Quantiles], b: Picture | Sequence[Quantiles]) -> float:
    """Sliced Wasserstein distance of patches (Rabin et al. 2011; per octave as Karras et al. 2018, section 5).

    Mean distance of the sorted projections of both (`patch_quantiles`), in 1/255 of a value, meaned over levels.
    Pictures ``(1, 3, H, W)`` of any sizes, or what `patch_quantiles` gave of them.
    """
    first, second = (patch_quantiles(x) if isinstance(x, np.ndarray) else x for x in (a, b))
    return float(np.mean([np.abs(x - y).mean() * 255 for x, y in zip(first, second, strict=False)]))


def patch_quantiles(
    x: Picture, patch: int = 7, levels: int = 3, directions: int = 128, seed: int = 0
) -> list[Quantiles]:
    """By level of a Laplacian pyramid: 1,024 quantiles ``(directions, 1024)`` of the projections of its patches of
    ``patch``×``patch`` pixels, at most 4,096 of them, on random unit directions.

    Raises:
        UsageError: the picture is smaller than a patch.
    """
    found = []
    for level, y in enumerate(_pyramid(x, levels)):
        if min(y.shape[1:]) < patch:
            break
        axes = np.random.default_rng([seed, level]).standard_normal((directions, y.shape[0] * patch * patch))
        axes /= np.sqrt((axes * axes).sum(1, keepdims=True))
        sorted_ = np.sort(axes.astype(np.float32) @ _patches(y, patch, seed).T, 1)
        # `np.quantile` would take seconds for so many
        places = np.rint((np.arange(1024) + 0.5) / 1024 * (sorted_.shape[1] - 1)).astype(int)
        found.append(sorted_[:, places])
    if not found:
        raise UsageError(f"patches of {patch} pixels do not fit into the pictures")
    return found


@dataclass(frozen=True)
class Layout:
    """What `content_leak` compares with of a style picture, ``(N, patch²)`` each: its luma patches, and those of it
    with its cells shuffled."""

    patches: _Float
    shuffled: _Float
    patch: int

    @classmethod
    def of(cls, style: Picture, patch: int = 24, seed: int = 0) -> Layout:
        """Of a style picture ``(1, 3, H, W)``."""
        mixed = _shuffled(style, patch // 2, np.random.default_rng(seed))
        return cls(_luma_patches(style, patch), _luma_patches(mixed, patch), patch)


def content_leak(output: Picture, photo: Picture, style: Picture | Layout) -> float:
    """How much of the style picture's *layout* shows in the output, beyond the photo's own and beyond chance.

    Mean best normalised correlation of the output's luma patches with the style picture's at large, minus the same with
    the style picture's patches shuffled inside (cells of half a patch change places), minus that difference for the
    photo. 0: no more than chance; 1: a copy.
    """
    layout = style if isinstance(style, Layout) else Layout.of(style)

    def excess(x: Picture) -> float:
        own = _luma_patches(x, layout.patch)
        best, chance = (np.max(own @ other.T, 1) for other in (layout.patches, layout.shuffled))
        return float(np.mean(best - chance))

    return excess(output) - excess(photo)


def _distance(
    one: str, other: str, a: Mapping[str, _Float], b: Mapping[str, _Float], scale: Mapping[str, float] | None
) -> float:
    if one != other or a.keys() != b.keys():
        raise UsageError(f"features of {one} and of {other} (or other layers) cannot be compared; use one backbone")
    return float(np.mean([((a[layer] - b[layer]) ** 2).mean() / (scale[layer] if scale else 1.0) for layer in a]))


def _pyramid(x: Picture, levels: int) -> Iterable[Picture]:
    fine = x
    for level in range(levels):
        height, width = fine.shape[2:]
        if level == levels - 1 or min(height, width) < 16:
            yield fine[0]
            return
        coarse = resize(fine, height // 2, width // 2)
        yield (fine - resize(coarse, height, width))[0]
        fine = coarse


def _patches(x: Picture, size: int, seed: int, max_patches: int = 4096) -> Picture:
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    rows, columns = windows.shape[1:3]
    picked = np.random.default_rng(seed).choice(rows * columns, min(max_patches, rows * columns), replace=False)
    return np.asarray(windows[:, picked // columns, picked % columns].swapaxes(0, 1).reshape(len(picked), -1))


def _luma_patches(x: Picture, size: int) -> _Float:
    """Normalised luma patches every half a patch, at a short side of 128 pixels: (N, size²), each of length 1."""
    small = resize(x, *(max(size, side) for side in thumbnail_size(x.shape[2], x.shape[3], 128, 512)))
    y = luma(small[0].astype(np.float64))
    windows = np.lib.stride_tricks.sliding_window_view(y, (size, size))[:: size // 4, :: size // 4]
    flat = windows.reshape(-1, size * size)
    flat = flat - flat.mean(1, keepdims=True)
    # A plain patch resembles everything: its length is kept below 1 by a floor of 2 % contrast.
    return np.asarray(flat / np.maximum(np.sqrt((flat * flat).sum(1, keepdims=True)), 0.02 * size))


def _shuffled(x: Picture, cell: int, rng: np.random.Generator) -> Picture:
    small = thumbnail(x, 128)
    height, width = (max(cell, side // cell * cell) for side in small.shape[2:])
    cells = small[0, :, :height, :width].reshape(3, height // cell, cell, width // cell, cell)
    cells = cells.transpose(1, 3, 0, 2, 4).reshape(-1, 3, cell, cell)
    cells = cells[rng.permutation(len(cells))]
    grid = cells.reshape(height // cell, width // cell, 3, cell, cell).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(grid.reshape(1, 3, height, width), np.float32)
