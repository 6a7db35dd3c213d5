"""The last steps of painting: enlarging with the photo's own detail, keeping the photo's colours, mixing regions.

The finishing of a painted picture (`sfumato finish`) is in `retouch` and `upscale`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from sfumato.image import Picture, luma, resample

_REACH = 4  # pixels; a bicubic kernel reads 2 on each side


def enlarge(x: npt.NDArray[np.floating], height: int, width: int, rows: slice, columns: slice) -> Picture:
    """Return a region of a picture that is enlarged by bicubic interpolation.

    A region has the same values as the same part of the whole enlarged picture.

    Args:
        x: ``(1, C, h, w)``.
        height: of the enlarged picture.
        width: of the enlarged picture.
        rows: of the region, in the enlarged picture.
        columns: of the region, in the enlarged picture.
    """
    spans, part = [], []
    for wanted, new, old in ((rows, height, x.shape[2]), (columns, width, x.shape[3])):
        start, stop = wanted.start * old / new, wanted.stop * old / new
        # Only the pixels that the kernel reads are copied.
        part.append(slice(max(0, int(start) - _REACH), int(stop) + 1 + _REACH))
        spans.append((start - part[-1].start, stop - part[-1].start))
    (top, bottom), (left, right) = spans
    near: Picture = np.ascontiguousarray(x[:, :, part[0], part[1]], np.float32)
    box = (left, top, right, bottom)
    return resample(near, rows.stop - rows.start, columns.stop - columns.start, Image.Resampling.BICUBIC, box)


def detail_gain(painted: Picture, photo: Picture) -> float:
    """Return how strong the finest detail of a painting is relative to its photo's, up to 1; both ``(1, 3, h, w)``.

    An enlarged painting takes detail finer than its own from the photo, attenuated by this gain.
    """
    ratio = _finest(luma(painted[0])) / max(_finest(luma(photo[0])), 1e-4)
    return float(min(1.0, ratio))


def _finest(y: npt.NDArray[np.float32]) -> float:
    """Return the standard deviation of the finest octave of ``(H, W)``."""
    across = y[:, 1:] - y[:, :-1]
    down = y[1:] - y[:-1]
    return float(np.sqrt(np.mean(across**2) + np.mean(down**2)))


def keep_chroma(painted: Picture, photo: Picture) -> Picture:
    """Return the luma of ``painted`` with the colour differences of ``photo``, ``(1, 3, H, W)``."""
    chroma: Picture = np.clip(photo + (luma(painted[0]) - luma(photo[0]))[None, None], 0.0, 1.0)
    return chroma


def mix(pictures: list[Picture], weights: list[npt.NDArray[np.float32]], rest: Picture) -> Picture:
    """Return ``Σ weight·picture``, plus ``rest`` where the weights ``(H, W)`` sum to less than 1.

    Weights that sum to more than 1 are scaled down.
    """
    total = np.sum(weights, 0)
    over = np.maximum(total, 1.0)
    mixed = rest * (1 - total / over)
    for picture, weight in zip(pictures, weights, strict=True):
        mixed = mixed + picture * (weight / over)
    return np.asarray(mixed, np.float32)


def blur_edges(mask: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Blur the edges of a mask ``(H, W)`` in ``[0, 1]`` over about 1/200 of its shorter side, so that regions blend."""
    radius = min(mask.shape) / 200
    image = Image.fromarray(np.rint(mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, np.float32) / np.float32(255)


def bleed(x: Picture, cover: npt.NDArray[np.float32]) -> Picture:
    """Fill transparent pixels with the colours of opaque ones nearby.

    Pull-push (Grossman & Dally 1998): averages weighted by opacity are pulled down an image pyramid until no pixel is
    empty, and pushed back up under the holes.

    Args:
        x: ``(1, 3, h, w)``.
        cover: opacity ``(h, w)`` in ``[0, 1]``; not 0 everywhere.
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
