"""Metadata: what is read from a source, and what is written into a result.

The metadata of a result is rebuilt from the few fields named here. Nothing is copied as a whole, so that places (GPS),
cameras, serial numbers, maker notes and thumbnails cannot leak into a result. Copyright, creator, description and dates
are read from Exif, XMP, IPTC and the texts of PNG, and written to Exif.

============  =====================================  ======================================================
format        :class:`Metadata` without the recipe   recipe (JSON)
============  =====================================  ======================================================
PNG           chunk ``eXIf``                         chunk ``iTXt`` with the keyword ``sfumato``
JPEG, WEBP,   Exif                                   XMP, property ``sfumato:recipe``. Editors preserve unknown
TIFF                                                 XMP, but overwrite Exif's ``UserComment``, which belongs to
                                                     the user anyway.
GIF           (nothing)                              comment that begins with ``sfumato:``
============  =====================================  ======================================================

A do-not-train mark is written to XMP, in all formats but GIF, as the property ``plus:DataMining``.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from PIL import ExifTags, Image

from sfumato import __version__
from sfumato.errors import InputError, UsageError
from sfumato.xmp_iptc import TextFields, from_iptc, from_xmp, iptc_of_photoshop, raw_profile, xmp_reservation

#: Maximum size of a recipe's JSON in bytes. JPEG stores XMP in one segment of at most 65,535 bytes.
MAX_RECIPE = 60_000
PNG_KEYWORD = "sfumato"
GIF_PREFIX = "sfumato:"

_MAX_DEPTH = 20  # nesting of a recipe; Sfumato writes 4 levels
_MAX_TEXT = 4000  # characters of a text: three such texts in UTF-8 fit into the one Exif segment of a JPEG
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:sfumato="urn:sfumato:1.0#" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/">'
    "{}</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)
_RESERVED = "<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED</plus:DataMining>"
_TEXTS = {  # field: Exif tag, PNG keyword
    "copyright": (ExifTags.Base.Copyright, "Copyright"),
    "artist": (ExifTags.Base.Artist, "Author"),
    "description": (ExifTags.Base.ImageDescription, "Description"),
}
_DATES = (
    ExifTags.Base.DateTimeOriginal,
    ExifTags.Base.DateTimeDigitized,
    ExifTags.Base.OffsetTime,
    ExifTags.Base.OffsetTimeOriginal,
    ExifTags.Base.OffsetTimeDigitized,
    ExifTags.Base.SubsecTime,
    ExifTags.Base.SubsecTimeOriginal,
    ExifTags.Base.SubsecTimeDigitized,
)  # in the Exif sub-directory; DateTime itself is in the first directory
_IPTC_BLOCK = 0x0404  # the resource of Photoshop that holds IPTC, in JPEG
_XMP_TAG, _IPTC_TAG, _PHOTOSHOP_TAG = 700, 33723, 34377  # TIFF tags
_INCH, _CENTIMETRE = 2, 3  # Exif 2.32, tag 296


@dataclass(frozen=True)
class Metadata:
    """The metadata of a picture: fields from its source, and the recipe that made it.

    Attributes:
        copyright: the text of the source.
        artist: the text of the source.
        description: the text of the source.
        dates: dates by the name of the Exif tag (``DateTime``, ``DateTimeOriginal``, ``OffsetTimeOriginal``, ...).
        resolution: dots per inch, horizontal and vertical.
        recipe: how Sfumato made the picture, as JSON.
        lost_recipe: why ``recipe`` is None although the file has one: it is damaged. Never written.
        reservation: the mark by which the picture is reserved from training, ``DataMining`` or ``tdm-reservation``.
            Either is written as the first, which covers more.
    """

    copyright: str | None = None
    artist: str | None = None
    description: str | None = None
    dates: Mapping[str, str] = field(default_factory=dict)
    resolution: tuple[float, float] | None = None
    recipe: dict[str, object] | None = None
    lost_recipe: str | None = field(default=None, compare=False)
    reservation: str | None = field(default=None, compare=False)


def read_metadata(image: Image.Image) -> Metadata:
    """Return the metadata of an opened picture, without damaged parts, which never make a picture unreadable."""
    first: Mapping[int, Any] = {}
    second: Mapping[int, Any] = {}
    with suppress(Exception):  # damaged Exif raises a dozen kinds of error
        first = image.getexif()
        second = image.getexif().get_ifd(ExifTags.IFD.Exif)
    texts = {
        name: [_text(_value(first, tag)) or _text(image.info.get(keyword))] for name, (tag, keyword) in _TEXTS.items()
    }
    dates = {tag.name: _text(_value(second, tag)) for tag in _DATES}
    dates["DateTime"] = _text(_value(first, ExifTags.Base.DateTime))
    dates["DateTimeOriginal"] = dates["DateTimeOriginal"] or _png_date(image.info.get("Creation Time"))
    for fields in _xmp_and_iptc(image):
        for name, values in fields.texts.items():
            texts[name] += [_text(value) for value in values]
        for which, tags in fields.dates.items():
            if not dates.get(f"DateTime{which}"):  # the time zone and fraction must have the same source as the date
                dates |= tags
    recipe = lost = None
    with suppress(Exception):
        try:
            recipe = find_recipe(image)
        except InputError as problem:
            lost = str(problem)
    return Metadata(
        **{name: _join_texts(values) for name, values in texts.items()},
        dates={name: date for name, date in dates.items() if date is not None and len(date) <= 40},
        resolution=_exif_resolution(first) or _header_resolution(image),
        recipe=recipe,
        lost_recipe=lost,
        reservation=_reservation(image),
    )


def _xmp_and_iptc(image: Image.Image) -> Iterator[TextFields]:
    """Yield the fields of IPTC and of XMP, from all places where formats store them; damaged ones are skipped."""
    info = image.info
    with suppress(Exception):
        iptc = (info.get("photoshop") or {}).get(_IPTC_BLOCK) or _tag_bytes(image, _IPTC_TAG)
        iptc = iptc or iptc_of_photoshop(_tag_bytes(image, _PHOTOSHOP_TAG))
        for kind in ("iptc", "8bim"):
            iptc = iptc or iptc_of_photoshop(raw_profile(info.get(f"Raw profile type {kind}")))
        yield from_iptc(iptc)
    with suppress(Exception):
        yield from_xmp(_xmp_packet(image))


def _xmp_packet(image: Image.Image) -> bytes | str:
    """Return the XMP packet of a picture, from all places where formats store it; empty if there is none."""
    info = image.info
    found = info.get("xmp") or info.get("XML:com.adobe.xmp") or _tag_bytes(image, _XMP_TAG)
    return found or raw_profile(info.get("Raw profile type xmp"))


def _reservation(image: Image.Image) -> str | None:
    """Return the mark by which a picture is reserved from training; None if there is none that can be read."""
    with suppress(Exception):
        if str(image.info.get("tdm-reservation", "")).strip() == "1":  # a text of PNG
            return "tdm-reservation"
        return xmp_reservation(_xmp_packet(image))
    return None


def _tag_bytes(image: Image.Image, tag: int) -> bytes:
    """Return the raw bytes of a TIFF tag. Photoshop declares them as numbers, of which Pillow would return only one."""
    found = getattr(getattr(image, "tag_v2", None), "_tagdata", {}).get(tag)
    return found if isinstance(found, bytes) else b""


def _join_texts(values: Iterable[str | None]) -> str | None:
    """Join different texts with semicolons; one that is part of another is dropped, since IPTC truncates texts."""
    found: list[str] = []
    for value in values:
        if value and not any(value in each for each in found):
            found = [each for each in found if each not in value]
            found.append(value)
    return "; ".join(found)[:_MAX_TEXT] or None


def find_recipe(image: Image.Image) -> dict[str, object] | None:
    """Return the recipe in an opened picture, or ``None`` if there is none.

    Raises:
        InputError: the recipe is damaged or longer than Sfumato writes.
    """
    text = image.info.get(PNG_KEYWORD)
    if text is None:
        text = _xmp_recipe(image.info.get("xmp"))
    if text is None and image.format == "GIF":
        text = _gif_recipe(image.info.get("comment"))
    if not isinstance(text, str):
        return None
    if len(text) > MAX_RECIPE:
        raise InputError(f"its recipe has more than the {MAX_RECIPE} bytes that Sfumato writes at most")
    try:
        recipe = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        json.dumps(recipe, ensure_ascii=False).encode()  # half a sign, as escapes can write, is no text
    except (ValueError, RecursionError) as problem:
        raise InputError("its recipe is damaged: it is not JSON; use the picture as Sfumato wrote it") from problem
    if not isinstance(recipe, dict):
        raise InputError("its recipe is damaged: it is not a JSON object; use the picture as Sfumato wrote it")
    if not _is_shallow(recipe, _MAX_DEPTH):
        raise InputError("its recipe is damaged: it is nested too deeply; use the picture as Sfumato wrote it")
    return recipe


def recipe_json(recipe: Mapping[str, object]) -> str:
    """Return a recipe as JSON in ASCII without ``<``, ``>`` and ``&``, so that XML needs no further escapes.

    Raises:
        UsageError: it is not JSON, or longer than ``MAX_RECIPE``.
    """
    try:
        text = json.dumps(recipe, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as problem:
        raise UsageError(f"a recipe must be plain JSON: {problem}") from problem
    for sign in "<>&":  # in JSON, they occur only in strings
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    if len(text) > MAX_RECIPE:
        raise UsageError(f"a recipe may have at most {MAX_RECIPE} bytes, but has {len(text)}; remove a part of it")
    return text


def to_xmp(recipe: Mapping[str, object] | None, reserved: bool) -> bytes:
    """Return an XMP packet with the recipe, if there is one, and the do-not-train mark of a reserved picture.

    Without both it is empty.
    """
    parts = "" if recipe is None else f"<sfumato:recipe>{recipe_json(recipe)}</sfumato:recipe>"
    parts += _RESERVED * reserved
    return _XMP.format(parts).encode() if parts else b""


def to_exif(metadata: Metadata) -> Image.Exif:
    """Return Exif with all metadata except the recipe, and with Sfumato as the software."""
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = f"Sfumato {__version__}".encode()
    for name, (tag, _) in _TEXTS.items():
        if text := _text(getattr(metadata, name)):
            exif[tag] = text.encode()  # as bytes, because Pillow would replace non-ASCII by question marks
    if date := metadata.dates.get("DateTime"):
        exif[ExifTags.Base.DateTime] = date.encode()
    if metadata.resolution is not None:
        exif[ExifTags.Base.ResolutionUnit] = _INCH
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = metadata.resolution
    if second := {int(tag): metadata.dates[tag.name].encode() for tag in _DATES if tag.name in metadata.dates}:
        exif[ExifTags.IFD.Exif] = second
    return exif


def _value(tags: Mapping[int, Any], tag: int) -> Any:
    """Return the value of a tag; None if it is missing or damaged."""
    try:
        return tags.get(tag)
    except Exception:  # Pillow parses a tag on access: a damaged one must not affect the others
        return None


def _text(value: object) -> str | None:
    """Clean a text: decode UTF-8 that Pillow read as Latin-1, drop unprintable characters; ``None`` if it is empty."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    parts = value.split("\0")  # Exif separates the photographer's and the editor's copyright like this
    clean = ("".join(sign for sign in part if sign.isprintable() or sign in "\n\t").strip() for part in parts)
    return "; ".join(part for part in clean if part)[:_MAX_TEXT] or None


def _png_date(value: object) -> str | None:
    """Parse a PNG creation time into Exif's format. PNG recommends RFC 1123, but programs also write ISO 8601."""
    readers: tuple[Callable[[str], datetime], ...] = (parsedate_to_datetime, datetime.fromisoformat)
    for read in readers:
        with suppress(Exception):
            return f"{read(_text(value) or ''):%Y:%m:%d %H:%M:%S}"
    return None


def _exif_resolution(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    found = _resolution((_value(tags, ExifTags.Base.XResolution), _value(tags, ExifTags.Base.YResolution)))
    unit = _value(tags, ExifTags.Base.ResolutionUnit)
    if found is None or unit not in (None, _INCH, _CENTIMETRE):
        return None
    return _resolution((found[0] * 2.54, found[1] * 2.54)) if unit == _CENTIMETRE else found


def _header_resolution(image: Image.Image) -> tuple[float, float] | None:
    if image.format in ("PNG", "BMP") or image.info.get("jfif_unit"):  # otherwise Pillow makes up 72 or 1
        return _resolution(image.info.get("dpi"))
    return None


def _resolution(value: object) -> tuple[float, float] | None:
    with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        across, down = (float(number) for number in value)  # type: ignore[attr-defined]
        if all(math.isfinite(number) and 1 <= number <= 30_000 for number in (across, down)):
            return across, down
    return None


def _xmp_recipe(packet: object) -> str | None:
    """Return the text of the recipe in an XMP packet, stored as an element or, by some editors, as an attribute.

    The bytes are searched without an XML parser, which would be one more risk with untrusted files.
    """
    if not isinstance(packet, bytes):
        return None
    rest = packet.partition(b"sfumato:recipe")[2]
    for opening, closing in ((b">", b"<"), (b'="', b'"'), (b"='", b"'")):
        if rest.startswith(opening):
            text = rest[len(opening) :].partition(closing)[0]
            return html.unescape(text[: 8 * MAX_RECIPE].decode("utf-8", "replace"))
    return None


def _gif_recipe(comment: object) -> str | None:
    if not isinstance(comment, bytes) or not comment.startswith(GIF_PREFIX.encode()):
        return None
    return comment[len(GIF_PREFIX) : 8 * MAX_RECIPE].decode("utf-8", "replace")


def _is_shallow(value: object, levels: int) -> bool:
    """Whether lists and objects are nested at most ``levels`` deep, since writing and copying them is recursive."""
    if not isinstance(value, dict | list):
        return True
    below = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(each, levels - 1) for each in below)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
