"""Parser of PNG chunks (W3C, PNG 3rd edition), which filters them before a decoder sees the file.

The decoder gets the pixels, and of the other chunks only those that are intact, needed and not too large. So wrong
checksums outside the pixels, huge metadata and texts after the pixels do no harm, and are found without decoding.
"""

from __future__ import annotations

import io
import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from sfumato.errors import InputError
from sfumato.image.colour import profile_of_codes, profile_of_numbers
from sfumato.limits import MAX_METADATA_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_EVERYWHERE = _TEXTS | {b"eXIf"}  # before or after the pixels
_BEFORE = frozenset({b"tRNS", b"pHYs", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"iCCP", b"acTL"})
_MAX_CHUNKS = 1_000_000
_MAX_RATIO = 1032  # of Deflate: decompressed bytes per compressed byte
_BLOCK = 1 << 20
#: The passes of Adam7: first column, first row, horizontal step, vertical step.
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


@dataclass
class Png:
    """The facts about a PNG that are known without decoding.

    Attributes:
        file: the filtered PNG, with all metadata before the pixels.
        bits: bits per channel.
        is_deep_colour: whether it has 16 bits and is RGB or has alpha.
        is_plausible: whether the compressed pixels can have the size in the header: Deflate yields at most 1032 bytes
            per byte.
        lines: size of the decompressed pixels in bytes, with one filter byte per line; 0 if the header is missing.
        data: offset and length of each chunk of pixels in the original file.
        frames: number of frames; 1 if not an animation.
        profile: the ICC profile, embedded or built from other chunks; ``None`` for sRGB.
    """

    file: BinaryIO
    bits: int
    is_deep_colour: bool
    is_plausible: bool
    lines: int = 0
    data: list[tuple[int, int]] = field(default_factory=list)
    frames: int = 1
    profile: bytes | None = None


@dataclass
class _Parts:
    """A sequence of byte strings and of ranges (offset, length) in a file."""

    starts: list[int] = field(default_factory=list)
    parts: list[bytes | tuple[int, int]] = field(default_factory=list)
    length: int = 0

    def add(self, part: bytes | tuple[int, int]) -> None:
        last = self.parts[-1] if self.parts else b""
        if isinstance(part, tuple) and isinstance(last, tuple) and sum(last) == part[0]:
            self.parts[-1] = (last[0], last[1] + part[1])  # merge adjacent ranges
        else:
            self.starts.append(self.length)
            self.parts.append(part)
        self.length += part[1] if isinstance(part, tuple) else len(part)


class _SplicedFile(io.RawIOBase):
    """A read-only file composed of parts of another file and of other bytes."""

    def __init__(self, file: BinaryIO, parts: _Parts) -> None:
        self.file, self.parts, self.place = file, parts, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.parts.length}[whence])
        return self.place

    def readinto(self, buffer: Any) -> int:
        if self.place >= self.parts.length:
            return 0
        index = bisect_right(self.parts.starts, self.place) - 1
        part, within = self.parts.parts[index], self.place - self.parts.starts[index]
        if isinstance(part, bytes):
            data = part[within : within + len(buffer)]
        else:
            self.file.seek(part[0] + within)
            data = self.file.read(min(len(buffer), part[1] - within))
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)


def scan_chunks(file: BinaryIO) -> Png:
    """Scan the chunks of a PNG in a seekable file, from its beginning.

    Raises:
        InputError: there are too many chunks, or the colours cannot be converted to sRGB.
    """
    pixels, extras = _Parts(), _Parts()
    facts: dict[bytes, bytes] = {}
    left = MAX_METADATA_BYTES
    head, profile = b"", None
    place, before = len(SIGNATURE), b""
    data_chunks: list[tuple[int, int]] = []
    has_pixels = False
    for _ in range(_MAX_CHUNKS):
        file.seek(place)
        start = file.read(8)
        if len(start) < 8:
            break
        length, kind = struct.unpack(">I4s", start)
        if kind == b"IEND":
            pixels.add(_chunk(kind, b""))
            break
        if kind == b"CgBI":
            raise InputError("it is a PNG for Apple devices only (CgBI); save it as an ordinary PNG")
        if kind == b"IHDR" and length == 13 and not head:
            head = start + file.read(length + 4)
        elif kind == b"PLTE" or (kind == b"IDAT" and (before == b"IDAT" or not has_pixels)):
            pixels.add((place, 12 + length))  # the decoder or `check_pixels` will report damage
            if kind == b"IDAT":
                has_pixels = True
                data_chunks.append((place, length))
        elif length <= MAX_METADATA_BYTES and (kind in _EVERYWHERE or (kind in _BEFORE and not has_pixels)):
            data, check = file.read(length), file.read(4)
            if check != struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))):
                pass  # damaged, but not needed
            elif kind == b"iCCP":
                profile = profile or _unpacked(data.partition(b"\0")[2][1:], MAX_METADATA_BYTES)
            elif kind in _TEXTS:
                if text := _text(kind, data, left):
                    left -= len(text)
                    extras.add(text)
            elif kind == b"tRNS":
                pixels.add((place, 12 + length))
            elif facts.setdefault(kind, data) is data and kind in (b"pHYs", b"eXIf"):
                extras.add(_chunk(kind, data))
        place += 12 + length
        before = kind
    else:
        raise InputError(f"it has more than {_MAX_CHUNKS} chunks, so it is damaged or not a picture")
    parts = _Parts()
    for part in (SIGNATURE, head, *extras.parts, *pixels.parts):
        parts.add(part)
    frames = int.from_bytes(facts[b"acTL"][:4], "big") if len(facts.get(b"acTL", b"")) == 8 else 1
    stream = cast(BinaryIO, io.BufferedReader(_SplicedFile(file, parts), 1 << 16))
    bits, colour = head[16:18] if len(head) >= 18 else (0, 0)
    width, height = struct.unpack(">II", head[8:16]) if bits else (0, 0)
    depth = bits * {2: 3, 4: 2, 6: 4}.get(colour, 1)
    is_deep, is_plausible = (
        bits == 16 and colour in (2, 4, 6),
        width * height * depth // 8 <= _MAX_RATIO * (pixels.length + 64),
    )
    lines = _length(width, height, depth, head[20] if bits else 0)
    return Png(stream, bits, is_deep, is_plausible, lines, data_chunks, max(1, frames), _colours(profile, facts))


def check_pixels(file: BinaryIO, found: Png) -> str | None:
    """Check the compressed pixels of a PNG for damage that decoders do not report.

    Args:
        file: the file that was passed to `scan_chunks`.
        found: its result.

    Returns:
        A sentence about surplus pixels or a wrong checksum; ``None`` if all is well.

    Raises:
        InputError: the pixels end before the last line.
    """
    unpacker, unpacked, is_sound = zlib.decompressobj(), 0, True
    for place, length in found.data:
        file.seek(place + 4)
        check, left = zlib.crc32(file.read(4)), length
        while left > 0 and (data := file.read(min(left, _BLOCK))):
            left -= len(data)
            check = zlib.crc32(data, check)
            while data and unpacked <= found.lines and not unpacker.eof:
                try:
                    unpacked += len(unpacker.decompress(data, _BLOCK))
                except zlib.error:  # the decoder will report it
                    return None
                data = unpacker.unconsumed_tail
        is_sound &= file.read(4) == struct.pack(">I", check)
    if unpacked < found.lines and unpacker.eof:
        raise InputError(
            f"the file is damaged: its pixels end after {unpacked / found.lines:.0%} of the picture, or its header "
            "states a wrong size or depth"
        )
    if unpacked > found.lines:
        return "there is data after its last line: its header may state a wrong size or depth"
    return None if is_sound else "a checksum of its pixels is wrong, so some of them may be damaged"


def _length(width: int, height: int, depth: int, is_interlaced: int) -> int:
    """Return the decompressed size in bytes; ``depth`` is bits per pixel. Adam7 stores seven small pictures."""
    parts = [(0, 0, 1, 1)] if not is_interlaced else _ADAM7
    sizes = [(-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in parts]
    return sum(rows * (1 + (columns * depth + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _colours(profile: bytes | None, facts: dict[bytes, bytes]) -> bytes | None:
    """Return the ICC profile by section 13.6 of the standard: from cICP, iCCP, sRGB, or gAMA and cHRM; None is sRGB."""
    stated = profile_of_codes(facts.get(b"cICP", b""))
    if stated is not None or facts.get(b"cICP", b"")[:2] == b"\x01\x0d":
        return stated
    if profile is not None or b"sRGB" in facts:
        return profile
    gamma, places = facts.get(b"gAMA", b""), facts.get(b"cHRM", b"")
    return profile_of_numbers(
        struct.unpack(">I", gamma)[0] / 100_000 if len(gamma) == 4 else None,
        [value / 100_000 for value in struct.unpack(">8I", places)] if len(places) == 32 else None,
    )


def _text(kind: bytes, data: bytes, max_bytes: int) -> bytes | None:
    """Return a text chunk decompressed; ``None`` if it is damaged or has more than ``max_bytes`` bytes."""
    keyword, _, rest = data.partition(b"\0")
    if not 1 <= len(keyword) <= 79:
        return None
    if kind == b"zTXt":
        unpacked = _unpacked(rest[1:], max_bytes) if rest[:1] == b"\0" else None
        kind, data = b"tEXt", keyword + b"\0" + (unpacked or b"")
        if unpacked is None:
            return None
    elif kind == b"iTXt" and rest[:1] == b"\1":
        language, _, rest = rest[2:].partition(b"\0")
        translated, _, packed = rest.partition(b"\0")
        unpacked = _unpacked(packed, max_bytes)
        if unpacked is None:
            return None
        data = keyword + b"\0\0\0" + b"\0".join((language, translated, unpacked))  # flags: not compressed
    return _chunk(kind, data) if len(data) <= max_bytes else None


def _unpacked(data: bytes, max_bytes: int) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(data, max_bytes)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else unpacked


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
