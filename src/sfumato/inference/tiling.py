"""Tiling: pictures of any size are painted in bounded memory, in tiles with overlap.

The normalisation statistics belong to the whole picture (see ``networks/statistics.py``), so a tile equals that region
of the whole picture, up to effects from beyond ``HALO``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sfumato.errors import UsageError

#: Default side of a tile in pixels, without its halo. Larger tiles waste less on halos and take more memory.
TILE = 1024
#: Overlap in pixels: painted around a tile and discarded. It covers the generator's effective receptive field.
HALO = 96
#: Grid of the tiles in pixels, to which the coarser levels of the generator are aligned.
ALIGNMENT = 16


def check_tile(side: int) -> None:
    """Raise UsageError where ``side`` is not a multiple of `ALIGNMENT`."""
    if side < ALIGNMENT or side % ALIGNMENT:
        raise UsageError(f"tile must be a multiple of {ALIGNMENT}, but is {side!r}")


@dataclass(frozen=True)
class Tile:
    """A region of a picture, and the padded region that is painted for it.

    Attributes:
        rows, columns: of the region.
        padded_rows, padded_columns: of the region with its halo.
    """

    rows: slice
    columns: slice
    padded_rows: slice
    padded_columns: slice

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of the padded region's corner in the picture."""
        return self.padded_rows.start, self.padded_columns.start

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the region."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def within(self, height: int, width: int) -> Tile:
        """Return the tile clipped to a picture of that size."""
        rows = slice(self.rows.start, min(self.rows.stop, height))
        return replace(self, rows=rows, columns=slice(self.columns.start, min(self.columns.stop, width)))

    @property
    def inner(self) -> tuple[slice, slice]:
        """The region's rows and columns, relative to ``origin``."""
        top, left = self.origin
        return (
            slice(self.rows.start - top, self.rows.stop - top),
            slice(self.columns.start - left, self.columns.stop - left),
        )


def tiles(height: int, width: int, tile: int = TILE, halo: int = HALO) -> Iterator[Tile]:
    """Yield tiles that cover a picture once, row by row.

    A picture of up to ``tile + halo`` pixels a side is one tile. ``tile`` and ``halo`` are multiples of ``ALIGNMENT``.
    """
    for rows, padded_rows in _spans(height, tile, halo):
        for columns, padded_columns in _spans(width, tile, halo):
            yield Tile(rows, columns, padded_rows, padded_columns)


def _spans(length: int, tile: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """Yield the spans of the tiles along an axis, without and with the halo."""
    start = 0
    while start < length:
        # A remainder narrower than the halo is joined to the last tile, whose halo covers it anyway.
        stop = length if length - start <= tile + halo else start + tile
        yield slice(start, stop), slice(max(0, start - halo), min(length, stop + halo))
        start = stop
