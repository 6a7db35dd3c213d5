"""Recognition of picture files by their suffix and by their first bytes."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from sfumato.errors import how_to_install

#: The formats that are read. Pillow reads many more, some with old or risky decoders, which untrusted files must not
#: reach.
READABLE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
#: The suffixes of picture files, in lower case. AVIF needs a recent Pillow and HEIC an extra; if one is missing, the
#: error says what to install.
READABLE = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif"),
        *(".avif", ".heic", ".heif", ".hif"),
    }
)
KNOWN = "JPEG, PNG, WEBP, TIFF, BMP, GIF, AVIF, HEIC"

_RAW = "a raw camera file; develop it first"
_OWN = "the file of a paint program; export it as PNG"
_DRAWN = "a vector drawing; export it as PNG"
_OTHER = "a picture in an unsupported format; save it as PNG"
_MOVING = "a video; save one of its frames as a picture, or paint it with sfumato video"
_UNREAD = {
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"), _RAW),
    **dict.fromkeys((".psd", ".psb", ".xcf", ".kra", ".ora", ".clip", ".procreate"), _OWN),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ps", ".ai", ".pdf", ".wmf", ".emf"), _DRAWN),
    ".jxl": "JPEG XL, which is not supported; convert it to PNG, for example with djxl",
    **dict.fromkeys((".jp2", ".j2k", ".jpx", ".jpf", ".tga", ".pnm", ".ppm", ".pgm", ".pbm", ".pcx", ".ico"), _OTHER),
    **dict.fromkeys((".exr", ".hdr", ".xpm", ".xbm", ".dds", ".qoi", ".fits", ".ras", ".sgi", ".bpg"), _OTHER),
    **dict.fromkeys((".wbmp", ".icns", ".cur"), _OTHER),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".3gp"), _MOVING),
}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def why_unread(name: Path) -> str:
    """Return why a file is not read, judged by its suffix, and what to do."""
    if not name.suffix:
        return "no suffix in its name; if it is a picture, add one"
    return _UNREAD.get(name.suffix.lower(), "not a picture")


def kind_of(head: bytes) -> str | None:
    """Return the kind of a file by its first 64 bytes.

    Returns:
        ``HEIC``, ``AVIF``, or the description of an unsupported kind; ``None`` for all other files.
    """
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), 64)
        brands = {head[8:12], *(head[place : place + 4] for place in range(16, size - 3, 4))}
        if head[8:12] == b"crx ":
            return _RAW
        if brands & _AVIF_BRANDS:
            return "AVIF"
        return "HEIC" if brands & _HEIF_BRANDS else _MOVING
    for start, kind in (
        (b"\xff\x0a", _UNREAD[".jxl"]),
        (b"\0\0\0\x0cJXL ", _UNREAD[".jxl"]),
        (b"\0\0\0\x0cjP  ", "JPEG 2000, which is not supported; save it as PNG"),
        (b"\xff\x4f\xff\x51", "JPEG 2000, which is not supported; save it as PNG"),
        (b"\x1a\x45\xdf\xa3", _MOVING),  # Matroska, WebM
        (b"8BPS", "a Photoshop file; export it as PNG"),
        (b"gimp xcf", "a GIMP file; export it as PNG"),
        (b"%PDF", "a PDF; export its picture as PNG"),
    ):
        if head.startswith(start):
            return kind
    return None


def formats_for(kind: str | None) -> tuple[str, ...]:
    """Return the Pillow formats with which a file of this kind may be opened; empty if its decoder is missing."""
    if kind == "AVIF":
        return ("AVIF",) if find_spec("PIL._avif") else ()
    if kind == "HEIC":
        return ("HEIF",) if _has_heif() else ()
    return READABLE_FORMATS


def what_is_missing(kind: str) -> str:
    """Return the error message that says what to install for AVIF or HEIC."""
    if kind == "AVIF":
        return "it is AVIF, which this Pillow does not support; run: pip install 'pillow>=11.3', or save it as JPEG"
    return f"it is HEIC, which needs the extra 'heif'; run: {how_to_install('heif')}; or save it as JPEG"


@cache
def _has_heif() -> bool:
    try:
        importlib.import_module("pillow_heif").register_heif_opener(thumbnails=False)
    except (ImportError, OSError):
        return False
    return "HEIF" in Image.OPEN
