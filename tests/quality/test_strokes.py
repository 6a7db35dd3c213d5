"""Strokes and variety, on pictures whose brushwork is planted: oriented noise, each kind with its own spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.errors import InputError, UsageError
from sfumato.image import resize
from sfumato.quality.backbones import EfficientNetLite0
from sfumato.quality.strokes import (
    BUILT_IN_UNIT,
    LocalScale,
    at_local_size,
    half_distance,
    local_distances,
    neighbours,
    places,
    places_of_picture,
)
from support import FLOAT32, NETWORK32, SUM32

SIDE = 192
#: Turns of pi, length and width of the strokes in pixels.
KINDS = ((0, 40, 4), (0.5, 40, 4), (0.25, 12, 10), (0.75, 60, 14), (0.1, 5, 4))


def painting(kind: Any, seed: int = 0) -> Any:
    """Gaussian noise with the spectrum of one kind of stroke."""
    turn, length, width = KINDS[kind]
    down, across = np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None]
    along = across * np.cos(turn * np.pi) + down * np.sin(turn * np.pi)
    over = down * np.cos(turn * np.pi) - across * np.sin(turn * np.pi)
    noise = np.random.default_rng([seed, kind]).standard_normal((SIDE, SIDE))
    y = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((along * length) ** 2) - (over * width) ** 2)).real
    return np.repeat(np.clip(0.5 + 0.15 * y / y.std(), 0, 1)[None, None].astype(np.float32), 3, 1)


@pytest.fixture(scope="module")
def extractor() -> Any:
    backbone = EfficientNetLite0()
    return lambda view: backbone.features(view, 8)


@pytest.fixture(scope="module")
def seen(extractor: Any) -> Any:
    """Four paintings of a kind each, as places."""
    return [places_of_picture(extractor, painting(kind)) for kind in range(4)]


@pytest.fixture(scope="module")
def scale(extractor: Any, seen: Any) -> Any:
    halves = [half_distance(extractor, painting(kind)) for kind in range(4)]
    others = [float(np.mean(local_distances(seen[i], seen[j]))) for i, j in neighbours(4)]
    return LocalScale.of(halves, others)


def figures(extractor: Any, scale: Any, picture: Any, of: Any) -> Any:
    return [scale.relative(distance) for distance in local_distances(places_of_picture(extractor, picture), of)]


# By formula.


def by_hand(features: Any) -> Any:
    """Places, one after the other."""
    found = []
    for name in ("stride4", "stride8"):
        f = features[name].astype(np.float64)
        f = f - f.reshape(len(f), -1).mean(1)[:, None, None]
        wanted = (f.shape[1] * f.shape[2] / 4096) ** 0.5
        apart = min(range(1, 10), key=lambda step: (abs(step - wanted), step % 2))
        rows = [f[:, i, j] for i in range(0, f.shape[1], apart) for j in range(0, f.shape[2], apart)]
        found.append(np.array([row / np.sqrt(row @ row) for row in rows]))
    return found


def nearest_by_hand(a: Any, b: Any) -> Any:
    """Mean over layers of the mean distance of each place of `a` to its nearest of `b`."""
    return np.mean([np.mean([min(1 - y @ x for y in other) for x in one]) for one, other in zip(a, b, strict=True)])


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_distances_are_those_of_every_place_to_every_other(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.quality.strokes._ROWS", rows)
    rng = np.random.default_rng(0)
    one, other = (
        {"stride4": rng.random((5, *size), np.float32), "stride8": rng.random((6, 3, 4), np.float32)}
        for size in ((6, 5), (4, 9))
    )
    a, b = by_hand(one), by_hand(other)
    expected = nearest_by_hand(a, b), nearest_by_hand(b, a)
    assert local_distances(places(one), places(other)) == pytest.approx(expected, abs=FLOAT32)
    assert expected[0] != pytest.approx(expected[1], abs=1e-3)
    assert local_distances(places(one), places(one)) == pytest.approx((0, 0), abs=FLOAT32)


def test_pictures_are_compared_by_the_luma_at_one_contrast(extractor: Any) -> None:
    backbone = EfficientNetLite0()
    found = []
    for kind in (0, 3):
        x = painting(kind)[..., :64, :80] * np.array([1, 0.6, 0.2], np.float32)[:, None, None]
        y = 0.299 * x[0, 0] + 0.587 * x[0, 1] + 0.114 * x[0, 2]
        y = 0.5 + 0.2 * (y - y.mean()) / np.sqrt(y.var() + 1e-6)
        found.append((x, by_hand(backbone.features(np.stack([y, y, y])[None].astype(np.float32)))))
    (x, a), (other, b) = found
    expected = nearest_by_hand(a, b), nearest_by_hand(b, a)
    ours = local_distances(places_of_picture(extractor, x), places_of_picture(extractor, other))
    assert ours == pytest.approx(expected, abs=SUM32)


@pytest.mark.parametrize(
    ("height", "width", "step"), [(64, 64, 1), (96, 95, 1), (96, 96, 2), (96, 128, 2), (96, 384, 3)]
)
def test_of_many_places_some_are_taken(height: int, width: int, step: int) -> None:
    maps = {name: np.random.default_rng(0).random((4, height, width), np.float32) for name in ("stride4", "stride8")}
    found = places(maps)
    assert found[0].shape == (len(range(0, height, step)) * len(range(0, width, step)), 4)
    assert found[0] == pytest.approx(by_hand(maps)[0], abs=SUM32)


def test_the_scale_is_one_half_to_the_other_and_a_painting_to_the_next() -> None:
    assert LocalScale.of([0.2, 0.3], [0.4, 0.6, 0.5]).relative(0.25) == 0
    assert LocalScale.of([0.2, 0.3], [0.4, 0.6, 0.5]).relative(0.5) == 1
    assert LocalScale.of([0.2, 0.3], [0.4, 0.6, 0.5]).relative(0.375) == pytest.approx(0.5)
    with pytest.raises(UsageError, match="at least one painting"):
        LocalScale.of([], [])
    assert neighbours(1) == []
    assert neighbours(2) == [(0, 1), (1, 0)]
    assert neighbours(5)[-3:] == [(4, 0), (4, 1), (4, 2)]
    assert len(neighbours(5)) == 15


@pytest.mark.parametrize(
    ("others", "message"), [([], "one painting"), ([0.252], "little more"), ([0.1], "little more")]
)
def test_paintings_that_give_no_unit_have_the_built_in_one(others: Any, message: str) -> None:
    found = LocalScale.of([0.25], others)
    assert found.relative(0.25) == 0
    assert found.relative(0.25 + BUILT_IN_UNIT) == pytest.approx(1)
    assert message in str(found)
    assert "built-in" not in str(LocalScale.of([0.25], [0.3]))


# Planted.


def test_a_half_of_a_painting_is_at_0_to_the_other_and_a_copy_below(extractor: Any) -> None:
    x = painting(1)
    one, other = (places_of_picture(extractor, np.ascontiguousarray(half)) for half in np.split(x, 2, 3))
    own = LocalScale.of([half_distance(extractor, x)], [])
    strokes, variety = (own.relative(distance) for distance in local_distances(one, other))
    assert (strokes + variety) / 2 == pytest.approx(0, abs=NETWORK32)
    assert abs(strokes - variety) < 0.5
    assert max(figures(extractor, own, x, places_of_picture(extractor, x))) < -1


def test_halves_are_cut_across_the_longer_side(extractor: Any) -> None:
    """The left half and the right are of two kinds, and so are top and bottom of the same turned."""
    wide = np.concatenate([painting(0)[..., :96, :], painting(1)[..., :96, :]], 3)
    alike = np.concatenate([painting(0)[..., :96, :], painting(0, 1)[..., :96, :]], 3)
    assert half_distance(extractor, wide) > 1.1 * half_distance(extractor, alike)
    tall, tall_alike = (np.ascontiguousarray(x.swapaxes(2, 3)) for x in (wide, alike))
    assert half_distance(extractor, tall) > 1.1 * half_distance(extractor, tall_alike)


@pytest.mark.parametrize("kind", [0, 1])
def test_the_same_strokes_anew_are_near_0_and_other_strokes_near_1(
    extractor: Any, scale: Any, seen: Any, kind: int
) -> None:
    strokes, variety = figures(extractor, scale, painting(kind, seed=5), seen[kind])
    assert max(abs(strokes), abs(variety)) < 0.25
    of_others = [figures(extractor, scale, painting(other, seed=5), seen[kind]) for other in range(5) if other != kind]
    assert np.mean(of_others) == pytest.approx(1, abs=0.35)
    assert np.min(of_others) > 0.4


def test_a_picture_tiled_of_one_patch_has_the_strokes_and_not_the_variety(
    extractor: Any, scale: Any, seen: Any
) -> None:
    patch = painting(0)[:, :, 16:64, 16:64]
    strokes, variety = figures(extractor, scale, np.tile(patch, (1, 1, 4, 4)), seen[0])
    assert strokes < 0
    assert variety > 1


def test_colours_and_contrast_play_no_part(extractor: Any, scale: Any, seen: Any) -> None:
    recoloured = np.float32([0.9, 0.2, 0.5])[:, None, None] * (0.4 + 0.5 * painting(2))  # type: ignore[arg-type, index]
    before, after = (figures(extractor, scale, x, seen[0]) for x in (painting(2), recoloured))
    assert after == pytest.approx(before, abs=0.02)


def test_plain_pictures_have_finite_figures(extractor: Any, scale: Any, seen: Any) -> None:
    plain = np.full((1, 3, 64, 80), 0.3, np.float32)
    assert np.isfinite(figures(extractor, scale, plain, seen[0])).all()
    nothing = LocalScale.of([half_distance(extractor, plain)] * 2, [0.0, 0.0])
    assert np.isfinite(figures(extractor, nothing, plain, places_of_picture(extractor, plain))).all()


# Sizes.


@pytest.mark.parametrize(
    ("size", "at"),
    [((768, 1000), (384, 500)), ((30, 20), (576, 384)), ((384, 384), (384, 384)), ((100, 1000), (154, 1536))],
)
def test_pictures_are_brought_to_one_size(size: tuple[int, int], at: tuple[int, int]) -> None:
    x = np.random.default_rng(0).random((1, 3, *size), np.float32)
    assert at_local_size(x).shape == (1, 3, *at)
    assert at_local_size(x) == pytest.approx(resize(x, *at))


def test_layers_are_of_their_strides_down_to_the_smallest_pictures() -> None:
    backbone = EfficientNetLite0()
    x = painting(0)[..., :64, :96]
    whole = backbone.features(x)
    assert {name: f.shape[1:] for name, f in whole.items()} == {f"stride{s}": (64 // s, 96 // s) for s in (2, 4, 8, 16)}
    part = backbone.features(x, 8)
    assert part.keys() == {"stride2", "stride4", "stride8"}
    assert all(np.array_equal(part[name], whole[name]) for name in part)
    assert backbone.features(x[..., :16, :16])["stride16"].shape[1:] == (1, 1)
    assert backbone.features(x[..., :8, :8], 8)["stride8"].shape[1:] == (1, 1)
    with pytest.raises(InputError, match="needs 16 or more pixels a side, but a picture has 96 x 15"):
        backbone.features(x[..., :15, :])
    with pytest.raises(InputError, match="needs 8 or more"):
        backbone.features(x[..., :7, :], 8)
