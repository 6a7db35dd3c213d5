"""Motion between the frames of a video: optical flow, warping, occlusion; and how steady a painted video is.

A flow ``(H, W, 2)`` float32 belongs to two frames: the pixel (x, y) of the first is found at (x + u, y + v) in the
second, in pixels. It is computed by DIS (Kroeger et al. 2016) with OpenCV, on the *source* video only; the painted
video is measured along the same motion.

Measures of a pair of frames, each compared with the source's own value, because grain, blur and errors of the flow
remain in any video:

* *Warping error* (Lai et al. 2018, E_warp): the root mean square difference of a painted frame and the one before it,
  warped along the motion, over the pixels that both frames show; in levels of 255. (Lai et al. do not take the root.)
* *Long*: the same for frames further apart (as the long-term error of Lei et al. 2020).
* *Flicker*: a perceptual distance in the form of LPIPS between the same two pictures
  (`similarity.perceptual_distance`), where hidden pixels count as equal.

Frames are warped by bicubic interpolation: bilinear interpolation would blur them, and count as an error.

A blurred video has low values of all three. So *strokes* is given too: the energy of the finest octave relative to the
source's, which should be near that of a still painting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError, needs_extra

Frame = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]
Mask = npt.NDArray[np.float32]

#: Distance in frames of the pairs of the long-term warping error.
LONG = 8
#: Bounds of the test for occlusion (Sundaram et al. 2010, equations 5 and 6): relative and absolute.
_RELATIVE, _ABSOLUTE = 0.01, 0.5
_EDGE_RELATIVE, _EDGE_ABSOLUTE = 0.01, 0.002
_MIN_SHOWN = 0.05  # share of pixels that both frames must show for a pair to count
_SAMPLES = 24  # samples of a flow along the short side, from which the camera's motion is fitted
_REWEIGHTED, _OUTLIER = 4, 0.5  # rounds of the fit, and the distance in pixels from which a sample counts less


def cv2_module() -> Any:
    """Return OpenCV, with one thread where ONNX Runtime has its own.

    Raises:
        MissingExtraError: it is not installed.
    """
    with needs_extra("video", "A video"):
        import cv2
    return cv2


class FlowFinder:
    """Computes optical flow by DIS; it keeps its buffers, so one belongs to one thread.

    Args:
        finest: octave at which the flow is computed, 0 for the size of the frames.
        refined: iterations of variational refinement, which smooths the flow.
        steps: of gradient descent for each patch.
    """

    def __init__(self, finest: int = 1, refined: int = 5, steps: int = 25) -> None:
        cv2 = cv2_module()
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._dis.setFinestScale(finest)
        self._dis.setVariationalRefinementIterations(refined)
        self._dis.setGradientDescentIterations(steps)

    def __call__(self, first: Frame, second: Frame, start: Flow | None = None) -> Flow:
        """Return the flow ``(H, W, 2)`` from ``first`` to ``second``, grey frames ``(H, W)``.

        ``start`` is a guess, ``(H, W, 2)``.
        """
        return np.asarray(self._dis.calc(first, second, None if start is None else start.copy()), np.float32)


def grey(frame: Frame) -> Frame:
    """Return the luma ``(H, W)`` of a frame ``(H, W, 3)``."""
    cv2 = cv2_module()
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))


def targets(flow: Flow) -> Flow:
    """Return the position ``(H, W, 2)`` in the second frame of each pixel of the first, x and y."""
    height, width = flow.shape[:2]
    found = flow.copy()
    found[..., 0] += np.arange(width, dtype=np.float32)
    found[..., 1] += np.arange(height, dtype=np.float32)[:, None]
    return found


def warp(second: npt.NDArray[Any], flow: Flow, sharp: bool = False) -> npt.NDArray[Any]:
    """Return the second frame ``(H, W)`` or ``(H, W, C)`` as the first shows it; the border is extended.

    Interpolation is bilinear, or bicubic where ``sharp``, which blurs less and may overshoot.
    """
    cv2 = cv2_module()
    kind = cv2.INTER_CUBIC if sharp else cv2.INTER_LINEAR
    return np.asarray(cv2.remap(second, targets(flow), None, kind, borderMode=cv2.BORDER_REPLICATE))


def camera_motion(flow: Flow) -> Flow:
    """Return the affine motion that fits most of a flow ``(H, W, 2)``: that of the camera, if the scene stands still.

    It is fitted by least squares, reweighted three times, so that moving objects have little influence.
    """
    height, width = flow.shape[:2]
    step = max(1, min(height, width) // _SAMPLES)
    rows, columns = (np.arange(step // 2, side, step) for side in (height, width))
    y, x = (each.ravel() for each in np.meshgrid(rows / height - 0.5, columns / width - 0.5, indexing="ij"))
    known = flow[np.ix_(rows, columns)].reshape(-1, 2).astype(np.float64)
    terms = np.stack([np.ones_like(x), x, y], 1)
    distance = np.sqrt(np.square(known - np.median(known, 0)).sum(1))
    for _ in range(_REWEIGHTED):
        weight = 1 / (1 + np.square(distance / _OUTLIER))[:, None]
        found = np.linalg.lstsq(terms.T @ (weight * terms), terms.T @ (weight * known), rcond=None)[0]
        distance = np.sqrt(np.square(known - terms @ found).sum(1))
    across = (found[1] * (np.arange(width)[:, None] / width - 0.5) + found[0]).astype(np.float32)
    down = (found[2] * (np.arange(height)[:, None] / height - 0.5)).astype(np.float32)
    return np.asarray(across[None] + down[:, None])


def length(flow: Flow) -> Mask:
    """Return the length ``(H, W)`` of the vectors of a flow."""
    return np.asarray(cv2_module().magnitude(flow[..., 0], flow[..., 1]))


def agreement(flow: Flow, back: Flow) -> Mask:
    """Return the squared error of going to the second frame and back, relative to its bound: ``(H, W)``.

    Below 1, both flows agree, so both frames show the pixel (Sundaram et al. 2010, equation 5).
    """
    returned = warp(back, flow)
    error = np.square(length(flow + returned))
    bound = np.float32(_RELATIVE) * (np.square(length(flow)) + np.square(length(returned))) + np.float32(_ABSOLUTE)
    return np.asarray(error / bound)


def is_inside(flow: Flow) -> npt.NDArray[np.bool_]:
    """Return which pixels ``(H, W)`` lie inside the second frame."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))


def shown_by_both(flow: Flow, back: Flow) -> npt.NDArray[np.bool_]:
    """Return which pixels ``(H, W)`` of the first frame the second shows too, away from edges of the motion.

    Args:
        flow: from the first to the second frame.
        back: from the second to the first.
    """
    slopes = sum(np.square(np.gradient(flow[..., i], axis=axis)) for i in (0, 1) for axis in (0, 1))
    edge = slopes > _EDGE_RELATIVE * np.square(length(flow)) + _EDGE_ABSOLUTE
    return np.asarray(is_inside(flow) & (agreement(flow, back) < 1) & ~edge)


@dataclass(frozen=True)
class Steadiness:
    """How steady a video is.

    Attributes:
        pairs: number of pairs of neighbouring frames that were measured.
        warping: warping error of the painted video, in levels of 255.
        source_warping: of the source.
        long: warping error of frames `LONG` apart; NaN where a video has none.
        source_long: of the source.
        flicker: mean perceptual distance of a painted frame to the warped one before; NaN if it was not measured.
        source_flicker: of the source.
        strokes: energy of the finest octave of the painted video, relative to the source's.
    """

    pairs: int
    warping: float
    source_warping: float
    long: float
    source_long: float
    flicker: float
    source_flicker: float
    strokes: float

    def ratios(self) -> dict[str, float]:
        """Return each measure of the painted video divided by the source's own."""
        return {
            "warping": _ratio(self.warping, self.source_warping),
            "long": _ratio(self.long, self.source_long),
            "flicker": _ratio(self.flicker, self.source_flicker),
        }


#: A perceptual distance of two pictures ``(1, 3, H, W)`` in [0, 1].
Distance = Callable[[npt.NDArray[np.float32], npt.NDArray[np.float32]], float]


def measure_steadiness(
    source: Iterable[Frame], painted: Iterable[Frame], distance: Distance | None = None, cuts: Container[int] = ()
) -> Steadiness:
    """Measure a painted video against its source; both are read once, frame by frame.

    Args:
        source: frames ``(H, W, 3)``.
        painted: its painted frames, of the same number and size.
        distance: a perceptual distance for the flicker; ``None``: the flicker is not measured.
        cuts: numbers of the frames at which a scene starts; no pair reaches across. It is asked for the number of a
            frame after the frame was read, so that it may be filled meanwhile.

    Raises:
        InputError: the videos differ in length or size, or have no two frames of one scene.
    """
    flow = FlowFinder()
    past: deque[tuple[Frame, Frame, Frame]] = deque(maxlen=LONG)
    near: list[tuple[float, ...]] = []
    far: list[tuple[float, ...]] = []
    detail: list[tuple[float, float]] = []
    for number, (frame, paint) in enumerate(_paired(source, painted)):
        if number in cuts:
            past.clear()
        now = frame, paint, grey(frame)
        if past:
            near += _pair(now, past[-1], flow, distance)
        if len(past) == LONG:
            far += _pair(now, past[0], flow, None)
        detail.append((_finest(now[2]), _finest(grey(paint))))
        past.append(now)
    if not near:
        raise InputError("the video has no two neighbouring frames that show the same; give one with a longer scene")
    warping, source_warping, flicker, source_flicker = _means(near)
    long, source_long, _, _ = _means(far) if far else (float("nan"),) * 4
    of_source, of_paint = np.mean(detail, 0)
    strokes = _ratio(float(of_paint), float(of_source))
    return Steadiness(len(near), warping, source_warping, long, source_long, flicker, source_flicker, strokes)


def _paired(source: Iterable[Frame], painted: Iterable[Frame]) -> Iterator[tuple[Frame, Frame]]:
    """Yield the frames of both videos; raise InputError where they differ in length or size."""
    end = object()
    ours, theirs = iter(source), iter(painted)
    number = 0
    while True:
        a, b = next(ours, end), next(theirs, end)
        if a is end and b is end:
            return
        if a is end or b is end:
            which = "source" if a is end else "painted video"
            raise InputError(f"the {which} ends after {number} frames, before the other; give videos of one length")
        assert isinstance(a, np.ndarray)
        assert isinstance(b, np.ndarray)
        if a.shape != b.shape:
            sizes = " and ".join(f"{x.shape[1]} x {x.shape[0]}" for x in (a, b))
            raise InputError(f"the frames of source and painted video differ in size ({sizes}); give them at one size")
        yield a, b
        number += 1


def _pair(
    now: tuple[Frame, Frame, Frame], before: tuple[Frame, Frame, Frame], flow: FlowFinder, distance: Distance | None
) -> list[tuple[float, ...]]:
    """Return the errors of a pair: painted, source, and both perceptual; nothing where the frames share too little."""
    there, back = flow(now[2], before[2]), flow(before[2], now[2])
    shown = shown_by_both(there, back)
    if shown.mean() < _MIN_SHOWN:
        return []
    values: list[float] = []
    for index in (1, 0):
        warped = np.asarray(warp(before[index], there, sharp=True), np.float32)
        difference = (now[index] - warped)[shown]
        values.append(float(np.sqrt(np.square(difference).mean())))
    for index in (1, 0):
        if distance is None:
            values.append(float("nan"))
            continue
        warped = np.where(shown[..., None], warp(before[index], there, sharp=True), now[index])
        values.append(distance(_picture(warped), _picture(now[index])))
    return [tuple(values)]


def _picture(frame: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return a frame ``(H, W, 3)`` as a picture ``(1, 3, H, W)`` in [0, 1]."""
    return np.ascontiguousarray(frame.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _finest(plane: Frame) -> float:
    """Return the standard deviation of the finest octave of ``(H, W)``, in levels."""
    cv2 = cv2_module()
    exact = plane.astype(np.float32)
    return float(np.std(exact - cv2.GaussianBlur(exact, (0, 0), 1.5)))


def _means(rows: list[tuple[float, ...]]) -> tuple[float, float, float, float]:
    """Return the mean of each column."""
    a, b, c, d = (float(value) for value in np.mean(rows, 0))
    return a, b, c, d


def _ratio(value: float, own: float) -> float:
    """Return ``value / own``; 1 where both are 0."""
    if own == 0:
        return 1.0 if value == 0 else float("inf")
    return value / own
