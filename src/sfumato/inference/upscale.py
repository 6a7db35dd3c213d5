"""Twice the size, by the small network that ships (`networks.upscaler`), tile by tile, without torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.assets import weights_dir
from sfumato.checks import check_range
from sfumato.errors import InputError
from sfumato.image import Photo, Picture, luma, to_levels
from sfumato.inference.finish import enlarge
from sfumato.inference.progress import Progress
from sfumato.inference.session import Ends, card_files, load_graph, read_card
from sfumato.inference.sources import PixelSource, StripSource
from sfumato.inference.tiling import tiles
from sfumato.limits import max_pixels, megapixels

SCALE = 2
GRAPH = "upscaler.onnx"
_ENDS: Ends = (("picture",), ("upscaled",))
#: Pixels of the small picture on a side of a tile; the network's features of one take 32 planes.
TILE = 512
#: Pixels around a tile that are enlarged with it and thrown away: more than the network sees (`Upscaler.reach`).
HALO = 16
_LEAST = 2  # pixels on a side, that edges can be mirrored


def upscaler_digest() -> str:
    """SHA-256, in hex, of the network that ships.

    Raises:
        ModelError: this installation lacks it.
    """
    folder = weights_dir("upscaler")
    return card_files(read_card(folder), folder / "card.json", {GRAPH})[GRAPH]


def upscale(photo: Photo, threads: int | None = None, tile: int = TILE, progress: Progress | None = None) -> Photo:
    """The photo at twice its size: its depth, alpha (enlarged bicubic) and metadata are kept, and memory does not grow
    with the picture beyond its own pixels. Under transparency lie the colours of what is near; grey stays grey.

    Args:
        threads: CPU threads; ``None`` lets ONNX Runtime take one for each core.
        tile: pixels on a side that are enlarged at a time, a multiple of 16; the picture is the same, within rounding.
        progress: is called before each tile, as by `Stylizer`; an exception that it raises cancels.

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
    whole = PixelSource(photo)
    source = whole if min(photo.height, photo.width) >= _LEAST else StripSource(whole, _LEAST)
    pixels = np.empty((height, width, 3), photo.pixels.dtype)
    alpha = None if photo.alpha is None else np.empty((height, width), photo.alpha.dtype)
    grey = bool((photo.pixels == photo.pixels[:, :, :1]).all())
    parts = list(tiles(photo.height, photo.width, tile, HALO))
    for number, part in enumerate(parts):
        if progress is not None:
            progress(number / len(parts), f"twice the size, tile {number + 1} of {len(parts)}")
        seen = source.region(*(slice(s.start, max(s.stop, _LEAST)) for s in (part.seen_rows, part.seen_columns)))
        enlarged = upscaled(seen, threads)
        if grey:  # to which the network, as any that has learnt from colours, would give a tint
            enlarged = np.repeat(luma(enlarged[0])[None, None], 3, 1)
        inner = _doubled(part.inner[0]), _doubled(part.inner[1])
        pixels[_doubled(part.rows), _doubled(part.columns)] = to_levels(enlarged[:, :, *inner], pixels.dtype)
        if alpha is not None and photo.alpha is not None:
            cover = _enlarged(photo.alpha[part.seen_rows, part.seen_columns], *inner)
            alpha[_doubled(part.rows), _doubled(part.columns)] = cover
    return replace(photo, pixels=pixels, alpha=alpha)


def _enlarged(levels: npt.NDArray[Any], rows: slice, columns: slice) -> npt.NDArray[Any]:
    """A region of ``(h, w)`` at twice its size, bicubic."""
    height, width = levels.shape
    small = levels.astype(np.float32)[None, None]
    cover = enlarge(small, SCALE * height, SCALE * width, rows, columns)[0, 0]
    enlarged: npt.NDArray[Any] = np.rint(np.clip(cover, 0, np.iinfo(levels.dtype).max)).astype(levels.dtype)
    return enlarged


def upscaled(x: Picture, threads: int | None = None) -> Picture:
    """``(1, 3, H, W)``, 2 pixels or more a side, at twice the size, as a whole."""
    if threads is not None:
        check_range(threads, 1, 10_000, "threads")
    graph = load_graph(weights_dir("upscaler") / GRAPH, upscaler_digest(), _ENDS, threads, "cpu")
    found = graph.run({"picture": x}, [(1, 3, SCALE * x.shape[2], SCALE * x.shape[3])])[0]
    return np.clip(found, 0.0, 1.0)


def _doubled(span: slice) -> slice:
    return slice(SCALE * span.start, SCALE * span.stop)
