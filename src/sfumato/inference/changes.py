"""Where and how much a picture differs from its photo: in colour and in structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import Picture, resample
from sfumato.quality.similarity import ciede2000, structure_map, to_lab

Map = npt.NDArray[np.float32]

#: On the shorter side. A change of colour is that of means over cells, in which no single stroke is seen.
CELLS = 64
CLEAR_COLOUR = 10.0  # CIEDE2000: nobody overlooks it
CLEAR_STRUCTURE = 0.5  # half of what SSIM can lose


@dataclass(frozen=True, eq=False)
class Change:
    """Where and how much a picture differs from its photo; means leave out what is transparent.

    Attributes:
        colour: ``(h, w)``, CIEDE2000 of the means over cells: about 1 is just seen, 100 is black to white.
        structure: ``(h, w)`` in ``[0, 1]``: what SSIM's contrast-structure term (Wang et al. 2004, windows of 11, luma)
            lacks to 1, so that light alone, or a tint, is none.
        colour_mean, structure_mean: of the maps.
        colour_area, structure_area: shares of the picture above ``CLEAR_COLOUR``, ``CLEAR_STRUCTURE``.
        colour_share: of the squared differences in CIELAB, what differences of the cells' means make; the rest, what
            differs within cells, is strokes and lines.
    """

    colour: Map
    structure: Map
    colour_mean: float
    structure_mean: float
    colour_area: float
    structure_area: float
    colour_share: float

    @property
    def structure_share(self) -> float:
        return 1 - self.colour_share

    def to_json(self) -> dict[str, float]:
        names = ("colour_mean", "structure_mean", "colour_area", "structure_area", "colour_share", "structure_share")
        return {name: float(getattr(self, name)) for name in names}


def changes(picture: Picture, photo: Picture, cover: Map | None = None) -> Change:
    """Where two pictures ``(1, 3, h, w)`` of one size differ.

    Args:
        cover: ``(h, w)`` in ``[0, 1]``: how much each place counts, as opacity does; by default all alike.
    """
    height, width = picture.shape[2:]
    cell = max(2, round(min(height, width) / CELLS))
    weight = np.ones((height, width), np.float32) if cover is None or not cover.any() else cover
    both = [padded(x[0], cell).astype(np.float64) for x in (picture, photo)]
    counts = padded(weight, cell).astype(np.float64)

    distant = [to_lab(cell_means(x, cell)) for x in both]
    colour = _enlarged(ciede2000(*distant), cell)[:height, :width]
    structure = np.clip(1 - structure_map(picture, photo), 0, 1)
    difference = to_lab(both[0]) - to_lab(both[1])
    broad = np.repeat(np.repeat(cell_means(difference, cell), cell, 1), cell, 2)
    whole, part = ((x * x * counts).sum() for x in (difference, broad))
    shown = weight > 0
    total = float(weight.sum())

    def mean(values: npt.NDArray[Any]) -> float:
        return float((values * weight).sum() / total)

    return Change(
        colour=np.where(shown, colour, 0).astype(np.float32),
        structure=np.where(shown, structure, 0).astype(np.float32),
        colour_mean=mean(colour),
        structure_mean=mean(structure),
        colour_area=mean(colour > CLEAR_COLOUR),
        structure_area=mean(structure > CLEAR_STRUCTURE),
        colour_share=float(min(1.0, part / whole)) if whole > 1e-6 else 0.5,
    )


def padded(planes: Map, cell: int) -> Map:
    """``(..., H, W)`` with its edge repeated until whole cells cover it."""
    ends = [(0, 0)] * (planes.ndim - 2) + [(0, -side % cell) for side in planes.shape[-2:]]
    return np.pad(planes, ends, mode="edge")


def cell_means(planes: npt.NDArray[Any], cell: int) -> npt.NDArray[Any]:
    """Means over squares, ``(..., H/cell, W/cell)``."""
    *first, height, width = planes.shape
    squares: npt.NDArray[Any] = planes.reshape(*first, height // cell, cell, width // cell, cell).mean((-3, -1))
    return squares


def _enlarged(coarse: npt.NDArray[Any], cell: int) -> Map:
    """A map of cells at its full size, smooth."""
    height, width = coarse.shape
    full = resample(coarse.astype(np.float32), height * cell, width * cell, Image.Resampling.BILINEAR)
    return np.maximum(full, 0)
