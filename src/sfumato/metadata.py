"""What a picture file says about its picture: what is kept of a source, and what a result carries.

Everything is rebuilt from the few things named here and nothing is copied through, so that places (GPS), cameras,
serial numbers, maker notes and thumbnails cannot slip into a result. Copyright, creator, description and dates are
looked for in Exif, XMP, IPTC and the texts of PNG; all that is kept of them goes into Exif.

============  =====================================  ======================================================
format        :class:`Metadata` but for the recipe   recipe (JSON)
============  =====================================  ======================================================
PNG           chunk ``eXIf``                         chunk ``iTXt`` with the keyword ``sfumato``
JPEG, WEBP,   Exif                                   XMP, property ``sfumato:recipe``. Editors carry XMP that
TIFF                                                 they do not know along; Exif's ``UserComment`` is the
                                                     user's own, and programs write over it.
GIF           (nothing)                              comment that begins with ``sfumato:``
============  =====================================  ======================================================
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
from sfumato.xmp_iptc import TextFields, from_iptc, from_xmp, iptc_of_photoshop, raw_profile

#: Bytes of JSON. JPEG holds XMP in one segment of 65,535.
MAX_RECIPE = 60_000
PNG_KEYWORD = "sfumato"
GIF_PREFIX = "sfumato:"

_MAX_DEPTH = 20  # of a recipe: ours have 4
_MAX_TEXT = 4000  # characters: three of them in UTF-8 fit into JPEG's one segment of Exif
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:sfumato="urn:sfumato:1.0#">'
    "<sfumato:recipe>{}</sfumato:recipe></rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)
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
)  # in the Exif sub-directory; DateTime is in the first one
_IPTC_BLOCK = 0x0404  # among those of Photoshop, in JPEG
_XMP_TAG, _IPTC_TAG, _PHOTOSHOP_TAG = 700, 33723, 34377  # of TIFF
_INCH, _CENTIMETRE = 2, 3  # Exif 2.32, tag 296


@dataclass(frozen=True)
class Metadata:
    """What is kept of a picture's source, and the recipe that made the picture.

    Attributes:
        copyright: as the source says it; so are ``artist`` and ``description``.
        dates: by the names of Exif's tags (``DateTime``, ``DateTimeOriginal``, ``OffsetTimeOriginal``, ...).
        resolution: dots per inch, across and down.
        recipe: how Sfumato made the picture; JSON.
        lost_recipe: why the recipe of a file that was read is left out, where it holds a damaged one; never written.
    """

    copyright: str | None = None
    artist: str | None = None
    description: str | None = None
    dates: Mapping[str, str] = field(default_factory=dict)
    resolution: tuple[float, float] | None = None
    recipe: dict[str, object] | None = None
    lost_recipe: str | None = field(default=None, compare=False)


def read_metadata(image: Image.Image) -> Metadata:
    """The metadata of an opened picture. What is damaged is left out: it is no reason to refuse the pixels."""
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
            if not dates.get(f"DateTime{which}"):  # zone and fraction come from where the date does
                dates |= tags
    recipe = lost = None
    with suppress(Exception):
        try:
            recipe = find_recipe(image)
        except InputError as problem:
            lost = str(problem)
    return Metadata(
        **{name: _together(values) for name, values in texts.items()},
        dates={name: date for name, date in dates.items() if date is not None and len(date) <= 40},
        resolution=_exif_resolution(first) or _header_resolution(image),
        recipe=recipe,
        lost_recipe=lost,
    )


def _xmp_and_iptc(image: Image.Image) -> Iterator[TextFields]:
    """What XMP and IPTC say, wherever the format keeps them; what is damaged says nothing."""
    info = image.info
    with suppress(Exception):
        iptc = (info.get("photoshop") or {}).get(_IPTC_BLOCK) or _tag_bytes(image, _IPTC_TAG)
        iptc = iptc or iptc_of_photoshop(_tag_bytes(image, _PHOTOSHOP_TAG))
        for kind in ("iptc", "8bim"):
            iptc = iptc or iptc_of_photoshop(raw_profile(info.get(f"Raw profile type {kind}")))
        yield from_iptc(iptc)
    with suppress(Exception):
        xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or _tag_bytes(image, _XMP_TAG)
        yield from_xmp(xmp or raw_profile(info.get("Raw profile type xmp")))


def _tag_bytes(image: Image.Image, tag: int) -> bytes:
    """A tag of TIFF as its file has it: Photoshop calls these bytes numbers, of which Pillow would give one."""
    found = getattr(getattr(image, "tag_v2", None), "_tagdata", {}).get(tag)
    return found if isinstance(found, bytes) else b""


def _together(values: Iterable[str | None]) -> str | None:
    """Different texts side by side; one that says no more than another (IPTC cuts names off) is left out."""
    found: list[str] = []
    for value in values:
        if value and not any(value in each for each in found):
            found = [each for each in found if each not in value]
            found.append(value)
    return "; ".join(found)[:_MAX_TEXT] or None


def find_recipe(image: Image.Image) -> dict[str, object] | None:
    """The recipe in an opened picture, or ``None``.

    Raises:
        InputError: there is one, but it is damaged or larger than Sfumato writes.
    """
    text = image.info.get(PNG_KEYWORD)
    if text is None:
        text = _xmp_recipe(image.info.get("xmp"))
    if text is None and image.format == "GIF":
        text = _gif_recipe(image.info.get("comment"))
    if not isinstance(text, str):
        return None
    if len(text) > MAX_RECIPE:
        raise InputError(f"its recipe is longer than the {MAX_RECIPE} bytes that Sfumato writes; it is not one")
    try:
        recipe = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as problem:
        raise InputError("its recipe is damaged: it is not JSON; take the picture as Sfumato wrote it") from problem
    if not isinstance(recipe, dict):
        raise InputError("its recipe is damaged: it is not a JSON object; take the picture as Sfumato wrote it")
    if not _is_shallow(recipe, _MAX_DEPTH):
        raise InputError("its recipe is damaged: it is nested too deep; take the picture as Sfumato wrote it")
    return recipe


def recipe_json(recipe: Mapping[str, object]) -> str:
    """A recipe as ASCII text without ``<``, ``>`` and ``&``, which may so stand in XML as it is.

    Raises:
        UsageError: it is not JSON, or longer than ``MAX_RECIPE``.
    """
    try:
        text = json.dumps(recipe, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as problem:
        raise UsageError(f"a recipe must be plain JSON: {problem}") from problem
    for sign in "<>&":  # in JSON they can only stand inside strings
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    if len(text) > MAX_RECIPE:
        raise UsageError(f"a recipe may have {MAX_RECIPE} bytes at most, but has {len(text)}; leave something out")
    return text


def to_xmp(recipe: Mapping[str, object]) -> bytes:
    """An XMP packet that holds the recipe."""
    return _XMP.format(recipe_json(recipe)).encode()


def to_exif(metadata: Metadata) -> Image.Exif:
    """Exif of everything but the recipe, and of the program that wrote it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = f"Sfumato {__version__}".encode()
    for name, (tag, _) in _TEXTS.items():
        if text := _text(getattr(metadata, name)):
            exif[tag] = text.encode()  # bytes: Pillow would write anything but ASCII as question marks
    if date := metadata.dates.get("DateTime"):
        exif[ExifTags.Base.DateTime] = date.encode()
    if metadata.resolution is not None:
        exif[ExifTags.Base.ResolutionUnit] = _INCH
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = metadata.resolution
    if second := {int(tag): metadata.dates[tag.name].encode() for tag in _DATES if tag.name in metadata.dates}:
        exif[ExifTags.IFD.Exif] = second
    return exif


def _value(tags: Mapping[int, Any], tag: int) -> Any:
    try:
        return tags.get(tag)
    except Exception:  # Pillow reads a tag when it is asked for: one that is damaged must not take the others along
        return None


def _text(value: object) -> str | None:
    """Printable text on one line or several, in UTF-8 where Pillow took it for Latin-1; ``None`` if nothing is left."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    parts = value.split("\0")  # Exif puts a photographer's and an editor's copyright side by side like this
    clean = ("".join(sign for sign in part if sign.isprintable() or sign in "\n\t").strip() for part in parts)
    return "; ".join(part for part in clean if part)[:_MAX_TEXT] or None


def _png_date(value: object) -> str | None:
    """PNG advises RFC 1123 for a time of creation, and programs write ISO 8601 too."""
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
    if image.format in ("PNG", "BMP") or image.info.get("jfif_unit"):  # elsewhere Pillow makes one up: 72, or 1
        return _resolution(image.info.get("dpi"))
    return None


def _resolution(value: object) -> tuple[float, float] | None:
    with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        across, down = (float(number) for number in value)  # type: ignore[attr-defined]
        if all(math.isfinite(number) and 1 <= number <= 30_000 for number in (across, down)):
            return across, down
    return None


def _xmp_recipe(packet: object) -> str | None:
    """The property as an element or, as some editors rewrite it, as an attribute.

    Looked for in the bytes: a parser of XML from strangers would be one more door.
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
    """Whether lists and objects lie in each other no deeper: what writes and copies them calls itself for each."""
    if not isinstance(value, dict | list):
        return True
    below = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(each, levels - 1) for each in below)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number that can be kept")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
