from __future__ import annotations

import numpy as np
import pytest

from sfumato.inference.tiling import ALIGNMENT, HALO, TILE, tiles


@pytest.mark.parametrize("size", [(16, 16), (1, 5000), (1120, 1121), (1024, 3000), (4000, 2999)])
def test_tiles_cover_a_picture_once_and_see_their_surroundings(size: tuple[int, int]) -> None:
    height, width = size
    covered = np.zeros(size, np.uint8)
    for tile in tiles(height, width):
        covered[tile.rows, tile.columns] += 1
        for own, seen, length in ((tile.rows, tile.padded_rows, height), (tile.columns, tile.padded_columns, width)):
            assert seen.start == max(0, own.start - HALO)
            assert seen.stop == min(length, own.stop + HALO)
            assert seen.start % ALIGNMENT == 0
            assert own.stop - own.start <= TILE + HALO
        rows, columns = tile.inner
        assert rows.start + tile.origin[0] == tile.rows.start
        assert columns.stop + tile.origin[1] == tile.columns.stop
    assert (covered == 1).all()


def test_a_picture_that_fits_is_one_tile() -> None:
    [tile] = tiles(TILE + HALO, TILE)
    assert tile.shape == (TILE + HALO, TILE)
    assert tile.origin == (0, 0)


def test_tiles_are_cut_to_a_smaller_picture() -> None:
    [tile] = tiles(16, 300)
    cut = tile.within(1, 300)
    assert cut.shape == (1, 300)
    assert cut.padded_rows == tile.padded_rows
