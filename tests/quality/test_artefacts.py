"""Each detector finds what is planted into clean photographs and paintings, where it is, and not what is not there."""

from __future__ import annotations

import importlib.util
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from sfumato.errors import InputError, UsageError
from sfumato.image import read_image, resize, write_image
from sfumato.quality import artefacts as module
from sfumato.quality.artefacts import Artefact, artefacts, worst

ALONE = ("checkerboard", "blobs", "border", "seams", "banding", "clipping")
PAIRED = ("halos", "colour_inversion")
EVERY = (*ALONE, *PAIRED)
# Planting: defects at strength 1 are plainly visible. Each planter takes (1, 3, H, W), its photo, a strength and a
# generator, and returns the picture and where the defect is, (H, W) bool. benchmarks/artefacts.py uses them too.


def luma(x: Any) -> Any:
    return np.tensordot(np.array([0.299, 0.587, 0.114]), x[0], 1)


def ellipse(shape: Any, rng: Any, share: float = 0.35) -> Any:
    """A region whose half-axes are about this share of the sides."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    cy, cx = rng.uniform(0.35, 0.65, 2)
    return ((y / height - cy) / share) ** 2 + ((x / width - cx) / share) ** 2 < 1


def done(x: Any, where: Any) -> Any:
    return np.clip(x, 0, 1).astype(np.float32), where


def plant_checkerboard(x: Any, photo: Any, strength: Any, rng: Any) -> Any:
    """Of period 2 or 4, in all of the picture or a region, amplitude 0.02 to 0.04."""
    height, width = x.shape[2:]
    i, j = np.mgrid[:height, :width]
    period = int(rng.choice([2, 4]))
    a, b = (np.where((k + int(rng.integers(period))) % period < period // 2, 1, -1) for k in (i, j))
    pattern = [a * b, a * 0.7 + b * 0.7, a][int(rng.integers(3))]
    where = np.ones((height, width), bool) if rng.random() < 0.5 else ellipse((height, width), rng)
    colour = rng.uniform(0.5, 1, (3, 1, 1))
    return done(x + strength * rng.uniform(0.02, 0.04) * pattern * where * colour, where)


def plant_blobs(x: Any, photo: Any, strength: Any, rng: Any) -> Any:
    """One to five soft spots, radius 1.2 to 3.5 % of the shorter side, 0.45 to 0.7 from what is under them."""
    height, width = x.shape[2:]
    i, j = np.mgrid[:height, :width]
    out, where = x.copy(), np.zeros((height, width), bool)
    for _ in range(int(rng.integers(1, 6))):
        r = max(2.0, rng.uniform(0.012, 0.035) * min(height, width))
        cy, cx = rng.uniform(0.1, 0.9) * height, rng.uniform(0.1, 0.9) * width
        d = np.hypot((i - cy) * rng.uniform(0.8, 1.25), j - cx)
        cover = np.clip((r - d) / 1.5 + 0.5, 0, 1)
        base = out[0][:, d < 2 * r].mean(1)
        away = np.where(base > 0.5, -1, 1) * rng.uniform(0.45, 0.7) * rng.choice([0.6, 1], 3)
        out = out * (1 - cover) + cover * (
            out + strength * (base + away - out[0].transpose(1, 2, 0)).transpose(2, 0, 1)
        )
        where |= cover > 0
    return done(out, where)


def plant_halos(x: Any, photo: Any, strength: Any, rng: Any) -> Any:
    """Bands 3 to 6 pixels wide along the photo's strong edges, 0.15 to 0.3 of some colour, on one or both sides."""
    y = ndimage.gaussian_filter(luma(photo), 1.5)
    slope = np.hypot(*np.gradient(y))
    edge = slope > max(0.03, np.quantile(slope, 0.9))
    edge = ndimage.binary_opening(edge, iterations=1)
    near = ndimage.distance_transform_edt(~edge) if edge.any() else np.full(edge.shape, 1e3)
    where = (near > 0.5) & (near < rng.uniform(3, 6) + 0.5)
    bright = y > ndimage.uniform_filter(y, 13)
    colour = rng.uniform(0.15, 0.3) * rng.choice([[1, 1, 1], [1, 1, 0.2], [0.2, 1, 1], [1, 0.2, 1]])[:, None, None]
    if rng.random() < 0.5:
        where &= bright if rng.random() < 0.5 else ~bright
        sign = np.where(ndimage.uniform_filter(y, 13) > 0.5, -1, 1) if rng.random() < 0.5 else rng.choice([-1, 1])
    else:
        sign = np.where(bright, 1, -1)
    return done(x + strength * colour * sign * ndimage.gaussian_filter(where.astype(float), 0.7), where)


def plant_border(x: Any, photo: Any, strength: Any, rng: Any) -> Any:
    """A frame 3 to 16 pixels wide: darker, brighter, blurred away, or noisy."""
    height, width = x.shape[2:]
    w = int(rng.integers(3, 17))
    w = min(w, min(height, width) // 10)
    where = np.ones((height, width), bool)
    where[w:-w, w:-w] = False
    kind = int(rng.integers(4))
    if kind < 2:
        framed = x + rng.uniform(0.15, 0.3) * (1, -1)[kind] * rng.uniform(0.6, 1, (3, 1, 1))
    elif kind == 2:
        framed = x + rng.normal(0, 0.12, x.shape)
    else:
        framed = np.broadcast_to(x.mean((2, 3), keepdims=True) * rng.uniform(0.3, 1.2), x.shape)
    return done(np.where(where, x + strength * (framed - x), x), where)


def plant_seams(x: Any, photo: Any, strength: Any, rng: Any) -> Any:
    """Tiles of 128 pixels and more, each 0.03 to 0.06 off in brightness or colour, or in contrast."""
    height, width = x.shape[2:]
    side = int(rng.choice([side for side in (128, 192, 256, 512, 1024) if side <= max(128, min(height, width) * 0.8)]))
    y0, x0 = rng.integers(32, 96, 2)
    rows, columns = (np.arange(height) + side - y0) // side, (np.arange(width) + side - x0) // side
    parity = np.where((rows[:, None] + columns) % 2, 1, -1)
    size = (
        rng.uniform(0.03, 0.06) * parity * rng.uniform(0.7, 1.3, (rows.max() + 1, columns.max() + 1))[rows][:, columns]
    )
    out = x + strength * size * rng.choice([[1, 1, 1], [1, 0.3, 1], [1, 1, 0.3]])[:, None, None]
    where = np.zeros((height, width), bool)
    for line in np.flatnonzero(np.diff(rows)):
        where[max(0, line - 2) : line + 4] = True
    for line in np.flatnonzero(np.diff(columns)):
        where[:, max(0, line - 2) : line + 4] = True
    return done(out, where)


def plant_banding(x: Any, photo: Any, strength: Any, rng: Any) -> Any:
    """A smoothed region (a third of the picture or more) in 10 to 24 levels a channel; strength makes them fewer."""
    where = ellipse(x.shape[2:], rng, 0.45)
    smooth = np.stack([ndimage.gaussian_filter(plane, rng.uniform(4, 8)) for plane in x[0]])[None]
    levels = rng.uniform(10, 24) / strength
    return done(np.where(where, np.rint(smooth * levels) / levels, x), where)


def plant_colour_inversion(x: Any, photo: Any, strength: Any, rng: Any) -> Any:
    """The negative, or that of the luma alone, of all or a region."""
    where = np.ones(x.shape[2:], bool) if rng.random() < 0.5 else ellipse(x.shape[2:], rng, 0.3)
    inverse = 1 - x if rng.random() < 0.5 else x + (1 - 2 * luma(x))
    soft = ndimage.gaussian_filter(where.astype(float), 3)
    return done(x + strength * soft * (inverse - x), where)


def plant_clipping(x: Any, photo: Any, strength: Any, rng: Any) -> Any:
    """Contrast or brightness raised or lowered until 10 to 30 % of the pixels are burnt, and not before."""
    share = strength * rng.uniform(0.1, 0.3)
    kind = int(rng.integers(3))
    low, high = 0.0, 20.0
    for _ in range(14):
        gain = (low + high) / 2
        out = (x.mean() + (x - x.mean()) * (1 + gain), x * (1 + gain), 1 - (1 - x) * (1 + gain))[kind]
        out, _ = done(out, None)
        where = ((out == 0).all(1) | (out == 1).all(1))[0]
        low, high = (low, gain) if where.mean() > share else (gain, high)
    return out, where


PLANTERS = {name: globals()[f"plant_{name}"] for name in EVERY}


def recoloured(photo: Any, rng: Any) -> Any:
    """The photo under a mild change of colours and a layer of strokes: what a stylised picture has a right to."""
    x = photo[0] ** rng.uniform(0.75, 1.3, (3, 1, 1))
    mixer = np.eye(3) * 0.8 + rng.dirichlet([2, 2, 2], 3) * 0.2
    x = np.tensordot(mixer, x, 1) * rng.uniform(0.85, 1) + rng.uniform(0, 0.06, (3, 1, 1))
    return done((x + rng.uniform(0.02, 0.06) * strokes(x.shape[1:], rng))[None], None)[0]


def strokes(shape: Any, rng: Any) -> Any:
    """Texture of deviation 1: streaks along a field of directions, ``(H, W)``."""
    height, width = shape
    noise = rng.normal(size=shape)
    angle = ndimage.gaussian_filter(rng.normal(size=shape), 24, mode="wrap")
    angle *= 2 / max(angle.std(), 1e-9)
    i, j = np.mgrid[:height, :width].astype(np.float64)
    total = np.zeros(shape)
    for t in np.linspace(-4, 4, 7):
        total += ndimage.map_coordinates(noise, [i + t * np.sin(angle), j + t * np.cos(angle)], order=1, mode="wrap")
    return total / total.std()


def auc(clean: Any, planted: Any) -> float:
    """Area under the ROC curve: how often a planted picture scores above a clean one."""
    clean, planted = np.asarray(clean)[:, None], np.asarray(planted)[None]
    return float(np.mean((planted > clean) + 0.5 * (planted == clean)))


def a_painting(kind: Any, side: int, rng: Any) -> Any:
    """A synthetic painting ``(1, 3, side, side)``: washes, shapes, and the texture of a craft."""
    i, j = np.mgrid[:side, :side]
    wash = np.stack([ndimage.gaussian_filter(rng.normal(size=(side, side)), 30, mode="wrap") for _ in range(3)])
    x = 0.5 + 0.12 * wash / wash.std()
    for _ in range(9):
        cy, cx, a, b = *rng.uniform(0, side, 2), *rng.uniform(0.08, 0.3, 2) * side  # type: ignore[misc]
        inside = ((i - cy) / a) ** 2 + ((j - cx) / b) ** 2 < 1  # type: ignore[has-type]
        x = np.where(inside, 0.35 * x + 0.65 * rng.uniform(0.15, 0.85, (3, 1, 1)), x)
    x = np.stack([ndimage.gaussian_filter(plane, 0.8) for plane in x])
    if kind == "brushwork":
        x = x + 0.06 * strokes((side, side), rng)
    elif kind == "canvas":  # a weave of some five pixels
        x = x + 0.03 * (
            np.sin(i * 2 * np.pi / 4.7 + 0.3 * np.sin(j / 9)) + np.sin(j * 2 * np.pi / 5.2 + 0.3 * np.sin(i / 7))
        )
    elif kind == "hatching":
        dark = 0.9 - x.mean(0)
        x = x - 0.25 * np.clip(dark, 0, 1) * (
            np.sin((i + 0.8 * j) * 2 * np.pi / 6.3 + rng.normal(size=(side, 1))) > 0.3
        )
    elif kind == "grain":
        x = x + rng.normal(0, 0.05, x.shape)
    return np.rint(np.clip(x, 0.02, 0.98) * 255)[None].astype(np.float32) / np.float32(255)


CRAFTS = ("brushwork", "canvas", "hatching", "grain", "plain")
PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "camera.png",
    "motorcycle_right.png", "retina.jpg", "ihc.png", "grass.png", "gravel.png", "brick.png",
)  # fmt: skip


def photographs(side: int, names: Any = PHOTOGRAPHS) -> Any:
    """Those in scikit-image's wheel, each with its shorter side at ``side`` and cut to a square from the middle."""
    folder = Path(importlib.util.find_spec("skimage").origin).parent / "data"
    found = []
    for path in (folder / name for name in names):
        if path.is_file():
            x = read_image(path)
            height, width = x.shape[2:]
            size = min(height, width)
            top, left = (height - size) // 2, (width - size) // 2
            found.append(resize(x[:, :, top : top + size, left : left + size], side, side))
    assert len(found) == len(names)
    return found


def score(name: str, x: Any, photo: Any = None) -> Any:
    detector = getattr(module, name)
    return detector(x, photo) if photo is not None else detector(x)


@pytest.fixture(scope="module")
def clean() -> Any:
    """Photographs and paintings of 192 pixels."""
    paintings = [a_painting(kind, 192, np.random.default_rng([1, k])) for k, kind in enumerate(CRAFTS[:4])]
    return photographs(192, PHOTOGRAPHS[:4]) + paintings


@pytest.fixture(scope="module")
def pairs(clean: Any) -> Any:
    """Those, mildly stylised, each with its photo."""
    return [(recoloured(x, np.random.default_rng([3, k])), x) for k, x in enumerate(clean)]


@pytest.fixture(scope="module")
def astronaut() -> Any:
    return photographs(256, PHOTOGRAPHS[:1])[0]


@pytest.mark.parametrize("name", ALONE)
def test_planted_defects_score_above_clean_pictures(name: str, clean: Any) -> None:
    planted = [PLANTERS[name](x, x, 1.5, np.random.default_rng([2, k]))[0] for k, x in enumerate(clean)]
    below, above = [score(name, x).value for x in clean], [score(name, x).value for x in planted]
    assert auc(below, above) >= 0.95, (np.round(below, 2), np.round(above, 2))
    assert np.median(below) < 1
    assert np.median(above) > 2


@pytest.mark.parametrize("name", EVERY)
def test_planted_defects_score_above_mild_stylisation(name: Any, pairs: Any) -> None:
    planted = [PLANTERS[name](x, photo, 1.5, np.random.default_rng([4, k]))[0] for k, (x, photo) in enumerate(pairs)]
    below = [score(name, x, photo).value for x, photo in pairs]
    above = [score(name, x, photo).value for x, (_, photo) in zip(planted, pairs, strict=True)]
    assert auc(below, above) >= 0.95, (np.round(below, 2), np.round(above, 2))
    assert np.median(below) < 1
    assert np.median(above) > 1.5


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_planted_defects_score_above_clean_ones_at_strength_one(name: Any) -> None:
    paintings = [a_painting(kind, 320, np.random.default_rng([5, k])) for k, kind in enumerate(CRAFTS * 2)]
    # The coffee's spoon has a round bright highlight, a spot by any measure.
    names = [other for other in PHOTOGRAPHS if (name, other) != ("blobs", "coffee.png")]
    for k, pictures in enumerate((photographs(320, names), paintings)):
        below, above = [], []
        for n, photo in enumerate(pictures):
            rng = np.random.default_rng([6, k, n])
            x = recoloured(photo, rng) if name in PAIRED else photo
            given = photo if name in PAIRED else None
            below.append(score(name, x, given).value)
            above += [score(name, PLANTERS[name](x, photo, 1, rng)[0], given).value for _ in range(2)]
        assert auc(below, above) >= 0.95, (np.round(below, 2), np.round(above, 2))


@pytest.mark.parametrize("name", EVERY)
def test_maps_show_where(name: Any, astronaut: Any) -> None:
    """The map is denser within a few pixels of the defect than elsewhere, over several plantings of it."""
    x = recoloured(astronaut, np.random.default_rng(7))
    inside, outside = 0.0, 0.0
    for seed in range(5):
        planted, where = PLANTERS[name](x, astronaut, 1.5, np.random.default_rng([8, seed]))
        if where.mean() > 0.9:  # all of it, in which there is no place to find
            continue
        found = score(name, planted, astronaut)
        assert found.map.shape == x.shape[2:]
        assert found.map.dtype == np.float32
        near = ndimage.binary_dilation(where, iterations=6)
        inside, outside = inside + found.map[near].mean(), outside + found.map[~near].mean()
    assert inside > 0
    assert inside > 3 * outside, (inside, outside)


@pytest.mark.parametrize("name", EVERY)
def test_values_rise_with_strength(name: Any, astronaut: Any) -> None:
    x = recoloured(astronaut, np.random.default_rng(9))
    values = [
        score(name, PLANTERS[name](x, astronaut, strength, np.random.default_rng(10))[0], astronaut).value
        for strength in (0.25, 0.5, 1)
    ]
    assert all(b >= a - 0.02 for a, b in pairwise(values)), values
    assert values[-1] > values[0] + 0.5, values


@pytest.mark.parametrize("name", ALONE)
def test_what_the_photo_shows_itself_is_not_counted(name: str, astronaut: Any) -> None:
    marred, _ = PLANTERS[name](astronaut, astronaut, 1.5, np.random.default_rng(11))
    assert score(name, marred).value > 1.2
    assert score(name, marred, marred).value < 0.05


@pytest.mark.parametrize("name", PAIRED)
def test_the_photo_itself_has_no_defect(name: str, astronaut: Any) -> None:
    assert score(name, astronaut, astronaut).value < 0.1


def test_jpeg_is_not_a_grid_nor_a_seam(astronaut: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    write_image(astronaut, path, quality=40)
    found = artefacts(read_image(path))
    assert found["checkerboard"].value < 0.7
    assert found["seams"].value < 1


def test_equal_input_gives_equal_output(astronaut: Any) -> None:
    x, before = recoloured(astronaut, np.random.default_rng(12)), astronaut.copy()
    first, second = artefacts(x, astronaut), artefacts(x.copy(), astronaut.copy())
    assert np.array_equal(astronaut, before)
    for name, one in first.items():
        assert one.value == second[name].value
        assert np.array_equal(one.map, second[name].map)


PECULIAR = {
    "flat": lambda shape, rng: np.full((1, 3, *shape), 0.4, np.float32),
    "black": lambda shape, rng: np.zeros((1, 3, *shape), np.float32),
    "noise": lambda shape, rng: rng.random((1, 3, *shape), np.float32),
    "grey": lambda shape, rng: np.repeat(rng.random((1, 1, *shape), np.float32), 3, 1),
    "ramp": lambda shape, rng: np.broadcast_to(np.linspace(0, 1, shape[1], dtype=np.float32), (1, 3, *shape)).copy(),
}


@pytest.mark.parametrize("shape", [(1, 1), (5, 90), (16, 16), (17, 31), (33, 48), (49, 50), (64, 201), (131, 95)])
@pytest.mark.parametrize("kind", PECULIAR)
def test_any_size_and_peculiar_pictures(kind: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(13)
    x, photo = PECULIAR[kind](shape, rng), rng.random((1, 3, *shape), np.float32)
    for given in (None, photo, x):
        found = artefacts(x, given)
        assert set(found) == set(ALONE if given is None else EVERY)
        for one in found.values():
            assert isinstance(one, Artefact)
            assert np.isfinite(one.value)
            assert one.value >= 0
            assert one.map.shape == shape
            assert one.map.dtype == np.float32
            assert 0 <= one.map.min() <= one.map.max() <= 1
            if min(shape) < module.SMALLEST:
                assert one.value == 0
    if kind in ("flat", "ramp", "noise"):
        values = {name: one.value for name, one in artefacts(x).items() if name != "clipping"}
        assert max(values.values()) < 1.5, values


def test_a_photo_of_another_size_is_brought_to_the_picture_s(astronaut: Any) -> None:
    small = resize(astronaut, 128, 128)
    found = artefacts(astronaut, small)
    assert found["colour_inversion"].value < 0.1
    assert found["halos"].map.shape == (256, 256)


def test_worst_is_the_highest(astronaut: Any) -> None:
    found = artefacts(PLANTERS["clipping"](astronaut, astronaut, 1.5, np.random.default_rng(14))[0], astronaut)
    assert worst(found) is found["clipping"]
    assert found["clipping"].value == max(one.value for one in found.values())
    with pytest.raises(UsageError, match="no artefacts"):
        worst({})


def test_only_single_pictures_within_the_contract(astronaut: Any) -> None:
    for wrong in (astronaut[0], astronaut.astype(np.float64), astronaut * 2, np.concatenate([astronaut] * 2)):
        with pytest.raises(InputError):
            artefacts(wrong)
        with pytest.raises(InputError, match="photo"):
            artefacts(astronaut, wrong)


@pytest.mark.slow
def test_a_megapixel_takes_little_time(astronaut: Any) -> None:
    x = resize(astronaut, 1024, 1024)
    start = time.process_time()
    artefacts(np.ascontiguousarray(x[:, ::-1]), x)
    assert time.process_time() - start < 3  # 1.1 s on one core; shared machines are slower
