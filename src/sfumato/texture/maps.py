"""Maps of a material that follow the strokes of a painted colour map: normals, height and roughness.

The relief of the strokes is the fine detail of the painting's luma: lighter paint counts as higher. It is a guess that
looks plausible, and no measurement; that thicker paint is smoother is a guess too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sfumato.image import Picture, luma, resize
from sfumato.inference.seamless import blurred

Array = npt.NDArray[np.float32]

#: Sigma of the detail that counts as relief, as a share of the short side: from single bristles to broad strokes.
_DETAIL = 1 / 40
_SLOPE = 2.5  # slope of the surface, in normals, for a step of the whole range of luma over one pixel
_HEIGHT = 0.15  # share of the range of a height map that the relief takes
_GLOSS = 0.35  # change of roughness for the whole range of luma


def relief(painted: Picture, down: bool, across: bool) -> Array:
    """Return the relief ``(H, W)`` of a painting ``(1, 3, H, W)``, around 0, in units of the range of luma.

    ``down`` and ``across`` tell in which directions the texture repeats.
    """
    plane = luma(painted[0])[None]
    smooth = plane
    for axis, repeats in ((1, down), (2, across)):
        smooth = blurred(smooth, max(1.0, _DETAIL * min(plane.shape[1:])), axis, "wrap" if repeats else "symmetric")
    return np.asarray((plane - smooth)[0])


def slopes(relief: Array, down: bool, across: bool) -> tuple[Array, Array]:
    """Return the slopes of a relief to the right and upwards, each ``(H, W)``."""
    found = []
    for axis, repeats in ((1, across), (0, down)):
        padded = np.pad(
            relief, [(1, 1) if each == axis else (0, 0) for each in (0, 1)], mode="wrap" if repeats else "edge"
        )
        ends = [np.take(padded, range(start, start + relief.shape[axis]), axis) for start in (0, 2)]
        found.append(np.asarray((ends[1] - ends[0]) / 2, np.float32))
    return found[0], np.negative(found[1])


def normals(picture: Picture | None, relief: Array, down: bool, across: bool, directx: bool = False) -> Picture:
    """Return normals with the relief added, as a picture ``(1, 3, H, W)``.

    Args:
        picture: the normals so far, at any size, which the result has; ``None`` for a plain surface.
        relief: of the strokes.
        down: whether the texture repeats vertically.
        across: whether the texture repeats horizontally.
        directx: whether green points down, as DirectX has it; in glTF and OpenGL it points up.
    """
    if picture is not None:
        relief = at_size(relief, picture.shape[2], picture.shape[3])
    right, up = (_SLOPE * slope for slope in slopes(relief, down, across))
    if directx:
        up = -up
    before = np.zeros((3, *relief.shape), np.float32)
    before[2] = 1
    if picture is not None:
        before = 2 * picture[0] - 1
    # The slopes are added, not the vectors ("partial derivative blending"; Barré-Brisebois & Hill 2012).
    z = np.maximum(before[2], 1e-3)
    found = np.stack([before[0] / z - right, before[1] / z - up, np.ones_like(z)])
    found /= np.linalg.norm(found, axis=0)
    return np.asarray(found[None] / 2 + np.float32(0.5), np.float32)


def height(picture: Picture, relief: Array) -> Picture:
    """Return a height map ``(1, 3, H, W)`` with the relief added."""
    return np.asarray(np.clip(picture + _HEIGHT * at_size(relief, *picture.shape[2:]), 0, 1), np.float32)


def roughness(picture: Picture, relief: Array, channel: int | None = None) -> Picture:
    """Return roughness ``(1, 3, H, W)``, lower where paint is thick; a guess.

    ``channel`` is the one that holds roughness, 1 in glTF; ``None``: all of them.
    """
    found = picture.copy()
    which = slice(None) if channel is None else slice(channel, channel + 1)
    found[:, which] = np.clip(found[:, which] - _GLOSS * at_size(relief, *picture.shape[2:]), 0, 1)
    return found


def at_size(relief: Array, height: int, width: int) -> Array:
    """Return the relief at another size."""
    if relief.shape == (height, width):
        return relief
    level = np.asarray(np.repeat(relief[None, None] / 2 + np.float32(0.5), 3, 1), np.float32)
    return np.asarray(2 * resize(level, height, width)[0, 0] - 1)
