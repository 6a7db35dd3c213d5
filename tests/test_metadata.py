"""What people own stays with their pictures, wherever it was written; where they were, and with what, does not."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import pytest
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from sfumato.image import read_photo, write_photo
from sfumato.metadata import Metadata
from sfumato.xmp_iptc import from_iptc, from_xmp

FIELDS = {"copyright": "(c) Ada Photo", "artist": "Ada Lovelace", "description": "Größe"}
DATE = "2020:05:04 10:20:30"
PICTURE = Image.linear_gradient("L").resize((32, 24)).convert("RGB")

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<r:Description xmlns:d="http://purl.org/dc/elements/1.1/" xmlns:e="http://ns.adobe.com/exif/1.0/"
  xmlns:p="http://ns.adobe.com/photoshop/1.0/" xmlns:t="http://ns.adobe.com/tiff/1.0/"
  p:DateCreated="2020-05-04T10:20:30.25+02:00" e:GPSLatitude="SECRET 48,51N" t:Model="SECRET camera">
<d:rights><r:Alt><r:li xml:lang="de">(c) SECRET de</r:li>
<r:li xml:lang="x-default">(c) Ada Photo</r:li></r:Alt></d:rights>
<d:creator><r:Seq><r:li>Ada Lovelace</r:li><r:li>Ch. &amp; Babbage</r:li></r:Seq></d:creator>
<d:description><r:Alt><r:li xml:lang="x-default">Größe</r:li></r:Alt></d:description>
<p:City>SECRET city</p:City>
</r:Description></r:RDF></x:xmpmeta><?xpacket end="w"?>"""


def dataset(number: int, value: bytes, record: int = 2) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


IPTC = b"".join(
    [
        dataset(90, b"\x1b%G", record=1),
        dataset(0, b"\0\4"),
        dataset(80, b"Ada Lovelace"),
        dataset(80, b"Ch. & Babbage"),
        dataset(90, b"SECRET city"),
        dataset(116, b"(c) Ada Photo"),
        dataset(120, "Größe".encode()),
        dataset(55, b"20200504"),
        dataset(60, b"102030+0200"),
    ]
)


def photoshop(iptc: bytes) -> bytes:
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    thumbnail = b"SECRET thumbnail"
    return b"8BIM\x04\x0c\0\0" + struct.pack(">I", len(thumbnail)) + thumbnail + block


def raw_profile(name: str, data: bytes) -> str:
    """As ImageMagick writes it."""
    return f"\n{name}\n{len(data):8}\n" + "\n".join(re.findall(".{1,72}", data.hex())) + "\n"


def saved(format: str, **options: object) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, format, **options)
    return file.getvalue()


def png(*texts: tuple[str, str]) -> bytes:
    info = PngInfo()
    for keyword, text in texts:
        info.add_text(keyword, text, zip=True)
    return saved("PNG", pnginfo=info)


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    data = saved("JPEG", quality=95)
    return data[:2] + b"".join(struct.pack(">HH", m, len(d) + 2) + d for m, d in segments) + data[2:]


def tiff(tag: int, value: object, kind: int) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[tag] = value
    tags.tagtype[tag] = kind
    return saved("TIFF", tiffinfo=tags)


def in_numbers(data: bytes) -> bytes:
    """A TIFF whose IPTC is called numbers of 32 bits, as Photoshop does."""
    data += b"\0" * (-len(data) % 4)
    found = tiff(33723, data, 7)
    entry = struct.pack("<HHI", 33723, 7, len(data))
    assert found.count(entry) == 1
    return found.replace(entry, struct.pack("<HHI", 33723, 4, len(data) // 4))


def xmp_png() -> bytes:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP)
    return saved("PNG", pnginfo=info)


SOURCES = {
    "xmp in JPEG": lambda: saved("JPEG", xmp=XMP.encode()),
    "xmp in PNG": xmp_png,
    "xmp in WebP": lambda: saved("WEBP", xmp=XMP.encode()),
    "xmp in TIFF": lambda: tiff(700, XMP.encode(), 1),
    "xmp in a profile of PNG": lambda: png(("Raw profile type xmp", raw_profile("xmp", XMP.encode()))),
    "iptc in JPEG": lambda: jpeg((0xFFED, b"Photoshop 3.0\0" + photoshop(IPTC))),
    "iptc in TIFF": lambda: tiff(33723, IPTC, 7),
    "iptc in TIFF as numbers": lambda: in_numbers(IPTC),
    "iptc in TIFF by Photoshop": lambda: tiff(34377, photoshop(IPTC), 7),
    "iptc in a profile of PNG": lambda: png(("Raw profile type iptc", raw_profile("iptc", photoshop(IPTC)))),
}


def text(value: str | bytes) -> str:
    """Exif's, which some formats are read with as bytes."""
    return (value.encode("latin-1") if isinstance(value, str) else value).decode()


def inflated(data: bytes) -> bytes:
    """The file, and all that is compressed in it."""
    found = [data]
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data):
        try:
            found.append(zlib.decompressobj().decompress(data[match.start() :]))
        except zlib.error:
            continue
    return b"".join(found)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_owner_and_dates_stay_and_places_go(tmp_path: Path, source: str, suffix: str) -> None:
    data = SOURCES[source]()
    assert b"SECRET" in inflated(data) or b"SECRET".hex().encode() in inflated(data)
    path = tmp_path / f"out.{suffix}"
    write_photo(read_photo(data), path)
    with Image.open(path) as image:
        exif = image.getexif()
        second = exif.get_ifd(ExifTags.IFD.Exif)
    assert text(exif[ExifTags.Base.Copyright]) == FIELDS["copyright"]
    assert text(exif[ExifTags.Base.Artist]) == "Ada Lovelace; Ch. & Babbage"
    assert text(exif[ExifTags.Base.ImageDescription]) == FIELDS["description"]
    assert text(second[ExifTags.Base.DateTimeOriginal]) == DATE
    assert text(second[ExifTags.Base.OffsetTimeOriginal]) == "+02:00"
    assert b"SECRET" not in inflated(path.read_bytes())
    again = read_photo(path).metadata  # and what Sfumato wrote, it reads
    assert (again.copyright, again.description, again.dates["DateTimeOriginal"]) == (
        FIELDS["copyright"],
        FIELDS["description"],
        DATE,
    )


def test_what_exif_xmp_and_iptc_say_differently_is_all_kept() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "(c) the agency"
    exif[ExifTags.Base.Artist] = "Ada Lovelace, Countess"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2019:01:01 00:00:00"}
    block = (0xFFED, b"Photoshop 3.0\0" + photoshop(dataset(116, b"(c) the studio") + dataset(55, b"20200504")))
    data = jpeg((0xFFE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.encode()), (0xFFE1, exif.tobytes()), block)
    found = read_photo(data).metadata
    assert found.copyright == "(c) the agency; (c) the studio; (c) Ada Photo"
    assert found.artist == "Ada Lovelace, Countess; Ch. & Babbage"
    assert found.dates["DateTimeOriginal"] == "2019:01:01 00:00:00"
    assert "OffsetTimeOriginal" not in found.dates  # of another date


@pytest.mark.parametrize(
    "packet",
    [
        XMP.replace("<x:xmpmeta", '<!DOCTYPE x [<!ENTITY a "aaaa">]><x:xmpmeta').replace("Ada", "&a;"),
        XMP.encode("utf-16").decode("latin-1"),
        XMP[:700],
        "<x>" * 200_000,
        "",
    ],
)
def test_a_damaged_or_dangerous_packet_says_nothing(packet: str) -> None:
    assert not from_xmp(packet).texts
    assert not from_xmp(packet.encode()).dates


def test_iptc_is_read_as_far_as_it_is_whole() -> None:
    for cut in range(len(IPTC)):
        found = from_iptc(IPTC[:cut])
        assert all(b"SECRET" not in value for values in found.texts.values() for value in values)
    assert from_iptc(dataset(116, b"mine") + b"\x1c\x02\x50\xff\xff" + b"x" * 99).texts == {"copyright": [b"mine"]}
    assert not any(from_iptc(dataset(55, b"00000000")).dates.values())


def test_a_picture_that_says_nothing_has_no_metadata() -> None:
    assert read_photo(saved("PNG")).metadata == Metadata()
