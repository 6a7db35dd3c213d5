"""Painting of a colour map: with its other side where it repeats, and island by island where a mesh is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sfumato.image import Photo, Picture, to_levels
from sfumato.inference.inputs import SMALLEST_SIDE
from sfumato.inference.options import PaintOptions
from sfumato.inference.progress import Progress
from sfumato.inference.seamless import MAX_SEAM_RATIO, seam_ratios
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.texture.islands import Islands


@dataclass(frozen=True)
class Painter:
    """What all maps of a set or a model are painted with."""

    stylizer: Stylizer
    style: Style
    options: PaintOptions


@dataclass(frozen=True)
class PaintedMap:
    """A painted colour map.

    Attributes:
        photo: the map.
        down, across: whether it repeats vertically and horizontally.
    """

    photo: Photo
    down: bool
    across: bool


def is_too_small(photo: Photo) -> bool:
    """Whether a map is a palette of a few colours, too small to be painted."""
    return max(photo.height, photo.width) < SMALLEST_SIDE


def paint_map(
    painter: Painter,
    photo: Photo,
    islands: Islands | None = None,
    *,
    wraps: tuple[bool, bool] = (True, True),
    progress: Progress | None = None,
    name: str = "the texture",
) -> PaintedMap:
    """Paint a colour map in place: each pixel keeps its position.

    Where the map repeats without a seam, so does the painting. With islands, the space around them is filled with their
    colours before and after, so that no background bleeds into them, and colours meet at the seams of the mesh.

    Args:
        painter: what it is painted with.
        photo: the map.
        islands: of the mesh, if they are known.
        wraps: whether the map may be repeated vertically and horizontally.
        progress: is called with the completed share and the next step.
        name: of the map, in error messages.

    Raises:
        InputError: the map cannot be painted.
    """
    source: Picture = photo.picture()
    if islands is not None:
        source = islands.fill(source)
        photo = replace(photo, pixels=to_levels(source, photo.pixels.dtype))
    down, across = (may and ratio <= MAX_SEAM_RATIO for may, ratio in zip(wraps, seam_ratios(source), strict=True))
    painted = painter.stylizer.paint_repeating(
        photo, painter.style, painter.options, down=down, across=across, progress=progress, name=name
    )
    if islands is not None:
        levelled = islands.fill(islands.level(painted.picture(), source))
        painted = replace(painted, pixels=to_levels(np.asarray(levelled), painted.pixels.dtype))
    return PaintedMap(painted, down, across)
