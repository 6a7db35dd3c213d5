"""Parser of JPEG segments (ITU-T T.81, annex B), for facts that decoders do not report, or only after decoding."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SIGNATURE = b"\xff\xd8\xff"
_NOT_FRAMES = (0xC4, 0xC8, 0xCC)  # tables, whose markers lie among those of frames
_BLOCK = 1 << 20
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)  # in a scan: except stuffed bytes and restarts
_PROFILE = b"ICC_PROFILE\0"
_EXIF = b"Exif\0\0"


@dataclass
class Frame:
    """The header of a JPEG: the facts before its first scan.

    Attributes:
        process: coding process of the frame marker: 0 baseline, 1 extended, 2 progressive, 3 lossless, 9 and 10
            arithmetic; -1 if there is no frame.
        bits: bits per channel.
        width: pixels.
        height: pixels.
        channels: 1 for grey, 3 for colour, 4 for CMYK.
        exif: the Exif segment, or empty.
        profile: the ICC profile, or empty.
    """

    process: int = -1
    bits: int = 0
    width: int = 0
    height: int = 0
    channels: int = 0
    exif: bytes = b""
    profile: bytes = b""


def read_frame(file: BinaryIO) -> Frame:
    """Read the frame of a JPEG, its Exif and its profile; missing ones keep their defaults."""
    frame = Frame()
    parts: dict[int, bytes] = {}
    for marker, data in _segments(file):
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES and len(data) >= 6 and frame.process < 0:
            frame.process = marker - 0xC0
            frame.bits, frame.height, frame.width, frame.channels = struct.unpack_from(">BHHB", data)
        elif marker == 0xE1 and data.startswith(_EXIF) and not frame.exif:
            frame.exif = data
        elif marker == 0xE2 and data.startswith(_PROFILE) and len(data) > 14:
            parts[data[12]] = data[14:]
    frame.profile = b"".join(parts[number] for number in sorted(parts))
    return frame


def count_scans(file: BinaryIO, max_scans: int) -> int:
    """Count the scans of a JPEG, stopping at ``max_scans + 1``."""
    for _ in _segments(file):
        pass
    scans, data, at = 0, b"", 0
    while scans <= max_scans:
        found = _MARKER.search(data, at)
        if found is None or found.end() + 2 > len(data):
            rest = data[found.start() :] if found else data[-1:] * data.endswith(b"\xff")
            more = file.read(_BLOCK)
            if not more:
                return scans + (found is not None and found[0][-1] == 0xDA)
            data, at = rest + more, 0
            continue
        marker, at = found[0][-1], found.end()
        if marker == 0xD9:
            break
        scans += marker == 0xDA
        at += int.from_bytes(data[at : at + 2], "big")  # skip the segment, whose content may look like markers
        if at > len(data):
            file.seek(at - len(data), 1)
            data, at = b"", 0
    return scans


def _segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of the segments before the first scan; the file is left at that scan's marker."""
    place = 2
    while True:
        file.seek(place)
        start = file.read(4)
        marker, length = start[1:2], int.from_bytes(start[2:], "big")
        if start[:2] == b"\xff\xff":  # a fill byte
            place += 1
        elif len(start) < 4 or start[0] != 0xFF or marker in (b"\xda", b"\xd9") or length < 2:
            file.seek(place)
            return
        else:
            yield marker[0], file.read(length - 2)
            place += 2 + length
