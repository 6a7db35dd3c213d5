"""Upscaling by a factor of 2 with the network that ships with Sfumato (`networks.upscaler`), tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.assets import weights_dir
from sfumato.checks import check_range
from sfumato.errors import InputError
from sfumato.image import Photo, Picture, luma, to_levels
from sfumato.inference.finish import enlarge
from sfumato.inference.pixel_readers import PhotoReader, StripReader
from sfumato.inference.session import Ends, card_files, load_graph, read_card
from sfumato.inference.tiling import tiles
from sfumato.limits import max_pixels, megapixels

SCALE = 2
GRAPH = "upscaler.onnx"
_ENDS: Ends = (("picture",), ("upscaled",))
#: Side of a tile in pixels of the small picture; the network holds 32 feature planes of it.
TILE = 512
#: Overlap in pixels of the small picture, larger than the network's receptive field (`Upscaler.reach`).
HALO = 16
_MIN_SIDE = 2  # pixels on a side that mirrored padding needs


def upscaler_digest() -> str:
    """Return the SHA-256, in hex, of the network that ships with Sfumato.

    Raises:
        ModelError: this installation lacks it.
    """
    folder = weights_dir("upscaler")
    return card_files(read_card(folder), folder / "card.json", {GRAPH})[GRAPH]


def upscale(
    photo: Photo, threads: int | None = None, tile: int = TILE, did: Callable[[int], object] | None = None
) -> Photo:
    """Return the photo at twice its size, with its bit depth, alpha (enlarged bicubic) and metadata.

    Apart from the pixels, memory use does not grow with the picture. Transparent areas get the colours of opaque pixels
    nearby; a grey photo stays grey.

    Args:
        photo: to enlarge.
        threads: CPU threads; ``None`` lets ONNX Runtime use one per core.
        tile: side of a tile in pixels of the photo, a multiple of 16; it changes the result by rounding only.
        did: is called after each tile with the number of the photo's pixels in it.

    Raises:
        InputError: the result would exceed the largest size that Sfumato reads (:func:`sfumato.limits.max_pixels`).
        ModelError: the network is missing or damaged.
    """
    height, width = SCALE * photo.height, SCALE * photo.width
    if height * width > max_pixels():
        raise InputError(
            f"at twice its size, the picture would have {width} x {height} pixels, more than the limit of "
            f"{megapixels(max_pixels())}; finish it at its own size"
        )
    whole = PhotoReader(photo)
    source = whole if min(photo.height, photo.width) >= _MIN_SIDE else StripReader(whole, _MIN_SIDE)
    pixels = np.empty((height, width, 3), photo.pixels.dtype)
    alpha = None if photo.alpha is None else np.empty((height, width), photo.alpha.dtype)
    grey = bool((photo.pixels == photo.pixels[:, :, :1]).all())
    for part in tiles(photo.height, photo.width, tile, HALO):
        padded = source.region(
            *(slice(s.start, max(s.stop, _MIN_SIDE)) for s in (part.padded_rows, part.padded_columns))
        )
        enlarged = upscale_array(padded, threads)
        if grey:  # the network would tint it slightly
            enlarged = np.repeat(luma(enlarged[0])[None, None], 3, 1)
        inner = _doubled(part.inner[0]), _doubled(part.inner[1])
        pixels[_doubled(part.rows), _doubled(part.columns)] = to_levels(enlarged[:, :, *inner], pixels.dtype)
        if alpha is not None and photo.alpha is not None:
            cover = _enlarged(photo.alpha[part.padded_rows, part.padded_columns], *inner)
            alpha[_doubled(part.rows), _doubled(part.columns)] = cover
        if did is not None:
            did((part.rows.stop - part.rows.start) * (part.columns.stop - part.columns.start))
    return replace(photo, pixels=pixels, alpha=alpha)


def _enlarged(levels: npt.NDArray[Any], rows: slice, columns: slice) -> npt.NDArray[Any]:
    """Return rows and columns of ``levels`` ``(h, w)`` enlarged twice, bicubic; they count in the enlarged plane."""
    height, width = levels.shape
    small = levels.astype(np.float32)[None, None]
    cover = enlarge(small, SCALE * height, SCALE * width, rows, columns)[0, 0]
    enlarged: npt.NDArray[Any] = np.rint(np.clip(cover, 0, np.iinfo(levels.dtype).max)).astype(levels.dtype)
    return enlarged


def upscale_array(x: Picture, threads: int | None = None) -> Picture:
    """Return a picture ``(1, 3, H, W)``, with sides of 2 pixels or more, at twice its size, without tiling."""
    if threads is not None:
        check_range(threads, 1, 10_000, "threads")
    graph = load_graph(weights_dir("upscaler") / GRAPH, upscaler_digest(), _ENDS, threads, "cpu")
    found = graph.run({"picture": x}, [(1, 3, SCALE * x.shape[2], SCALE * x.shape[3])])[0]
    return np.clip(found, 0.0, 1.0)


def _doubled(span: slice) -> slice:
    """Return the span in the enlarged picture."""
    return slice(SCALE * span.start, SCALE * span.stop)
