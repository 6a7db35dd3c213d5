"""Opening of all picture files: their kind and size are read and checked against the limits, without decoding."""

from __future__ import annotations

import io
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from sfumato import deep, limits
from sfumato.errors import InputError, first_line, how_to_install
from sfumato.image import jpeg, png, tiff
from sfumato.image.formats import KNOWN, formats_for, kind_of, what_is_missing
from sfumato.pipes import PATIENCE, is_pipe, read_pipe

#: A path, the bytes of a file, or an open binary file such as ``sys.stdin.buffer``, which need not be seekable.
PhotoSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

_NONBLOCKING = getattr(os, "O_NONBLOCK", 0)  # opening a named pipe without a writer would block forever
_EXIF_ORIENTATION = 0x0112
_HEAD = 64
_open_lock = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # its remarks on damaged files would go to stderr


@dataclass
class OpenPicture:
    """A picture file before it is decoded.

    Attributes:
        image: Pillow's image, not loaded; if Pillow does not support the file, a stand-in with its metadata only.
        name: the name in errors.
        samples: decodes ``(H, W, 3)`` or, with alpha, ``(H, W, 4)`` uint16, not yet in sRGB; returns ``None`` if it
            fails. ``None`` itself if Pillow's pixels lose nothing.
        inks: decodes a CMYK picture and its alpha, ``(H, W)`` uint8 or ``None``, if Pillow cannot; else ``None``.
        is_known: whether Pillow can decode the pixels.
        page: the page of a TIFF.
        before: checks the file as a whole before it is decoded.
        remark: a sentence on parts of the file that are not read, or on an oddity of its pixels.
    """

    image: Image.Image
    name: str = "-"
    samples: Callable[[], npt.NDArray[np.uint16] | None] | None = None
    inks: Callable[[], tuple[Image.Image, npt.NDArray[np.uint8] | None]] | None = None
    is_known: bool = True
    page: tiff.Page | None = None
    before: Callable[[], None] = field(default=lambda: None)
    remark: str | None = None


@contextmanager
def open_picture(source: PhotoSource, max_pixels: int) -> Iterator[OpenPicture]:
    """Open a picture with at most ``max_pixels`` pixels.

    Raises:
        InputError: the file cannot be read, or anything fails in the block, as decoders do for damaged files.
    """
    name = str(source) if isinstance(source, str | os.PathLike) else "-"
    name = "the bytes" if isinstance(source, bytes | bytearray | memoryview) else name
    try:
        with _file(source, max_pixels) as file:
            found = _open(file, max_pixels)
            found.name = name
            with found.image:
                yield found
    except InputError as problem:
        raise InputError(f"cannot read {name}: {problem}") from problem
    except UnidentifiedImageError as problem:
        raise InputError(f"cannot read {name}: it is none of {KNOWN}, or its header is damaged") from problem
    except PermissionError as problem:
        raise InputError(f"cannot read {name}: {problem.strerror}; check its permissions") from problem
    except MemoryError as problem:
        raise InputError(f"cannot read {name}: the picture does not fit into memory; make it smaller") from problem
    except Exception as problem:  # for damaged files, decoders raise many kinds: struct.error, zlib.error, IndexError
        raise InputError(f"cannot read {name}: the file is damaged or cut short ({first_line(problem)})") from problem


def _file(source: PhotoSource, max_pixels: int) -> BinaryIO:
    """Return a source as a seekable binary file of acceptable size."""
    max_bytes = limits.max_file_bytes(max_pixels)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            if is_pipe(path):
                return _file(_read_pipe(path, max_bytes), max_pixels)
            size = path.stat().st_size
            if not path.is_file():
                kind = "a folder" if path.is_dir() else "not a regular file"
                raise InputError(f"it is {kind}; name one picture file")
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise InputError(f"{reason}; check the name") from problem
        file: BinaryIO = open(path, "rb", opener=_open_nonblocking)  # noqa: SIM115 - the caller closes it
    else:
        data = bytes(source) if isinstance(source, bytes | bytearray | memoryview) else source.read(max_bytes + 1)
        size = len(data)
        file = io.BytesIO(data)
    if 0 < size <= max_bytes:
        return file
    file.close()
    if size == 0:
        raise InputError("the file is empty (0 bytes)")
    raise InputError(f"it has more bytes than any picture of {limits.megapixels(max_pixels)}; check the file")


def _read_pipe(path: Path, max_bytes: int) -> bytes:
    """Read a named pipe, up to one byte more than ``max_bytes``."""
    data = read_pipe(path, max_bytes + 1)
    if not data:
        raise InputError(f"it is a pipe, but no data arrived within {PATIENCE:g} s")
    return data


def _open_nonblocking(name: str, flags: int) -> int:
    return os.open(name, flags | _NONBLOCKING)


def _open(file: BinaryIO, max_pixels: int) -> OpenPicture:
    """Open a picture by the kind that its first bytes show."""
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith(png.SIGNATURE):
        return _open_png(file, max_pixels)
    if head[:4] in tiff.SIGNATURES:
        return _open_tiff(file, max_pixels)
    if head.startswith(jpeg.SIGNATURE):
        return _open_jpeg(file, max_pixels)
    kind = kind_of(head)
    formats = formats_for(kind)
    if kind in ("AVIF", "HEIC"):
        if not formats:
            raise InputError(what_is_missing(kind))
    elif kind is not None:
        raise InputError(f"it is {kind}")
    image = _pillow(file, formats)
    limits.check_size(*image.size, max_pixels, "the picture")
    is_moving = getattr(image, "is_animated", False) and kind != "HEIC"  # a HEIC has a primary picture
    return OpenPicture(image, remark="only the first of its frames is used" if is_moving else None)


def _pillow(file: BinaryIO, formats: tuple[str, ...]) -> Image.Image:
    # Pillow's own limit warns above 89 megapixels and refuses above 179. It is switched off while the header is read,
    # because our own limit replaces it. The setting is global, hence the lock and the restoring.
    file.seek(0)
    with _open_lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about damaged Exif; the pixels are read
                return Image.open(file, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _open_png(file: BinaryIO, max_pixels: int) -> OpenPicture:
    found = png.scan_chunks(file)
    image = _pillow(found.file, ("PNG",))
    limits.check_size(*image.size, max_pixels, "the picture")
    image.info.pop("icc_profile", None)
    if found.profile is not None:
        image.info["icc_profile"] = found.profile
    clear = image.info.get("transparency")
    if found.bits == 16 and isinstance(clear, tuple):  # Pillow's pixels have 8 bits
        image.info["transparency"] = tuple(level >> 8 for level in clear)

    def samples() -> npt.NDArray[np.uint16] | None:
        place = found.file.tell()
        found.file.seek(0)
        stored = deep.read_samples("png", found.file.read(), *image.size)
        found.file.seek(place)
        if stored is None or stored.dtype != np.uint16:
            return None
        return stored[:, :, [0, 0, 0, 1]] if stored.shape[2] == 2 else stored

    def check() -> None:
        if not found.is_plausible:  # a header that claims a large size must not allocate it
            raise InputError(
                f"the file is damaged or cut short: it has too few bytes for {image.width} x {image.height} pixels"
            )
        result.remark = png.check_pixels(file, found) or result.remark

    remark = f"only the first of its {found.frames} frames is used" if found.frames > 1 else None
    result = OpenPicture(image, samples=samples if found.is_deep_colour else None, before=check, remark=remark)
    return result


def _open_jpeg(file: BinaryIO, max_pixels: int) -> OpenPicture:
    frame = jpeg.read_frame(file)

    def check_scans() -> None:
        place = file.tell()
        if jpeg.count_scans(file, limits.MAX_SCANS) > limits.MAX_SCANS:
            raise InputError(
                f"it has more than {limits.MAX_SCANS} scans, each as slow as a whole picture; save it again"
            )
        file.seek(place)

    if frame.process < 0 or (frame.bits == 8 and frame.process != 3):
        image = _pillow(file, ("JPEG",))
        limits.check_size(*image.size, max_pixels, "the picture")
        return OpenPicture(image, before=check_scans)
    kind = "a lossless JPEG" if frame.process == 3 else f"a JPEG of {frame.bits} bits a channel"
    limits.check_size(frame.width, frame.height, max_pixels, "the picture")
    if frame.channels not in (1, 3) or not frame.width * frame.height:
        raise InputError(f"it is {kind} with {frame.channels} channels, which is not supported; save it as RGB")
    _check_deep(kind)

    def samples() -> npt.NDArray[np.uint16] | None:
        file.seek(0)
        stored = deep.read_samples("jpeg", file.read(), frame.width, frame.height)
        if stored is None or stored.dtype.kind != "u" or stored.shape[2] != frame.channels:
            raise InputError(f"it is {kind}, which the extra 'deep' cannot decode; save it with 8 bits")
        return _rgb(_to_16_bits(stored, frame.bits), False)

    stand_in = Image.new("RGB", (1, 1))
    stand_in.info.update({"exif": frame.exif} if frame.exif else {})
    stand_in.info.update({"icc_profile": frame.profile} if frame.profile else {})
    return OpenPicture(stand_in, samples=samples, is_known=False, before=check_scans)


def _open_tiff(file: BinaryIO, max_pixels: int) -> OpenPicture:
    pages = tiff.read_pages(file)
    if not pages:
        raise InputError("the TIFF is damaged or cut short: none of its pages can be found")
    index = tiff.largest(pages)
    page = pages[index]
    for each in (pages[0], page):
        tiff.check_page(each, max_pixels, "the picture")
    own = sum(each.is_picture for each in pages)
    which = "first" if index == 0 else "largest"
    remark = page.oddity or (f"only the {which} of its {own} pages is used" if own > 1 else None)

    def samples() -> npt.NDArray[np.uint16] | None:
        place = file.tell()
        file.seek(0)
        stored = deep.read_samples("tiff", file.read(), page.width, page.height, index)
        file.seek(place)
        return None if stored is None else _samples_of(page, stored)

    def inks() -> tuple[Image.Image, npt.NDArray[np.uint8] | None]:
        file.seek(0)
        found = deep.read_samples("tiff", tiff.as_grey(file.read(), page), page.width, page.height, index)
        if found is None or found.shape[2] != page.number(tiff.SAMPLES, 1):
            raise InputError("the file is damaged or cut short")
        return _inks_of(page, found)

    try:
        image = _pillow(file, ("TIFF",))
        image.seek(index)
    except (UnidentifiedImageError, SyntaxError):
        if not (page.width and page.height):
            raise
        if not _is_supported(page):
            raise InputError(
                f"it is {page.description}, which is not supported; save it as RGB with 8 or 16 bits"
            ) from None
        _check_deep(page.description)
        reader = {"inks": inks} if page.number(tiff.PHOTOMETRIC, 1) == 5 else {"samples": samples}
        return OpenPicture(_stand_in(page), **reader, is_known=False, page=page, remark=remark)
    limits.check_size(*image.size, max_pixels, "the picture")
    bits, extra = page.numbers.get(tiff.BITS, ()), page.numbers.get(tiff.EXTRA, ())
    # RGB of integers, without alpha or with unassociated alpha. Associated (premultiplied) alpha is left to Pillow.
    is_deep = page.number(tiff.PHOTOMETRIC, -1) == 2 and set(page.numbers.get(tiff.FORMAT, (1,))) == {1}
    is_deep &= (bits, extra) in (((16,) * 3, ()), ((16,) * 4, (2,)))
    return OpenPicture(image, samples=samples if is_deep else None, page=page, remark=remark)


def _is_supported(page: tiff.Page) -> bool:
    """Whether this module can convert the page to RGB, although Pillow cannot read it."""
    extra = page.numbers.get(tiff.EXTRA, ())
    colours = page.number(tiff.SAMPLES, 1) - len(extra)
    bits = set(page.numbers.get(tiff.BITS, (1,)))
    form = set(page.numbers.get(tiff.FORMAT, (1,)))
    is_number = (form == {1} and bits <= {8, 16, 32}) or (form == {3} and bits <= {16, 32, 64})
    if page.number(tiff.PHOTOMETRIC, 1) == 5:  # separated inks, of which only CMYK is supported
        return colours == 4 and form == {1} and bits in ({8}, {16}) and len(extra) == 1
    fits = (page.number(tiff.PHOTOMETRIC, 1), colours) in ((0, 1), (1, 1), (2, 3), (6, 3))
    return fits and is_number and len(bits) == 1 and len(extra) <= 1


def _samples_of(page: tiff.Page, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.uint16] | None:
    """Convert the samples of a page to 16-bit RGB, with unassociated alpha if any; ``None`` if channels are missing."""
    extra = page.numbers.get(tiff.EXTRA, ())
    if stored.shape[2] == page.number(tiff.SAMPLES, 1) - len(extra):
        extra = ()  # a decoder that converted the colours to RGB dropped the alpha
    elif stored.shape[2] != page.number(tiff.SAMPLES, 1):
        return None
    if extra[:1] == (0,):  # an extra channel without a declared meaning
        stored, extra = stored[:, :, :-1], ()
    levels = _to_16_bits(stored, 8 * stored.dtype.itemsize)
    if page.number(tiff.PHOTOMETRIC, 1) == 0:
        levels[:, :, 0] = 65535 - levels[:, :, 0]
    if extra[:1] == (1,):
        alpha = levels[:, :, -1:].astype(np.float32) / np.float32(65535)
        levels[:, :, :-1] = np.rint(np.minimum(levels[:, :, :-1] / np.maximum(alpha, 1e-5), 65535))
    return _rgb(levels, bool(extra))


def _inks_of(page: tiff.Page, stored: deep.Stored) -> tuple[Image.Image, npt.NDArray[np.uint8] | None]:
    """Return a CMYK page with one extra channel as an 8-bit picture and its alpha.

    8 bits are enough, because CMYK is converted to RGB with 8 bits.
    """
    levels = np.asarray(stored if stored.dtype == np.uint8 else stored >> 8, np.uint8)  # (H, W, 5)
    extra, colours, alpha = page.numbers[tiff.EXTRA], levels[:, :, :4], levels[:, :, 4]
    if extra == (1,):  # associated alpha: divide it out of the inks
        cover = np.maximum(alpha, 1)[:, :, None].astype(np.float32) / np.float32(255)
        colours = np.rint(np.minimum(colours / cover, 255)).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(colours), "CMYK")
    image.info.update(_stand_in(page).info)
    return image, None if extra == (0,) else alpha  # 0: without a declared meaning


def _to_16_bits(stored: npt.NDArray[np.generic], bits: int) -> npt.NDArray[np.uint16]:
    if stored.dtype.kind == "f":
        low, high = float(stored.min()), float(stored.max())
        if not (low >= 0 and high <= 1):
            raise InputError(f"its values range from {low:g} to {high:g}, beyond [0, 1]; save it with 8 or 16 bits")
        return np.asarray(np.rint(stored.astype(np.float32) * np.float32(65535)), np.uint16)
    if bits == 16:
        return np.array(stored, np.uint16)
    if bits == 32:
        return np.asarray(stored.astype(np.uint32) >> 16, np.uint16)
    return np.asarray(stored.astype(np.uint32) * 65535 // (2**bits - 1), np.uint16)


def _rgb(levels: npt.NDArray[np.uint16], has_alpha: bool) -> npt.NDArray[np.uint16]:
    if levels.shape[2] - has_alpha == 1:
        return np.asarray(levels[:, :, [0, 0, 0, 1] if has_alpha else [0, 0, 0]])
    return levels


def _stand_in(page: tiff.Page) -> Image.Image:
    """Return a picture of one pixel with the page's metadata, from which `read_metadata` reads them."""
    image, exif = Image.new("RGB", (1, 1)), Image.Exif()
    exif[_EXIF_ORIENTATION] = page.number(tiff.ORIENTATION, 1)
    for tag in tiff.TEXTS:
        if tag in page.texts:
            exif[tag] = page.texts[tag].rstrip(b"\0")
    image.info["exif"] = exif.tobytes()
    if tiff.PROFILE in page.texts:
        image.info["icc_profile"] = page.texts[tiff.PROFILE]
    return image


def _check_deep(kind: str) -> None:
    if not deep.is_installed():
        raise InputError(f"it is {kind}, which needs the extra 'deep'; run: {how_to_install('deep')}")
