from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sfumato.errors import UsageError
from sfumato.image import resize
from sfumato.losses.perceptual import luma_view as luma_view_of_tensors
from sfumato.quality.style import (
    StyleStatistics,
    content_leak,
    gram,
    luma_view,
    mean_distances,
    patch_quantiles,
    retrieval_rank,
    sliced_wasserstein,
    statistics_distance,
    texture_distance,
)
from support import FLOAT64, SUM32


def waves(height: int, width: int, seed: int = 0) -> Any:
    """Waves at several scales: a place of it is like no other."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 20
    planes = [sum(np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-4, 4, (5, 3))) for _ in range(3)]
    return np.clip(0.5 + 0.1 * np.stack(planes), 0, 1).astype(np.float32)[None]


def statistics(seed: int, backbone: str = "backbone", scale: float = 1.0) -> Any:
    rng = np.random.default_rng(seed)
    maps = {"fine": rng.normal(seed, scale, (4, 9, 8)).astype("f4"), "deep": rng.normal(0, 1, (6, 3, 4)).astype("f4")}
    return StyleStatistics.of(backbone, maps, maps)


def test_statistics_and_gram_by_numpy_and_torch() -> None:
    rng = np.random.default_rng(0)
    f = rng.normal(2, 3, (5, 7, 6)).astype("f4")
    assert gram(f) == pytest.approx(np.cov(f.reshape(5, -1), bias=True), rel=FLOAT64)
    found = StyleStatistics.of("backbone", {"a": f}, {"a": f})
    variance, mean = torch.var_mean(torch.from_numpy(f).double(), (1, 2), correction=0)
    assert found.statistics["a"] == pytest.approx(torch.cat([mean, (variance + 1e-6).sqrt()]).numpy(), rel=FLOAT64)


@pytest.mark.parametrize("contrast", [1, 0.002])
def test_a_luma_view_has_no_colour_and_is_that_of_training(contrast: float) -> None:
    x = np.float32(0.5) + np.float32(contrast) * (waves(40, 50) - np.float32(0.5))
    assert luma_view(x) == pytest.approx(luma_view_of_tensors(torch.from_numpy(x)).numpy(), abs=1e-3)
    assert luma_view(waves(40, 50)).std() == pytest.approx(0.2, rel=0.01)


def test_distances_are_relative_to_the_spread_of_paintings() -> None:
    styles = [statistics(seed) for seed in range(6)]
    of_statistics, of_gram = mean_distances(styles)
    pairs = [(a, b) for a in styles for b in styles if a is not b]
    assert np.mean([statistics_distance(a, b, of_statistics) for a, b in pairs]) == pytest.approx(1)
    assert np.mean([texture_distance(a, b, of_gram) for a, b in pairs]) == pytest.approx(1)
    assert statistics_distance(styles[0], styles[0], of_statistics) == 0
    with pytest.raises(UsageError, match="two or more"):
        mean_distances(styles[:1])


def test_features_of_two_backbones_are_not_compared() -> None:
    with pytest.raises(UsageError, match="backbone and of ear"):
        statistics_distance(statistics(0), statistics(0, "ear"))


def test_retrieval_counts_the_nearer_styles() -> None:
    styles = {str(seed): statistics(seed) for seed in range(5)}
    scale, _ = mean_distances(list(styles.values()))
    assert retrieval_rank(statistics(2), styles, "2", scale) == 1
    assert retrieval_rank(statistics(0), styles, "4", scale) == 5


def test_sliced_wasserstein() -> None:
    a, b = waves(90, 120), waves(70, 64, 1)
    assert sliced_wasserstein(a, a) == 0
    assert sliced_wasserstein(a, b) == sliced_wasserstein(a, b)
    # The same pattern elsewhere is nearer than another pattern; a shift of all values is felt at the coarsest level.
    assert sliced_wasserstein(a, np.roll(a, (30, 40), (2, 3))) < 0.8 * sliced_wasserstein(a, b)
    lighter = sliced_wasserstein(np.clip(a, 0, 0.8), np.clip(a, 0, 0.8) + np.float32(0.2))
    assert lighter > 10
    with pytest.raises(UsageError, match="do not fit"):
        sliced_wasserstein(a[:, :, :5, :5], b)


def test_sliced_wasserstein_of_one_direction_is_the_closed_form() -> None:
    """Two constant pictures differ by |a - b|·|Σ axis| along each axis."""
    a, b = (np.full((1, 3, 20, 20), v, np.float32) for v in (0.2, 0.7))
    axes = np.random.default_rng([0, 0]).standard_normal((4, 3 * 49))
    axes /= np.sqrt((axes**2).sum(1, keepdims=True))
    expected = np.abs(0.5 * axes.sum(1)).mean() * 255
    first, second = (patch_quantiles(x, levels=1, directions=4) for x in (a, b))
    assert sliced_wasserstein(first, second) == pytest.approx(expected, rel=SUM32)


def test_a_leak_is_the_style_picture_s_layout_in_the_output() -> None:
    rng = np.random.default_rng(3)
    photo, style, other = (resize(rng.random((1, 3, 32, 40), np.float32), 128, 160) for _ in range(3))
    values = []
    for share in (0.0, 0.4, 1.0):  # of the style picture, pasted in from the left
        pasted = photo.copy()
        pasted[..., : round(160 * share)] = style[..., : round(160 * share)]
        values.append(content_leak(pasted, photo, style))
    assert values[0] == 0
    assert 0.1 < values[1] < values[2]
    assert abs(content_leak(other, photo, style)) < values[1] / 4
