"""Writing of pictures, photos and animations to files."""

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
from sfumato.image.photo import Array, Photo, Picture, to_8_bits, to_pil, to_uint8
from sfumato.metadata import GIF_PREFIX, PNG_KEYWORD, Metadata, recipe_json, to_exif, to_xmp
from sfumato.public import public

_TIFF_XMP, _TIFF_ICC = 700, 34675
_PNG_XMP = "XML:com.adobe.xmp"  # the keyword, as the specification of XMP names it


@dataclass(frozen=True)
class _Writer:
    format: str
    max_side: int
    options: dict[str, Any] = field(default_factory=dict)
    has_quality: bool = False
    has_alpha: bool = True
    has_16_bits: bool = False


# Subsampling 4:4:4, because colour at half size smears brush strokes.
_JPEG = _Writer("JPEG", 65_500, {"subsampling": 0}, has_quality=True, has_alpha=False)
_TIFF = _Writer("TIFF", 2**31 - 1, has_16_bits=True)
_WRITERS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    # Paintings compress badly: Pillow's default level, 6, takes four times as long and saves 5 %.
    ".png": _Writer("PNG", 2**31 - 1, {"compress_level": 3}, has_16_bits=True),
    ".webp": _Writer("WEBP", 16_383, {"exact": True}, has_quality=True),  # keeps the colours of transparent pixels
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
#: The suffixes, in lower case, of the formats that are written; ``READABLE`` has those that are read.
WRITABLE = tuple(_WRITERS)


@public
def write_image(x: Picture, path: str | os.PathLike[str], quality: int = 92) -> None:
    """Write ``(1, 3, H, W)`` to a file whose suffix gives the format (JPEG, PNG, WEBP, TIFF).

    The file is written atomically, and missing folders are created. ``quality`` (1 to 100) is for JPEG and WEBP.

    Raises:
        OutputError: the suffix is unknown, the format cannot store the picture, or the file cannot be written.
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
    """Write a photo with its alpha, metadata and recipe, tagged as sRGB and as made by Sfumato.

    PNG and TIFF store 16 bits; the other formats get 8, rounded. JPEG has no alpha, so the photo is composited on
    white. :mod:`sfumato.metadata` describes where formats store the metadata and the recipe.

    Args:
        photo: the photo.
        destination: a path, which is written atomically, with missing folders created; or an open binary file such as
            ``sys.stdout.buffer``.
        format: ``"jpeg"``, ``"png"``, ``"webp"`` or ``"tiff"``, or one of ``WRITABLE``. By default the suffix of the
            path or of the open file's name decides; an open file without one gets a PNG.
        quality: 1 to 100, for JPEG and WEBP.
        overwrite: whether to replace an existing file, including one that is created meanwhile.

    Raises:
        OutputError: the format is unknown or cannot store the photo, or the file cannot be written or replaced.
        UsageError: the quality is out of range, or the recipe is not JSON or is too long.
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
            f"cannot write {name}: {writer.format} allows at most {writer.max_side} pixels per side, but the picture "
            f"has {photo.width} x {photo.height}; name a .png file"
        )
    if isinstance(destination, str | os.PathLike):
        with atomic_file(destination, overwrite) as file:
            _encode(photo, file, writer, quality)
        return
    buffer = io.BytesIO()  # some encoders seek, which a pipe cannot
    _encode(photo, buffer, writer, quality)
    try:
        destination.write(buffer.getbuffer())
        destination.flush()
    except OSError as problem:
        raise OutputError(f"cannot write {name}: {problem.strerror or problem}") from problem


def write_working_copy(photo: Photo, path: str | os.PathLike[str]) -> None:
    """Write a photo as a PNG that is written twice as fast as by `write_photo`, and is some 5 % larger.

    The pixels, their depth, the metadata and the recipe are kept.

    Raises:
        OutputError: the file cannot be written.
    """
    levels: Array = photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])
    with atomic_file(path) as file:
        deep.write_png(file, levels, _png_chunks(photo), level=1)


def _png_chunks(photo: Photo) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG that hold colour space, recipe, do-not-train mark, resolution and Exif."""
    return [
        *((chunk[0], chunk[1]) for chunk in _png_info(photo.metadata).chunks),
        (b"eXIf", to_exif(photo.metadata).tobytes()[len(b"Exif\0\0") :]),
    ]


def _png_info(metadata: Metadata) -> PngInfo:
    info = PngInfo()
    info.add(b"sRGB", b"\0")  # intent: perceptual
    if metadata.recipe is not None:
        info.add_itxt(PNG_KEYWORD, recipe_json(metadata.recipe))
    if metadata.reservation:
        info.add_itxt(_PNG_XMP, to_xmp(None, reserved=True).decode())
    return info


def _suffix_of(file: object) -> str:
    """Return the suffix of an open file's name; empty if it has no name, or a number as pipes do."""
    name = getattr(file, "name", None)
    return Path(name).suffix if isinstance(name, str) else ""


def write_animation(
    frames: Sequence[Picture],
    path: str | os.PathLike[str],
    recipe: Mapping[str, object],
    seconds: float = 0.05,
    overwrite: bool = True,
) -> None:
    """Write pictures as an endlessly looping GIF with the recipe, atomically; each frame has 256 colours.

    A frame equal to the one before it is not stored; that one is shown for longer instead.

    Args:
        frames: pictures ``(1, 3, H, W)`` of one size.
        path: the file.
        recipe: the recipe, as JSON.
        seconds: the time of a frame.
        overwrite: whether to replace an existing file.

    Raises:
        OutputError: the file cannot be written, or exists and may not be replaced.
    """
    first, *rest = [to_pil(frame).quantize(256) for frame in frames]
    options = {"duration": round(1000 * seconds), "loop": 0, "comment": GIF_PREFIX + recipe_json(recipe)}
    with atomic_file(path, overwrite) as file:
        first.save(file, "GIF", save_all=True, append_images=rest, **options)


def as_jpeg_text(x: Picture, quality: int = 88, subsampling: int = -1) -> str:
    """Encode one picture ``(1, 3, H, W)`` as JPEG in base64, for embedding in a web page.

    ``quality`` and ``subsampling`` are those of Pillow.
    """
    file = io.BytesIO()
    to_pil(x).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return base64.b64encode(file.getvalue()).decode()


class _WithoutDescriptor:
    """A file without ``fileno``, so that Pillow writes to it through Python.

    With a descriptor, its JPEG encoder would ignore a full disk and leave half a file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.flush, self.seek, self.tell = file.write, file.flush, file.seek, file.tell


def _encode(photo: Photo, file: BinaryIO, writer: _Writer, quality: int) -> None:
    levels: Array = photo.pixels if writer.has_16_bits else to_8_bits(photo.pixels)
    if photo.alpha is not None:
        alpha = photo.alpha if photo.alpha.dtype == levels.dtype else to_8_bits(photo.alpha)
        levels = np.dstack([levels, alpha]) if writer.has_alpha else _flattened(levels, alpha)
    exif, dpi = to_exif(photo.metadata), photo.metadata.resolution
    xmp = to_xmp(photo.metadata.recipe, reserved=photo.metadata.reservation is not None)
    if writer.format == "TIFF":
        deep.write_tiff(file, levels, exif, {_TIFF_ICC: srgb_profile(), **({_TIFF_XMP: xmp} if xmp else {})})
        return
    options = dict(writer.options)
    if dpi is not None:
        options["dpi"] = dpi
    if writer.has_quality:
        options["quality"] = quality
    if writer.format == "PNG":
        if levels.dtype == np.uint16:
            deep.write_png(file, levels, _png_chunks(photo))
            return
        options["pnginfo"] = _png_info(photo.metadata)
    else:
        options["icc_profile"] = srgb_profile()
        if xmp:
            options["xmp"] = xmp
    Image.fromarray(levels).save(
        cast(BinaryIO, _WithoutDescriptor(file)), format=writer.format, exif=exif.tobytes(), **options
    )


def _flattened(levels: Array, alpha: Array) -> npt.NDArray[np.uint8]:
    """Composite 8-bit colours ``(H, W, 3)`` with an alpha ``(H, W)`` on white."""
    out = np.empty(levels.shape, np.uint8)
    for into, row, opacity in zip(out, levels, alpha[:, :, None], strict=True):
        weight = opacity.astype(np.float32) / np.float32(255)
        into[:] = np.rint(row * weight + 255 * (1 - weight))
    return out
