"""Change maps: where and how much a picture differs from its photo, in colour and in structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import Picture, resample
from sfumato.quality.similarity import ciede2000, structure_map, to_lab

Map = npt.NDArray[np.float32]

#: Number of cells on the shorter side. Changes of colour are those of cell means, which single strokes hardly affect.
CELLS = 64
CLEAR_COLOUR = 10.0  # CIEDE2000: clearly visible
CLEAR_STRUCTURE = 0.5  # half of the range of the contrast-structure term of SSIM


@dataclass(frozen=True, eq=False)
class Change:
    """The difference between a picture and its photo; means ignore transparent pixels.

    Attributes:
        colour: ``(h, w)``, CIEDE2000 of the cell means: about 1 is just noticeable, 100 is black to white.
        structure: ``(h, w)`` in ``[0, 1]``: 1 minus SSIM's contrast-structure term (Wang et al. 2004, windows of 11,
            luma), which ignores changes of brightness or tint alone.
        colour_mean, structure_mean: means of the maps.
        colour_area, structure_area: fractions of the picture above ``CLEAR_COLOUR``, ``CLEAR_STRUCTURE``.
        colour_share: fraction of the squared differences in CIELAB that differences of the cell means explain; the
            rest, differences within cells, are strokes and lines.
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
        """The fraction of the squared differences that lies within cells."""
        return 1 - self.colour_share

    def to_json(self) -> dict[str, float]:
        """Return the numbers, without the maps."""
        names = ("colour_mean", "structure_mean", "colour_area", "structure_area", "colour_share", "structure_share")
        return {name: float(getattr(self, name)) for name in names}


def changes(picture: Picture, photo: Picture, cover: Map | None = None) -> Change:
    """Measure where two pictures ``(1, 3, h, w)`` of equal size differ.

    Args:
        picture: the painted picture, in ``[0, 1]``.
        photo: its photo, likewise.
        cover: weight of each pixel ``(h, w)`` in ``[0, 1]``, such as its opacity; by default all equal.
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
    """Pad ``(..., H, W)`` to whole cells by repeating the edge."""
    ends = [(0, 0)] * (planes.ndim - 2) + [(0, -side % cell) for side in planes.shape[-2:]]
    return np.pad(planes, ends, mode="edge")


def cell_means(planes: npt.NDArray[Any], cell: int) -> npt.NDArray[Any]:
    """Return the means ``(..., H/cell, W/cell)`` over square cells; H and W are multiples of ``cell``."""
    *first, height, width = planes.shape
    squares: npt.NDArray[Any] = planes.reshape(*first, height // cell, cell, width // cell, cell).mean((-3, -1))
    return squares


def _enlarged(coarse: npt.NDArray[Any], cell: int) -> Map:
    """Enlarge a map of cells to full size, with bilinear interpolation."""
    height, width = coarse.shape
    full = resample(coarse.astype(np.float32), height * cell, width * cell, Image.Resampling.BILINEAR)
    return np.maximum(full, 0)
