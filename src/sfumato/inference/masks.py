"""Masks: the region of each style on a photo."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.errors import InputError, UsageError
from sfumato.image import ImageSource, Photo, array_of, as_photo, is_file_like, luma, resample
from sfumato.inference.finish import blur_edges
from sfumato.text import counted

#: ``(H, W)`` in ``[0, 1]``.
Mask: TypeAlias = npt.NDArray[np.float32]
#: Anything that :func:`as_mask` converts to a mask.
MaskSource: TypeAlias = ImageSource


def as_mask(source: MaskSource) -> Mask:
    """Convert a picture, array or tensor to a mask ``(H, W)`` with values in ``[0, 1]``.

    Args:
        source: a picture (a path, the bytes of a file, an open file, a ``PIL.Image``, a `Photo`), whose luma is the
            mask, 0 where it is transparent; or an array or tensor ``(H, W)``, ``(1, H, W)``, ``(H, W, 1)`` or ``(1, 1,
            H, W)``: uint8 or uint16, whose largest value becomes 1, bool, or float in ``[0, 1]``.

    Raises:
        InputError: it cannot be read, or has another shape, type or range.
    """
    if is_file_like(source) or isinstance(source, Image.Image | Photo):
        return _whiteness(as_photo(source))
    values = array_of(source, "a mask")
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[:, :, 0]
    if values.ndim != 2:
        raise InputError(f"a mask must have shape (H, W), but has {values.shape}")
    if values.dtype == bool:
        return values.astype(np.float32)
    if values.dtype in (np.uint8, np.uint16):
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    if not np.issubdtype(values.dtype, np.floating) or not (values.min() >= 0 and values.max() <= 1):  # NaN fails too
        raise InputError(
            f"a mask must be uint8, uint16, bool, or float in [0, 1], but some value of it ({values.dtype}) is not"
        )
    return values.astype(np.float32)


def _whiteness(photo: Photo) -> Mask:
    """How white the picture is, and where it is transparent, black: paint programs draw on nothing."""
    white = np.empty((photo.height, photo.width), np.float32)
    for top in range(0, photo.height, rows := max(1, (1 << 20) // photo.width)):  # a band in floats at a time
        band = slice(top, top + rows)
        white[band] = luma(photo.picture(band)[0])
        if photo.alpha is not None:
            white[band] *= photo.alpha[band] / np.float32(np.iinfo(photo.alpha.dtype).max)
    return white


def shrink_mask(mask: Mask, size: tuple[int, int], photo: Photo) -> Mask:
    """Return a mask of a photo's ``size`` before it was shrunk, shrunk likewise; another one as it is."""
    if mask.shape != size or size == (photo.height, photo.width):
        return mask
    return np.clip(resample(mask, photo.height, photo.width, Image.Resampling.BOX), 0, 1)


def fit_mask(mask: Mask, photo: Photo) -> Mask:
    """Return a mask that was drawn on a copy of a photo of another size, at the photo's size; another one as it is."""
    height, width = mask.shape
    if (height, width) == (photo.height, photo.width) or abs(height / width / (photo.height / photo.width) - 1) > 0.02:
        return mask  # of other proportions: it belongs to another photo, which painting refuses
    return np.clip(resample(mask, photo.height, photo.width, Image.Resampling.BICUBIC), 0, 1)


def mask_digest(mask: Mask) -> str:
    """Return the SHA-256, in hex, by which a recipe names a mask."""
    return hashlib.sha256(mask.tobytes()).hexdigest()


def check_masks(masks: object) -> None:
    """Raise UsageError for anything but a list or a tuple: one mask by itself would be taken for a list of rows."""
    if not isinstance(masks, list | tuple):
        raise UsageError(f"masks must be a list, but is {type(masks).__name__}; put it in brackets")


def regions_of(masks: Sequence[MaskSource], styles: int, height: int, width: int, name: str) -> list[Mask]:
    """Return a weight with soft edges, ``(height, width)``, for each style; an empty list without masks.

    Args:
        masks: as many as styles, or one fewer, whose region is the rest; or none.
        styles: number of styles.
        height: of the photo, in pixels.
        width: of the photo, in pixels.
        name: the photo's name in error messages.

    Raises:
        UsageError: the numbers of styles and masks do not match.
        InputError: a mask cannot be read, or has another size than the photo.
    """
    check_masks(masks)
    if styles < 1:
        raise UsageError("a picture needs a style, but none was given; a style must be a Style or a name")
    if not masks:
        if styles > 1:
            raise UsageError(f"{styles} styles need {styles - 1} or {styles} masks; or blend them into one style")
        return []
    if len(masks) not in (styles, styles - 1):
        given = f"{counted(styles, 'style')} and {counted(len(masks), 'mask')} were given"
        raise UsageError(f"styles need a mask each, or one fewer: {given}")
    found = []
    for mask in map(as_mask, masks):
        if mask.shape != (height, width):
            shape = " x ".join(str(side) for side in mask.shape[::-1])
            raise InputError(f"a mask has {shape} pixels and {name} {width} x {height}; make them the same size")
        found.append(blur_edges(mask))
    if len(found) < styles:
        found.append(np.clip(1 - np.sum(found, 0), 0, 1))
    return found
