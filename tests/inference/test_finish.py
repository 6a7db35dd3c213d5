from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.image import luma
from sfumato.inference.finish import bleed, blur_edges, detail_gain, enlarge, keep_chroma, mix
from support import FLOAT32, SUM32


def picture(height: int = 20, width: int = 30, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((1, 3, height, width), np.float32)


def test_enlarged_regions_are_parts_of_the_whole() -> None:
    small = picture()
    whole = enlarge(small, 70, 93, slice(0, 70), slice(0, 93))
    assert whole.shape == (1, 3, 70, 93)
    part = enlarge(small, 70, 93, slice(11, 50), slice(37, 93))
    assert np.abs(part - whole[:, :, 11:50, 37:93]).max() < 1e-4


def test_detail_is_as_strong_as_in_what_was_painted_and_never_stronger() -> None:
    photo = picture()
    assert detail_gain(photo / 4, photo) == pytest.approx(0.25, rel=1e-3)
    assert detail_gain(photo, photo / 4) == 1
    assert detail_gain(np.full_like(photo, 0.5), photo) == pytest.approx(0, abs=FLOAT32)


def test_chroma_is_the_photo_s_and_luma_the_painting_s() -> None:
    painted, photo = 0.4 + 0.2 * picture(seed=1), 0.4 + 0.2 * picture(seed=2)
    kept = keep_chroma(painted, photo)
    assert np.allclose(luma(kept[0]), luma(painted[0]), atol=SUM32)
    assert np.allclose(kept[0, 0] - kept[0, 1], photo[0, 0] - photo[0, 1], atol=FLOAT32)


def test_regions_mix_by_weight_and_leave_the_photo_where_there_is_none() -> None:
    a, b, photo = picture(4, 4, 1), picture(4, 4, 2), picture(4, 4, 3)
    left = np.zeros((4, 4), np.float32)
    left[:, :2] = 1
    half = np.full((4, 4), 0.5, np.float32)
    assert np.array_equal(mix([a], [left], photo)[..., :2], a[..., :2])
    assert np.array_equal(mix([a], [left], photo)[..., 2:], photo[..., 2:])
    assert np.allclose(mix([a, b], [half, half], photo), (a + b) / 2)
    assert np.allclose(mix([a, b], [left, left], photo)[..., :2], ((a + b) / 2)[..., :2], atol=FLOAT32)


def test_masks_get_soft_edges_and_keep_their_middle() -> None:
    mask = np.zeros((400, 400), np.float32)
    mask[:, 200:] = 1
    soft = blur_edges(mask)
    assert soft[:, :180].max() == 0
    assert soft[:, 220:].min() == 1
    assert np.unique(soft[200]).size > 4


def test_transparent_parts_take_the_colours_beside_them() -> None:
    x = np.zeros((1, 3, 33, 40), np.float32)
    x[:, 0, :, :20], x[:, 1, :, 20:] = 0.8, 0.6
    cover = np.ones((33, 40), np.float32)
    cover[10:20, 5:35] = 0
    hidden = x * cover
    filled = bleed(hidden, cover)
    assert np.array_equal(filled[:, :, cover == 1], x[:, :, cover == 1])
    assert filled[0, 0, 15, 8] > 0.5
    assert filled[0, 1, 15, 32] > 0.4
    assert filled[0, 2].max() == 0


@pytest.mark.parametrize("size", [(1, 50), (50, 1), (2, 3)])
def test_narrow_pictures_are_filled_too(size: tuple[int, int]) -> None:
    cover = np.zeros(size, np.float32)
    cover[0, 0] = 1
    filled = bleed(np.full((1, 3, *size), 0.25, np.float32) * cover, cover)
    assert np.allclose(filled, 0.25, atol=SUM32)


def test_what_fills_transparency_stays_between_black_and_white() -> None:
    x = np.zeros((1, 3, 16, 16), np.float32)
    x[:, :, 5:11, 5:8] = 1  # a bright edge beside a dark one, which bicubic enlarging overshoots
    cover = np.zeros((16, 16), np.float32)
    cover[5:11, 5:11] = 1
    filled = bleed(x, cover)
    assert filled.min() >= 0
    assert filled.max() <= 1
