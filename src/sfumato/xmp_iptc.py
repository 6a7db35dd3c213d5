"""Copyright, creator, description, dates and do-not-train marks from XMP and IPTC; other properties are ignored.

Photo agencies and Lightroom write the owner there instead of into Exif. The mapping of properties to Exif follows the
guidelines of the Metadata Working Group (2010).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree import ElementTree

MAX_XMP = 4 << 20  # bytes; a packet with the full editing history has some hundred thousand
_MAX_ENTRIES = 1000  # datasets of IPTC, and values of an XMP property

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_TIFF = "{http://ns.adobe.com/tiff/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_DATA_MINING = "{http://ns.useplus.org/ldf/xmp/1.0/}DataMining"  # IPTC Photo Metadata 2023.1
_TDM = re.compile(r"\{https?://www\.w3\.org/ns/tdmrep[#/]?\}reservation|(\{.*\})?tdm-reservation", re.IGNORECASE)
_XMP_TEXTS = {
    "copyright": (f"{_DC}rights", f"{_TIFF}Copyright"),
    "artist": (f"{_DC}creator", f"{_TIFF}Artist"),
    "description": (f"{_DC}description", f"{_TIFF}ImageDescription"),
}
_XMP_DATES = {
    "Original": (f"{_EXIF}DateTimeOriginal", f"{_PHOTOSHOP}DateCreated"),
    "Digitized": (f"{_EXIF}DateTimeDigitized", f"{_XMP}CreateDate"),
    "": (f"{_XMP}ModifyDate", f"{_TIFF}DateTime"),
}
_IPTC_TEXTS = {"copyright": 116, "artist": 80, "description": 120}  # datasets of record 2
_IPTC_DATES = {"Original": (55, 60), "Digitized": (62, 63)}  # date and time
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d\d:\d\d)?)?")
_IPTC_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(?:([+-]\d\d)(\d\d))?")


@dataclass(frozen=True)
class TextFields:
    """The fields that were found.

    Attributes:
        texts: lists of raw texts under ``copyright``, ``artist`` and ``description``.
        dates: Exif tags and their values (``DateTimeOriginal``, ``SubsecTimeOriginal``, ``OffsetTimeOriginal``) under
            ``Original``, ``Digitized`` and, for the last change, the empty string.
    """

    texts: Mapping[str, list[str | bytes]] = field(default_factory=dict)
    dates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def from_xmp(packet: bytes | str) -> TextFields:
    """Return the fields of an XMP packet; none if it is damaged."""
    found = _properties(packet)
    texts = {name: next((found[p] for p in places if found.get(p)), []) for name, places in _XMP_TEXTS.items()}
    dates = {}
    for which, places in _XMP_DATES.items():
        for value in (value for place in places for value in found.get(place, ())):
            if date := _date(value.strip(), which):
                dates[which] = date
                break
    return TextFields({name: list(values) for name, values in texts.items() if values}, dates)


def xmp_reservation(packet: bytes | str) -> str | None:
    """Return the property of an XMP packet that reserves the picture from training; None if there is none.

    It is ``DataMining`` of PLUS and IPTC with a value that prohibits, all of which cover generative models, or W3C's
    ``tdm-reservation`` of 1.
    """
    for name, values in _properties(packet).items():
        if name == _DATA_MINING and any("DMI-PROHIBITED" in value.upper() for value in values):
            return "DataMining"
        if _TDM.fullmatch(name) and any(value.strip() == "1" for value in values):
            return "tdm-reservation"
    return None


def _properties(packet: bytes | str) -> dict[str, list[str]]:
    """Return the values of each property of an XMP packet; none if it is damaged.

    A packet with a document type is treated as damaged, because entities, the known attack with XML, need one.
    """
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else packet
    text = text[: text.rfind(">") + 1].lstrip("\ufeff \t\r\n\0")  # padding may follow
    if len(text) > MAX_XMP or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return {}
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    for rdf in root.iter(f"{_RDF}RDF"):
        for subject in rdf.findall(f"{_RDF}Description"):
            for name, value in subject.items():
                found.setdefault(name, []).append(value)
            for each in subject:
                found.setdefault(each.tag, []).extend(_values(each))
    return found


def _values(element: ElementTree.Element) -> list[str]:
    """Return the values of a property: one, a list, or the default language of several."""
    if address := element.get(f"{_RDF}resource"):
        return [address]
    entries = element.findall(f"{_RDF}*/{_RDF}li")[:_MAX_ENTRIES]
    if element.find(f"{_RDF}Alt") is not None:
        entries = [each for each in entries if each.get(_LANGUAGE) == "x-default"] or entries
        entries = entries[:1]
    return ["".join(each.itertext()) for each in (entries or [element])]


def from_iptc(data: bytes) -> TextFields:
    """Return the fields of IPTC-IIM data, up to the first damaged dataset."""
    found: dict[int, list[bytes]] = {}
    for number, value in _datasets(data):
        found.setdefault(number, []).append(value)
    texts: dict[str, list[str | bytes]] = {
        name: list(found[number]) for name, number in _IPTC_TEXTS.items() if number in found
    }
    dates = {}
    for which, (day, time) in _IPTC_DATES.items():
        date, clock = (found.get(number, [b""])[0].decode("latin-1").strip("\0 ") for number in (day, time))
        if len(date) == 8:
            hours = _IPTC_TIME.fullmatch(clock)
            clock = f"T{hours[1]}:{hours[2]}:{hours[3]}" if hours else ""
            clock += f"{hours[4]}:{hours[5]}" if hours and hours[4] else ""
            dates[which] = _date(f"{date[:4]}-{date[4:6]}-{date[6:]}{clock}", which)
    return TextFields(texts, dates)


def _datasets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and value of each dataset of record 2."""
    at = 0
    for _ in range(_MAX_ENTRIES):
        if len(data) < at + 5 or data[at] != 0x1C:
            return
        record, number, size = struct.unpack_from(">BBH", data, at + 1)
        at += 5 + size
        if size > 0x7FFF or at > len(data):  # extended datasets, which contain previews
            return
        if record == 2:
            yield number, data[at - size : at]


def iptc_of_photoshop(blocks: bytes) -> bytes:
    """Return the IPTC data in Photoshop's resource blocks, as stored in TIFF and (in hex) PNG; empty if none."""
    at = blocks.find(b"8BIM\x04\x04")
    if at < 0 or len(blocks) < at + 12:
        return b""
    start = at + 7 + blocks[at + 6]
    start += start % 2 != at % 2  # the name is padded
    size = int.from_bytes(blocks[start : start + 4], "big")
    return blocks[start + 4 : start + 4 + size]


def raw_profile(text: object) -> bytes:
    """Decode a "Raw profile type NAME" of ImageMagick or ExifTool in a PNG: its name, its size and hex digits."""
    with suppress(ValueError, AttributeError):
        return bytes.fromhex("".join(str(text).split()[2:]))
    return b""


def _date(text: str, which: str) -> dict[str, str]:
    """Return the Exif tags of a time in ISO 8601; none if it is invalid or lacks the day."""
    found = _DATE.match(text)
    if not found:
        return {}
    year, month, day, hour, minute, second, part, offset = found.groups()
    try:
        when = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return {}
    tags = {f"DateTime{which}": f"{when.year:04}:{when:%m:%d %H:%M:%S}"}
    if part:
        tags[f"SubsecTime{which}"] = part
    if offset:
        tags[f"OffsetTime{which}"] = "+00:00" if offset == "Z" else offset
    return tags
