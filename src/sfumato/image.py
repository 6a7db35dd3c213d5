"""THE image contract, and every conversion to and from it.

A picture is RGB in the sRGB colour space, shape ``(N, 3, H, W)``, float32, in ``[0, 1]``. Every public function takes
and returns that; ``[-1, 1]`` lives inside networks only. Eight-bit values are rounded, never truncated.
"""

from __future__ import annotations

import io
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from sfumato.checks import check_image, check_range, check_shape
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.files import atomic_file

Picture: TypeAlias = npt.NDArray[np.float32]
ImageSource: TypeAlias = str | os.PathLike[str] | Image.Image | npt.NDArray[Any]

#: Pillow reads many more, some through old or risky decoders; pictures come from strangers, so these and no others.
READABLE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
READABLE = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
#: More than any camera's single shot, and 2.4 GB in float32: past it, a file is a mistake or an attack.
MAX_PIXELS = 200_000_000

_EXIF_ORIENTATION = 0x0112
_TURNS = {  # Exif 2.32, section 4.6.4, tag 274: what brings the stored rows upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_open_lock = threading.Lock()


@dataclass(frozen=True)
class _Writer:
    format: str
    max_side: int
    options: dict[str, Any] = field(default_factory=dict)
    has_quality: bool = False


_JPEG = _Writer("JPEG", 65_500, {"subsampling": 0}, has_quality=True)  # 4:4:4: half-size colour smears brush strokes
_TIFF = _Writer("TIFF", 2**31 - 1, {"compression": "tiff_adobe_deflate"})
_WRITERS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": _Writer("PNG", 2**31 - 1),
    ".webp": _Writer("WEBP", 16_383, has_quality=True),
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
#: The suffixes, in lower case, that :func:`write_image` takes; ``READABLE`` are those of the formats that are read.
WRITABLE = tuple(_WRITERS)


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Reads a picture file (JPEG, PNG, WEBP, TIFF, BMP, or a GIF's first frame) as ``(1, 3, H, W)``.

    The Exif orientation is applied, an embedded ICC profile is converted to sRGB, transparency is laid on white, and
    palettes, CMYK and 16-bit grey are converted. (Pillow gives 16-bit *colour* as 8 bits a channel.)

    Raises:
        InputError: the file is absent, empty, damaged, of another kind or larger than ``MAX_PIXELS``. The size is
            known from the header, before anything is decoded.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise InputError(f"cannot read {path}: it is {kind}; name one picture file")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise InputError(f"cannot read {path}: {reason}; check the name") from problem
    if size == 0:
        raise InputError(f"cannot read {path}: the file is empty (0 bytes)")
    try:
        with _open(path) as image:
            return _from_pil(image, str(path))
    except InputError:
        raise
    except UnidentifiedImageError as problem:
        known = ", ".join(READABLE_FORMATS)
        raise InputError(f"cannot read {path}: it is none of {known}, or its header is damaged") from problem
    except PermissionError as problem:
        raise InputError(f"cannot read {path}: {problem.strerror}; check its permissions") from problem
    except Exception as problem:  # decoders raise whatever a damaged file makes them stumble on: struct, zlib, index...
        raise InputError(f"cannot read {path}: the file is damaged or cut short ({problem})") from problem


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
        _check_size(source, "the picture")
        return _from_pil(source, "the picture")
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
    rounded = np.rint(np.clip(x[0], 0.0, 1.0) * np.float32(255)).astype(np.uint8)  # (3, H, W)
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
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise OutputError(f"cannot write {path}: its name must end in one of {', '.join(WRITABLE)}")
    check_range(quality, 1, 100, "quality")
    image = to_pil(x)
    if max(image.size) > writer.max_side:
        raise OutputError(
            f"cannot write {path}: {writer.format} holds at most {writer.max_side} pixels a side and the picture has "
            f"{image.width} x {image.height}; name a .png file"
        )
    options = writer.options | ({"quality": quality} if writer.has_quality else {})
    with atomic_file(path) as file:
        image.save(file, format=writer.format, **options)


def resize(x: Picture, height: int, width: int) -> Picture:
    """Resamples ``(N, 3, H, W)`` to ``(N, 3, height, width)`` in float, antialiased (Lanczos, three lobes).

    Lanczos rings beside sharp edges; the result is clipped to ``[0, 1]``.
    """
    sizes = check_shape(x, "N 3 H W", "the picture")
    if height < 1 or width < 1:
        raise UsageError(f"a picture cannot be resized to {width} x {height}; both sides must be at least 1 pixel")
    if (height, width) == (sizes["H"], sizes["W"]):
        return x
    out = np.empty((sizes["N"], 3, height, width), np.float32)
    for index in np.ndindex(sizes["N"], 3):
        plane = Image.fromarray(np.ascontiguousarray(x[index], np.float32))  # (H, W), mode "F"
        out[index] = np.asarray(plane.resize((width, height), Image.Resampling.LANCZOS))
    return np.clip(out, 0.0, 1.0, out=out)


def thumbnail(x: Picture, short: int = 256, max_long: int = 1024) -> Picture:
    """Shrinks ``(N, 3, H, W)`` in proportion until its shorter side is ``short`` and its longer at most ``max_long``.

    Never enlarges.
    """
    sizes = check_shape(x, "N 3 H W", "the picture")
    height, width = sizes["H"], sizes["W"]
    scale = min(1.0, short / min(height, width), max_long / max(height, width))
    return resize(x, max(1, round(height * scale)), max(1, round(width * scale)))


def _open(path: Path) -> Image.Image:
    # Pillow's own limit refuses above 179 megapixels and warns from half of that: ours takes its place while the header
    # is read (the setting is one for the whole process, hence the lock and the way back).
    with _open_lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path, formats=READABLE_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    try:
        _check_size(image, f"cannot read {path}: the picture")
    except InputError:
        image.close()
        raise
    return image


def _check_size(image: Image.Image, subject: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise InputError(
            f"{subject} has {image.width} x {image.height} pixels, more than the {MAX_PIXELS // 10**6} megapixels that "
            "Sfumato reads; make it smaller first"
        )


def _from_pil(image: Image.Image, name: str) -> Picture:
    image.load()  # before the orientation is asked for: Pillow's TIFF reader turns the picture and drops the tag
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        image = image.transpose(turn)
    profile = _profile(image)
    if image.mode.startswith(("I", "F")):
        return _from_deep_grey(image, profile, name)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "La", "LA") else "RGBA")
        alpha = _unit(np.asarray(image.getchannel("A")))  # (H, W)
        image = image.convert(image.mode[:-1])
    stored = np.asarray(_to_srgb(image, profile, name))  # (H, W, 3)
    picture = _unit(_channels_first(stored))
    return picture if alpha is None else picture * alpha + (1 - alpha)


def _from_deep_grey(image: Image.Image, profile: ImageCms.ImageCmsProfile | None, name: str) -> Picture:
    """Grey of more than 8 bits: 16-bit integers (also kept in 32), or floats in ``[0, 1]``."""
    stored = np.asarray(image)  # (H, W)
    grey = stored.astype(np.float32) / np.float32(1 if image.mode == "F" else 65535)
    if not (grey.min() >= 0 and grey.max() <= 1):
        wanted = "[0, 1]" if image.mode == "F" else "[0, 65535]"
        raise InputError(
            f"cannot read {name}: its grey values go from {stored.min():g} to {stored.max():g}, outside {wanted}; "
            "save it with 8 or 16 bits"
        )
    if profile is not None:  # colour management has 8 bits here: its curve is taken there and read between the points
        steps = np.arange(256)
        ramp = np.asarray(_to_srgb(Image.fromarray(steps[None].astype(np.uint8)), profile, name))  # (1, 256, 3)
        grey = np.interp(grey, steps / 255, ramp[0, :, 0] / 255).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(grey, (1, 3, *grey.shape)))


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


def _to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile | None, name: str) -> Image.Image:
    is_grey_profile = profile is not None and profile.profile.xcolor_space.strip() == "GRAY"
    if image.mode not in ("CMYK", "L") or (image.mode == "L" and not is_grey_profile):
        try:
            image = image.convert("RGB")
        except ValueError as problem:
            raise InputError(f"cannot read {name}: its colour mode {image.mode} is not supported") from problem
    if profile is not None:
        try:
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except ImageCms.PyCMSError:  # a profile of another colour model than the pixels: read the numbers as sRGB
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _unit(array: npt.NDArray[np.uint8]) -> Picture:
    return np.asarray(array, np.float32) / np.float32(255)


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
