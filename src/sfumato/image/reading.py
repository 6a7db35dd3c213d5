"""Pictures and photos out of files, and out of whatever people hold as a picture."""

from __future__ import annotations

import os
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato import limits
from sfumato.checks import check_image
from sfumato.errors import InputError
from sfumato.files import digest
from sfumato.image.decoding import decode
from sfumato.image.opening import OpenPicture, PhotoSource, open_picture
from sfumato.image.photo import Array, Photo, Picture, as_picture, unit
from sfumato.metadata import find_recipe, read_metadata
from sfumato.public import public

ImageSource: TypeAlias = PhotoSource | Image.Image | Photo | npt.NDArray[Any]
_CHANNELS = (1, 3, 4)


@public
def read_image(source: PhotoSource) -> Picture:
    """Reads a picture file as ``(1, 3, H, W)``: as :func:`read_photo` does, and transparency is laid on white.

    Raises:
        InputError: the file is absent, empty, damaged, of another kind or larger than the limit
            (:func:`sfumato.limits.max_pixels`). The size is known from the header, before anything is decoded.
    """
    with open_picture(source, limits.max_pixels()) as found:
        return _on_white(*decode(found))


@public
def read_photo(source: PhotoSource, max_pixels: int | None = None) -> Photo:
    """Reads a picture file at its own precision, with its alpha and its metadata.

    JPEG, PNG, WEBP, TIFF, BMP, GIF; AVIF with Pillow 11.3 or newer; HEIC with the extra ``heif``. Of several frames the
    first is read, of several pages the largest. The Exif orientation is applied, colours that the file states (an ICC
    profile, PNG's ``cICP``, ``gAMA`` and ``cHRM``, Exif's Adobe RGB) are converted to sRGB, and palettes, CMYK and grey
    become RGB. 16-bit grey keeps its 16 bits; so does 16-bit colour in PNG and TIFF where the extra ``deep`` is
    installed, and has 8 bits elsewhere. TIFF of floats and JPEG of 12 bits need that extra.

    Args:
        source: a path, the bytes of a file, or an open binary file, which errors call ``-``.
        max_pixels: the most that are decoded; ``None`` is the limit of the process (:mod:`sfumato.limits`).

    Raises:
        InputError: absent, empty, damaged, of another kind or larger than ``max_pixels``. The size is known from the
            header, before anything is decoded.
    """
    with open_picture(source, limits.max_pixels() if max_pixels is None else max_pixels) as found:
        pixels, alpha = _whole(*decode(found))
        return Photo(pixels, alpha, read_metadata(found.image), found.remark)


def read_recipe(source: PhotoSource) -> dict[str, object] | None:
    """The recipe that :func:`write_photo` embedded in a result; ``None`` where there is none.

    It comes from a file that anyone may have made: it is JSON of a limited size, and no more than that is known of it.

    Raises:
        InputError: the file cannot be read as in :func:`read_photo`, or its recipe is damaged.
    """
    with open_picture(source, limits.max_pixels()) as found:
        return find_recipe(found.image)


def picture_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256, in hex, of a picture's file.

    Raises:
        InputError: it cannot be read, is no regular file, or has more bytes than any picture that is read.
    """
    try:
        return digest(path, limits.max_file_bytes(limits.max_pixels()))
    except (OSError, ValueError) as problem:
        raise InputError(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}") from problem


def as_image(source: ImageSource) -> Picture:
    """Return anything that people hold as a picture by the image contract.

    Args:
        source: a path, the bytes of a file or an open binary file; a ``PIL.Image``; a :class:`Photo`; or an array or
            tensor ``(H, W)``, ``(H, W, C)``, ``(C, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``, where C is 1 for
            grey, 3, or 4 with alpha, which is laid on white: uint8, uint16, bool, or float in ``[0, 1]``.

    Returns:
        ``(N, 3, H, W)``; it shares memory with ``source`` where that already keeps the contract.

    Raises:
        InputError: unreadable, another shape or type, values outside ``[0, 1]``, or a shape of floats that could be
            read both as ``(3, H, W)`` and as ``(H, W, C)``.
    """
    if is_file_like(source):
        return read_image(source)
    if isinstance(source, Photo):
        return _on_white(source.pixels, source.alpha)
    if isinstance(source, Image.Image):
        return _on_white(*_levels_of(source))
    planes = _planes(array_of(source))
    picture = unit(planes) if planes.dtype.kind in "bu" else planes.astype(np.float32, copy=False)
    if picture.shape[1] == 4:
        alpha = picture[:, 3:]
        picture = picture[:, :3] * alpha + (1 - alpha)
    elif picture.shape[1] == 1:
        picture = np.repeat(picture, 3, axis=1)
    check_image(picture, "the picture")
    return np.ascontiguousarray(picture)


def as_photo(source: ImageSource) -> Photo:
    """Return anything that people hold as one picture as a :class:`Photo`.

    Args:
        source: as :func:`as_image` takes it. Files and uint16 keep their precision, everything its alpha; floats are
            rounded to 8 bits.

    Raises:
        InputError: as :func:`as_image` does, or it is a batch of several.
    """
    if isinstance(source, Photo):
        return source
    if is_file_like(source):
        return read_photo(source)
    if isinstance(source, Image.Image):
        return Photo(*_whole(*_levels_of(source)))
    planes = _planes(array_of(source))
    if len(planes) != 1:
        raise InputError(f"the picture is a batch of {len(planes)} pictures; pass them one at a time")
    if planes.dtype not in (np.uint8, np.uint16):
        values = planes.astype(np.float32)
        if values.size and not (values.min() >= 0 and values.max() <= 1):  # NaN fails too
            raise InputError(
                f"the picture must lie in [0, 1], but its values go from {values.min():g} to {values.max():g}"
            )
        planes = np.rint(values * np.float32(255)).astype(np.uint8)
    pixels = np.ascontiguousarray(planes[0].transpose(1, 2, 0))
    colours = pixels[:, :, :3] if pixels.shape[2] > 1 else np.repeat(pixels, 3, axis=2)
    alpha = np.ascontiguousarray(pixels[:, :, 3]) if pixels.shape[2] == 4 else None
    return Photo(np.ascontiguousarray(colours), alpha)


def is_file_like(source: object) -> TypeGuard[PhotoSource]:
    """Whether that is a path, the bytes of a file or an open file. (A memoryview of bytes is; of pixels it is none.)"""
    if isinstance(source, memoryview):
        return source.ndim == 1 and source.itemsize == 1
    return isinstance(source, str | os.PathLike | bytes | bytearray) or callable(getattr(source, "read", None))


def array_of(source: Any, name: str = "a picture") -> npt.NDArray[Any]:
    """Return what an array or a tensor holds, on whatever device; ``name`` is what errors call it.

    Raises:
        InputError: it is neither.
    """
    try:
        if hasattr(source, "detach"):  # a tensor of torch, which is not imported for it
            source = source.detach().cpu()  # with its gradient it could not be read as an array
            if str(source.dtype) == "torch.bfloat16":  # which NumPy does not know
                source = source.float()
        return np.asarray(source)
    except Exception as problem:  # whatever an object of anybody's raises when it is asked for its values
        raise InputError(
            f"{name} must be a path, a file, a PIL image or an array, but {type(source).__name__} was given"
        ) from problem


def _planes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Any layout of pixels as ``(N, C, H, W)``, C being 1, 3 or 4."""
    if array.dtype not in (np.uint8, np.uint16, np.bool_) and not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"a picture must be uint8, uint16, bool or float, but is {array.dtype}")
    if array.ndim == 2:
        return array[None, None]
    if array.ndim == 4:
        if array.shape[1] in _CHANNELS:
            return array
        if array.shape[3] in _CHANNELS:
            return array.transpose(0, 3, 1, 2)
    if array.ndim == 3:
        if array.shape[2] in _CHANNELS:
            if array.shape[0] == 3 and array.dtype.kind == "f":
                raise InputError(f"the shape {array.shape} could be (3, H, W) or (H, W, C); pass (1, 3, H, W)")
            return array.transpose(2, 0, 1)[None]
        if array.shape[0] in _CHANNELS:
            return array[None]
    raise InputError(
        f"a picture must have shape (H, W), (H, W, C), (C, H, W) or (N, C, H, W), where C is 1, 3 or 4, but has "
        f"{array.shape}"
    )


def _levels_of(image: Image.Image) -> tuple[Array, Array | None]:
    """Pixels and alpha of a PIL image."""
    limits.check_size(*image.size, limits.max_pixels(), "the picture")
    try:
        return decode(OpenPicture(image))
    except InputError as problem:
        raise InputError(f"cannot read the picture: {problem}") from problem


def _whole(pixels: Array, alpha: Array | None) -> tuple[Array, Array | None]:
    """The same in whole numbers: grey in floats has 16 bits then."""
    if pixels.dtype != np.float32:
        return pixels, alpha
    return _to_16_bits(pixels), None if alpha is None else _to_16_bits(alpha)


def _to_16_bits(levels: Array) -> npt.NDArray[np.uint16]:
    return np.rint(levels * np.float32(65535)).astype(np.uint16)


def _on_white(pixels: Array, alpha: Array | None) -> Picture:
    picture = as_picture(pixels)
    if alpha is not None:
        for row, opacity in enumerate(alpha):  # row by row: no second picture in floats beside the first
            cover = unit(opacity)
            picture[0, :, row] *= cover
            picture[0, :, row] += 1 - cover
    return picture
