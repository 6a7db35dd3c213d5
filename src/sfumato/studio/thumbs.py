"""Small copies of pictures: thumbnails for the page, and copies from which drafts are painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sfumato.image import Photo, to_8_bits, write_photo, write_working_copy
from sfumato.metadata import Metadata

#: Longest side of a thumbnail, and of a copy from which drafts are painted, in pixels.
THUMB, SMALL = 512, 1024
_QUALITY = 80
_WORTH_IT = 1.5  # a picture that is not this much larger than its small copy needs none


def write_thumb(photo: Photo, path: Path) -> None:
    """Write a thumbnail as WebP, without metadata."""
    write_photo(_reduced(photo, THUMB), path, "webp", _QUALITY)


def write_small(photo: Photo, path: Path) -> bool:
    """Write a copy of a large picture from which drafts are painted; return whether it is large."""
    if max(photo.height, photo.width) < _WORTH_IT * SMALL:
        return False
    write_working_copy(_reduced(photo, SMALL), path)
    return True


def _reduced(photo: Photo, side: int) -> Photo:
    """Return the picture in 8 bits, with a longer side of at most ``side``; quick, and for showing only."""
    levels = to_8_bits(photo.pixels)
    if photo.alpha is not None:
        levels = np.dstack([levels, to_8_bits(photo.alpha)])
    image = Image.fromarray(levels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    pixels = np.asarray(image)
    alpha = None if photo.alpha is None else np.ascontiguousarray(pixels[:, :, 3])
    return Photo(np.ascontiguousarray(pixels[:, :, :3]), alpha, Metadata())
