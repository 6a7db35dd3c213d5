"""Limits on the picture files that the process reads.

They are checked before decoding, because files may come from untrusted sources.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sfumato.checks import check_range
from sfumato.errors import InputError, UsageError

#: Default limit of pixels: more than any camera takes in one shot. In float32 they fill 2.4 GB.
MAX_PIXELS = 200_000_000
#: The environment variable that sets another default limit of pixels.
VARIABLE = "SFUMATO_MAX_PIXELS"
#: Limit of metadata in bytes, after decompression. XMP with the full editing history has some millions.
MAX_METADATA_BYTES = 1 << 24
#: Limit of scans in a JPEG. A progressive one has about ten, and each takes as long as a whole picture to decode.
MAX_SCANS = 100
#: Limit of strips or tiles in a TIFF; each costs time and memory before any is decoded.
MAX_STRIPS = 100_000
#: A tile of a TIFF is always decoded whole. One with more pixels than this may not be much larger than the picture.
LARGE_TILE = 1 << 24

_LONG_SIDE = 1 << 16  # pixels; a longer side, which JPEG does not allow either, needs a side ratio within `_MAX_RATIO`
_MAX_RATIO = 1000
_MAX_SETTING = 10**12


class _Setting:
    """The limit of pixels that was set for the process; None is the default."""

    pixels: int | None = None


def max_pixels() -> int:
    """Return the limit of pixels: as set, else from the environment, else ``MAX_PIXELS``.

    Raises:
        UsageError: the environment variable is not a whole number from 1 to 10^12.
    """
    if _Setting.pixels is not None:
        return _Setting.pixels
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not (text.isascii() and text.isdigit() and len(text) <= 13):
        raise UsageError(f"{VARIABLE} must be a number of pixels, such as {MAX_PIXELS}, but is {text[:40]!r}")
    return int(check_range(int(text), 1, _MAX_SETTING, VARIABLE))


def set_max_pixels(pixels: int | None, name: str = "max_pixels") -> None:
    """Set the limit of pixels for the process; ``None`` restores the default.

    Raises:
        UsageError: it is not a number from 1 to 10^12; ``name`` is its name in the message.
    """
    if pixels is not None:
        check_range(pixels, 1, _MAX_SETTING, name)
    _Setting.pixels = pixels


@contextmanager
def restore_limits() -> Iterator[None]:
    """Restore the limit of pixels at the end of the block."""
    before = _Setting.pixels
    try:
        yield
    finally:
        set_max_pixels(before)


def max_file_bytes(pixels: int) -> int:
    """Return the size limit of a file with this many pixels: four channels of 32 bits, and 64 MiB for all the rest."""
    return 16 * pixels + (1 << 26)


def megapixels(pixels: int) -> str:
    """Return a number of pixels in words, as in "200 megapixels"."""
    return f"{pixels / 1e6:g} megapixels"


def check_size(width: int, height: int, max_pixels: int, subject: str) -> None:
    """Check the size of a picture before it is decoded.

    A very long and narrow picture is refused too. It is useless, and painting it would cost as much as a large
    picture, because each tile is padded to a minimum width.

    Args:
        width: pixels.
        height: pixels.
        max_pixels: the limit of their product.
        subject: the picture's name in an error.

    Raises:
        InputError: the picture has too many pixels, or is too long and narrow.
    """
    if width * height > max_pixels:
        raise InputError(
            f"{subject} has {width} x {height} pixels, more than the limit of {megapixels(max_pixels)}; make it "
            "smaller, or raise --max-pixels if you trust it"
        )
    long, short = max(width, height), min(width, height)
    if long > _LONG_SIDE and long > _MAX_RATIO * short:
        raise InputError(
            f"{subject} has {width} x {height} pixels, one side more than {_MAX_RATIO} times the other; cut it into "
            "pieces"
        )
