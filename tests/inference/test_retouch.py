from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import Photo, luma, to_levels
from sfumato.inference import retouch
from sfumato.inference.oklab import linear_to_oklab, to_linear
from sfumato.inference.retouch import HALO, UNPAINTED, Finish, adjust, adjust_array, finishes, sharpen
from sfumato.metadata import Metadata
from support import scene

COLOURS = ("brightness", "contrast", "saturation", "warmth")


def cube(steps: int = 17) -> Any:
    """Every colour on a grid, (1, 3, steps, steps²)."""
    axis = np.linspace(0, 1, steps, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(1, 3, steps, -1)


def greys(steps: int = 256) -> Any:
    return np.repeat(np.linspace(0, 1, steps, dtype=np.float32)[None, None, None], 3, 1)


def as_photo(picture: Any, dtype: Any = np.uint8, alpha: Any = None) -> Photo:
    return Photo(to_levels(picture, np.dtype(dtype)), alpha)


def oklab(picture: Any) -> Any:
    return linear_to_oklab(to_linear(picture[0]))


def chroma(picture: Any) -> Any:
    lab = oklab(picture)
    return np.hypot(lab[1], lab[2])


def test_oklab_of_known_colours() -> None:
    # Ottosson 2020: white is (1, 0, 0); red as published with the reference code, and as culori has it.
    colours = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1]], np.float32).T[None, :, None]
    wanted = [[1, 0, 0], [0.62796, 0.22486, 0.12585], [0.45201, -0.03246, -0.31153]]
    assert np.allclose(oklab(colours)[:, 0].T, wanted, atol=2e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_nothing_asked_for_changes_no_pixel(dtype: Any) -> None:
    photo = as_photo(cube(), dtype)
    assert Finish().is_nothing
    assert np.array_equal(Finish()(photo).pixels, photo.pixels)
    assert np.abs(adjust_array(cube()) - cube()).max() < 1e-4  # nor do the ways there and back


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("amount", [-1.0, -0.3, 0.3, 1.0])
def test_colours_stay_in_range_and_no_curve_cuts_off(name: str, amount: float) -> None:
    adjusted = adjust_array(cube(), **{name: amount})
    assert adjusted.dtype == np.float32
    assert adjusted.shape == cube().shape
    assert adjusted.min() >= 0
    assert adjusted.max() <= 1
    lightness = oklab(adjust_array(greys(), **{name: amount}))[0, 0]
    assert (np.diff(lightness) > -1e-4).all()
    assert lightness[0] < 1e-3
    assert lightness[-1] > 0.94
    if name != "contrast" or abs(amount) < 1:  # a full S lies flat at its ends
        assert len(np.unique(to_levels(adjust_array(greys(), **{name: amount}), np.dtype(np.uint16))[0, :, 1])) > 250


def test_brightness_is_light() -> None:
    grey = np.full((1, 3, 1, 1), 0.02, np.float32)
    shares = [to_linear(adjust_array(grey, brightness=b)).mean() / to_linear(grey).mean() for b in (-1, 1)]
    assert shares == pytest.approx([1 / 4, 4], rel=0.02)
    back = adjust_array(adjust_array(greys(), brightness=0.6), brightness=-0.6)
    assert np.abs(back - greys()).max() < 1e-3


@pytest.mark.parametrize(("amount", "slope"), [(1.0, 1.5), (-1.0, 0.5)])
def test_contrast_turns_about_the_middle_grey(amount: float, slope: float) -> None:
    near = np.array([0.49, 0.5, 0.51], np.float32)
    found = adjust_array(np.tile(near, (1, 3, 1, 1)), contrast=amount)[0, 0, 0]
    assert found[1] == pytest.approx(0.5, abs=1e-3)
    assert (found[2] - found[0]) / 0.02 == pytest.approx(slope, rel=0.02)


def test_saturation_is_chroma_alone() -> None:
    x = 0.3 + 0.4 * cube(9)
    none = adjust_array(x, saturation=-1)
    assert np.ptp(none, 1).max() < 1e-3
    for amount in (-1.0, -0.5, 0.5, 1.0):
        adjusted = adjust_array(x, saturation=amount)
        assert np.abs(oklab(adjusted)[0] - oklab(x)[0]).max() < 3e-3
    coloured = chroma(x) > 0.02
    ratio = chroma(adjust_array(x, saturation=1.0))[coloured] / chroma(x)[coloured]
    assert ratio.min() >= 0.999
    assert 1.4 < ratio.max() < 2.0
    vivid = np.array([1, 0, 0], np.float32)[None, :, None, None]
    assert np.abs(adjust_array(vivid, saturation=1.0) - vivid).max() < 2e-3  # has all there is


def test_more_saturation_keeps_hues_and_their_order() -> None:
    ramp = np.linspace(0.5, 1.0, 40, dtype=np.float32)
    reds = np.stack([ramp, np.full(40, 0.5, np.float32), np.full(40, 0.45, np.float32)])[None, :, None]
    before, after = oklab(reds), oklab(adjust_array(reds, saturation=1.0))
    turned = np.arctan2(before[2], before[1]) - np.arctan2(after[2], after[1])
    assert np.abs(turned).max() < 0.02
    assert (np.diff(np.hypot(after[1], after[2])[0]) > 0).all()


def test_warmth_goes_from_blue_to_gold_and_keeps_the_light() -> None:
    grey = np.full((1, 3, 1, 1), 0.4, np.float32)
    warm, cold = (adjust_array(grey, warmth=amount)[0, :, 0, 0] for amount in (1.0, -1.0))
    assert warm[0] > warm[1] > warm[2]
    assert cold[0] < cold[1] < cold[2]
    for found in (warm, cold):
        assert abs(oklab(found[None, :, None, None])[0] - oklab(grey)[0]).max() < 0.01


def test_colours_of_a_photo_are_those_of_its_parts_and_keep_the_rest() -> None:
    alpha = np.random.default_rng(1).integers(0, 65536, (300, 90)).astype(np.uint16)
    photo = replace(as_photo(scene(300, 90), np.uint16, alpha), metadata=Metadata(artist="me"))
    amounts = {"brightness": 0.2, "contrast": 0.4, "saturation": 0.3, "warmth": -0.2}
    adjusted = adjust(photo, **amounts)  # type: ignore[arg-type]
    assert adjusted.pixels.dtype == np.uint16
    assert np.array_equal(adjusted.alpha, alpha)
    assert adjusted.metadata.artist == "me"
    part = adjust(Photo(photo.pixels[100:140, 20:60].copy()), **amounts)  # type: ignore[arg-type]
    assert np.array_equal(part.pixels, adjusted.pixels[100:140, 20:60])
    assert len(np.unique(adjusted.pixels)) > 5000  # more than eight bits


def edge(low: float = 0.3, high: float = 0.7) -> Any:
    """A soft edge down the middle, (1, 3, 40, 60)."""
    across = low + (high - low) / (1 + np.exp(-(np.arange(60) - 29.5) / 1.2))
    return np.tile(across.astype(np.float32), (1, 3, 40, 1))


def test_sharpening_makes_edges_steeper_without_halos() -> None:
    before = edge()[0, 0, 20]
    slopes = [np.diff(before).max()]
    for amount in (0.5, 1.0, 2.0):
        after = sharpen(as_photo(edge(), np.uint16), amount, radius=2.0).picture()[0, 0, 20]
        slopes.append(np.diff(after).max())
        assert after.max() <= before.max() + HALO + 1e-4
        assert after.min() >= before.min() - HALO - 1e-4
    assert (np.diff(slopes) > 0).all()
    assert slopes[-1] > 1.1 * slopes[0]
    plain = 2.0 * (before - np.convolve(np.pad(before, 6, mode="edge"), gauss(2.0), "valid")) + before
    assert plain.max() > before.max() + HALO + 0.005  # what an unsharp mask does without the bound


def gauss(deviation: Any) -> Any:
    taps = np.exp(-(np.arange(-6, 7) ** 2) / (2 * deviation**2))
    return taps / taps.sum()


def test_sharpening_is_the_unsharp_mask_where_nothing_bounds_it() -> None:
    x = np.clip(0.5 + 0.2 * np.sin(np.arange(80) / 3.0), 0, 1).astype(np.float32)
    photo = as_photo(np.tile(x, (1, 3, 30, 1)), np.uint16)
    after = sharpen(photo, 0.1, radius=1.5, threshold=0.0).picture()[0, 0, 15]
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    blurred = np.convolve(np.pad(x, 5, mode="edge"), taps / taps.sum(), "valid")
    assert np.abs(after - (x + 0.1 * (x - blurred))).max() < 1e-4


def test_weak_detail_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(0.5 + rng.normal(0, 0.002, (1, 3, 50, 50)), 0, 1).astype(np.float32)
    photo = as_photo(noisy, np.uint16)
    assert np.array_equal(sharpen(photo, 2.0, threshold=0.02).pixels, photo.pixels)
    assert not np.array_equal(sharpen(photo, 2.0, threshold=0.0).pixels, photo.pixels)


def test_sharpening_changes_light_and_not_colour() -> None:
    photo = as_photo(0.2 + 0.6 * scene(60, 70), np.uint16)
    before, after = photo.picture()[0], sharpen(photo, 1.0).picture()[0]
    assert np.abs(luma(after) - luma(before)).mean() > 0.005
    assert np.abs((after[0] - after[1]) - (before[0] - before[1])).max() < 1e-4


def test_sharpened_tiles_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = np.where(np.indices((90, 110)).sum(0) % 37 < 20, 255, 0).astype(np.uint8)
    photo = as_photo(scene(90, 110), alpha=alpha)
    whole = sharpen(photo, 1.5, radius=2.3)
    tiled = retouch.tiles
    monkeypatch.setattr(retouch, "tiles", lambda h, w, halo: tiled(h, w, 32, halo))
    assert np.array_equal(sharpen(photo, 1.5, radius=2.3).pixels, whole.pixels)
    assert len(list(retouch.tiles(90, 110, halo=7))) == 12


def test_what_hides_under_transparency_sharpens_nothing() -> None:
    picture = np.full((1, 3, 40, 40), 0.5, np.float32)
    alpha = np.full((40, 40), 255, np.uint8)
    alpha[:, 20:] = 0
    hidden = picture.copy()
    hidden[..., 20:] = 1.0
    assert np.array_equal(sharpen(as_photo(hidden, alpha=alpha), 2.0).pixels[:, :20], as_photo(picture).pixels[:, :20])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 2)])
def test_small_pictures_are_finished_too(size: tuple[int, int]) -> None:
    photo = as_photo(np.full((1, 3, *size), 0.4, np.float32))
    finished = Finish(sharpen=1.0, radius=3.0, contrast=0.5, upscale=2)(photo)
    assert finished.pixels.shape == (2 * size[0], 2 * size[1], 3)


def test_what_was_done_is_kept_in_the_picture_in_order() -> None:
    painted = replace(as_photo(scene(20, 30)), metadata=Metadata(recipe={"model": "some"}, copyright="me"))
    once = Finish(warmth=0.25)(painted)
    twice = Finish(sharpen=0.5, upscale=2)(once)
    assert once.metadata.recipe["model"] == twice.metadata.recipe["model"] == "some"
    assert twice.metadata.copyright == "me"
    kept = json.loads(json.dumps(twice.metadata.recipe))
    first, second = finishes(kept, "x.png")
    assert first == Finish(warmth=0.25)
    assert (second.sharpen, second.upscale, len(second.upscaler)) == (0.5, 2, 64)
    assert kept["finish"][0] == {"warmth": 0.25, "version": first.version}
    assert second.words == "upscale 2, sharpen 0.5"
    assert painted.metadata.recipe == {"model": "some"}  # the one that was given stays as it was
    assert Finish(warmth=0.1)(as_photo(scene(20, 30))).metadata.recipe["kind"] == UNPAINTED


def test_the_same_again_gives_the_same_pixels() -> None:
    photo = as_photo(scene(40, 50))
    finished = Finish(0.1, 0.2, 0.3, 0.4, 0.5, upscale=2)(photo)
    (again,) = finishes(finished.metadata.recipe, "x.png")
    assert np.array_equal(again(photo).pixels, finished.pixels)


def test_another_network_is_refused() -> None:
    with pytest.raises(ModelError, match="another network"):
        Finish(upscale=2, upscaler="0" * 64)(as_photo(scene(20, 30)))


@pytest.mark.parametrize(
    "found",
    [
        "text",
        {},
        [1],
        [{"warmth": 7}],
        [{"warmth": "a"}],
        [{"upscale": 3}],
        [{"upscale": 2, "upscaler": 5}],
        [{"tint": 0.5}],
        [{"version": 3}],
    ],
)
def test_damaged_recipes_are_input_errors(found: Any) -> None:
    with pytest.raises(InputError, match=r"x\.png"):
        finishes({"finish": found}, "x.png")


@pytest.mark.parametrize(
    "options",
    [*({name: amount} for name in COLOURS for amount in (1.01, -1.01, float("nan"))), {"sharpen": -0.1}, {"radius": 9}],
)
def test_amounts_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))} must be between"):
        Finish(**options)
