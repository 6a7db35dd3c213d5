"""Pictures and photos into files."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sfumato import deep
from sfumato.checks import check_range
from sfumato.errors import OutputError, UsageError
from sfumato.files import atomic_file
from sfumato.image.colour import srgb_profile
from sfumato.image.photo import Array, Photo, Picture, to_pil, to_uint8
from sfumato.metadata import GIF_PREFIX, PNG_KEYWORD, recipe_json, to_exif, to_xmp
from sfumato.public import public

_TIFF_XMP, _TIFF_ICC = 700, 34675


@dataclass(frozen=True)
class _Writer:
    format: str
    max_side: int
    options: dict[str, Any] = field(default_factory=dict)
    has_quality: bool = False
    has_alpha: bool = True
    has_16_bits: bool = False


# 4:4:4: half-size colour smears brush strokes
_JPEG = _Writer("JPEG", 65_500, {"subsampling": 0}, has_quality=True, has_alpha=False)
_TIFF = _Writer("TIFF", 2**31 - 1, has_16_bits=True)
_WRITERS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    # Paint hardly compresses: Pillow's own level, 6, takes four times as long for 5 % less.
    ".png": _Writer("PNG", 2**31 - 1, {"compress_level": 3}, has_16_bits=True),
    ".webp": _Writer("WEBP", 16_383, {"exact": True}, has_quality=True),  # the colours under the alpha stay
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
#: The suffixes, in lower case, that :func:`write_image` takes; ``READABLE`` are those of the formats that are read.
WRITABLE = tuple(_WRITERS)


@public
def write_image(x: Picture, path: str | os.PathLike[str], quality: int = 92) -> None:
    """Writes ``(1, 3, H, W)`` to a file of the format that the suffix names (JPEG, PNG, WEBP, TIFF).

    The file appears whole or not at all, and missing folders are made. ``quality`` (1 to 100) is for JPEG and WEBP.

    Raises:
        OutputError: an unknown suffix, a picture that the format cannot hold, or a file that cannot be written.
    """
    write_photo(Photo(to_uint8(x)), path, quality=quality)


@public
def write_photo(
    photo: Photo,
    destination: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
    quality: int = 92,
    overwrite: bool = True,
) -> None:
    """Writes a photo with its alpha, its metadata and its recipe, tagged as sRGB and as made by Sfumato.

    PNG and TIFF keep 16 bits; elsewhere 8 remain, rounded. JPEG has no alpha: it is laid on white. Where the metadata
    and the recipe go is told in :mod:`sfumato.metadata`.

    Args:
        photo: what to write.
        destination: a path, at which the file appears whole or not at all and whose missing folders are made; or an
            open binary file such as ``sys.stdout.buffer``.
        format: ``"jpeg"``, ``"png"``, ``"webp"`` or ``"tiff"``, or one of ``WRITABLE``. Without one the suffix of the
            path, or of an open file's name, says it; what has no name, or one without a suffix, becomes a PNG.
        quality: 1 to 100, for JPEG and WEBP.
        overwrite: whether a file at a path is replaced, also one that appears while this is written.

    Raises:
        OutputError: an unknown format, a photo that the format cannot hold, or a file that cannot be written or
            replaced.
        UsageError: a quality out of range, or a recipe that is not JSON or too long.
    """
    if not isinstance(photo, Photo):
        raise UsageError(f"write_photo writes a Photo, but {type(photo).__name__} was given; write_image writes arrays")
    path = Path(destination) if isinstance(destination, str | os.PathLike) else None
    name = "-" if path is None else str(path)
    if format is not None:
        wanted = f".{format.removeprefix('.')}"
    elif path is not None:
        wanted = path.suffix
    else:
        wanted = _suffix_of(destination) or ".png"
    writer = _WRITERS.get(wanted.lower())
    if writer is None:
        how = "its name must end in" if format is None else "its format must be"
        raise OutputError(f"cannot write {name}: {how} one of {', '.join(WRITABLE)}")
    check_range(quality, 1, 100, "quality")
    if max(photo.width, photo.height) > writer.max_side:
        raise OutputError(
            f"cannot write {name}: {writer.format} holds at most {writer.max_side} pixels a side and the picture has "
            f"{photo.width} x {photo.height}; name a .png file"
        )
    if isinstance(destination, str | os.PathLike):
        with atomic_file(destination, overwrite) as file:
            _encode(photo, file, writer, quality)
        return
    buffer = io.BytesIO()  # some encoders seek, and a pipe cannot
    _encode(photo, buffer, writer, quality)
    try:
        destination.write(buffer.getbuffer())
        destination.flush()
    except OSError as problem:
        raise OutputError(f"cannot write {name}: {problem.strerror or problem}") from problem


def _suffix_of(file: object) -> str:
    """How an open file's name ends; nothing for one without a name, or with a number for one, as pipes have."""
    name = getattr(file, "name", None)
    return Path(name).suffix if isinstance(name, str) else ""


def write_animation(
    frames: Sequence[Picture],
    path: str | os.PathLike[str],
    recipe: Mapping[str, object],
    seconds: float = 0.05,
    overwrite: bool = True,
) -> None:
    """Writes pictures ``(1, 3, H, W)`` of one size as an endless GIF with the recipe; 256 colours to a frame.

    The file appears whole or not at all. A frame like the one before it is not stored but shown for longer.

    Raises:
        OutputError: the file cannot be written, or is there and is not to be replaced.
    """
    first, *rest = [to_pil(frame).quantize(256) for frame in frames]
    options = {"duration": round(1000 * seconds), "loop": 0, "comment": GIF_PREFIX + recipe_json(recipe)}
    with atomic_file(path, overwrite) as file:
        first.save(file, "GIF", save_all=True, append_images=rest, **options)


def as_jpeg_text(x: Picture, quality: int = 88, subsampling: int = -1) -> str:
    """One picture ``(1, 3, H, W)`` as a JPEG in base64, for a page that holds its pictures; ``subsampling`` as Pillow
    has it."""
    file = io.BytesIO()
    to_pil(x).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return base64.b64encode(file.getvalue()).decode()


class _Written:
    """A file that Pillow writes to through Python: given a descriptor, its JPEG encoder is content with half a file
    where the disk is full."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.flush, self.seek, self.tell = file.write, file.flush, file.seek, file.tell


def _encode(photo: Photo, file: BinaryIO, writer: _Writer, quality: int) -> None:
    levels: Array = photo.pixels if photo.pixels.dtype == np.uint8 or writer.has_16_bits else _to_8_bits(photo.pixels)
    if photo.alpha is not None:
        alpha = photo.alpha if photo.alpha.dtype == levels.dtype else _to_8_bits(photo.alpha)
        levels = np.dstack([levels, alpha]) if writer.has_alpha else _flattened(levels, alpha)
    exif, recipe, dpi = to_exif(photo.metadata), photo.metadata.recipe, photo.metadata.resolution
    if writer.format == "TIFF":
        xmp = {} if recipe is None else {_TIFF_XMP: to_xmp(recipe)}
        deep.write_tiff(file, levels, exif, {_TIFF_ICC: srgb_profile(), **xmp})
        return
    options = dict(writer.options)
    if dpi is not None:
        options["dpi"] = dpi
    if writer.has_quality:
        options["quality"] = quality
    if writer.format == "PNG":
        info = PngInfo()
        info.add(b"sRGB", b"\0")  # intent: perceptual
        if recipe is not None:
            info.add_itxt(PNG_KEYWORD, recipe_json(recipe))
        if levels.dtype == np.uint16:
            chunks = [(chunk[0], chunk[1]) for chunk in info.chunks]
            deep.write_png(file, levels, [*chunks, (b"eXIf", exif.tobytes()[len(b"Exif\0\0") :])])
            return
        options["pnginfo"] = info
    else:
        options["icc_profile"] = srgb_profile()
        if recipe is not None:
            options["xmp"] = to_xmp(recipe)
    Image.fromarray(levels).save(cast(BinaryIO, _Written(file)), format=writer.format, exif=exif.tobytes(), **options)


def _to_8_bits(levels: Array) -> npt.NDArray[np.uint8]:
    """The nearest of 256 levels to each of 65536, which are 257 to one."""
    out = np.empty(levels.shape, np.uint8)
    for into, row in zip(out, levels, strict=True):  # row by row: the sum needs more than 16 bits
        into[:] = (row.astype(np.uint32) + 128) // 257
    return out


def _flattened(levels: Array, alpha: Array) -> npt.NDArray[np.uint8]:
    """Colours of 8 bits ``(H, W, 3)`` laid on white by the alpha ``(H, W)``."""
    out = np.empty(levels.shape, np.uint8)
    for into, row, opacity in zip(out, levels, alpha[:, :, None], strict=True):
        weight = opacity.astype(np.float32) / np.float32(255)
        into[:] = np.rint(row * weight + 255 * (1 - weight))
    return out
