"""Copies that are written quickly for programs to read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfumato import deep
from sfumato.image import Photo, read_photo, write_working_copy
from sfumato.metadata import Metadata


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("has_alpha", [False, True])
def test_a_working_copy_keeps_everything(tmp_path: Path, dtype: type[np.integer], has_alpha: bool) -> None:
    levels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (40, 50, 4)).astype(dtype)
    alpha = np.ascontiguousarray(levels[:, :, 3]) if has_alpha else None
    metadata = Metadata(copyright="Anna", resolution=(300.0, 300.0), recipe={"strength": 1})
    photo = Photo(np.ascontiguousarray(levels[:, :, :3]), alpha, metadata)
    write_working_copy(photo, tmp_path / "copy.png")
    again = read_photo(tmp_path / "copy.png")
    assert again.metadata == metadata
    assert (again.alpha is None) is (alpha is None)
    if dtype == np.uint8 or deep.is_installed():
        np.testing.assert_array_equal(again.pixels, photo.pixels)
        if alpha is not None and again.alpha is not None:
            np.testing.assert_array_equal(again.alpha, alpha)
