"""Resizing of pictures and photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.checks import check_shape
from sfumato.errors import UsageError
from sfumato.image.photo import Photo, Picture, as_picture, to_levels


def resample(
    planes: npt.NDArray[np.float32],
    height: int,
    width: int,
    how: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> npt.NDArray[np.float32]:
    """Resample planes ``(..., H, W)`` of any values to another size, without clipping.

    Args:
        planes: the planes.
        height: the new height.
        width: the new width.
        how: Pillow's filter.
        box: the part of each plane to use, as (left, upper, right, lower); by default the whole.
    """
    out = np.empty((*planes.shape[:-2], height, width), np.float32)
    for index in np.ndindex(planes.shape[:-2]):
        plane = Image.fromarray(np.ascontiguousarray(planes[index], np.float32))  # mode "F"
        out[index] = np.asarray(plane.resize((width, height), how, box))
    return out


def resize(x: Picture, height: int, width: int) -> Picture:
    """Resize ``(N, 3, H, W)`` to ``(N, 3, height, width)`` in float with antialiasing (Lanczos, three lobes).

    Lanczos rings at sharp edges, so the result is clipped to ``[0, 1]``.

    Raises:
        UsageError: a side is below 1 pixel.
    """
    sizes = check_shape(x, "N 3 H W", "the picture")
    if height < 1 or width < 1:
        raise UsageError(f"a picture cannot be resized to {width} x {height}; both sides must be at least 1 pixel")
    if (height, width) == (sizes["H"], sizes["W"]):
        return x
    out = resample(x, height, width, Image.Resampling.LANCZOS)
    return np.clip(out, 0.0, 1.0, out=out)


def shrink(photo: Photo, max_side: int) -> Photo:
    """Shrink a photo and its alpha to a longer side of at most ``max_side`` pixels, in proportion; never enlarge.

    Raises:
        UsageError: ``max_side`` is below 1.
    """
    if max_side < 1:
        raise UsageError(f"a photo cannot be shrunk to {max_side} pixels; its longer side must be at least 1 pixel")
    scale = max_side / max(photo.height, photo.width)
    if scale >= 1:
        return photo
    size = max(1, round(photo.height * scale)), max(1, round(photo.width * scale))
    dtype = photo.pixels.dtype
    if photo.alpha is None:
        return replace(photo, pixels=to_levels(resize(photo.picture(), *size), dtype))
    cover = as_picture(np.repeat(photo.alpha[:, :, None], 3, 2))
    small = resize(cover, *size)
    # Weighted by the alpha, so that colours of transparent pixels do not bleed into visible ones.
    colour = np.divide(resize(photo.picture() * cover, *size), np.maximum(small, 1e-6), dtype=np.float32)
    alpha = np.ascontiguousarray(to_levels(small, dtype)[:, :, 0])
    return replace(photo, pixels=to_levels(colour, dtype), alpha=alpha)


def thumbnail_size(height: int, width: int, short: int, max_long: int) -> tuple[int, int]:
    """Return height and width in proportion, with a short side of at most ``short`` and a long one of ``max_long``."""
    scale = min(1.0, short / min(height, width), max_long / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def thumbnail(x: Picture, short: int) -> Picture:
    """Shrink ``(N, 3, H, W)`` in proportion to a short side of at most ``short`` and a long one of four times that."""
    return resize(x, *thumbnail_size(x.shape[2], x.shape[3], short, 4 * short))
