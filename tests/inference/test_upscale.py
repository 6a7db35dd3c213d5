from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import InputError
from sfumato.image import Photo, resample, resize, to_levels
from sfumato.inference import upscale as module
from sfumato.inference.upscale import HALO, upscale, upscale_array, upscaler_digest
from sfumato.limits import VARIABLE
from sfumato.quality.artefacts import checkerboard
from sfumato.quality.similarity import psnr
from support import scene


def photo(height: int = 90, width: int = 110, dtype: Any = np.uint16, alpha: Any = None) -> Photo:
    return Photo(to_levels(scene(height, width), np.dtype(dtype)), alpha)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_twice_the_size_and_the_same_picture(dtype: Any) -> None:
    small = photo(dtype=dtype)
    large = upscale(small, threads=1)
    assert large.pixels.shape == (180, 220, 3)
    assert large.pixels.dtype == dtype
    assert np.abs(resize(large.picture(), 90, 110) - small.picture()).mean() < 0.02


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_stays_grey(dtype: Any) -> None:
    small = photo(dtype=dtype)
    grey = Photo(np.repeat(small.pixels[:, :, 1:2], 3, 2), None)  # type: ignore[arg-type]
    large = upscale(grey, threads=1).pixels
    assert (large == large[:, :, :1]).all()
    assert np.ptp(large) > 0.5 * np.iinfo(dtype).max  # type: ignore[operator]


def test_tiles_are_the_whole() -> None:
    small = photo()
    whole = upscale(small, threads=1)
    tiled = upscale(small, threads=1, tile=32)
    differs = np.abs(whole.pixels.astype(int) - tiled.pixels)
    assert differs.max() <= 1  # of 65,535: rounding
    assert (differs > 0).mean() < 0.05


def test_the_halo_is_wider_than_what_the_network_sees() -> None:
    x = scene(64, 64)
    changed = x.copy()
    changed[..., :20] = 0.5
    differs = np.abs(upscale_array(changed, 1) - upscale_array(x, 1)).max((0, 1, 2))
    assert differs[2 * (20 + HALO) :].max() == 0
    assert differs[:40].max() > 0.01


def test_alpha_grows_along_and_what_it_hides_does_not_show() -> None:
    alpha = np.full((40, 40), 255, np.uint8)
    alpha[:, 20:] = 0
    picture = np.full((1, 3, 40, 40), 0.5, np.float32)
    picture[..., 20:] = 1.0
    large = upscale(Photo(to_levels(picture, np.dtype(np.uint8)), alpha), threads=1)
    assert large.alpha.shape == (80, 80)
    assert large.alpha.dtype == np.uint8
    assert large.alpha[:, :36].min() == 255
    assert large.alpha[:, 44:].max() == 0
    assert np.abs(large.picture()[..., :40] - 0.5).max() < 0.03


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_enlarged_tile_by_tile_as_the_whole(dtype: Any) -> None:
    alpha = to_levels(scene(90, 110), np.dtype(dtype))[..., 0]
    tiled = upscale(photo(dtype=dtype, alpha=alpha), threads=1, tile=32).alpha
    whole = np.clip(resample(alpha.astype(np.float32), 180, 220, Image.Resampling.BICUBIC), 0, np.iinfo(dtype).max)
    assert np.array_equal(tiled, np.rint(whole))


def test_memory_does_not_grow_with_the_alpha() -> None:
    long = Photo(np.zeros((24, 20_000, 3), np.uint8), np.full((24, 20_000), 255, np.uint8))
    tracemalloc.start()
    try:
        upscale(long, threads=1, tile=64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * 4 * (long.pixels.nbytes + long.alpha.nbytes)  # in floats, the alpha alone is as much again


def test_flat_colours_stay_flat() -> None:
    for level in (0.0, 0.2, 0.5, 1.0):
        flat = np.full((1, 3, 24, 24), level, np.float32)
        assert np.abs(upscale_array(flat, 1) - level).max() < 0.01


def test_no_checkerboard() -> None:
    smooth = resize(scene(24, 24), 96, 96)
    assert checkerboard(upscale_array(smooth, 1)).value < 1


def test_what_ships_beats_bicubic_on_a_scene_that_it_was_not_trained_on() -> None:
    y, x = np.mgrid[0:128, 0:160].astype(np.float32)
    discs = sum(((x - 40 * i) ** 2 + (y - 30 * i) ** 2 < 200 + 80 * i).astype(np.float32) for i in range(1, 4))
    large = np.stack([np.clip(0.2 + 0.3 * discs, 0, 1), 0.7 - 0.2 * discs, np.full_like(x, 0.4)])[None]
    large = resize(large, 127, 160)[:, :, :126].astype(np.float32)  # soft edges
    small = np.clip(resample(large, 63, 80, Image.Resampling.BICUBIC), 0, 1)
    plain = np.clip(resample(small, 126, 160, Image.Resampling.BICUBIC), 0, 1)
    assert psnr(upscale_array(small, 1), large) > psnr(plain, large) + 0.4


def test_more_pixels_than_any_picture_has_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(4 * 90 * 110 - 1))
    with pytest.raises(InputError, match="220 x 180 pixels, more than"):
        upscale(photo())


def test_the_card_s_hash_is_of_the_network() -> None:
    import hashlib

    from sfumato.assets import weights_dir

    path = weights_dir("upscaler") / module.GRAPH
    assert hashlib.sha256(path.read_bytes()).hexdigest() == upscaler_digest()
    assert path.stat().st_size <= 150_000
