"""THE image contract, and every conversion to and from it.

A picture is RGB in the sRGB colour space, shape ``(N, 3, H, W)``, float32, in ``[0, 1]``. Every public function takes
and returns that; ``[-1, 1]`` lives inside networks only. Eight-bit values are rounded, never truncated.

A :class:`Photo` is what a file holds, at the file's own precision: its pixels as whole numbers, its alpha apart, and
its metadata. It gives any region of itself as a picture, so that large ones never stand in float32 as a whole.
"""

from __future__ import annotations

import base64
import io
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from sfumato import deep
from sfumato.checks import check_image, check_range, check_shape
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.files import atomic_file
from sfumato.metadata import GIF_PREFIX, PNG_KEYWORD, Metadata, find_recipe, read_metadata, recipe_json, to_exif, to_xmp

Picture: TypeAlias = npt.NDArray[np.float32]
ImageSource: TypeAlias = str | os.PathLike[str] | Image.Image | npt.NDArray[Any]
#: A path, a file's bytes, or an open file such as ``sys.stdin.buffer``, which need not be able to seek.
PhotoSource: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO
_Array: TypeAlias = npt.NDArray[Any]
_Float = TypeVar("_Float", np.float32, np.float64)

#: Pillow reads many more, some through old or risky decoders; pictures come from strangers, so these and no others.
READABLE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
READABLE = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
#: More than any camera's single shot, and 2.4 GB in float32: past it, a file is a mistake or an attack.
MAX_PIXELS = 200_000_000

_EXIF_ORIENTATION = 0x0112
_TIFF_XMP, _TIFF_ICC = 700, 34675
# Exif 2.32, section 4.6.4, tag 274: from the upright picture to the view of it in the order of the stored rows.
_AS_STORED: dict[int, Callable[[_Array], _Array]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
_ON_THEIR_SIDE = (5, 6, 7, 8)
_BAND_PIXELS = 1 << 18  # about so many are converted at a time
_open_lock = threading.Lock()


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


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture at the precision of its file.

    Attributes:
        pixels: ``(H, W, 3)`` uint8 or uint16, sRGB, upright. Under the alpha they are kept as stored.
        alpha: ``(H, W)`` of the same type, or ``None`` where every pixel is opaque.
        metadata: what is kept of the source.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    alpha: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | None = None
    metadata: Metadata = field(default_factory=Metadata)

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
        return _picture(self.pixels[rows or slice(None), columns or slice(None)])


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Reads a picture file (JPEG, PNG, WEBP, TIFF, BMP, or a GIF's first frame) as ``(1, 3, H, W)``.

    As :func:`read_photo` reads it, and transparency is laid on white.

    Raises:
        InputError: the file is absent, empty, damaged, of another kind or larger than ``MAX_PIXELS``. The size is
            known from the header, before anything is decoded.
    """
    with _opened(path, MAX_PIXELS) as (image, file, name):
        return _on_white(*_decode(image, name, file))


def read_photo(source: PhotoSource, max_pixels: int = MAX_PIXELS) -> Photo:
    """Reads a picture file at its own precision, with its alpha and its metadata.

    The Exif orientation is applied, an embedded ICC profile is converted to sRGB, and palettes, CMYK and grey become
    RGB. 16-bit grey keeps its 16 bits; so does 16-bit colour in PNG and TIFF where the extra ``deep`` is installed,
    and has 8 bits elsewhere.

    Args:
        source: a path, the bytes of a file, or an open binary file; errors call the last two ``-``.
        max_pixels: the most that are decoded.

    Raises:
        InputError: absent, empty, damaged, of another kind or larger than ``max_pixels``. The size is known from the
            header, before anything is decoded.
    """
    with _opened(source, max_pixels) as (image, file, name):
        pixels, alpha = _decode(image, name, file)
        if pixels.dtype == np.float32:  # grey in floats
            pixels = np.rint(pixels * np.float32(65535)).astype(np.uint16)
        return Photo(pixels, alpha, read_metadata(image))


def read_recipe(source: PhotoSource) -> dict[str, object] | None:
    """The recipe that :func:`write_photo` embedded in a result; ``None`` where there is none.

    It comes from a file that anyone may have made: it is JSON of a limited size, and no more than that is known of it.

    Raises:
        InputError: the file cannot be read as in :func:`read_photo`, or its recipe is damaged.
    """
    with _opened(source, MAX_PIXELS) as (image, _, name):
        try:
            return find_recipe(image)
        except InputError as problem:
            raise InputError(f"cannot read {name}: {problem}") from problem


def as_image(source: ImageSource) -> Picture:
    """Brings anything that people hold as a picture to the contract.

    Args:
        source: a path; a ``PIL.Image``; an ``(H, W, 3)`` array (also ``(H, W)``, ``(H, W, 1)`` grey and ``(H, W, 4)``
            with alpha, laid on white), uint8 or float in ``[0, 1]``; or a float array ``(3, H, W)`` or ``(N, 3, H, W)``
            in ``[0, 1]``. A CPU tensor counts as an array.

    Returns:
        ``(N, 3, H, W)``; it shares memory with ``source`` where that already keeps the contract.

    Raises:
        InputError: unreadable, another shape or type, values outside ``[0, 1]``, or a shape that could be read both as
            ``(3, H, W)`` and as ``(H, W, C)``.
    """
    if isinstance(source, str | os.PathLike):
        return read_image(source)
    if isinstance(source, Image.Image):
        _check_size(source, MAX_PIXELS, "the picture")
        return _on_white(*_decode(source, "the picture"))
    array = np.asarray(source)
    if array.dtype == np.uint8:
        if not _is_channels_last(array):
            raise InputError(f"a uint8 picture must have shape (H, W, 3), but has {array.shape}")
        scaled = _unit(array)
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


def write_image(x: Picture, path: str | os.PathLike[str], quality: int = 92) -> None:
    """Writes ``(1, 3, H, W)`` to a file of the format that the suffix names (JPEG, PNG, WEBP, TIFF).

    The file appears whole or not at all, and missing folders are made. ``quality`` (1 to 100) is for JPEG and WEBP.

    Raises:
        OutputError: an unknown suffix, a picture that the format cannot hold, or a file that cannot be written.
    """
    write_photo(Photo(to_uint8(x)), path, quality=quality)


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
        format: ``"jpeg"``, ``"png"``, ``"webp"`` or ``"tiff"``, or one of ``WRITABLE``; a path needs none, since its
            suffix says it.
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
    wanted = path.suffix if format is None and path is not None else f".{(format or '').removeprefix('.')}"
    writer = _WRITERS.get(wanted.lower())
    if writer is None:
        how = "its name must end in" if format is None and path is not None else "its format must be"
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


def write_animation(
    frames: Sequence[Picture], path: str | os.PathLike[str], recipe: Mapping[str, object], seconds: float = 0.05
) -> None:
    """Writes pictures ``(1, 3, H, W)`` of one size as an endless GIF with the recipe; 256 colours to a frame.

    The file appears whole or not at all. A frame like the one before it is not stored but shown for longer.

    Raises:
        OutputError: the file cannot be written.
    """
    first, *rest = [to_pil(frame).quantize(256) for frame in frames]
    options = {"duration": round(1000 * seconds), "loop": 0, "comment": GIF_PREFIX + recipe_json(recipe)}
    with atomic_file(path) as file:
        first.save(file, "GIF", save_all=True, append_images=rest, **options)


def luma(planes: npt.NDArray[_Float]) -> npt.NDArray[_Float]:
    """``(3, H, W)`` in sRGB to ``(H, W)``: BT.601's weights, at the planes' own precision."""
    weights = np.array([0.299, 0.587, 0.114], planes.dtype)
    result: npt.NDArray[_Float] = np.tensordot(weights, planes, 1)
    return result


def resample(
    planes: npt.NDArray[np.float32],
    height: int,
    width: int,
    how: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> npt.NDArray[np.float32]:
    """Planes ``(..., H, W)`` of any values at another size, not clipped.

    ``box`` (left, upper, right, lower) is the part of each that is taken, the whole by default.
    """
    out = np.empty((*planes.shape[:-2], height, width), np.float32)
    for index in np.ndindex(planes.shape[:-2]):
        plane = Image.fromarray(np.ascontiguousarray(planes[index], np.float32))  # mode "F"
        out[index] = np.asarray(plane.resize((width, height), how, box))
    return out


def resize(x: Picture, height: int, width: int) -> Picture:
    """Resamples ``(N, 3, H, W)`` to ``(N, 3, height, width)`` in float, antialiased (Lanczos, three lobes).

    Lanczos rings beside sharp edges; the result is clipped to ``[0, 1]``.
    """
    sizes = check_shape(x, "N 3 H W", "the picture")
    if height < 1 or width < 1:
        raise UsageError(f"a picture cannot be resized to {width} x {height}; both sides must be at least 1 pixel")
    if (height, width) == (sizes["H"], sizes["W"]):
        return x
    out = resample(x, height, width, Image.Resampling.LANCZOS)
    return np.clip(out, 0.0, 1.0, out=out)


def shrink(photo: Photo, max_side: int) -> Photo:
    """A photo in proportion with its longer side at most ``max_side`` pixels; alpha goes along. Never enlarges.

    Raises:
        UsageError: ``max_side`` is below 1.
    """
    if max_side < 1:
        raise UsageError(f"a photo cannot be shrunk to {max_side} pixels")
    scale = max_side / max(photo.height, photo.width)
    if scale >= 1:
        return photo
    size = max(1, round(photo.height * scale)), max(1, round(photo.width * scale))
    dtype = photo.pixels.dtype
    if photo.alpha is None:
        return replace(photo, pixels=to_levels(resize(photo.picture(), *size), dtype))
    cover = _picture(np.repeat(photo.alpha[:, :, None], 3, 2))
    small = resize(cover, *size)
    # Weighted by the cover, so that what hides under transparency does not bleed out.
    colour = np.divide(resize(photo.picture() * cover, *size), np.maximum(small, 1e-6), dtype=np.float32)
    alpha = np.ascontiguousarray(to_levels(small, dtype)[:, :, 0])
    return replace(photo, pixels=to_levels(colour, dtype), alpha=alpha)


def thumbnail_size(height: int, width: int, short: int, max_long: int) -> tuple[int, int]:
    """Height and width, in proportion, with the shorter side at most ``short`` and the longer at most ``max_long``."""
    scale = min(1.0, short / min(height, width), max_long / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def thumbnail(x: Picture, short: int) -> Picture:
    """``(N, 3, H, W)`` in proportion with the shorter side at most ``short``, the longer at most four times that."""
    return resize(x, *thumbnail_size(x.shape[2], x.shape[3], short, 4 * short))


def as_jpeg_text(x: Picture, quality: int = 88, subsampling: int = -1) -> str:
    """One picture ``(1, 3, H, W)`` as a JPEG in base64, for a page that holds its pictures; ``subsampling`` as Pillow
    has it."""
    file = io.BytesIO()
    to_pil(x).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return base64.b64encode(file.getvalue()).decode()


@contextmanager
def _opened(source: PhotoSource, max_pixels: int) -> Iterator[tuple[Image.Image, BinaryIO, str]]:
    """The opened picture, its file and its name; whatever fails in the block too becomes an ``InputError``."""
    name = str(source) if isinstance(source, str | os.PathLike) else "-"
    try:
        with _file(source, name, max_pixels) as file, _open(file, name, max_pixels) as image:
            yield image, file, name
    except InputError:
        raise
    except UnidentifiedImageError as problem:
        known = ", ".join(READABLE_FORMATS)
        raise InputError(f"cannot read {name}: it is none of {known}, or its header is damaged") from problem
    except PermissionError as problem:
        raise InputError(f"cannot read {name}: {problem.strerror}; check its permissions") from problem
    except MemoryError as problem:
        raise InputError(f"cannot read {name}: the picture does not fit into memory; make it smaller") from problem
    except Exception as problem:  # decoders raise whatever a damaged file makes them stumble on: struct, zlib, index...
        raise InputError(f"cannot read {name}: the file is damaged or cut short ({problem})") from problem


def _file(source: PhotoSource, name: str, max_pixels: int) -> BinaryIO:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            size = path.stat().st_size
            if not path.is_file():
                kind = "a folder" if path.is_dir() else "not a regular file"
                raise InputError(f"cannot read {name}: it is {kind}; name one picture file")
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise InputError(f"cannot read {name}: {reason}; check the name") from problem
        file: BinaryIO = path.open("rb")
    else:
        most = 16 * max_pixels + (1 << 26)  # no format needs more bytes: four channels of 32 bits, and 64 MB of extras
        data = source if isinstance(source, bytes) else source.read(most + 1)
        size = len(data)
        if size > most:
            raise InputError(
                f"cannot read {name}: it is longer than any picture of {_megapixels(max_pixels)}; check what is sent"
            )
        file = io.BytesIO(data)
    if size == 0:
        file.close()
        raise InputError(f"cannot read {name}: the file is empty (0 bytes)")
    return file


def _open(file: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    # Pillow's own limit refuses above 179 megapixels and warns from half of that: ours takes its place while the header
    # is read (the setting is one for the whole process, hence the lock and the way back).
    with _open_lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of damaged Exif, which the pixels do not need
                image = Image.open(file, formats=READABLE_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    _check_size(image, max_pixels, f"cannot read {name}: the picture")
    return image


def _check_size(image: Image.Image, max_pixels: int, subject: str) -> None:
    if image.width * image.height > max_pixels:
        raise InputError(
            f"{subject} has {image.width} x {image.height} pixels, more than the {_megapixels(max_pixels)} that are "
            "read; make it smaller, or raise --max-pixels if you trust it"
        )


def _megapixels(pixels: int) -> str:
    return f"{pixels / 1e6:g} megapixels"


def _decode(image: Image.Image, name: str, file: BinaryIO | None = None) -> tuple[_Array, _Array | None]:
    """``(H, W, 3)`` and, of the same type, the alpha ``(H, W)`` or ``None``: sRGB, upright.

    uint8; uint16 for 16-bit grey and, of a ``file`` that is given, 16-bit colour; float32 in ``[0, 1]`` for float grey.
    """
    profile = image.info.get("icc_profile")
    whole: _Array | None = None
    if file is not None:
        whole = deep.read_colour(image, file, profile or None, _srgb_profile())
    if whole is None:
        image.load()  # before the orientation is asked for: Pillow's TIFF reader turns the picture and drops the tag
        if image.mode.startswith(("I", "F")):
            whole = _deep_grey(image, name)
    orientation = _orientation(image)
    bands = _bands(image, name) if whole is None else iter([whole])
    first = next(bands)
    # What is decoded goes band by band to its place in the upright picture: nothing else is as large as that.
    size = image.size if orientation in _ON_THEIR_SIDE else image.size[::-1]
    as_stored: Callable[[_Array], _Array] = _AS_STORED.get(orientation, lambda upright: upright)
    pixels = np.empty((*size, 3), first.dtype)
    alpha = np.empty(size, first.dtype) if first.shape[2] == 4 else None
    top = 0
    for band in chain([first], bands):
        rows = slice(top, top + len(band))
        as_stored(pixels)[rows] = band[:, :, :3]
        if alpha is not None:
            as_stored(alpha)[rows] = band[:, :, 3]
        top += len(band)
    return pixels, alpha


def _bands(image: Image.Image, name: str) -> Iterator[_Array]:
    """A few rows at a time of a loaded picture: ``(h, W, 3)`` or, with alpha, ``(h, W, 4)``, uint8, sRGB."""
    has_alpha = image.has_transparency_data
    is_grey = image.mode in ("L", "La", "LA")
    mode = image.mode if not has_alpha else "L" if is_grey else "RGB"
    profile = _profile(image)
    is_grey_profile = profile is not None and profile.profile.xcolor_space.strip() == "GRAY"
    if mode != "CMYK" and not (mode == "L" and is_grey_profile):
        mode = "RGB"
    transform = _to_srgb(profile, mode)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        alpha = None
        if has_alpha:
            band = band.convert("LA" if is_grey else "RGBA")
            alpha = np.asarray(band.getchannel("A"))  # (h, W)
            band = band.convert(band.mode[:-1])
        try:
            band = band if band.mode == mode else band.convert(mode)
        except ValueError as problem:
            raise InputError(f"cannot read {name}: its colour mode {image.mode} is not supported") from problem
        if transform is not None:
            band = transform.apply(band)
        colour = np.asarray(band if band.mode == "RGB" else band.convert("RGB"))
        yield colour if alpha is None else np.dstack([colour, alpha])


def _deep_grey(image: Image.Image, name: str) -> _Array:
    """Grey of more than 8 bits as ``(H, W, 3)``: 16-bit integers (also kept in 32), or floats in ``[0, 1]``."""
    stored = np.asarray(image)  # (H, W)
    low, high, top = stored.min(), stored.max(), 1 if image.mode == "F" else 65535
    if not (low >= 0 and high <= top):
        raise InputError(
            f"cannot read {name}: its grey values go from {low:g} to {high:g}, outside [0, {top}]; "
            "save it with 8 or 16 bits"
        )
    grey = stored.astype(np.float32 if image.mode == "F" else np.uint16)
    profile = _profile(image)
    if profile is not None:  # colour management has 8 bits here: its curve is taken there and read between the points
        steps = np.arange(256, dtype=np.uint8)
        ramp = Image.fromarray(steps[None])
        for mode in ("L", "RGB"):  # a profile of grey, or of colour
            if (transform := _to_srgb(profile, mode)) is not None:
                curve = np.asarray(transform.apply(ramp.convert(mode)))[0, :, 0] / 255 * top
                bent = np.interp(grey.astype(np.float64), steps / 255 * top, curve)
                grey = (bent if image.mode == "F" else np.rint(bent)).astype(grey.dtype)
                break
    return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged Exif, which raises a dozen kinds of error, is no reason to refuse the pixels
        return 1


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    data = image.info.get("icc_profile")
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data)) if data else None
    except (OSError, TypeError, ImageCms.PyCMSError):  # damaged: read the numbers as sRGB, as browsers do
        return None


def _to_srgb(profile: ImageCms.ImageCmsProfile | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    if profile is None:
        return None
    try:
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:  # a profile of another colour model than the pixels: read the numbers as sRGB
        return None


@cache
def _srgb_profile() -> bytes:
    """Little CMS's, of 588 bytes, with a fixed date instead of today's: equal pictures are equal files."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + data[36:]


class _Written:
    """A file that Pillow writes to through Python: given a descriptor, its JPEG encoder is content with half a file
    where the disk is full."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.flush, self.seek, self.tell = file.write, file.flush, file.seek, file.tell


def _encode(photo: Photo, file: BinaryIO, writer: _Writer, quality: int) -> None:
    levels: _Array = photo.pixels if photo.pixels.dtype == np.uint8 or writer.has_16_bits else _to_8_bits(photo.pixels)
    if photo.alpha is not None:
        alpha = photo.alpha if photo.alpha.dtype == levels.dtype else _to_8_bits(photo.alpha)
        levels = np.dstack([levels, alpha]) if writer.has_alpha else _flattened(levels, alpha)
    exif, recipe, dpi = to_exif(photo.metadata), photo.metadata.recipe, photo.metadata.resolution
    if writer.format == "TIFF":
        xmp = {} if recipe is None else {_TIFF_XMP: to_xmp(recipe)}
        deep.write_tiff(file, levels, exif, {_TIFF_ICC: _srgb_profile(), **xmp})
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
        options["icc_profile"] = _srgb_profile()
        if recipe is not None:
            options["xmp"] = to_xmp(recipe)
    Image.fromarray(levels).save(cast(BinaryIO, _Written(file)), format=writer.format, exif=exif.tobytes(), **options)


def _to_8_bits(levels: _Array) -> npt.NDArray[np.uint8]:
    """The nearest of 256 levels to each of 65536, which are 257 to one."""
    out = np.empty(levels.shape, np.uint8)
    for into, row in zip(out, levels, strict=True):  # row by row: the sum needs more than 16 bits
        into[:] = (row.astype(np.uint32) + 128) // 257
    return out


def _flattened(levels: _Array, alpha: _Array) -> npt.NDArray[np.uint8]:
    """Colours of 8 bits ``(H, W, 3)`` laid on white by the alpha ``(H, W)``."""
    out = np.empty(levels.shape, np.uint8)
    for into, row, opacity in zip(out, levels, alpha[:, :, None], strict=True):
        weight = opacity.astype(np.float32) / np.float32(255)
        into[:] = np.rint(row * weight + 255 * (1 - weight))
    return out


def _on_white(pixels: _Array, alpha: _Array | None) -> Picture:
    picture = _picture(pixels)
    return picture if alpha is None else picture * _unit(alpha) + (1 - _unit(alpha))


def _picture(pixels: _Array) -> Picture:
    """``(H, W, 3)`` of any type that holds levels to ``(1, 3, H, W)``."""
    out = np.empty((1, 3, *pixels.shape[:2]), np.float32)
    np.divide(pixels.transpose(2, 0, 1), _top(pixels), out=out[0], casting="unsafe")
    return out


def _unit(levels: _Array) -> Picture:
    return np.asarray(levels, np.float32) / _top(levels)


def _top(levels: _Array) -> np.float32:
    """What stands for 1: the highest level of whole numbers."""
    return np.float32(np.iinfo(levels.dtype).max if levels.dtype.kind == "u" else 1)


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
