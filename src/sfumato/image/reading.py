"""Reading of pictures and photos from files, and conversion of PIL images, arrays and tensors."""

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
from sfumato.image.decoding import decode, is_turned
from sfumato.image.opening import OpenPicture, PhotoSource, open_picture
from sfumato.image.photo import Array, Photo, Picture, as_picture, unit
from sfumato.metadata import Metadata, find_recipe, read_metadata
from sfumato.public import public

ImageSource: TypeAlias = PhotoSource | Image.Image | Photo | npt.NDArray[Any]
_CHANNELS = (1, 3, 4)


@public
def read_image(source: PhotoSource) -> Picture:
    """Read a picture file as ``(1, 3, H, W)``, like :func:`read_photo`, with transparency composited on white.

    Raises:
        InputError: the file is missing, empty, damaged, in an unsupported format, or larger than the limit
            (:func:`sfumato.limits.max_pixels`). The size is checked before decoding.
    """
    with open_picture(source, limits.max_pixels()) as found:
        return _on_white(*decode(found))


@public
def read_photo(source: PhotoSource, max_pixels: int | None = None) -> Photo:
    """Read a picture file at its own precision, with its alpha and its metadata.

    Formats: JPEG, PNG, WEBP, TIFF, BMP, GIF; AVIF with Pillow 11.3 or newer; HEIC with the extra ``heif``. The first of
    several frames is read, or the largest of several pages. The Exif orientation is applied. Colours are converted to
    sRGB by the ICC profile, PNG's ``cICP``, ``gAMA`` and ``cHRM``, or Exif's Adobe RGB. Palettes, CMYK and grey become
    RGB. 16-bit grey keeps its precision; 16-bit colour in PNG and TIFF does with the extra ``deep``, and is read with
    8 bits without it. TIFF of floats and JPEG of 12 bits need that extra.

    Args:
        source: a path, the bytes of a file, or an open binary file, whose name in errors is ``-``.
        max_pixels: the limit of pixels; ``None`` is the limit of the process (:mod:`sfumato.limits`).

    Raises:
        InputError: the file is missing, empty, damaged, in an unsupported format, or larger than ``max_pixels``. The
            size is checked before decoding.
    """
    with open_picture(source, limits.max_pixels() if max_pixels is None else max_pixels) as found:
        pixels, alpha = _whole(*decode(found))
        return Photo(pixels, alpha, read_metadata(found.image), found.remark)


def read_metadata_of(source: PhotoSource) -> Metadata:
    """Return the metadata of a picture file without decoding its pixels; InputError as for :func:`read_photo`."""
    with open_picture(source, limits.max_pixels()) as found:
        return read_metadata(found.image)


def read_recipe(source: PhotoSource) -> dict[str, object] | None:
    """Return the recipe that :func:`write_photo` embedded in a result; ``None`` if there is none.

    The file may come from an untrusted source. The recipe is valid JSON of limited size; its fields are not checked.

    Raises:
        InputError: the file cannot be read as in :func:`read_photo`, or its recipe is damaged.
    """
    with open_picture(source, limits.max_pixels()) as found:
        return find_recipe(found.image)


def stored_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the width and the height of a picture file from its header, where the stored pixels are upright.

    Raises:
        InputError: the file cannot be read, or its Exif asks to turn or mirror it.
    """
    with open_picture(path, limits.max_pixels()) as found:
        # Whether Pillow turns the size of a TIFF depends on its version; the page has it as stored.
        width, height = found.image.size if found.page is None else (found.page.width, found.page.height)
        turned = is_turned(found.image)
    if turned:
        raise InputError(
            f"the Exif of {path} asks to turn or mirror it, so that boxes and masks of its stored pixels would not fit "
            "the upright copy; save it upright first"
        )
    return width, height


def picture_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a picture file in hex.

    Raises:
        InputError: the file cannot be read, is not a regular file, or has more bytes than any picture within the limit.
    """
    try:
        return digest(path, limits.max_file_bytes(limits.max_pixels()))
    except (OSError, ValueError) as problem:
        raise InputError(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}") from problem


def photo_digest(photo: object) -> str:
    """Return the SHA-256 of a photo's file; empty where there is no file, or a pipe, which can be read only once."""
    try:
        return picture_digest(photo) if isinstance(photo, str | os.PathLike) else ""
    except InputError:  # reading the photo will raise the same error
        return ""


def as_image(source: ImageSource) -> Picture:
    """Convert a picture in any common form to the image contract.

    Args:
        source: a path, the bytes of a file or an open binary file; a ``PIL.Image``; a :class:`Photo`; or an array or
            tensor ``(H, W)``, ``(H, W, C)``, ``(C, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)`` of uint8, uint16,
            bool, or float in ``[0, 1]``. C is 1 for grey, 3, or 4 with alpha, which is composited on white.

    Returns:
        ``(N, 3, H, W)``; it shares memory with ``source`` if that already follows the contract.

    Raises:
        InputError: the source is unreadable, has another shape or type, values outside ``[0, 1]``, or a shape that is
            ambiguous for floats: both ``(3, H, W)`` and ``(H, W, C)``.
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
    """Convert one picture in any common form to a :class:`Photo`.

    Args:
        source: as for :func:`as_image`. Files and uint16 keep their precision; floats are rounded to 8 bits. Alpha is
            kept.

    Raises:
        InputError: as for :func:`as_image`, or the source is a batch of several pictures.
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
                f"the picture must be in [0, 1], but its values range from {values.min():g} to {values.max():g}"
            )
        planes = np.rint(values * np.float32(255)).astype(np.uint8)
    pixels = np.ascontiguousarray(planes[0].transpose(1, 2, 0))
    colours = pixels[:, :, :3] if pixels.shape[2] > 1 else np.repeat(pixels, 3, axis=2)
    alpha = np.ascontiguousarray(pixels[:, :, 3]) if pixels.shape[2] == 4 else None
    return Photo(np.ascontiguousarray(colours), alpha)


def is_file_like(source: object) -> TypeGuard[PhotoSource]:
    """Whether a source is a path, the bytes of a file or an open file. A memoryview must be one-dimensional bytes."""
    if isinstance(source, memoryview):
        return source.ndim == 1 and source.itemsize == 1
    return isinstance(source, str | os.PathLike | bytes | bytearray) or callable(getattr(source, "read", None))


def array_of(source: Any, name: str = "a picture") -> npt.NDArray[Any]:
    """Return an array or a tensor on any device as a NumPy array; ``name`` is its name in errors.

    Raises:
        InputError: the source is neither.
    """
    try:
        if hasattr(source, "detach"):  # a torch tensor, recognised without importing torch
            source = source.detach().cpu()  # NumPy cannot convert a tensor with a gradient
            if str(source.dtype) == "torch.bfloat16":  # NumPy has no such type
                source = source.float()
        return np.asarray(source)
    except Exception as problem:  # a foreign object may raise anything when it is converted
        raise InputError(
            f"{name} must be a path, a file, a PIL image or an array, but {type(source).__name__} was given"
        ) from problem


def _planes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return pixels in any layout as ``(N, C, H, W)``, where C is 1, 3 or 4."""
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
    """Return the pixels and the alpha of a PIL image."""
    limits.check_size(*image.size, limits.max_pixels(), "the picture")
    try:
        return decode(OpenPicture(image))
    except InputError as problem:
        raise InputError(f"cannot read the picture: {problem}") from problem


def _whole(pixels: Array, alpha: Array | None) -> tuple[Array, Array | None]:
    """Convert float pixels, which only float grey has, to 16-bit integers; integers are unchanged."""
    if pixels.dtype != np.float32:
        return pixels, alpha
    return _to_16_bits(pixels), None if alpha is None else _to_16_bits(alpha)


def _to_16_bits(levels: Array) -> npt.NDArray[np.uint16]:
    return np.rint(levels * np.float32(65535)).astype(np.uint16)


def _on_white(pixels: Array, alpha: Array | None) -> Picture:
    """Composite pixels on white."""
    picture = as_picture(pixels)
    if alpha is not None:
        for row, opacity in enumerate(alpha):  # row by row, to avoid a second float picture in memory
            cover = unit(opacity)
            picture[0, :, row] *= cover
            picture[0, :, row] += 1 - cover
    return picture
