"""The end of painting: enlarging with the photo's own detail, keeping its colours, mixing regions.

What `sfumato finish` does to a finished painting is in `retouch` and `upscale`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from sfumato.image import Picture, luma, resample

_REACH = 4  # pixels: a bicubic kernel sees 2 on each side


def enlarge(x: npt.NDArray[np.floating], height: int, width: int, rows: slice, columns: slice) -> Picture:
    """A region (``rows``, ``columns``) of ``x`` ``(1, C, h, w)`` enlarged to ``height`` by ``width``, bicubic.

    Any region holds the same values as that part of the whole enlarged at once.
    """
    spans, part = [], []
    for wanted, new, old in ((rows, height, x.shape[2]), (columns, width, x.shape[3])):
        start, stop = wanted.start * old / new, wanted.stop * old / new
        # What is farther away than the kernel reaches is not copied.
        part.append(slice(max(0, int(start) - _REACH), int(stop) + 1 + _REACH))
        spans.append((start - part[-1].start, stop - part[-1].start))
    (top, bottom), (left, right) = spans
    near: Picture = np.ascontiguousarray(x[:, :, part[0], part[1]], np.float32)
    box = (left, top, right, bottom)
    return resample(near, rows.stop - rows.start, columns.stop - columns.start, Image.Resampling.BICUBIC, box)


def detail_gain(painted: Picture, photo: Picture) -> float:
    """How strongly the finest detail of ``painted`` shows beside that of ``photo``, both ``(1, 3, h, w)``: up to 1.

    Detail finer than what was painted is the photo's own; it comes in as strong as the style left what it could judge.
    """
    ratio = _finest(luma(painted[0])) / max(_finest(luma(photo[0])), 1e-4)
    return float(min(1.0, ratio))


def _finest(y: npt.NDArray[np.float32]) -> float:
    """Deviation of the finest octave of ``(H, W)``."""
    across = y[:, 1:] - y[:, :-1]
    down = y[1:] - y[:-1]
    return float(np.sqrt(np.mean(across**2) + np.mean(down**2)))


def keep_chroma(painted: Picture, photo: Picture) -> Picture:
    """The luma of ``painted`` with the colour differences of ``photo``, ``(1, 3, H, W)``."""
    chroma: Picture = np.clip(photo + (luma(painted[0]) - luma(photo[0]))[None, None], 0.0, 1.0)
    return chroma


def mix(pictures: list[Picture], weights: list[npt.NDArray[np.float32]], rest: Picture) -> Picture:
    """``Σ weight·picture``, plus ``rest`` where the weights ``(H, W)`` sum to less than 1; more is scaled down."""
    total = np.sum(weights, 0)
    over = np.maximum(total, 1.0)
    mixed = rest * (1 - total / over)
    for picture, weight in zip(pictures, weights, strict=True):
        mixed = mixed + picture * (weight / over)
    return np.asarray(mixed, np.float32)


def blur_edges(mask: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A mask ``(H, W)`` in ``[0, 1]`` with edges blurred over some 1/200 of its shorter side: regions meet softly."""
    radius = min(mask.shape) / 200
    image = Image.fromarray(np.rint(mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, np.float32) / np.float32(255)


def bleed(x: Picture, cover: npt.NDArray[np.float32]) -> Picture:
    """Fills what is transparent in ``x`` ``(1, 3, h, w)`` with the colours of what is near and opaque.

    Args:
        cover: ``(h, w)`` in ``[0, 1]``, opacity; not 0 everywhere.

    Pull-push (Grossman & Dally 1998): covered means are pulled to ever smaller pictures until nothing is empty, and
    pushed back under the holes.
    """
    height, width = cover.shape
    if min(height, width) == 1 or cover.min() > 0:
        mean = (x * cover).sum((2, 3), keepdims=True) / cover.sum()
        return np.where(cover > 0, x, mean).astype(np.float32)
    size = (width + 1) // 2, (height + 1) // 2

    def half(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, Image.Resampling.BOX))

    small_cover = half(cover)
    small = np.stack([half(plane * cover) for plane in x[0]])[None] / np.maximum(small_cover, 1e-6)
    below = bleed(small.astype(np.float32), small_cover)
    fill = np.clip(enlarge(below, height, width, slice(0, height), slice(0, width)), 0.0, 1.0)  # bicubic overshoots
    return np.asarray(x * cover + fill * (1 - cover), np.float32)
