"""Carrying a painted frame along to later frames: what can be trusted, what fills the rest, how paint is renewed.

Painted frames are ``(H, W, 3)`` float32 in levels from 0 to 255. Motion is found at a reduced size (`View`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.inference.tiling import ALIGNMENT
from sfumato.quality.motion import (
    Flow,
    FlowFinder,
    Frame,
    Mask,
    agreement,
    camera_motion,
    cv2_module,
    grey,
    is_inside,
    length,
    warp,
)

Paint = npt.NDArray[np.float32]
Pixels = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]  # rows and columns
_Span = tuple[int, int]  # first cell, and the one after the last

#: Short side in pixels above which motion is found at half the size.
_HALVED_ABOVE = 240
_COLOUR_BOUND = 9.0  # levels by which a carried pixel of the source may differ, plus a share of the local contrast
_CONTRAST_SHARE = 0.6
_PLAIN_CONTRAST = 2.5  # levels: a smaller deviation in a window counts as plain
_ROUGHNESS = 4.0  # factor to the bound of the test for occlusion, since the flow back is rough
WHOLE = 0.99  # trust above which there is no gap
_MOST_BENT = 0.25  # change of the flow per pixel above which strokes would be bent
_MOST_BENT_IN_ALL = 0.5  # the same from a key frame on
_THINNED = 3  # every which row and column the median of the flow is taken of
_REPLICATE = 1  # OpenCV's BORDER_REPLICATE
_ROW = 1024  # places that are sampled in a row
_STILL = 0.06, 0.14  # pixels at the reduced size: shorter flows are errors and set to 0; longer ones are kept
_COARSE = 8  # size of the cells in which colours are compared, in pixels
_OPEN = 0.5  # mean trust of a cell below which it belongs to a gap
_SMALLEST_GAP = 0.006  # share of the frame: smaller gaps are filled, not painted
_MARGIN = 16  # pixels around a gap that are painted with it, at least
_SPLITS = 4  # how often the box around a gap is halved
_FILL_REACH = 9  # cells: side of the window of the colour map in `fill`
_BRUSHWORK = 20.0  # levels: largest detail that is taken for brushwork
_PLAIN_VARIANCE = 30.0  # squared levels: regularisation of the colour map
_BLOCK = 16  # pixels: size of the blocks in which the energy of strokes is compared
_MAX_GAIN = 1.25  # largest gain of the strokes in one renewal
_STROKE_SIGMA = 1.2  # pixels: what is finer counts as strokes


@dataclass(frozen=True)
class View:
    """A frame of the source at the size at which motion is found.

    Attributes:
        colours: ``(h, w, 3)``.
        grey: ``(h, w)``.
    """

    colours: Frame
    grey: Frame

    @classmethod
    def of(cls, frame: Frame) -> View:
        """Return the view of a frame ``(H, W, 3)``."""
        cv2 = cv2_module()
        height, width = frame.shape[:2]
        if min(height, width) > _HALVED_ABOVE:
            frame = np.asarray(cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA))
        return cls.with_colours(frame)

    @classmethod
    def with_colours(cls, colours: Frame) -> View:
        """Return the view with these colours ``(h, w, 3)``."""
        return cls(colours, grey(colours))


@dataclass(frozen=True)
class Motion:
    """The motion from a frame to an earlier one, at the size of a `View`.

    Attributes:
        flow: ``(h, w, 2)``, from the frame to the earlier one.
        trust: ``(h, w)`` from 0 to 1: 0 where the earlier frame does not show the pixel, or the flow is wrong.
    """

    flow: Flow
    trust: Mask

    @classmethod
    def none(cls, view: View) -> Motion:
        """Return the motion from a frame to itself."""
        return cls(np.zeros((*view.grey.shape, 2), np.float32), np.ones(view.grey.shape, np.float32))

    @classmethod
    def between(cls, now: View, before: View, finder: FlowFinder, rough: FlowFinder) -> Motion:
        """Find the motion from a frame to the one before; ``rough`` only checks it in the other direction."""
        there, back = finder(now.grey, before.grey), rough(before.grey, now.grey)
        camera = camera_motion(there)
        contrast = _contrast(now.grey)
        agree = np.clip(2 - agreement(there, back) / _ROUGHNESS, 0, 1)
        # Where the picture is plain, flows are arbitrary, and the colours decide.
        agree = np.maximum(agree, np.clip(2 - contrast / _PLAIN_CONTRAST, 0, 1))
        bent = _bending(there - camera)
        sure = agree * np.clip(2 - bent / _MOST_BENT, 0, 1) * _likeness(now, before, there, contrast)
        other = np.clip(2 * (1 - sure) * _likeness(now, before, camera, contrast), 0, 1)
        flow = there + other[..., None] * (camera - there)
        trust = np.maximum(sure, other).astype(np.float32)
        return cls(_settled(flow), np.asarray(cv2_module().blur(trust, (3, 3), borderType=_REPLICATE)))

    def then(self, further: Motion) -> Motion:
        """Return the motion to the frame to which ``further`` leads from the earlier one."""
        flow = np.asarray(self.flow + warp(further.flow, self.flow), np.float32)
        straight = np.clip(2 - _bending(flow) / _MOST_BENT_IN_ALL, 0, 1)
        return Motion(flow, np.asarray(self.trust * warp(further.trust, self.flow) * straight, np.float32))

    def carry(self, painted: Paint) -> Paint:
        """Return the earlier painted frame as this frame shows it."""
        height, width = painted.shape[:2]
        return np.asarray(warp(painted, _enlarged(self.flow, height, width), sharp=True))

    def carry_to(self, pixels: Pixels, painted: Frame) -> Paint:
        """Return what `carry` would show in some pixels, ``(N, 3)``, of an earlier frame in whole levels."""
        cv2 = cv2_module()
        (height, width), (h, w) = painted.shape[:2], self.flow.shape[:2]
        rows, columns = (each.astype(np.float32) for each in pixels)
        flow = sampled(self.flow, *_at_size(pixels, (height, width), (h, w)))
        across, down = columns + flow[:, 0] * (width / w), rows + flow[:, 1] * (height / h)
        return np.asarray(sampled(painted, down, across, cv2.INTER_CUBIC), np.float32)

    def shift(self) -> npt.NDArray[np.float64]:
        """Return the median flow to the earlier frame (rows, columns), in pixels of a view."""
        flow, trust = (each[::_THINNED, ::_THINNED] for each in (self.flow, self.trust))
        sure = trust > 0.5
        flow = flow[sure] if sure.any() else flow.reshape(-1, 2)
        return np.median(flow, 0)[::-1].astype(np.float64)


def _settled(flow: Flow) -> Flow:
    """Return the flow with tiny motions set to 0, so that what stands still is not resampled."""
    low, high = _STILL
    share = np.clip((length(flow) - low) / (high - low), 0, 1)
    return np.asarray(flow * share[..., None], np.float32)


def _enlarged(flow: Flow, height: int, width: int) -> Flow:
    """Return a flow at another size, in pixels of that size."""
    h, w = flow.shape[:2]
    if (h, w) == (height, width):
        return flow
    cv2 = cv2_module()
    scaled = flow * np.array([width / w, height / h], np.float32)
    return np.asarray(cv2.resize(scaled, (width, height), interpolation=cv2.INTER_LINEAR))


def enlarged_mask(mask: Mask, height: int, width: int) -> Mask:
    """Return a mask ``(h, w)`` at another size, ``(height, width, 1)``."""
    cv2 = cv2_module()
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR))[..., None]


def sampled(
    plane: npt.NDArray[Any], rows: npt.NDArray[np.float32], columns: npt.NDArray[np.float32], kind: int = 1
) -> npt.NDArray[Any]:
    """Return the values ``(N,)`` or ``(N, C)`` of a plane ``(H, W)`` or ``(H, W, C)`` at places between its pixels.

    ``kind`` is OpenCV's interpolation, linear by default; the border is extended.
    """
    count = len(rows)
    padded = -count % _ROW  # OpenCV maps rows of less than 2^15 places
    maps = (np.pad(each, (0, padded)).reshape(-1, _ROW) for each in (columns, rows))
    found = cv2_module().remap(plane, *maps, kind, borderMode=_REPLICATE)
    return np.asarray(found).reshape(-1, *plane.shape[2:])[:count]


def _at_size(
    pixels: Pixels, size: tuple[int, int], other: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return where pixels of a frame lie in the frame at another size: rows and columns; sizes are height and width."""
    half = np.float32(0.5)
    rows, columns = (
        (each.astype(np.float32) + half) * (new / old) - half
        for each, old, new in zip(pixels, size, other, strict=True)
    )
    return rows, columns


def _contrast(plane: Frame) -> Mask:
    """Return the deviation of ``(h, w)`` in small windows, in levels."""
    cv2 = cv2_module()
    exact = plane.astype(np.float32)
    mean = cv2.blur(exact, (5, 5))
    return np.asarray(np.sqrt(np.maximum(cv2.blur(np.square(exact), (5, 5)) - mean * mean, 0)))


def _likeness(now: View, before: View, flow: Flow, contrast: Mask) -> Mask:
    """Return where the earlier frame, seen along a flow, has the colours of this one: ``(h, w)`` from 0 to 1."""
    cv2 = cv2_module()
    unlike = cv2.absdiff(now.colours, warp(before.colours, flow))
    plane = cv2.transform(unlike, np.full((1, 3), 0.5, np.float32)).astype(np.float32)
    plane = cv2.blur(plane, (3, 3))
    alike = np.clip(2 - plane / (_COLOUR_BOUND + _CONTRAST_SHARE * contrast), 0, 1)
    return np.asarray(alike * is_inside(flow))


def _bending(flow: Flow) -> Mask:
    """Return how fast a flow changes from pixel to pixel, ``(h, w)``: strokes carried along it are bent."""
    cv2 = cv2_module()
    across, down = (length(cv2.Sobel(flow, cv2.CV_32F, *axes, scale=1 / 8)) for axes in ((1, 0), (0, 1)))
    return np.asarray(cv2.blur(np.hypot(across, down), (7, 7)))


def gap_boxes(trust: Mask, place: tuple[int, int] = (0, 0)) -> list[tuple[slice, slice]]:
    """Return the regions of a frame to paint so that its larger gaps are painted: rows and columns of each.

    Each region has a margin, within which a painting depends on what lies beyond. It begins on the grid of the scene,
    to which it would be padded otherwise.

    Args:
        trust: of the carried painting, ``(H, W)``.
        place: row and column of the frame's corner in the scene.
    """
    cv2 = cv2_module()
    height, width = trust.shape
    gaps = cv2.resize(trust, (-(-width // _COARSE), -(-height // _COARSE)), interpolation=cv2.INTER_AREA) < _OPEN
    count, labels, found, _ = cv2.connectedComponentsWithStats(gaps.astype(np.uint8), connectivity=8)
    large = np.flatnonzero(found[1:count, 4] * _COARSE**2 >= _SMALLEST_GAP * height * width) + 1
    boxes = _tight_boxes(np.isin(labels, large), 0, 0, _SPLITS)

    def pixels(span: _Span, side: int, at: int) -> slice:
        first = span[0] * _COARSE - _MARGIN
        first -= (at + first) % ALIGNMENT
        return slice(max(0, first), min(side, span[1] * _COARSE + _MARGIN))

    return [(pixels(rows, height, place[0]), pixels(columns, width, place[1])) for rows, columns in boxes]


def _tight_boxes(cells: npt.NDArray[np.bool_], top: int, left: int, splits: int) -> list[tuple[_Span, _Span]]:
    """Return spans of rows and columns that cover the set cells; the border of a frame takes several.

    Args:
        cells: ``(h, w)``.
        top: row of the first one.
        left: its column.
        splits: how often a box may be halved.
    """
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    if not len(rows):
        return []
    (above, below), (before, behind) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    whole = (int(top + above), int(top + below)), (int(left + before), int(left + behind))
    cells, top, left = cells[above:below, before:behind], whole[0][0], whole[1][0]
    height, width = cells.shape
    if not splits or max(height, width) < 2:
        return [whole]
    if height > width:
        half = height // 2
        parts = _tight_boxes(cells[:half], top, left, splits - 1)
        parts += _tight_boxes(cells[half:], top + half, left, splits - 1)
    else:
        half = width // 2
        parts = _tight_boxes(cells[:, :half], top, left, splits - 1)
        parts += _tight_boxes(cells[:, half:], top, left + half, splits - 1)
    return parts if sum(map(_effort, parts)) < _effort(whole) else [whole]


def _effort(box: tuple[_Span, _Span]) -> int:
    """Return the number of pixels of a box of cells with its margin."""
    return math.prod(_COARSE * (stop - start) + 2 * _MARGIN for start, stop in box)


def fill_gaps(frame: Frame, carried: Paint, trust: Mask) -> Paint:
    """Return the carried painting with its gaps filled by the frame in the colours that the painting has nearby.

    Its brushwork stays. In each window, the painting is a linear function of the source's luma (a guided filter, He et
    al. 2013), fitted where ``trust`` is high.

    Args:
        frame: the source ``(H, W, 3)``.
        carried: the carried painting, of the same size.
        trust: of it, ``(H, W)``.
    """
    cv2 = cv2_module()
    gaps = np.nonzero(trust < WHOLE)
    if not len(gaps[0]):
        return carried
    height, width = frame.shape[:2]
    size = max(2, width // _COARSE), max(2, height // _COARSE)
    rows, columns = _at_size((gaps[0], gaps[1]), (height, width), (size[1], size[0]))

    def small(picture: npt.NDArray[np.floating] | Frame) -> Paint:
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)

    def mean(planes: Paint) -> Paint:
        return np.asarray(cv2.blur(planes, (_FILL_REACH, _FILL_REACH), borderType=cv2.BORDER_REFLECT))

    tone = grey(frame)
    weight = small(trust) ** 2 + np.float32(1e-3)
    total = mean(weight)
    x, y = small(tone), small(carried)
    centre = mean(weight * x) / total
    colour = mean(weight[..., None] * y) / total[..., None]
    together = mean((weight * x)[..., None] * y) / total[..., None] - centre[..., None] * colour
    variance = mean(weight * x * x) / total - centre * centre
    slope = together / (np.maximum(variance, 0) + np.float32(_PLAIN_VARIANCE))[..., None]
    offset = colour - slope * centre[..., None]
    filled = sampled(slope, rows, columns) * tone[gaps][:, None] + sampled(offset, rows, columns)
    # Brushwork of the carried painting, wherever it comes from, is less conspicuous than none; its edges are not.
    own = carried[gaps]
    filled += np.clip(own - cv2.blur(carried, (5, 5))[gaps], -_BRUSHWORK, _BRUSHWORK)
    found = carried.copy()
    found[gaps] = filled + trust[gaps][:, None] * (own - filled)
    return found


def mixed(first: Paint, second: Paint, share: Mask | np.float32) -> Paint:
    """Return ``first + share·(second - first)``."""
    if isinstance(share, np.float32):
        return np.asarray(cv2_module().addWeighted(first, 1 - float(share), second, float(share), 0))
    found = second - first
    found *= share
    found += first
    return found


def renewed(painted: Paint, fresh: Paint, strokes: float, colours: float) -> Paint:
    """Return a carried painting that is renewed by a fresh one, at no loss of brushwork.

    The mean of two paintings with different strokes has weaker strokes than either; so the finest octave gets its
    energy back, block by block.

    Args:
        painted: the carried painting.
        fresh: a fresh painting of the same frame.
        strokes: how far fine detail is renewed, from 0 to 1.
        colours: how far colours of larger areas are renewed.
    """
    cv2 = cv2_module()
    height, width = painted.shape[:2]
    new = fresh - painted
    size = max(1, width // _COARSE), max(1, height // _COARSE)
    wide = cv2.resize(cv2.resize(new, size, interpolation=cv2.INTER_AREA), (width, height))
    new *= np.float32(strokes)
    wide *= np.float32(colours - strokes)
    new += wide
    new += painted
    fine, wanted = (picture - cv2.GaussianBlur(picture, (0, 0), _STROKE_SIGMA) for picture in (new, fresh))
    gain = np.sqrt((_energy(wanted) + 1) / (_energy(fine) + 1))
    gain = np.clip(cv2.blur(gain, (3, 3)), 1, _MAX_GAIN) - 1
    fine *= enlarged_mask(gain.astype(np.float32), height, width)
    new += fine
    return np.asarray(np.clip(new, 0, 255, out=new))


def _energy(fine: Paint) -> Mask:
    """Return the mean square of detail in blocks."""
    cv2 = cv2_module()
    height, width = fine.shape[:2]
    size = max(1, width // _BLOCK), max(1, height // _BLOCK)
    return np.asarray(cv2.resize(np.square(fine).sum(2), size, interpolation=cv2.INTER_AREA))
