"""Parser of TIFF directories (TIFF 6.0 and BigTIFF), which describes the pages before a decoder sees the file."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from sfumato.errors import InputError
from sfumato.limits import LARGE_TILE, MAX_METADATA_BYTES, MAX_STRIPS, check_size, megapixels

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES = 256, 257, 258, 262, 274, 277
COLOURS, EXTRA, FORMAT, PROFILE = 320, 338, 339, 34675
_KIND, _COMPRESSION, _STRIPS, _TILE_WIDTH, _TILE_HEIGHT, _TILES = 254, 259, 273, 322, 323, 324
_STRIP_BYTES = 279
#: Tags that decoders depend on. If one occurred twice, two decoders could see two different pictures.
_LAYOUT = frozenset({WIDTH, HEIGHT, BITS, _COMPRESSION, PHOTOMETRIC, _STRIPS, SAMPLES, 278, 279, 284, 317}) | {
    *range(322, 326),
    COLOURS,
    EXTRA,
    FORMAT,
}
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
#: Text tags that are kept: description, date, artist, copyright.
TEXTS = (270, 306, 315, 33432)
_MAX_PAGES = 10_000
_PHOTOMETRICS = {
    5: "CMYK",
    6: "YCbCr",
    8: "CIELAB",
    9: "ICCLAB",
    10: "ITULAB",
    32803: "a camera's raw sensor",
    32844: "LogL",
    32845: "LogLuv",
    34892: "a camera's raw colours",
}
_FORMATS = {2: "signed ", 3: "float ", 5: "complex ", 6: "complex "}


@dataclass(frozen=True)
class Page:
    """One page of a TIFF.

    Attributes:
        numbers: values of integer tags, for tags with at most 4096 values.
        counts: number of values of each tag.
        texts: bytes of the text tags and of the ICC profile.
        places: offset in the file of each tag's value, or of the pointer to it.
    """

    numbers: Mapping[int, tuple[int, ...]]
    counts: Mapping[int, int]
    texts: Mapping[int, bytes]
    places: Mapping[int, int]

    def number(self, tag: int, default: int) -> int:
        """Return the first value of an integer tag."""
        return next(iter(self.numbers.get(tag, ())), default)

    @property
    def width(self) -> int:
        """Width in pixels; 0 if missing."""
        return self.number(WIDTH, 0)

    @property
    def height(self) -> int:
        """Height in pixels; 0 if missing."""
        return self.number(HEIGHT, 0)

    @property
    def is_picture(self) -> bool:
        """Whether the page is neither a reduced version nor a mask of another page."""
        return self.number(_KIND, 0) & 0b101 == 0

    @property
    def oddity(self) -> str | None:
        """A warning if uncompressed strips have at least twice the bytes that the header implies; else ``None``."""
        if self.number(_COMPRESSION, 1) != 1 or self.number(PHOTOMETRIC, 1) == 6:  # YCbCr may be subsampled
            return None
        bits = self.number(BITS, 1)
        needed = self.height * ((self.width * self.number(SAMPLES, 1) * bits + 7) // 8)
        if not 0 < 2 * needed <= sum(self.numbers.get(_STRIP_BYTES, ())):
            return None
        return (
            f"it has far more bytes than its pixels need with {bits} bits: its header may state a wrong size or depth"
        )

    @property
    def description(self) -> str:
        """The kind in words, such as "a TIFF of CMYK with alpha, 8 bits a channel"."""
        samples, extra = self.number(SAMPLES, 1), len(self.numbers.get(EXTRA, ()))
        colour = _PHOTOMETRICS.get(self.number(PHOTOMETRIC, 1))
        if colour is None:
            colour = {1: "grey", 3: "RGB"}.get(samples - extra, f"{samples - extra} channels")
        more = f" with {'alpha' if extra == 1 else f'{extra} more channels'}" if extra else ""
        bits = "/".join(str(each) for each in sorted(set(self.numbers.get(BITS, (1,)))))
        return f"a TIFF of {colour}{more}, {_FORMATS.get(self.number(FORMAT, 1), '')}{bits} bits a channel"


def read_pages(file: BinaryIO) -> list[Page]:
    """Return the pages of a TIFF in order, up to the first unreadable one.

    Raises:
        InputError: a tag that decoders depend on occurs twice, or is not an integer.
    """
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = head[2:4] in (b"+\0", b"\0+")
    pages: list[Page] = []
    seen: set[int] = set()
    try:
        (place,) = struct.unpack(f"{order}Q", head[8:16]) if is_big else struct.unpack(f"{order}I", head[4:8])
        while place and place not in seen and len(pages) < _MAX_PAGES:
            seen.add(place)
            page, place = _page(file, place, order, is_big)
            pages.append(page)
    except (struct.error, OverflowError, OSError):  # cut short: further pages are lost
        pass
    return pages


def largest(pages: list[Page]) -> int:
    """Return the index of the largest page that is a picture of its own; 0 if there is none."""
    own = [index for index, page in enumerate(pages) if page.is_picture]
    return max(own, key=lambda index: pages[index].width * pages[index].height, default=0)


def check_page(page: Page, max_pixels: int, subject: str) -> None:
    """Check that decoding a page costs no more than a picture of ``max_pixels`` pixels.

    Raises:
        InputError: the page or its tiles have too many pixels, or it has too many strips or tiles.
    """
    check_size(page.width, page.height, max_pixels, subject)
    tile = page.number(_TILE_WIDTH, 0) * page.number(_TILE_HEIGHT, 0)
    if tile > max_pixels or tile > max(LARGE_TILE, 4 * page.width * page.height):
        raise InputError(
            f"{subject} of {page.width} x {page.height} pixels has tiles of {megapixels(tile)} each, which are decoded "
            "as a whole; save it again"
        )
    strips = max(page.counts.get(_STRIPS, 0), page.counts.get(_TILES, 0))
    if strips > MAX_STRIPS:
        raise InputError(f"{subject} has {strips} strips or tiles, more than the limit of {MAX_STRIPS}; save it again")


def as_grey(data: bytes, page: Page) -> bytes:
    """Return the file with a page declared as grey.

    libtiff decodes grey samples as they are stored. It would convert inks with alpha to RGB, or refuse them.
    """
    found, place = bytearray(data), page.places[PHOTOMETRIC]
    found[place : place + 2] = struct.pack(f"{'<' if data[:2] == b'II' else '>'}H", 1)
    return bytes(found)


def _page(file: BinaryIO, place: int, order: str, is_big: bool) -> tuple[Page, int]:
    """Read the directory at an offset; return its page and the offset of the next directory, or 0."""
    file.seek(place)
    count_size, entry_size = (8, 20) if is_big else (2, 12)
    (count,) = struct.unpack(f"{order}{'Q' if is_big else 'H'}", file.read(count_size))
    if count > 65_535:
        raise struct.error("no directory has so many entries")
    entries = file.read(count * entry_size)
    next_place = file.read(8 if is_big else 4)
    numbers: dict[int, tuple[int, ...]] = {}
    counts: dict[int, int] = {}
    texts: dict[int, bytes] = {}
    places: dict[int, int] = {}
    form = f"{order}HH{'Q' if is_big else 'I'}"
    for begin in range(0, count * entry_size, entry_size):
        entry = entries[begin : begin + entry_size]
        tag, kind, length = struct.unpack_from(form, entry)
        if tag in _LAYOUT and tag in counts:
            raise InputError(f"it is damaged: its TIFF tag {tag} occurs twice; save it again")
        counts[tag] = length
        places[tag] = place + (8 if is_big else 2) + begin + struct.calcsize(form)
        size = _SIZES.get(kind, 1) * length
        value = entry[struct.calcsize(form) :]
        is_text = tag in TEXTS or tag == PROFILE
        if tag in _LAYOUT and kind not in _NUMBERS:
            raise InputError(f"it is damaged: its TIFF tag {tag} is not an integer; save it again")
        if not (size <= MAX_METADATA_BYTES if is_text else length <= 4096 and kind in _NUMBERS):
            continue
        if size > len(value):
            file.seek(struct.unpack(f"{order}{'Q' if is_big else 'I'}", value)[0])
            value = file.read(size)
        if len(value) < size:
            continue
        if is_text:
            texts[tag] = value[:size]
        else:
            numbers[tag] = struct.unpack_from(f"{order}{length}{_NUMBERS[kind]}", value)
    following = struct.unpack(f"{order}{'Q' if is_big else 'I'}", next_place)[0] if next_place else 0
    return Page(numbers, counts, texts, places), following
