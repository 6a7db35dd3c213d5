"""Twice the size, by the small network that ships (`networks.upscaler`), tile by tile, without torch."""

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
#: Pixels of the small picture on a side of a tile; the network's features of one take 32 planes.
TILE = 512
#: Pixels around a tile that are enlarged with it and thrown away: more than the network sees (`Upscaler.reach`).
HALO = 16
_MIN_SIDE = 2  # pixels on a side, that edges can be mirrored


def upscaler_digest() -> str:
    """SHA-256, in hex, of the network that ships.

    Raises:
        ModelError: this installation lacks it.
    """
    folder = weights_dir("upscaler")
    return card_files(read_card(folder), folder / "card.json", {GRAPH})[GRAPH]


def upscale(
    photo: Photo, threads: int | None = None, tile: int = TILE, did: Callable[[int], object] | None = None
) -> Photo:
    """The photo at twice its size: its depth, alpha (enlarged bicubic) and metadata are kept, and memory does not grow
    with the picture beyond its own pixels. Under transparency lie the colours of what is near; grey stays grey.

    Args:
        threads: CPU threads; ``None`` lets ONNX Runtime take one for each core.
        tile: pixels on a side that are enlarged at a time, a multiple of 16; the picture is the same, within rounding.
        did: is called with the pixels of the photo that each tile enlarged.

    Raises:
        InputError: the result would have more pixels than are read (:func:`sfumato.limits.max_pixels`).
        ModelError: the network is missing or damaged.
    """
    height, width = SCALE * photo.height, SCALE * photo.width
    if height * width > max_pixels():
        raise InputError(
            f"twice the size, the picture would have {width} x {height} pixels, more than the "
            f"{megapixels(max_pixels())} that are read; finish it at its own size"
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
        if grey:  # to which the network, as any that has learnt from colours, would give a tint
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
    """A region of ``(h, w)`` at twice its size, bicubic."""
    height, width = levels.shape
    small = levels.astype(np.float32)[None, None]
    cover = enlarge(small, SCALE * height, SCALE * width, rows, columns)[0, 0]
    enlarged: npt.NDArray[Any] = np.rint(np.clip(cover, 0, np.iinfo(levels.dtype).max)).astype(levels.dtype)
    return enlarged


def upscale_array(x: Picture, threads: int | None = None) -> Picture:
    """``(1, 3, H, W)``, 2 pixels or more a side, at twice the size, as a whole."""
    if threads is not None:
        check_range(threads, 1, 10_000, "threads")
    graph = load_graph(weights_dir("upscaler") / GRAPH, upscaler_digest(), _ENDS, threads, "cpu")
    found = graph.run({"picture": x}, [(1, 3, SCALE * x.shape[2], SCALE * x.shape[3])])[0]
    return np.clip(found, 0.0, 1.0)


def _doubled(span: slice) -> slice:
    return slice(SCALE * span.start, SCALE * span.stop)
