from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from skimage import color, metrics

from sfumato.errors import InputError, UsageError
from sfumato.quality.similarity import (
    cfsd,
    colour_distance,
    content_distance,
    copied,
    edge_structure,
    kept,
    ms_ssim,
    octave_correlation,
    perceptual_distance,
    psnr,
    ssim,
)
from support import FLOAT32, FLOAT64, NETWORK32, SUM32, scene

GREY = np.array([0.299, 0.587, 0.114])
PAIRS = [(scene(180, 211, 0), scene(180, 211, 1)), (scene(200, 180, 2), np.sqrt(scene(200, 180, 2)))]


def luma(x: Any) -> Any:
    return np.tensordot(GREY, x[0].astype(np.float64), 1)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_psnr_and_ssim_are_scikit_image_s(a: Any, b: Any) -> None:
    assert psnr(a, b) == pytest.approx(metrics.peak_signal_noise_ratio(a.astype("f8"), b.astype("f8"), data_range=1))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    assert ssim(a, b) == pytest.approx(metrics.structural_similarity(luma(a), luma(b), **options), abs=FLOAT32)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_ms_ssim_is_an_independent_one(a: Any, b: Any) -> None:
    """By scipy's filters, scale by scale."""
    x, y, terms = luma(a), luma(b), []
    for scale in range(5):
        if scale:
            even = tuple(side // 2 * 2 for side in x.shape)
            x, y = (
                F.avg_pool2d(torch.from_numpy(v[: even[0], : even[1]])[None, None], 2)[0, 0].numpy() for v in (x, y)
            )

        def mean(v: Any) -> Any:
            return ndimage.gaussian_filter(v, 1.5, truncate=3.5)[5:-5, 5:-5]

        mx, my = mean(x), mean(y)
        vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        term = (2 * cov + 0.0009) / (vx + vy + 0.0009)
        terms.append(((2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4) * term if scale == 4 else term).mean())
    expected = np.prod(np.maximum(terms, 0) ** np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]))
    assert ms_ssim(a, b) == pytest.approx(expected, abs=FLOAT32)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_colour_distance_is_scikit_image_s(a: Any, b: Any) -> None:
    x, y = (color.rgb2lab(p[0].transpose(1, 2, 0).astype(np.float64)) for p in (a, b))
    assert colour_distance(a, b) == pytest.approx(color.deltaE_ciede2000(x, y).mean(), rel=NETWORK32)


def test_equal_pictures_have_the_best_of_each() -> None:
    a = PAIRS[0][0]
    assert psnr(a, a) == float("inf")
    assert ssim(a, a) == pytest.approx(1)
    assert ms_ssim(a, a) == pytest.approx(1)
    assert edge_structure(a, a) == pytest.approx(1)
    assert colour_distance(a, a) == 0


def test_edges_do_not_mind_colours_and_vanish_elsewhere() -> None:
    a, unrelated = PAIRS[0]
    assert edge_structure(a, 1 - a) == pytest.approx(1, abs=FLOAT32)
    assert abs(edge_structure(a, unrelated)) < 0.3
    assert edge_structure(a, np.full_like(a, 0.5)) == 0


@pytest.mark.parametrize("scales", [(0, 1), (1, 2), (4, 8)])
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_octaves_are_scipy_s_and_their_correlation_numpy_s(a: Any, b: Any, scales: tuple[int, int]) -> None:
    def octave(x: Any) -> Any:
        fine, coarse = (
            ndimage.gaussian_filter(luma(x), s, mode="mirror", truncate=3) if s else luma(x) for s in scales
        )
        return (fine - coarse).ravel()

    expected = np.corrcoef(octave(a), octave(b))[0, 1]
    assert octave_correlation(a, b, *scales) == pytest.approx(expected, abs=FLOAT64)
    assert {(0, 1): copied, (4, 8): kept}.get(scales, lambda a, b: expected)(a, b) == pytest.approx(
        expected, abs=FLOAT64
    )


@pytest.mark.parametrize("measure", [copied, kept])
def test_detail_is_the_same_recoloured_the_opposite_inverted_and_another_s_in_noise(measure: Any) -> None:
    a = PAIRS[0][0]
    assert measure(a, a) == pytest.approx(1)
    assert measure(0.3 + 0.5 * a, a) == pytest.approx(1, abs=FLOAT32)
    assert measure(np.repeat(np.float32(luma(a))[None, None], 3, 1), a) == pytest.approx(1, abs=FLOAT32)  # type: ignore[index]
    assert measure(1 - a, a) == pytest.approx(-1, abs=FLOAT32)
    rng = np.random.default_rng(5)
    one, other = rng.random((2, 1, 3, 400, 400), np.float32)
    assert abs(measure(one, other)) < (0.01 if measure is copied else 0.1)


def test_each_octave_has_its_own_detail() -> None:
    """Waves of 30 pixels and of 2.5: the one lies in the octave that is kept, the other in that which is copied."""
    y, x = np.mgrid[0:200, 0:200]
    slow, fast = (amplitude * np.sin(2 * np.pi * (x + y / 2) / long) for amplitude, long in ((0.2, 30), (0.1, 2.5)))
    a, b = (np.repeat((0.5 + part)[None, None], 3, 1).astype(np.float32) for part in (slow + fast, slow - fast))
    assert kept(a, b) > 0.98
    assert copied(a, b) < -0.98


def test_a_blur_keeps_objects_in_place_and_a_shift_does_not() -> None:
    a = PAIRS[0][0]
    blurred = ndimage.gaussian_filter(a, (0, 0, 2, 2))
    assert kept(blurred, a) > 0.95
    assert copied(blurred, a) < 0.8 * copied(a, a)
    values = [kept(np.roll(a, shift, 3), a) for shift in (0, 3, 6, 12)]
    assert values == sorted(values, reverse=True)
    assert values[2] < 0.8


@pytest.mark.parametrize("measure", [copied, kept])
def test_plain_and_tiny_pictures_have_finite_detail(measure: Any) -> None:
    plain = np.full((1, 3, 64, 50), 0.3, np.float32)
    assert measure(plain, plain) == pytest.approx(0, abs=FLOAT64)
    assert measure(scene(64, 50), plain) == pytest.approx(0, abs=FLOAT32)
    for sides in ((16, 16), (5, 40), (1, 1)):
        a, b = scene(*sides), scene(*sides, 1)
        assert -1 <= measure(a, b) <= 1
        assert measure(a, a) == pytest.approx(0 if sides == (1, 1) else 1)


@pytest.mark.parametrize("measure", [psnr, ssim, ms_ssim, edge_structure, colour_distance, copied, kept])
def test_pictures_of_two_sizes(measure: Any) -> None:
    with pytest.raises(InputError, match="211 x 180 and 180 x 200"):
        measure(PAIRS[0][0], PAIRS[1][0])


@pytest.mark.parametrize(("measure", "side"), [(ssim, 10), (ms_ssim, 175)])
def test_pictures_too_small_for_the_window(measure: Any, side: int) -> None:
    with pytest.raises(InputError, match=f"{side + 1} or more"):
        measure(scene(side, 300), scene(side, 300, 1))
    assert measure(scene(side + 1, 300), scene(side + 1, 300, 1)) <= 1


@pytest.fixture(scope="module")
def maps() -> Any:
    rng = np.random.default_rng(3)
    return [
        {"a": rng.normal(1, 2, (5, 6, 7)).astype("f4"), "b": rng.normal(0, 1, (8, 3, 4)).astype("f4")} for _ in "12"
    ]


def test_content_distance_by_torch_and_its_ends(maps: Any) -> None:
    a, b = (torch.from_numpy(m["a"])[None].double() for m in maps)
    expected = F.mse_loss(F.instance_norm(a, eps=1e-4), F.instance_norm(b, eps=1e-4))
    assert content_distance(maps[0]["a"], maps[1]["a"]) == pytest.approx(float(expected), rel=FLOAT64)
    assert content_distance(maps[0]["a"], 3 * maps[0]["a"] + 1) < 1e-3
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 4, 100, 100)).astype("f4")
    assert content_distance(one, other) == pytest.approx(2, abs=0.05)


def test_perceptual_distance_by_torch(maps: Any) -> None:
    expected = 0.0
    heads = {"a": np.linspace(0, 1, 5, dtype="f4"), "b": np.linspace(1, 0, 8, dtype="f4")}
    for layer, head in heads.items():
        x, y = (F.normalize(torch.from_numpy(m[layer]).double(), dim=0, eps=0) for m in maps)
        expected += float((torch.from_numpy(head).double()[:, None, None] * (x - y) ** 2).sum(0).mean())
    assert perceptual_distance(*maps, weights=heads) == pytest.approx(expected, rel=FLOAT32)  # type: ignore[misc]
    uniform = {layer: np.full(len(f), 1 / len(f), "f4") for layer, f in maps[0].items()}
    assert perceptual_distance(*maps) == pytest.approx(perceptual_distance(*maps, weights=uniform), rel=FLOAT32)  # type: ignore[misc]
    assert perceptual_distance(maps[0], maps[0]) == 0


def test_perceptual_distance_of_other_layers(maps: Any) -> None:
    with pytest.raises(UsageError, match="layers differ: b"):
        perceptual_distance(maps[0], {"a": maps[1]["a"]})
    with pytest.raises(UsageError, match="weights"):
        perceptual_distance(*maps, weights={"a": np.ones(5, "f4")})  # type: ignore[misc]


@pytest.mark.parametrize("rows", [1, 5, 10_000])
def test_cfsd_in_row_blocks_is_the_whole(maps: Any, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.quality.similarity._ROWS", rows)
    x, y = (torch.from_numpy(m["a"]).flatten(1).double() / 5 for m in maps)
    p, q = (torch.log_softmax(f.T @ f, 1) for f in (x, y))
    expected = F.kl_div(q, p, log_target=True, reduction="sum")
    assert cfsd(maps[0]["a"], maps[1]["a"]) == pytest.approx(float(expected), rel=SUM32)
    assert cfsd(maps[0]["a"], maps[0]["a"]) == 0


def test_features_of_two_shapes(maps: Any) -> None:
    for measure in (content_distance, cfsd):
        with pytest.raises(InputError, match=r"\(5, 6, 7\) and \(8, 3, 4\)"):
            measure(maps[0]["a"], maps[0]["b"])
