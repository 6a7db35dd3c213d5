"""Pictures with 16 bits per channel, which Pillow supports for grey only, and other sample types that it lacks.

Writing needs only zlib. Reading needs imagecodecs (libpng, libtiff, libjpeg and Little CMS), the extra ``deep``.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

Stored: TypeAlias = npt.NDArray[Any]
Samples: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BAND_BYTES = 1 << 22


def is_installed() -> bool:
    """Whether the extra ``deep`` is installed."""
    return find_spec("imagecodecs") is not None and sys.modules.get("imagecodecs", ...) is not None


def read_samples(kind: str, data: bytes, width: int, height: int, page: int = 0) -> Stored | None:
    """Decode a whole file to its samples ``(H, W, C)``, as they are stored.

    Args:
        kind: ``png``, ``tiff`` or ``jpeg``.
        data: the bytes of the file.
        width: the width in the file's header.
        height: the height in the file's header.
        page: the index of the page in a TIFF.

    Returns:
        The samples; ``None`` if the extra is missing, its decoder fails, or the decoded size differs.
    """
    try:
        import imagecodecs
    except ImportError:
        return None
    try:
        if kind == "tiff":
            stored = imagecodecs.tiff_decode(data, index=page)
        else:
            stored = (imagecodecs.png_decode if kind == "png" else imagecodecs.jpeg_decode)(data)
    except MemoryError:
        raise
    except Exception:
        return None
    if stored.ndim == 2:
        stored = stored[:, :, None]
    if stored.ndim == 3 and stored.shape[0] <= 5 and stored.shape[1:] == (height, width):
        stored = stored.transpose(1, 2, 0)  # a TIFF with one plane per channel
    return stored if stored.ndim == 3 and stored.shape[:2] == (height, width) else None


def to_srgb(samples: npt.NDArray[np.uint16], profile: bytes | None, srgb: bytes) -> None:
    """Convert ``(H, W, 3)`` or, with alpha, ``(H, W, 4)`` to sRGB in place.

    Args:
        samples: the picture.
        profile: its ICC profile; without one, or with sRGB's, nothing changes.
        srgb: the ICC profile of sRGB.
    """
    if profile in (None, b"", srgb):
        return
    import imagecodecs

    for band in _bands(samples):
        try:
            colour = np.ascontiguousarray(band[:, :, :3])
            band[:, :, :3] = imagecodecs.cms_transform(
                colour, profile, srgb, colorspace="rgb", outcolorspace="rgb", outdtype="uint16"
            )
        except imagecodecs.CmsError:  # a damaged profile, or one of another colour model: treat the values as sRGB
            return


def write_png(file: BinaryIO, samples: Samples, chunks: Iterable[tuple[bytes, bytes]], level: int = -1) -> None:
    """Write ``(H, W, 3)`` or, with alpha, ``(H, W, 4)`` of 8 or 16 bits as PNG (W3C, PNG 3rd edition).

    Args:
        file: the file, which is written in one pass without seeking.
        samples: the picture.
        chunks: further chunks, type and data, which are written before the pixels.
        level: of the compression, from 0 to 9; -1 is zlib's default.
    """
    height, width, channels = samples.shape
    file.write(_PNG_SIGNATURE)
    colour_type = 2 if channels == 3 else 6
    size = samples.itemsize
    head = struct.pack(">IIBBBBB", width, height, 8 * size, colour_type, 0, 0, 0)
    for kind, data in ((b"IHDR", head), *chunks):
        _write_chunk(file, kind, data)
    packer = zlib.compressobj(level)
    for band in _bands(samples):
        stored = np.ascontiguousarray(band.astype(f">u{size}")).view(np.uint8).reshape(len(band), -1)
        lines = np.ones(
            (len(band), 1 + stored.shape[1]), np.uint8
        )  # filter 1, "Sub": the difference from the pixel to the left
        lines[:, 1:] = stored
        lines[:, 1 + size * channels :] -= stored[:, : -size * channels]
        if packed := packer.compress(lines.tobytes()):
            _write_chunk(file, b"IDAT", packed)
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def write_tiff(file: BinaryIO, samples: Samples, exif: Image.Exif, more: dict[int, Any]) -> None:
    """Write ``(H, W, 3)`` or, with alpha, ``(H, W, 4)`` of 8 or 16 bits as TIFF 6.0 with Deflate compression.

    Also used for 8 bits, because Pillow's compressed TIFF cannot hold the Exif sub-directory with the dates.

    Args:
        file: the file, which must be at its beginning.
        samples: the picture.
        exif: the Exif tags.
        more: further tags by number, such as the ICC profile and XMP.
    """
    height, width, channels = samples.shape
    strips, rows = [], 0
    for band in _bands(samples):
        rows = max(rows, len(band))
        differences = band.astype(band.dtype.newbyteorder("<"))
        differences[:, 1:] -= band[:, :-1]  # predictor 2, section 14: the difference from the pixel to the left
        strips.append(zlib.compress(differences.tobytes()))
    tags = ImageFileDirectory_v2()
    for tag in exif:
        tags[tag] = exif[tag]
    sizes = [len(strip) for strip in strips]
    for tag, value in {
        256: width,
        257: height,
        258: (8 * samples.itemsize,) * channels,
        259: 8,  # deflate
        262: 2,  # RGB
        273: tuple(np.cumsum([0, *sizes[:-1]]).tolist()),  # Pillow adds the offset of the first
        277: channels,
        278: rows,
        279: tuple(sizes),
        284: 1,  # channels interleaved
        317: 2,
        **({338: 2} if channels == 4 else {}),  # unassociated alpha
        **more,
    }.items():
        tags[tag] = value
    tags.save(file)
    file.writelines(strips)


def _bands(samples: Any) -> Iterator[Any]:
    """Yield views of a few rows each, so that the picture is never copied as a whole."""
    rows = max(1, _BAND_BYTES // samples[0].nbytes)
    for top in range(0, len(samples), rows):
        yield samples[top : top + rows]


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
