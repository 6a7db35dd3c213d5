"""Seamless textures: pictures that repeat in both directions without a visible border.

A texture is painted with its own continuation around it (`wrap`), so the networks see the other side of each border.
Two copies of the same place, one at the beginning and one beyond the end, then differ only in random strokes. `close`
joins them along the path where they differ least (image quilting, Efros & Freeman 2001). Their low frequencies are
blended over the whole overlap, their high frequencies over a few pixels (as in Burt & Adelson 1983).

A photo that is not seamless is made so first (`make_seamless`): the difference of brightness between its borders is
distributed over the photo (as in Moisan 2011), and opposite borders are overlapped and closed in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import Photo, Picture, resample, to_levels
from sfumato.inference.pixel_readers import as_reader

Array = npt.NDArray[np.float32]

#: Largest seam ratio of a picture that counts as seamless.
MAX_SEAM_RATIO = 1.1
#: Pixels, at the base size of painting, that are painted beyond each border and discarded, and that are painted twice
#: and overlapped. The first reaches as far as the networks see.
CONTEXT, OVERLAP = 64, 64
_BASE = (
    512  # pixels of the short side up to which strokes have a fixed size (`draft.BASE_SIDE`, `matched_painting.BASE`)
)
_LAGS = 1, 4, 16  # pixels; widths of the strips that are compared on both sides of a border
_INSIDE = 0.98  # quantile of the steps inside, with which the step at the border is compared
_NEAR = 4  # strips to each side of the border whose steps are compared too: beside a seam they are usual ones
_FEATHER = 2.0  # pixels; sigma of the soft edge of a cut
_LOW = 8  # the overlap divided by this is the sigma that separates low from high frequencies
_SEARCH_SIDE = 192  # pixels of the longer side at which the overlap of a photo is chosen
_OVERLAPS = 1 / 12, 1 / 4  # smallest and largest overlap of a photo's borders, as a share of its side
_SMOOTH = 1 / 12  # sigma of the brightness that is evened between borders, as a share of the side


@dataclass(frozen=True)
class Frame:
    """The margin with which a texture of that size is painted.

    Attributes:
        height, width: of the texture, in pixels.
        context: pixels that are discarded on each side.
        overlap: pixels that are painted twice in each direction.
        down, across: whether the texture repeats vertically and horizontally; only then it has a margin there.
    """

    height: int
    width: int
    context: int
    overlap: int
    down: bool = True
    across: bool = True

    @classmethod
    def of(cls, height: int, width: int, down: bool = True, across: bool = True) -> Frame:
        """Return the frame of a texture: its margin grows with the strokes, which grow with the short side."""
        # Whole numbers, so that the period is a whole number of pixels at every scale of the usual sizes.
        factor = max(1, -(-min(height, width) // _BASE))
        overlap = min(OVERLAP * factor, max(4, min(height, width) // 4))
        return cls(height, width, CONTEXT * factor, overlap, down, across)

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of the texture in the framed picture."""
        top, left = (self.context if repeats else 0 for repeats in (self.down, self.across))
        return slice(top, top + self.height), slice(left, left + self.width)

    def wrap(self, planes: npt.NDArray[Any], axes: tuple[int, int]) -> npt.NDArray[Any]:
        """Return planes with their own continuation around them; ``axes`` are those of height and width."""
        pads = [(0, 0)] * planes.ndim
        for axis, repeats in zip(axes, (self.down, self.across), strict=True):
            pads[axis] = (self.context, self.context + self.overlap) if repeats else (0, 0)
        return np.pad(planes, pads, mode="wrap")

    def close(self, framed: Picture) -> Picture:
        """Return the texture ``(1, 3, height, width)`` of a framed painting ``(1, 3, h, w)``."""
        planes = framed[0]
        if self.down:
            planes = _closed(planes, self.height, self.context, self.overlap, ends_meet=False)
        if self.across:
            planes = planes.transpose(0, 2, 1)
            planes = _closed(planes, self.width, self.context, self.overlap, ends_meet=self.down)
            planes = planes.transpose(0, 2, 1)
        return np.ascontiguousarray(planes)[None]

    def close_levels(self, framed: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the texture ``(height, width, 3)`` of a framed painting of integer levels ``(h, w, 3)``."""
        return to_levels(self.close(Photo(framed).picture()), framed.dtype)


class FramedReader:
    """A pixel reader of a texture with its own continuation around it (`Frame`).

    Attributes:
        whole: reads the texture alone, to which sizes and statistics belong.
        frame: the margin.
    """

    def __init__(self, texture: Photo | Picture, down: bool = True, across: bool = True) -> None:
        self.whole = as_reader(texture)
        self.frame = Frame.of(self.whole.height, self.whole.width, down, across)
        framed: Photo | Picture
        if isinstance(texture, Photo):
            alpha = None if texture.alpha is None else self.frame.wrap(texture.alpha, (0, 1))
            framed = replace(texture, pixels=self.frame.wrap(texture.pixels, (0, 1)), alpha=alpha)
        else:
            framed = self.frame.wrap(texture, (2, 3))
        self._framed = as_reader(framed)
        self.height, self.width = self._framed.height, self._framed.width

    @property
    def growth(self) -> float:
        """The short side of the framed picture, relative to that of the texture."""
        return min(self.height, self.width) / min(self.whole.height, self.whole.width)

    def region(self, rows: slice, columns: slice) -> Picture:
        """Return a region ``(1, 3, h, w)`` float32 in [0, 1], contiguous."""
        return self._framed.region(rows, columns)

    def reduced(self, height: int, width: int) -> Picture:
        """Return the whole framed picture at another size."""
        return self._framed.reduced(height, width)


def _closed(planes: Array, period: int, context: int, overlap: int, ends_meet: bool) -> Array:
    """Return one period of rows of planes ``(C, context + period + overlap + context, W)``: ``(C, period, W)``.

    ``ends_meet``: whether the first and the last column are neighbours.
    """
    around = min(context, max(1, overlap))
    first = planes[:, context - around : context + overlap + around]
    beyond = planes[:, context + period - around : context + period + overlap + around]
    gap = beyond - first
    low = blurred(gap, overlap / _LOW, 1, "symmetric")
    low = blurred(low, overlap / _LOW, 2, "wrap" if ends_meet else "symmetric")
    inside = slice(around, around + overlap)
    high = (gap - low)[:, inside]
    path = _path(np.square(high).sum(0), ends_meet)
    rows = np.arange(overlap, dtype=np.float32)[:, None]
    share = np.clip(0.5 - (rows - path) / (4 * _FEATHER), 0, 1)  # 1 at the border, where `beyond` continues the end
    share = blurred(share[None], _FEATHER, 2, "wrap" if ends_meet else "symmetric")
    ramp = np.clip(1 - (rows + 0.5) / overlap, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    found = planes[:, context : context + period].copy()
    found[:, :overlap] += ramp * low[:, inside] + share * high
    return found


def _path(cost: Array, ends_meet: bool) -> Array:
    """Return the row ``(W,)`` at which each column of costs ``(h, W)`` is cut, so that the sum along it is least.

    Neighbouring rows differ by at most 1. With ``ends_meet``, so do the first and the last.
    """
    height, width = cost.shape
    edge = min(4, (height - 1) // 2)
    dear = cost.astype(np.float64)
    dear[:edge] = dear[height - edge :] = np.inf  # near its ends the overlap must be one copy only
    if not ends_meet:
        return _traced(dear, None)
    middle = _traced(np.concatenate([dear, dear], 1), None)[width]
    return _traced(dear, int(middle))


def _traced(cost: npt.NDArray[np.float64], start: int | None) -> Array:
    """Return the cheapest path; with a ``start``, it begins and ends there."""
    height, width = cost.shape
    total = cost[:, 0].copy()
    if start is not None:
        total = np.where(np.arange(height) == start, total, np.inf)
    steps = np.zeros((width, height), np.int8)
    far = np.full(1, np.inf)
    for column in range(1, width):
        options = np.stack([np.concatenate([far, total[:-1]]), total, np.concatenate([total[1:], far])])
        best = options.argmin(0)
        steps[column] = best - 1
        total = options[best, np.arange(height)] + cost[:, column]
    row = int(total.argmin()) if start is None or not np.isfinite(total[start]) else start
    path = np.empty(width, np.float32)
    for column in range(width - 1, -1, -1):
        path[column] = row
        row += int(steps[column, row])
    return path


def blurred(planes: Array, sigma: float, axis: int, mode: Any) -> Array:
    """Blur planes ``(C, h, w)`` along an axis with a Gaussian of ``sigma`` pixels; ``mode`` as for `np.pad`."""
    if sigma < 3:
        reach = max(1, round(3 * sigma))
        taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * max(sigma, 0.1) ** 2)).astype(np.float32)
        return _convolved(planes, taps / taps.sum(), axis, mode)
    reach = round((4 * sigma**2 + 1) ** 0.5) // 2  # three box filters have almost the shape of a Gaussian
    for _ in range(3):
        padded = np.pad(planes, [(reach + 1, reach) if each == axis else (0, 0) for each in range(3)], mode=mode)
        sums = np.moveaxis(np.cumsum(padded, axis=axis, dtype=np.float64), axis, 0)
        planes = np.moveaxis(sums[2 * reach + 1 :] - sums[: -2 * reach - 1], 0, axis) / (2 * reach + 1)
    return planes.astype(np.float32)


def _convolved(planes: Array, taps: Array, axis: int, mode: Any) -> Array:
    """Convolve planes along an axis with a symmetric kernel of odd length."""
    reach = len(taps) // 2
    padded = np.pad(planes, [(reach, reach) if each == axis else (0, 0) for each in range(3)], mode=mode)
    found = np.zeros_like(planes)
    ends = [slice(None)] * 3
    for start, tap in enumerate(taps):
        ends[axis] = slice(start, start + planes.shape[axis])
        found += tap * padded[tuple(ends)]
    return found


# ---- the measure -----------------------------------------------------------------------------------------------------


def seam_ratios(picture: Picture) -> tuple[float, float]:
    """Return the steps across the top and across the left border, relative to the largest ones inside.

    A step is the mean difference of the strips on both sides; the ratio is the largest among strips of several widths.
    It is relative to the 98 % quantile of the steps inside and to the largest step near the border, whichever is
    larger. Up to about 1, the border of a repeated picture cannot be told from its inside.

    Args:
        picture: ``(1, 3, H, W)``.
    """
    down, across = (_seam_ratio(planes) for planes in (picture[0], picture[0].transpose(0, 2, 1)))
    return down, across


def _seam_ratio(planes: Array) -> float:
    side = planes.shape[1]
    worst = 0.0
    for lag in _LAGS:
        if 2 * _NEAR * lag > side:
            break
        steps = border_steps(planes, lag)
        near = steps[lag : _NEAR * lag + 1].max(), steps[side - _NEAR * lag : side - lag + 1].max()
        usual = max(*near, np.quantile(steps[lag : side - lag + 1], _INSIDE), 1 / 255)
        worst = max(worst, float(steps[0] / usual))
    return worst


def border_steps(planes: Array, lag: int = 1) -> npt.NDArray[np.float64]:
    """Return the mean difference ``(h,)`` between the strips of ``lag`` rows above and below the top of each row.

    The first is that across the border of the repeated planes ``(C, h, w)``.
    """
    wide = np.pad(planes.astype(np.float64), ((0, 0), (lag, lag), (0, 0)), mode="wrap")
    sums = np.cumsum(np.pad(wide, ((0, 0), (1, 0), (0, 0))), axis=1)
    means = (sums[:, lag:] - sums[:, :-lag]) / lag  # of the strips that begin at each row
    if lag > 1:  # fine structure along the border does not count at a coarse scale
        smooth = np.cumsum(np.pad(means, ((0, 0), (0, 0), (lag, 0)), mode="wrap"), axis=2)
        means = (smooth[:, :, lag:] - smooth[:, :, :-lag]) / lag
    count = planes.shape[1]
    return np.asarray(np.abs(means[:, lag : lag + count] - means[:, :count]).mean((0, 2)))


# ---- photos that are not seamless ------------------------------------------------------------------------------------


def make_seamless(photo: Photo) -> Photo:
    """Return a photo of the same size that repeats without a seam; one that already does is returned unchanged.

    Up to a quarter of each side is lost: opposite borders are overlapped, and the rest is enlarged to the old size. The
    overlap is the one, within these bounds, in which the borders match best.
    """
    planes = photo.picture()[0]
    if photo.alpha is not None:
        planes = np.concatenate([planes, photo.alpha[None] / np.float32(np.iinfo(photo.alpha.dtype).max)])
    made = _made_seamless(planes)
    if made is planes:
        return photo
    dtype = photo.pixels.dtype
    alpha = photo.alpha
    if alpha is not None:
        alpha = np.ascontiguousarray(to_levels(np.repeat(made[3:], 3, 0)[None], dtype)[:, :, 0])
    return replace(photo, pixels=to_levels(made[None, :3], dtype), alpha=alpha)


def make_seamless_picture(picture: Picture) -> Picture:
    """Return a picture ``(1, 3, H, W)`` as `make_seamless` does."""
    return np.ascontiguousarray(_made_seamless(picture[0]))[None]


def _made_seamless(planes: Array) -> Array:
    """Return planes ``(C, H, W)`` that repeat without a seam in both directions."""
    for axis in (1, 2):
        turned = planes if axis == 1 else planes.transpose(0, 2, 1)
        if min(turned.shape[1:]) >= 16 and _seam_ratio(turned) > MAX_SEAM_RATIO:
            other = _seam_ratio(turned.transpose(0, 2, 1)) <= MAX_SEAM_RATIO
            made = _overlapped(_evened(turned), ends_meet=axis == 2 or other)
            planes = made if axis == 1 else made.transpose(0, 2, 1)
    return planes


def _evened(planes: Array) -> Array:
    """Distribute the difference of brightness and colour between the first and the last row over all rows."""
    side = planes.shape[1]
    strip = max(1, round(side * _SMOOTH))
    gap = planes[:, -strip:].mean(1, keepdims=True) - planes[:, :strip].mean(1, keepdims=True)
    gap = blurred(gap, max(1.0, planes.shape[2] * _SMOOTH), 2, "symmetric")
    ramp = (np.arange(side, dtype=np.float32)[:, None] + 0.5) / side - np.float32(0.5)
    return np.asarray(np.clip(planes - ramp * gap, 0.0, 1.0), np.float32)


def _overlapped(planes: Array, ends_meet: bool) -> Array:
    """Overlap the first and the last rows of planes ``(C, H, W)``, and enlarge the rest to the old height."""
    channels, height, width = planes.shape
    overlap = _best_overlap(planes, ends_meet)
    made = _closed(planes, height - overlap, 0, overlap, ends_meet)
    return _stretched(made, height).reshape(channels, height, width)


def _best_overlap(planes: Array, ends_meet: bool) -> int:
    """Return the overlap in pixels whose cheapest cut is the cheapest."""
    _, height, width = planes.shape
    factor = max(1.0, max(height, width) / _SEARCH_SIDE)
    size = round(height / factor), round(width / factor)
    small = resample(planes, *size, Image.Resampling.BOX)
    best, found = float("inf"), 0
    for overlap in range(max(4, int(size[0] * _OVERLAPS[0])), max(5, int(size[0] * _OVERLAPS[1]) + 1)):
        cost = np.square(small[:, size[0] - overlap :] - small[:, :overlap]).sum(0)
        path = _path(cost, ends_meet).astype(int)
        mean = float(np.mean(cost[path, np.arange(size[1])]))
        if mean < best:
            best, found = mean, overlap
    return int(min(height // 2, max(4, round(found * factor))))


def _stretched(planes: Array, height: int) -> Array:
    """Enlarge the rows of planes that repeat, to ``height``."""
    _, old, width = planes.shape
    reach = min(old, 8)
    padded = np.pad(planes, ((0, 0), (reach, reach), (0, 0)), mode="wrap")
    box = (0.0, float(reach), float(width), float(reach + old))
    return np.clip(resample(padded, height, width, Image.Resampling.LANCZOS, box), 0.0, 1.0)
