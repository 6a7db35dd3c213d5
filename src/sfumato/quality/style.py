"""Distances of style between pictures: palette, contrast, texture, layout, and retrieval of the style picture.

Features are ``(C, h, w)`` float32 by layer. With a scale, distances are relative: 1 is the mean distance between two
paintings (`mean_distances`), which makes layers and backbones comparable.
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
    """The style statistics of a picture, by layer.

    Attributes:
        backbone: Name of the network whose features they describe; only statistics of one backbone are comparable.
        statistics: ``(2·C,)``, means and standard deviations of the channels (Huang & Belongie 2017).
        gram: ``(C, C)``, covariance of the channels of the *luma view*: texture without colour.
    """

    backbone: str
    statistics: dict[str, _Float]
    gram: dict[str, _Float]

    @classmethod
    def of(
        cls, backbone: str, features: Mapping[str, FeatureMap], luma_features: Mapping[str, FeatureMap]
    ) -> StyleStatistics:
        """Compute the statistics from the features of a picture and of its `luma_view`."""
        statistics = {}
        for layer, f in features.items():
            flat = f.reshape(len(f), -1).astype(np.float64)
            statistics[layer] = np.concatenate([flat.mean(1), np.sqrt(flat.var(1) + 1e-6)])
        return cls(backbone, statistics, {layer: gram(f) for layer, f in luma_features.items()})

    @classmethod
    def of_picture(cls, backbone: Backbone, picture: Picture) -> StyleStatistics:
        """Compute the statistics of a picture ``(1, 3, H, W)`` with a backbone."""
        return cls.of(backbone.name, backbone.features(picture), backbone.features(luma_view(picture)))


def gram(f: FeatureMap) -> _Float:
    """Return the centred Gram matrix ``(C, C)`` of features ``(C, h, w)``, their covariance over positions.

    Gatys et al. 2016, eq. 3, but centred, so that it does not repeat the means.
    """
    flat = f.reshape(len(f), -1).astype(np.float64)
    flat -= flat.mean(1, keepdims=True)
    return np.asarray(flat @ flat.T / flat.shape[1])


def luma_view(x: Picture) -> Picture:
    """Return the luma of ``(1, 3, H, W)`` with mean 0.5 and deviation 0.2 on three channels: texture without colour.

    The same formula as `losses.perceptual.luma_view`, in NumPy.
    """
    y = luma(x[0].astype(np.float64))
    y = (y - y.mean()) / np.sqrt(y.var() + 1e-6) * 0.2 + 0.5
    return np.repeat(y[None, None].astype(np.float32), 3, 1)


def statistics_distance(a: StyleStatistics, b: StyleStatistics, scale: Mapping[str, float] | None = None) -> float:
    """Return the mean squared difference of channel means and deviations, averaged over layers.

    Each layer is divided by its ``scale``; None divides by 1.

    Raises:
        UsageError: The statistics come from different backbones or layers.
    """
    return _distance(a.backbone, b.backbone, a.statistics, b.statistics, scale)


def texture_distance(a: StyleStatistics, b: StyleStatistics, scale: Mapping[str, float] | None = None) -> float:
    """Return the same as `statistics_distance` for the Gram matrices of the luma views (Gatys et al. 2016, eq. 5)."""
    return _distance(a.backbone, b.backbone, a.gram, b.gram, scale)


def mean_distances(styles: Sequence[StyleStatistics]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean distances between different paintings, by layer: the units of relative distances.

    Returns:
        The units for `statistics_distance` and for `texture_distance`.

    Raises:
        UsageError: There are fewer than two paintings.
    """
    if len(styles) < 2:
        raise UsageError(f"relative style distances need two or more paintings, but there are {len(styles)}")

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
    """Return the rank of the style ``own`` among all by distance to the output: 1 is the nearest (top-1)."""
    distances = {name: statistics_distance(output, style, scale) for name, style in styles.items()}
    return 1 + sum(d < distances[own] for name, d in distances.items() if name != own)


def sliced_wasserstein(a: Picture | Sequence[Quantiles], b: Picture | Sequence[Quantiles]) -> float:
    """Return the sliced Wasserstein distance of patches (Rabin et al. 2011), in 1/255 of the range of values.

    It is the mean distance between the sorted projections of both (`patch_quantiles`), averaged over the levels of a
    Laplacian pyramid (as Karras et al. 2018, section 5).

    Args:
        a: A picture ``(1, 3, H, W)`` of any size, or its `patch_quantiles`.
        b: Another one.
    """
    first, second = (patch_quantiles(x) if isinstance(x, np.ndarray) else x for x in (a, b))
    return float(np.mean([np.abs(x - y).mean() * 255 for x, y in zip(first, second, strict=False)]))


def patch_quantiles(
    x: Picture, patch: int = 7, levels: int = 3, directions: int = 128, seed: int = 0
) -> list[Quantiles]:
    """Return quantiles of the projections of patches on random unit directions, by level of a Laplacian pyramid.

    Each level takes at most 4,096 random patches of ``patch``×``patch`` pixels, and gives ``(directions, 1024)``.

    Raises:
        UsageError: The picture is smaller than a patch.
    """
    found = []
    for level, y in enumerate(_pyramid(x, levels)):
        if min(y.shape[1:]) < patch:
            break
        axes = np.random.default_rng([seed, level]).standard_normal((directions, y.shape[0] * patch * patch))
        axes /= np.sqrt((axes * axes).sum(1, keepdims=True))
        sorted_ = np.sort(axes.astype(np.float32) @ _patches(y, patch, seed).T, 1)
        # Indexing, because `np.quantile` would take seconds here.
        places = np.rint((np.arange(1024) + 0.5) / 1024 * (sorted_.shape[1] - 1)).astype(int)
        found.append(sorted_[:, places])
    if not found:
        raise UsageError(f"patches of {patch} pixels do not fit into the picture; give a larger picture")
    return found


@dataclass(frozen=True)
class Layout:
    """The layout of a style picture, for `content_leak`.

    Attributes:
        patches: Normalised luma patches, ``(N, patch²)``.
        shuffled: The same of the picture with its cells shuffled.
        patch: Side of a patch in pixels.
    """

    patches: _Float
    shuffled: _Float
    patch: int

    @classmethod
    def of(cls, style: Picture, patch: int = 24, seed: int = 0) -> Layout:
        """Compute the layout of a style picture ``(1, 3, H, W)``."""
        mixed = _shuffled(style, patch // 2, np.random.default_rng(seed))
        return cls(_luma_patches(style, patch), _luma_patches(mixed, patch), patch)


def content_leak(output: Picture, photo: Picture, style: Picture | Layout) -> float:
    """Return how much of the style picture's *layout* the output shows: 0 is chance, 1 a copy.

    Each luma patch of the output gets its best normalised correlation with any patch of the style picture, minus the
    best one with the patches of the style picture whose cells of half a patch are shuffled. The result is the mean of
    this difference over patches, minus the same mean for the photo.
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
    """Yield the levels of a Laplacian pyramid, ``(3, h, w)``, from fine to coarse."""
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
    """Return random patches of ``(3, h, w)``, each flattened: ``(N, 3·size²)``."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    rows, columns = windows.shape[1:3]
    picked = np.random.default_rng(seed).choice(rows * columns, min(max_patches, rows * columns), replace=False)
    return np.asarray(windows[:, picked // columns, picked % columns].swapaxes(0, 1).reshape(len(picked), -1))


def _luma_patches(x: Picture, size: int) -> _Float:
    """Return normalised luma patches, ``(N, size²)``, at a short side of 128 pixels: unit vectors, a quarter apart."""
    small = resize(x, *(max(size, side) for side in thumbnail_size(x.shape[2], x.shape[3], 128, 512)))
    y = luma(small[0].astype(np.float64))
    windows = np.lib.stride_tricks.sliding_window_view(y, (size, size))[:: size // 4, :: size // 4]
    flat = windows.reshape(-1, size * size)
    flat = flat - flat.mean(1, keepdims=True)
    # A patch of one colour would correlate with everything; the floor of 2 % contrast keeps its vector short.
    return np.asarray(flat / np.maximum(np.sqrt((flat * flat).sum(1, keepdims=True)), 0.02 * size))


def _shuffled(x: Picture, cell: int, rng: np.random.Generator) -> Picture:
    """Return the picture at a short side of 128 pixels with its square cells in random order."""
    small = thumbnail(x, 128)
    height, width = (max(cell, side // cell * cell) for side in small.shape[2:])
    cells = small[0, :, :height, :width].reshape(3, height // cell, cell, width // cell, cell)
    cells = cells.transpose(1, 3, 0, 2, 4).reshape(-1, 3, cell, cell)
    cells = cells[rng.permutation(len(cells))]
    grid = cells.reshape(height // cell, width // cell, 3, cell, cell).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(grid.reshape(1, 3, height, width), np.float32)
