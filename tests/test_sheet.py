from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.errors import UsageError
from sfumato.sheet import contact_sheet, gallery, mosaic


def flat(height: int, width: int, *rgb: Any) -> Any:
    return np.broadcast_to(np.array(rgb, np.float32)[None, :, None, None], (1, 3, height, width)).copy()


RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def pixels(sheet: Any, *rgb: Any) -> Any:
    """Where the sheet has exactly this colour: rows and columns."""
    return np.nonzero((sheet[0] == np.array(rgb, np.float32)[:, None, None]).all(0))


def test_pictures_are_whole_and_in_their_places() -> None:
    sheet = contact_sheet([[flat(40, 64, *RED), flat(64, 30, *GREEN)], [flat(64, 64, *BLUE)] * 2], "ab", "cd", cell=64)
    assert sheet.dtype == np.float32
    assert sheet.shape[:2] == (1, 3)
    assert [len(pixels(sheet, *colour)[0]) for colour in (RED, GREEN, BLUE)] == [40 * 64, 64 * 30, 2 * 64 * 64]
    (red_y, red_x), (green_y, green_x), (blue_y, _) = (pixels(sheet, *colour) for colour in (RED, GREEN, BLUE))
    assert red_x.max() < green_x.min()
    assert max(red_y.max(), green_y.max()) < blue_y.min()
    assert abs(red_y.mean() - green_y.mean()) <= 0.5  # centred in their row


def test_large_pictures_shrink_and_small_ones_stay() -> None:
    sheet = contact_sheet([[flat(300, 900, *RED), flat(20, 16, *GREEN)]], ["row"], ["large", "small"], cell=90)
    assert [np.ptp(axis) + 1 for axis in pixels(sheet, *RED)] == [30, 90]
    assert [np.ptp(axis) + 1 for axis in pixels(sheet, *GREEN)] == [20, 16]


def test_labels_are_drawn_above_and_beside() -> None:
    picture = [[flat(64, 64, *RED)]]
    plain, named = contact_sheet(picture, [""], [""], cell=64), contact_sheet(picture, ["row"], ["wave"], cell=64)
    assert plain.shape == named.shape
    y, x = np.nonzero((plain != named).any((0, 1)))
    top, left = (axis.min() for axis in pixels(named, *RED))
    assert ((y < top) & (x >= left)).any()
    assert ((y >= top) & (x < left)).any()
    assert ((y < top) | (x < left)).all()


def test_a_long_label_is_cut_inside_its_column() -> None:
    rows = [[flat(64, 64, *RED), flat(64, 64, *BLUE)]]
    short, long = (contact_sheet(rows, ["r"], [label, "b"], cell=64) for label in ("m", "m" * 80))
    assert short.shape == long.shape
    _, x = np.nonzero((short != long).any((0, 1)))
    assert x.max() < pixels(long, *BLUE)[1].min()


@pytest.mark.parametrize(
    ("rows", "row_labels", "column_labels"),
    [([], [], []), ([[]], ["a"], []), ([["x"]], ["a", "b"], ["c"]), ([["x"], ["x", "x"]], ["a", "b"], ["c"])],
)
def test_labels_must_match(rows: Any, row_labels: Any, column_labels: Any) -> None:
    pictures = [[flat(16, 16, *RED) for _ in row] for row in rows]
    with pytest.raises(UsageError, match="one name for each"):
        contact_sheet(pictures, row_labels, column_labels)


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (5, 2, 3), (9, 3, 3)])
def test_a_mosaic_is_about_square_and_row_by_row(count: int, rows: int, columns: int) -> None:
    pictures = [flat(6, 8, i / 10, 0, 0) for i in range(count)]
    sheet = mosaic(pictures, gap=3)
    assert sheet.shape == (1, 3, 9 * rows - 3, 11 * columns - 3)
    assert sheet.dtype == np.float32
    for i, picture in enumerate(pictures):
        top, left = 9 * (i // columns), 11 * (i % columns)
        assert np.array_equal(sheet[:, :, top : top + 6, left : left + 8], picture)
    assert (sheet == 1).all(1).sum() == sheet[0, 0].size - count * 48  # the rest is paper


def test_a_gallery_has_every_picture_whole_and_a_caption_below_it() -> None:
    pictures = [flat(40, 64, *RED), flat(64, 30, *GREEN), flat(20, 16, *BLUE)]
    plain, named = gallery(pictures, ["", "", ""], 64), gallery(pictures, ["", "wave", ""], 64)
    assert [len(pixels(named, *colour)[0]) for colour in (RED, GREEN, BLUE)] == [40 * 64, 64 * 30, 20 * 16]
    green_y, green_x = pixels(named, *GREEN)
    y, x = np.nonzero((plain != named).any((0, 1)))
    assert green_y.max() < y.min()
    assert y.max() < green_y.max() + 64 // 2
    assert abs(x.mean() - green_x.mean()) < 8


def test_a_gallery_is_about_square_and_its_captions_keep_to_their_column() -> None:
    many = gallery([flat(20, 60, *RED)] * 12, ["m" * 80] * 12, 60)
    assert 0.5 < many.shape[2] / many.shape[3] < 2
    assert len(pixels(many, *RED)[0]) == 12 * 20 * 60  # no caption lies on a picture


@pytest.mark.parametrize(("pictures", "captions"), [([], []), (["x"], ["a", "b"])])
def test_a_gallery_needs_a_caption_for_each_picture(pictures: Any, captions: Any) -> None:
    with pytest.raises(UsageError, match=f"{len(pictures)} pictures and {len(captions)} captions"):
        gallery(pictures, captions)
