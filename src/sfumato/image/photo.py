"""The class Photo, the content of a picture file, and conversions between integer levels and float pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.checks import check_shape
from sfumato.errors import InputError
from sfumato.metadata import Metadata
from sfumato.public import public

Picture: TypeAlias = npt.NDArray[np.float32]
Array: TypeAlias = npt.NDArray[Any]
Float = TypeVar("Float", np.float32, np.float64)


@public
@dataclass(frozen=True, eq=False)
class Photo:
    """A picture at the precision of its file.

    Attributes:
        pixels: ``(H, W, 3)`` uint8 or uint16, sRGB, upright. Colours of transparent pixels are as stored.
        alpha: ``(H, W)`` of the same type, or ``None`` if every pixel is opaque.
        metadata: the metadata of the source.
        remark: a sentence on parts of the file that were not read, such as further frames, or on an oddity of its
            pixels.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    alpha: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | None = None
    metadata: Metadata = field(default_factory=Metadata)
    remark: str | None = None

    def __post_init__(self) -> None:
        sizes = check_shape(self.pixels, "H W 3", "a photo's pixels")
        if 0 in sizes.values() or self.pixels.dtype not in (np.uint8, np.uint16):
            raise InputError(
                f"a photo's pixels must be uint8 or uint16 and at least one, but are {self.pixels.dtype} of shape "
                f"{self.pixels.shape}"
            )
        if self.alpha is not None and (self.alpha.shape, self.alpha.dtype) != (
            self.pixels.shape[:2],
            self.pixels.dtype,
        ):
            raise InputError(
                f"a photo's alpha must be {self.pixels.dtype} of shape {self.pixels.shape[:2]}, as its pixels are, "
                f"but is {self.alpha.dtype} of shape {self.alpha.shape}"
            )

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    def picture(self, rows: slice | None = None, columns: slice | None = None) -> Picture:
        """Return a region (all by default) as ``(1, 3, h, w)`` float32 in ``[0, 1]``; alpha is not applied."""
        return as_picture(self.pixels[rows or slice(None), columns or slice(None)])


def to_uint8(x: Picture) -> npt.NDArray[np.uint8]:
    """Convert ``(1, 3, H, W)`` to ``(H, W, 3)`` uint8: clipped to ``[0, 1]``, then rounded half to even.

    Raises:
        InputError: the shape is another, or a value is NaN.
    """
    check_shape(x, "1 3 H W", "the picture")
    if np.isnan(x).any():
        raise InputError("the picture contains NaN, which no picture file can store")
    return to_levels(x, np.dtype(np.uint8))


def to_levels(x: Picture, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Convert ``(1, 3, H, W)`` to integers ``(H, W, 3)``: clipped to ``[0, 1]``, then rounded half to even."""
    rounded = np.rint(np.clip(x[0], 0.0, 1.0) * np.float32(np.iinfo(dtype).max)).astype(dtype)  # (3, H, W)
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def to_8_bits(levels: Array) -> npt.NDArray[np.uint8]:
    """Round 16-bit levels to 8 bits, in which one step is 257 levels; return 8-bit levels as they are."""
    if levels.dtype == np.uint8:
        return levels
    out = np.empty(levels.shape, np.uint8)
    for into, row in zip(out, levels, strict=True):  # row by row, because the sum needs 32 bits
        into[:] = (row.astype(np.uint32) + 128) // 257
    return out


def to_pil(x: Picture) -> Image.Image:
    """Convert ``(1, 3, H, W)`` to an RGB ``PIL.Image``, rounded as in :func:`to_uint8`."""
    return Image.fromarray(to_uint8(x))


def luma(planes: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """Return the luma ``(H, W)`` of ``(3, H, W)`` sRGB, with the weights of BT.601, in the same float type."""
    weights = np.array([0.299, 0.587, 0.114], planes.dtype)
    result: npt.NDArray[Float] = np.tensordot(weights, planes, 1)
    return result


def as_picture(pixels: Array) -> Picture:
    """Convert ``(H, W, 3)``, of integers or of floats in ``[0, 1]``, to a picture ``(1, 3, H, W)``."""
    out = np.empty((1, 3, *pixels.shape[:2]), np.float32)
    np.divide(pixels.transpose(2, 0, 1), top(pixels), out=out[0], casting="unsafe")
    return out


def unit(levels: Array) -> Picture:
    """Convert integer levels, or floats in ``[0, 1]``, of any shape to float32 in ``[0, 1]``."""
    return np.asarray(levels, np.float32) / top(levels)


def top(levels: Array) -> np.float32:
    """Return the value that stands for full intensity: the maximum of an unsigned type, 1 for floats and bool."""
    return np.float32(np.iinfo(levels.dtype).max if levels.dtype.kind == "u" else 1)
