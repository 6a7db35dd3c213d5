from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.image import Photo, resize
from sfumato.inference.pixel_readers import BAND_ROWS, PhotoReader


@pytest.fixture(scope="module")
def levels() -> Any:
    """(H, W, 3) in [0, 1]: waves, at a size that divides by nothing."""
    y, x = np.mgrid[0 : 2 * BAND_ROWS + 101, 0:613] / 60
    return 0.5 + 0.2 * np.stack([np.sin(x + y), np.sin(2 * x - y), np.cos(x)], -1)


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "alpha"])
@pytest.mark.parametrize("size", [(41, 37), (200, 190), (613, 613)])
def test_reduced_is_the_whole_at_another_size(levels: Any, kind: str, size: tuple[int, int]) -> None:
    dtype = np.uint16 if kind == "16 bits" else np.uint8
    pixels = np.rint(levels * np.iinfo(dtype).max).astype(dtype)
    alpha = None
    if kind == "alpha":
        alpha = np.full(pixels.shape[:2], 255, np.uint8)
        alpha[100:110, 50:60] = 200  # nearly opaque: the colours beside it fill in
    source = PhotoReader(Photo(pixels, alpha))
    expected = resize(source.region(slice(0, source.height), slice(0, source.width)), *size)
    reduced = source.reduced(*size)
    assert reduced.dtype == np.float32
    assert reduced.flags.c_contiguous
    np.testing.assert_allclose(reduced, expected, atol=0.012)


def test_a_region_of_a_photo_shows_what_is_near_where_it_is_transparent() -> None:
    pixels = np.full((40, 40, 3), 200, np.uint8)
    pixels[:, 20:] = 10
    alpha = np.full((40, 40), 255, np.uint8)
    alpha[:, 20:] = 0
    region = PhotoReader(Photo(pixels, alpha)).region(slice(5, 15), slice(25, 35))
    np.testing.assert_allclose(region, 200 / 255, atol=1e-3)


def test_what_stands_under_transparency_stays_between_black_and_white() -> None:
    pixels = np.zeros((20, 1100, 3), np.uint8)  # the fill is kept at a third of that, and enlarged
    pixels[:, 548:] = 255
    alpha = np.zeros((20, 1100), np.uint8)
    alpha[:, ::3] = 128
    region = PhotoReader(Photo(pixels, alpha)).region(slice(0, 20), slice(500, 600))
    assert region.min() >= 0
    assert region.max() <= 1
