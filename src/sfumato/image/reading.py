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
from sfumato.image.opening import Opened, PhotoSource, opened
from sfumato.image.photo import Array, Photo, Picture, as_picture, unit
from sfumato.metadata import find_recipe, read_metadata

ImageSource: TypeAlias = PhotoSource | Image.Image | npt.NDArray[Any]


def read_image(source: PhotoSource) -> Picture:
    """Reads a picture file as ``(1, 3, H, W)``: as :func:`read_photo` does, and transparency is laid on white.

    Raises:
        InputError: the file is absent, empty, damaged, of another kind or larger than the limit
            (:func:`sfumato.limits.max_pixels`). The size is known from the header, before anything is decoded.
    """
    with opened(source, limits.max_pixels()) as found:
        return _on_white(*decode(found))


def read_photo(source: PhotoSource, max_pixels: int | None = None) -> Photo:
    """Reads a picture file at its own precision, with its alpha and its metadata.

    JPEG, PNG, WEBP, TIFF, BMP, GIF; AVIF with Pillow 11.3 or newer; HEIC with the extra ``heif``. Of several frames the
    first is read, of several pages the largest. The Exif orientation is applied, colours that the file states (an ICC
    profile, PNG's ``cICP``, ``gAMA`` and ``cHRM``, Exif's Adobe RGB) are converted to sRGB, and palettes, CMYK and grey
    become RGB. 16-bit grey keeps its 16 bits; so does 16-bit colour in PNG and TIFF where the extra ``deep`` is
    installed, and has 8 bits elsewhere. TIFF of floats and JPEG of 12 bits need that extra.

    Args:
        source: a path, the bytes of a file, or an open binary file; errors call the last two ``-``.
        max_pixels: the most that are decoded; ``None`` is the limit of the process (:mod:`sfumato.limits`).

    Raises:
        InputError: absent, empty, damaged, of another kind or larger than ``max_pixels``. The size is known from the
            header, before anything is decoded.
    """
    with opened(source, limits.max_pixels() if max_pixels is None else max_pixels) as found:
        pixels, alpha = decode(found)
        if pixels.dtype == np.float32:  # grey in floats
            pixels, alpha = (_to_16_bits(pixels), None if alpha is None else _to_16_bits(alpha))
        return Photo(pixels, alpha, read_metadata(found.image), found.remark)


def read_recipe(source: PhotoSource) -> dict[str, object] | None:
    """The recipe that :func:`write_photo` embedded in a result; ``None`` where there is none.

    It comes from a file that anyone may have made: it is JSON of a limited size, and no more than that is known of it.

    Raises:
        InputError: the file cannot be read as in :func:`read_photo`, or its recipe is damaged.
    """
    with opened(source, limits.max_pixels()) as found:
        return find_recipe(found.image)


def picture_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256, in hex, of a picture's file.

    Raises:
        InputError: it cannot be read, is no regular file, or has more bytes than any picture that is read.
    """
    try:
        return digest(path, limits.most_bytes(limits.max_pixels()))
    except (OSError, ValueError) as problem:
        raise InputError(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}") from problem


def as_image(source: ImageSource) -> Picture:
    """Brings anything that people hold as a picture to the contract.

    Args:
        source: a path, the bytes of a file or an open binary file; a ``PIL.Image``; an ``(H, W, 3)`` array (also
            ``(H, W)``, ``(H, W, 1)`` grey and ``(H, W, 4)`` with alpha, laid on white), uint8 or float in ``[0, 1]``;
            or a float array ``(3, H, W)`` or ``(N, 3, H, W)`` in ``[0, 1]``. A tensor counts as an array of its values.

    Returns:
        ``(N, 3, H, W)``; it shares memory with ``source`` where that already keeps the contract.

    Raises:
        InputError: unreadable, another shape or type, values outside ``[0, 1]``, or a shape that could be read both as
            ``(3, H, W)`` and as ``(H, W, C)``.
    """
    if is_file_like(source):
        return read_image(source)
    if isinstance(source, Image.Image):
        limits.check_size(*source.size, limits.max_pixels(), "the picture")
        try:
            return _on_white(*decode(Opened(source)))
        except InputError as problem:
            raise InputError(f"cannot read the picture: {problem}") from problem
    array = _values(source)
    if array.dtype == np.uint8:
        if not _is_channels_last(array):
            raise InputError(f"a uint8 picture must have shape (H, W, 3), but has {array.shape}")
        scaled = unit(array)
    elif np.issubdtype(array.dtype, np.floating):
        scaled = array.astype(np.float32, copy=False)
    else:
        raise InputError(f"a picture must be uint8 or float, but is {array.dtype} ({type(source).__name__})")
    if array.ndim == 4:
        picture = scaled
    else:
        channels_last = _is_channels_last(array)
        channels_first = array.ndim == 3 and array.shape[0] == 3 and array.dtype != np.uint8
        if channels_first and channels_last:
            raise InputError(f"the shape {array.shape} could be (3, H, W) or (H, W, C); pass (1, 3, H, W)")
        if not channels_first and not channels_last:
            raise InputError(f"a picture must have shape (H, W, 3), (3, H, W) or (N, 3, H, W), but has {array.shape}")
        picture = scaled[None] if channels_first else _channels_first(scaled)
    check_image(picture, "the picture")
    return np.ascontiguousarray(picture)


def is_file_like(source: object) -> TypeGuard[PhotoSource]:
    """Whether that is a path, the bytes of a file or an open file."""
    return isinstance(source, str | os.PathLike | bytes | bytearray) or callable(getattr(source, "read", None))


def _values(source: Any) -> npt.NDArray[Any]:
    """What an array or a tensor holds. (torch is not imported to know its tensors.)"""
    try:
        if hasattr(source, "detach"):  # from its gradient, which asking for it as an array would raise about
            source = source.detach().cpu()
            if str(source.dtype) == "torch.bfloat16":  # which NumPy does not know
                source = source.float()
        return np.asarray(source)
    except Exception as problem:  # whatever an object of anybody's raises when it is asked for its values
        raise InputError(
            f"a picture must be a path, a file, a PIL image or an array, but {type(source).__name__} was given"
        ) from problem


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


def _is_channels_last(array: npt.NDArray[Any]) -> bool:
    return array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))


def _channels_first(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``(H, W)`` or ``(H, W, 1 | 3 | 4)`` to ``(1, 3, H, W)``; a fourth channel is alpha, laid on white."""
    if array.ndim == 2:
        array = array[:, :, None]
    colour = array[:, :, :3]
    if array.shape[2] == 4:
        colour = colour * array[:, :, 3:] + (1 - array[:, :, 3:])
    planes = np.broadcast_to(colour.transpose(2, 0, 1), (3, *colour.shape[:2]))
    return np.ascontiguousarray(planes)[None]
