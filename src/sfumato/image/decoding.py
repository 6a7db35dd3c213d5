"""Decoding of an opened picture file to upright pixels in sRGB."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import chain

import numpy as np
from PIL import Image, ImageCms

from sfumato import deep
from sfumato.errors import InputError
from sfumato.image import tiff
from sfumato.image.colour import adobe_rgb_profile, srgb_profile
from sfumato.image.opening import OpenPicture
from sfumato.image.photo import Array
from sfumato.image.quiet import quiet_decoders

_EXIF_ORIENTATION, _EXIF_INTEROPERABILITY = 0x0112, 0xA005
# Exif 2.32, section 4.6.4, tag 274: maps the upright picture to a view of it in the stored orientation.
_AS_STORED: dict[int, Callable[[Array], Array]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
_TRANSPOSED = (5, 6, 7, 8)  # orientations that exchange width and height
BAND_PIXELS = 1 << 18  # about how many pixels are converted at a time


def decode(found: OpenPicture, band_pixels: int = BAND_PIXELS) -> tuple[Array, Array | None]:
    """Decode a picture to upright sRGB.

    Args:
        found: the opened file.
        band_pixels: about how many pixels to convert at a time.

    Returns:
        The pixels ``(H, W, 3)``, and the alpha ``(H, W)`` of the same type or ``None``. The type is uint8; uint16 for
        16-bit grey and, if the extra ``deep`` is installed, 16-bit colour; float32 in ``[0, 1]`` for float grey.

    Raises:
        InputError: the file is damaged, or its colours cannot be converted.
    """
    image = found.image
    found.before()
    whole: Array | None = None
    cover: Array | None = None
    with quiet_decoders() if found.samples is not None or found.page is not None else nullcontext():
        if found.inks is not None:
            image, cover = found.inks()
        elif found.samples is not None:
            whole = found.samples()
            if whole is None and not found.is_known:
                raise InputError("the file is damaged or cut short")
        if whole is None:
            image.load()  # before reading the orientation: Pillow's TIFF reader rotates the pixels and drops the tag
    _add_exif_profile(image)
    if whole is not None:
        deep.to_srgb(whole, image.info.get("icc_profile"), srgb_profile())
    else:
        _correct_palette(image, found.page)
        if image.mode.startswith(("I", "F")):
            whole = _deep_grey(image, found.page)
    size = image.size[::-1] if whole is None else whole.shape[:2]
    orientation = _orientation(image)
    bands = _bands(image, band_pixels) if whole is None else iter([whole])
    first = next(bands)
    # Bands are written directly to their place in the upright picture, so that no other array has its size.
    size = size[::-1] if orientation in _TRANSPOSED else size
    as_stored: Callable[[Array], Array] = _AS_STORED.get(orientation, lambda upright: upright)
    pixels = np.empty((*size, 3), first.dtype)
    alpha = np.empty(size, first.dtype) if first.shape[2] == 4 else None
    top = 0
    for band in chain([first], bands):
        rows = slice(top, top + len(band))
        as_stored(pixels)[rows] = band[:, :, :3]
        if alpha is not None:
            as_stored(alpha)[rows] = band[:, :, 3]
        top += len(band)
    if cover is not None:
        alpha = np.empty(size, cover.dtype)
        as_stored(alpha)[...] = cover
    if alpha is not None and image.format in ("BMP", "DIB") and not alpha.any():
        alpha = None  # Windows programs leave zeros in an unused alpha channel; viewers show such pictures opaque
    return pixels, alpha


def _correct_palette(image: Image.Image, page: tiff.Page | None) -> None:
    """Correct the palette of a TIFF whose writer stored 8-bit values instead of 16-bit ones."""
    if page is not None and image.mode == "P":
        colours = page.numbers.get(tiff.COLOURS, ())
        if len(colours) >= 3 and max(colours) < 256:
            image.putpalette(bytes(np.reshape(colours, (3, -1)).T.astype(np.uint8)))


def _add_exif_profile(image: Image.Image) -> None:
    """Add the profile that cameras name in Exif instead of embedding it (DCF 2.0: Adobe RGB is ``R03``)."""
    if image.info.get("icc_profile") or image.format not in ("JPEG", "MPO", "TIFF"):
        return
    try:
        named = image.getexif().get_ifd(_EXIF_INTEROPERABILITY).get(1)
    except Exception:  # damaged Exif
        return
    if isinstance(named, str) and named.strip("\0 ") == "R03":
        image.info["icc_profile"] = adobe_rgb_profile()


def _bands(image: Image.Image, pixels: int) -> Iterator[Array]:
    """Yield a loaded picture a few rows at a time: ``(h, W, 3)`` or, with alpha, ``(h, W, 4)``, uint8, sRGB."""
    has_alpha = image.has_transparency_data
    is_grey = image.mode in ("L", "La", "LA")
    mode = image.mode if not has_alpha else "L" if is_grey else "RGB"
    profile = _profile(image)
    is_grey_profile = profile is not None and profile.profile.xcolor_space.strip() == "GRAY"
    if mode not in ("CMYK", "LAB") and not (mode == "L" and is_grey_profile):
        mode = "RGB"
    transform = _to_srgb(profile, mode) if mode != "LAB" else _lab_to_srgb()
    rows = max(1, pixels // image.width)
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
            raise InputError(f"its colour mode {image.mode} is not supported; save it as RGB") from problem
        if transform is not None:
            band = transform.apply(band)
        colour = np.asarray(band if band.mode == "RGB" else band.convert("RGB"))
        yield colour if alpha is None else np.dstack([colour, alpha])


def _deep_grey(image: Image.Image, page: tiff.Page | None) -> Array:
    """Convert grey of more than 8 bits to sRGB.

    The samples are 16-bit integers (also stored in 32 bits), or floats in ``[0, 1]``.

    Args:
        image: of grey.
        page: the page of a TIFF; None for other files.

    Returns:
        ``(H, W, 3)`` or, if the file declares a grey level transparent, ``(H, W, 4)``: uint16, or float32 in [0, 1] for
        the mode F.

    Raises:
        InputError: a value is out of the range.
    """
    stored = np.asarray(image)  # (H, W)
    low, high, top = stored.min(), stored.max(), 1 if image.mode == "F" else 65535
    if not (low >= 0 and high <= top):
        raise InputError(
            f"its grey values range from {low:g} to {high:g}, beyond [0, {top}]; save it with 8 or 16 bits"
        )
    grey = stored.astype(np.float32 if image.mode == "F" else np.uint16)
    clear = image.info.get("transparency")
    alpha = None if not isinstance(clear, int) else np.where(stored == clear, 0, top).astype(grey.dtype)
    if page is not None:
        bits = page.number(tiff.BITS, 16)
        if image.mode != "F" and 8 < bits < 16:  # Pillow does not scale these to 16 bits
            grey = np.minimum(grey.astype(np.uint32) * 65535 // (2**bits - 1), 65535).astype(np.uint16)
        if page.number(tiff.PHOTOMETRIC, 1) == 0:  # white is zero
            grey = (top - grey).astype(grey.dtype)
    profile = _profile(image)
    if profile is not None:  # Pillow converts only 8 bits, so its curve is sampled at 256 levels and interpolated
        steps = np.arange(256, dtype=np.uint8)
        ramp = Image.fromarray(steps[None])
        for mode in ("L", "RGB"):  # a profile of grey, or of colour
            if (transform := _to_srgb(profile, mode)) is not None:
                curve = np.asarray(transform.apply(ramp.convert(mode)))[0, :, 0] / 255 * top
                bent = np.interp(grey.astype(np.float64), steps / 255 * top, curve)
                grey = (bent if image.mode == "F" else np.rint(bent)).astype(grey.dtype)
                break
    if alpha is not None:
        return np.stack([grey, grey, grey, alpha], -1)
    return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged Exif raises many kinds of error, but must not make the pixels unreadable
        return 1


def is_turned(image: Image.Image) -> bool:
    """Whether Exif asks to turn or mirror an image that is not loaded yet."""
    return _orientation(image) != 1


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    data = image.info.get("icc_profile")
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data)) if data else None
    except (OSError, TypeError, ImageCms.PyCMSError):  # damaged: treat the values as sRGB, as browsers do
        return None


def _to_srgb(profile: ImageCms.ImageCmsProfile | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    if profile is None:
        return None
    try:
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:  # a profile of another colour model than the pixels: treat the values as sRGB
        return None


def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
