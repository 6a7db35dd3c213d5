"""Which files are pictures: by their names, for all commands alike, and by their first bytes."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from sfumato.errors import how_to_install

#: Pillow reads many more, some through old or risky decoders; pictures come from strangers, so these and no others.
READABLE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
#: The suffixes, in lower case, of files that are pictures. AVIF and HEIC need a Pillow that has the one, an extra for
#: the other; where those are missing, the file is named with what to install.
READABLE = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif"),
        *(".avif", ".heic", ".heif", ".hif"),
    }
)
KNOWN = "JPEG, PNG, WEBP, TIFF, BMP, GIF, AVIF, HEIC"

_RAW = "a camera's raw file; develop it first"
_OWN = "a paint program's own file; export it as PNG"
_DRAWN = "a drawing and not pixels; export it as PNG"
_OTHER = "a picture of a kind that is not read; save it as PNG"
_MOVING = "a video"
_UNREAD = {
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"), _RAW),
    **dict.fromkeys((".psd", ".psb", ".xcf", ".kra", ".ora", ".clip", ".procreate"), _OWN),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ps", ".ai", ".pdf", ".wmf", ".emf"), _DRAWN),
    ".jxl": "JPEG XL, which is not read; convert it to PNG, as by djxl",
    **dict.fromkeys((".jp2", ".j2k", ".jpx", ".jpf", ".tga", ".pnm", ".ppm", ".pgm", ".pbm", ".pcx", ".ico"), _OTHER),
    **dict.fromkeys((".exr", ".hdr", ".xpm", ".xbm", ".dds", ".qoi", ".fits", ".ras", ".sgi", ".bpg"), _OTHER),
    **dict.fromkeys((".wbmp", ".icns", ".cur"), _OTHER),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".3gp"), _MOVING),
}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def why_unread(name: Path) -> str:
    """What a file is that is no picture by its suffix, and what to do."""
    if not name.suffix:
        return "no suffix says what it is; where it is a picture, give it one"
    return _UNREAD.get(name.suffix.lower(), "no picture")


def kind_of(head: bytes) -> str | None:
    """The kind that a file's first 64 bytes are of: ``HEIC``, ``AVIF``, or one that is not read, in words."""
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
        (b"\0\0\0\x0cjP  ", "JPEG 2000, which is not read; save it as PNG"),
        (b"\xff\x4f\xff\x51", "JPEG 2000, which is not read; save it as PNG"),
        (b"8BPS", "a Photoshop file; export it as PNG"),
        (b"gimp xcf", "a GIMP file; export it as PNG"),
        (b"%PDF", "a PDF; export its picture as PNG"),
    ):
        if head.startswith(start):
            return kind
    return None


def formats_for(kind: str | None) -> tuple[str, ...]:
    """Pillow's formats that a file of this kind may be opened as; empty where something is to be installed first."""
    if kind == "AVIF":
        return ("AVIF",) if find_spec("PIL._avif") else ()
    if kind == "HEIC":
        return ("HEIF",) if _has_heif() else ()
    return READABLE_FORMATS


def what_is_missing(kind: str) -> str:
    """What to install for AVIF or HEIC."""
    if kind == "AVIF":
        return "it is AVIF, which this Pillow does not read; run: pip install 'pillow>=11.3', or save it as JPEG"
    return f"it is HEIC, which needs the extra 'heif'; run: {how_to_install('heif')}; or save it as JPEG"


@cache
def _has_heif() -> bool:
    try:
        importlib.import_module("pillow_heif").register_heif_opener(thumbnails=False)
    except (ImportError, OSError):
        return False
    return "HEIF" in Image.OPEN
