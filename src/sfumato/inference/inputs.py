"""Checks of pictures that callers pass: one that is large enough, or several."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from PIL import Image

from sfumato.errors import InputError, UsageError
from sfumato.image import ImageSource, Photo, Picture, as_image, is_file_like

#: Pixels of the longer side, at least: a smaller picture is smaller than the networks' coarsest strokes.
SMALLEST_SIDE = 16


def usable(source: ImageSource) -> Picture:
    """Return one picture ``(1, 3, H, W)`` that is large enough to be painted or encoded as a style.

    Raises:
        InputError: it cannot be read, is too small, or is a batch.
    """
    picture = as_image(source)
    name = source if isinstance(source, str | os.PathLike) else "the picture"
    if len(picture) != 1:
        raise InputError(f"{name} is a batch of {len(picture)} pictures; pass them one at a time")
    check_size(picture.shape[2], picture.shape[3], str(name))
    return picture


def check_size(height: int, width: int, name: str) -> None:
    """Raise InputError for a picture that is too small to be painted."""
    if max(height, width) < SMALLEST_SIDE:
        raise InputError(f"{name} has {width} x {height} pixels; Sfumato needs {SMALLEST_SIDE} or more on a side")


def several_pictures(sources: Any) -> Iterable[Any]:
    """Return the pictures one by one; a path, an open file or an unbatched array is one picture, not several.

    Raises:
        UsageError: the argument is of another type.
    """
    if is_file_like(sources) or isinstance(sources, Image.Image | Photo) or getattr(sources, "ndim", 4) < 4:
        return [sources]
    if hasattr(sources, "ndim"):  # a batch
        return [sources[i : i + 1] for i in range(len(sources))]
    if not isinstance(sources, Iterable):
        raise UsageError(f"a style must be made from pictures, but {type(sources).__name__} was given")
    return sources
