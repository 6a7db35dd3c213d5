"""A photo as a file holds it, and pictures of the contract: the way from one to the other."""

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
        pixels: ``(H, W, 3)`` uint8 or uint16, sRGB, upright. Under the alpha they are kept as stored.
        alpha: ``(H, W)`` of the same type, or ``None`` where every pixel is opaque.
        metadata: what is kept of the source.
        remark: a sentence on what of its file was not read, such as further frames, or what is odd about its pixels.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    alpha: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | None = None
    metadata: Metadata = field(default_factory=Metadata)
    remark: str | None = None

    def __post_init__(self) -> None:
        sizes = check_shape(self.pixels, "H W 3", "a photo's pixels")
        if 0 in sizes.values() or self.pixels.dtype not in (np.uint8, np.uint16):
            raise InputError(f"a photo's pixels must be uint8 or uint16, and some: {self.pixels.dtype}, {sizes}")
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
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    def picture(self, rows: slice | None = None, columns: slice | None = None) -> Picture:
        """A region as ``(1, 3, h, w)``, float32 in ``[0, 1]``; without arguments, all of it. Alpha is not applied."""
        return as_picture(self.pixels[rows or slice(None), columns or slice(None)])


def to_uint8(x: Picture) -> npt.NDArray[np.uint8]:
    """Eight bits a channel, ``(1, 3, H, W)`` to ``(H, W, 3)``: clipped to ``[0, 1]``, then rounded half to even.

    Raises:
        InputError: another shape, or a value that is not a number.
    """
    check_shape(x, "1 3 H W", "the picture")
    if np.isnan(x).any():
        raise InputError("the picture holds values that are not numbers (NaN), which no file can")
    return to_levels(x, np.dtype(np.uint8))


def to_levels(x: Picture, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """``(1, 3, H, W)`` to levels ``(H, W, 3)`` of ``dtype``: clipped to ``[0, 1]``, then rounded half to even."""
    rounded = np.rint(np.clip(x[0], 0.0, 1.0) * np.float32(np.iinfo(dtype).max)).astype(dtype)  # (3, H, W)
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def to_pil(x: Picture) -> Image.Image:
    """``(1, 3, H, W)`` to an RGB ``PIL.Image``, rounded as in :func:`to_uint8`."""
    return Image.fromarray(to_uint8(x))


def luma(planes: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """``(3, H, W)`` in sRGB to ``(H, W)``: BT.601's weights, at the planes' own precision."""
    weights = np.array([0.299, 0.587, 0.114], planes.dtype)
    result: npt.NDArray[Float] = np.tensordot(weights, planes, 1)
    return result


def as_picture(pixels: Array) -> Picture:
    """``(H, W, 3)`` of any type that holds levels to ``(1, 3, H, W)``."""
    out = np.empty((1, 3, *pixels.shape[:2]), np.float32)
    np.divide(pixels.transpose(2, 0, 1), top(pixels), out=out[0], casting="unsafe")
    return out


def unit(levels: Array) -> Picture:
    return np.asarray(levels, np.float32) / top(levels)


def top(levels: Array) -> np.float32:
    """What stands for 1: the highest level of whole numbers."""
    return np.float32(np.iinfo(levels.dtype).max if levels.dtype.kind == "u" else 1)
