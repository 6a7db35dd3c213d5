"""Pictures of any size in bounded memory: one list of tiles for small and large, each painted with its surroundings.

The statistics belong to the whole picture (see ``networks/statistics.py``), so a tile is painted as that region of the
whole would be, up to what lies farther away than ``HALO``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sfumato.errors import UsageError

#: Pixels on a side of what one tile contributes. Larger ones waste less on halos and take more memory.
TILE = 1024
#: Pixels around a tile that are painted with it and thrown away: what the networks see, but for what cannot be seen.
HALO = 96
#: Tiles lie on this grid, on which the networks' coarser levels are aligned.
ALIGNMENT = 16


def check_tile(side: int) -> None:
    """Raises UsageError where ``side`` is no multiple of `ALIGNMENT`."""
    if side < ALIGNMENT or side % ALIGNMENT:
        raise UsageError(f"tile must be a multiple of {ALIGNMENT}, but is {side!r}")


@dataclass(frozen=True)
class Tile:
    """A region of a picture (``rows``, ``columns``), and the larger one, ``padded``, that it is painted with."""

    rows: slice
    columns: slice
    padded_rows: slice
    padded_columns: slice

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of ``padded``'s corner in the picture."""
        return self.padded_rows.start, self.padded_columns.start

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def within(self, height: int, width: int) -> Tile:
        """The tile as far as it lies in a picture of that size."""
        rows = slice(self.rows.start, min(self.rows.stop, height))
        return replace(self, rows=rows, columns=slice(self.columns.start, min(self.columns.stop, width)))

    @property
    def inner(self) -> tuple[slice, slice]:
        """The tile's own rows and columns, counted from ``origin``."""
        top, left = self.origin
        return (
            slice(self.rows.start - top, self.rows.stop - top),
            slice(self.columns.start - left, self.columns.stop - left),
        )


def tiles(height: int, width: int, tile: int = TILE, halo: int = HALO) -> Iterator[Tile]:
    """Tiles that cover a picture once, row by row; one for a picture of up to ``tile + halo`` pixels a side.

    ``tile`` and ``halo`` are multiples of ``ALIGNMENT``.
    """
    for rows, padded_rows in _spans(height, tile, halo):
        for columns, padded_columns in _spans(width, tile, halo):
            yield Tile(rows, columns, padded_rows, padded_columns)


def _spans(length: int, tile: int, halo: int) -> Iterator[tuple[slice, slice]]:
    start = 0
    while start < length:
        # A rest thinner than the halo goes with the last tile: it would be painted nearly whole anyway.
        stop = length if length - start <= tile + halo else start + tile
        yield slice(start, stop), slice(max(0, start - halo), min(length, stop + halo))
        start = stop
