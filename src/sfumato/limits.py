"""How much of one picture file is read: limits of the whole process, the same at every door.

They hold before anything is decoded, since files come from strangers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sfumato.checks import check_range
from sfumato.errors import InputError, UsageError

#: More than any camera's single shot, and 2.4 GB in float32: past it, a file is a mistake or an attack.
MAX_PIXELS = 200_000_000
#: The variable of the environment that is the limit where nothing else sets one.
VARIABLE = "SFUMATO_MAX_PIXELS"
#: Bytes of metadata that are read, when unpacked: XMP with a picture's whole history has some million.
MAX_METADATA_BYTES = 1 << 24
#: Scans of one JPEG. A progressive one has about ten, and each takes as long as a whole picture.
MAX_SCANS = 100
#: Strips or tiles of one TIFF; each costs time and memory before any is decoded.
MAX_STRIPS = 100_000
#: A tile of a TIFF is decoded whole: of more pixels than this, it may not be much larger than the picture.
LARGE_TILE = 1 << 24

_LONGEST = 1 << 16  # pixels of a side that may go with any other side: JPEG has as many
_RATIO = 1000
_MAX_SETTING = 10**12
_chosen: int | None = None


def max_pixels() -> int:
    """The most pixels of a picture that is read: as set, or by the environment, or ``MAX_PIXELS``.

    Raises:
        UsageError: the environment's is no number from 1 to 10^12.
    """
    if _chosen is not None:
        return _chosen
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not (text.isascii() and text.isdigit() and len(text) <= 13):
        raise UsageError(f"{VARIABLE} must be a number of pixels, but is {text[:40]!r}; set it to {MAX_PIXELS}, say")
    return int(check_range(int(text), 1, _MAX_SETTING, VARIABLE))


def set_max_pixels(pixels: int | None, name: str = "max_pixels") -> None:
    """Sets the limit of the process; ``None`` goes back to the environment's.

    Raises:
        UsageError: it is no number from 1 to 10^12.
    """
    global _chosen
    if pixels is not None:
        check_range(pixels, 1, _MAX_SETTING, name)
    _chosen = pixels


@contextmanager
def restore_limits() -> Iterator[None]:
    """What the block sets holds in the block only."""
    before = _chosen
    try:
        yield
    finally:
        set_max_pixels(before)


def max_file_bytes(pixels: int) -> int:
    """Of a file with so many pixels: four channels of 32 bits, and 64 MB of extras, are more than any format needs."""
    return 16 * pixels + (1 << 26)


def megapixels(pixels: int) -> str:
    return f"{pixels / 1e6:g} megapixels"


def check_size(width: int, height: int, max_pixels: int, subject: str) -> None:
    """Raises InputError where a picture has more than ``max_pixels`` pixels, or is a line of no use that costs as a
    large picture does: every strip of it has to be made wide enough to be painted."""
    if width * height > max_pixels:
        raise InputError(
            f"{subject} has {width} x {height} pixels, more than the {megapixels(max_pixels)} that are read; make it "
            "smaller, or raise --max-pixels if you trust it"
        )
    long, short = max(width, height), min(width, height)
    if long > _LONGEST and long > _RATIO * short:
        raise InputError(
            f"{subject} has {width} x {height} pixels, one side more than {_RATIO} times the other; cut it into pieces"
        )
