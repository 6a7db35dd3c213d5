"""Steady painting: frames of a video whose brush strokes move with the scene.

Strokes are decided by chance where a photo is plain, so a video that is painted frame by frame boils. Here the painting
of a *key* frame is carried to the frames after it by optical flow, straight from the key frame, so that it is resampled
once and not once per frame. What it does not show is carried from the painting of the frame before, which was painted
where something came into view. What is left is filled: a small gap with the frame itself in the painting's nearby
colours, a larger one by painting it, and where the gaps are large in all, the frame becomes the next key frame. Every
few frames, a key frame is painted in any case, and the carried painting is renewed by a share of it, spread over the
frames until the next one. So strokes do not wear out, colours follow the light, and nothing is fed back without bound.

All frames of a shot are painted with the statistics of one reference frame, so that colours do not pump. When the
light or the view has changed much, a later frame becomes the reference, and takes over within some frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.checks import check_range
from sfumato.errors import InputError, UsageError
from sfumato.image import Photo
from sfumato.inference.draft import BASE_SIDE
from sfumato.inference.inputs import SMALLEST_SIDE
from sfumato.inference.options import PaintOptions, as_options
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.quality.motion import FlowFinder, Frame, Mask, cv2_module, warp
from sfumato.video.carrying import WHOLE, Motion, Paint, View, enlarged_mask, fill_gaps, gap_boxes, mixed, renewed
from sfumato.video.finishing import Finisher
from sfumato.video.fresh import DraftFrames, FreshFrames, MatchedFrames, Mixture, Reference, blended
from sfumato.video.schedule import Schedule

#: How steady a video is by default.
STEADY = 0.9
_LONGEST_PERIOD = 10  # frames from one key frame to the next, at most
_MAX_GAPS = 0.2  # share of gaps at which a frame is painted
_NOTHING_KEPT = 0.6  # share of gaps from which a frame starts a scene
_PLAIN = 0.05  # mean deviation of the channels of a frame, in [0, 1], below which its statistics suit no other frame
_MAX_LIGHT = 5.0  # change of the mean luma, in levels, at which a frame is painted
_LEAST_RENEWED = 0.05  # share of strokes that is renewed at a key frame, at least: resampling wears them out
_COLOURS_RENEWED = 0.5  # the same for colours of larger areas
_MAX_CHANGE = 0.04  # change of the mean or deviation of a channel at which a frame becomes the reference
_HANDOVER = 12  # frames in which a new reference takes over


@dataclass(frozen=True)
class Look:
    """What the source alone says about a frame.

    Attributes:
        frame: at the size at which it is painted.
        view: of it.
        step: the motion to the frame before; None for the first frame.
    """

    frame: Frame
    view: View
    step: Motion | None


@dataclass(frozen=True)
class _Key:
    """A key frame.

    Attributes:
        begin: the painting as it was shown, without the renewal.
        end: the painting when the renewal is complete.
        place: row and column of the frame in the scene.
        light: mean luma of the source, in levels.
        weights: of the schedule's styles.
        period: frames over which the renewal is spread.
    """

    begin: Paint
    end: Paint
    place: npt.NDArray[np.float64]
    light: float
    weights: npt.NDArray[np.float64]
    period: int

    def painting(self, since: int) -> Paint:
        """Return the painting to show ``since`` frames after this one."""
        share = min(1.0, (since + 1) / self.period)
        return self.end if share == 1 else mixed(self.begin, self.end, np.float32(share))


class SteadyPainter:
    """Paints the frames of a video one after the other, steadily.

    Args:
        stylizer: paints.
        style: one style, or styles that change over time; None for a model of the kind collection.
        options: of the painting; of the qualities, draft and standard.
        steady: from 0, each frame by itself, to 1.

    Raises:
        UsageError: the quality is best, or ``steady`` is outside its range.
        ModelError: a style belongs to another model.
        MissingExtraError: OpenCV is not installed.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        style: Style | Schedule | None,
        options: PaintOptions | None = None,
        steady: float = STEADY,
    ) -> None:
        options = as_options(options)
        stylizer.check_own_style(0 if style is None else 1, options.color, 0)
        self._schedule = None if style is None else Schedule.of(style)
        styles = [] if self._schedule is None else list(dict.fromkeys(self._schedule.styles))
        for each in styles:
            stylizer.check_style(each)
        quality = stylizer.choose_quality(options.quality, styles)
        if quality == "best":
            raise UsageError("a video is painted in the quality draft or standard; best would take minutes per frame")
        self._styles: list[Style | None] = [*styles] or [None]
        self._options = replace(options, quality=quality)
        self._steady = check_range(steady, 0.0, 1.0, "steady")
        self._period = 1 + round((_LONGEST_PERIOD - 1) * self._steady)
        self._fresh: FreshFrames = (DraftFrames if quality == "draft" else MatchedFrames)(stylizer, self._options)
        self._stroke = options.stroke if quality == "draft" else 1.0
        self._stylizer = stylizer
        is_draft = quality == "draft"  # the flow may take a share of the time that painting takes
        self._flow = FlowFinder(finest=0, refined=3 if is_draft else 5, steps=8 if is_draft else 12)
        self._rough = FlowFinder(finest=1 if is_draft else 0, refined=0, steps=8)
        self._key: _Key | None = None
        self._since = 0
        self._seen: View | None = None  # of the frame that was looked at last
        self._view: View
        self._motion: Motion  # to the key frame
        self._last: Frame  # the painting of the last frame, at the working size
        self._solid: Mask  # 1 where it is paint, less where a gap was only filled, at the size of a view
        self._references: list[Reference] = []
        self._handed = 0  # frames since the last reference took over
        self._finisher: Finisher | None = None

    def look(self, frame: Frame) -> Look | None:
        """Find the motion of a frame; see `painting.FramePainter.look`."""
        if self._steady == 0:
            return None
        small = self._at_working_size(frame)
        view, before = View.of(small), self._seen
        self._seen = view
        return Look(small, view, None if before is None else Motion.between(view, before, self._flow, self._rough))

    def paint(self, frame: Frame, starts_scene: bool, seconds: float, look: Look | None = None) -> Frame:
        """Return the painted frame; see `painting.FramePainter.paint`."""
        mixture: Mixture = [(None, 1.0)] if self._schedule is None else self._schedule.at(seconds)
        look = look or self.look(frame)
        if look is None:
            return np.asarray(self._stylizer.paint(Photo(frame), blended(mixture), self._options).pixels, np.uint8)
        if self._key is None or starts_scene or look.step is None:
            painted = self._begin(look, mixture)
        else:
            painted = self._go_on(look, look.step, mixture, self._key)
        self._view, self._last = look.view, _rounded(painted)
        assert self._finisher is not None, "a scene has begun"
        return self._finisher(painted, frame, look.frame)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return what `restore` needs; see `painting.FramePainter.state`."""
        if self._key is None:
            return {}
        assert self._finisher is not None, "a scene has begun"
        key = self._key
        found: dict[str, npt.NDArray[Any]] = {
            "view": self._view.colours,
            "flow": self._motion.flow,
            "trust": self._motion.trust,
            "last": self._last,
            "solid": self._solid,
            "begin": key.begin.astype(np.float16),  # exact: these are the values that were painted on with
            "end": key.end.astype(np.float16),
            "place": key.place,
            "counts": np.array([key.period, self._since, self._handed], np.int64),
            "weights": key.weights,
            "values": np.array([self._finisher.gain, key.light]),
        }
        for number, reference in enumerate(self._references):
            found |= {f"reference{number}": reference.frame, f"painted{number}": reference.painted}
        return {name: array.copy() for name, array in found.items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue after the frame at which ``state`` was taken; see `painting.FramePainter.restore`."""
        self._key, self._references, self._seen = None, [], None
        if not state:
            return
        try:
            begin, end = (np.asarray(state[name], np.float32) for name in ("begin", "end"))
            period, self._since, self._handed = (int(count) for count in state["counts"])
            for number in range(2):
                if f"reference{number}" in state:
                    pair = (np.asarray(state[f"{name}{number}"], np.uint8) for name in ("reference", "painted"))
                    self._references.append(Reference(*pair))
            self._seen = self._view = View.with_colours(np.asarray(state["view"], np.uint8))
            self._last, self._solid = np.asarray(state["last"], np.uint8), np.asarray(state["solid"], np.float32)
            self._motion = Motion(np.asarray(state["flow"], np.float32), np.asarray(state["trust"], np.float32))
            gain, light = (float(value) for value in state["values"])
            place, weights = (np.asarray(state[name], np.float64) for name in ("place", "weights"))
            self._key = _Key(begin, end, place, light, weights, period)
            self._finisher = Finisher(self._options.color, gain)
        except (KeyError, ValueError, TypeError) as problem:
            self._key = None
            raise InputError("the state of the painter is damaged; paint the video from its start") from problem

    def _at_working_size(self, frame: Frame) -> Frame:
        """Return the frame at the size at which it is painted: the base size of its quality, or its own if smaller."""
        height, width = frame.shape[:2]
        short = min(height, width)
        scale = max(SMALLEST_SIDE, round(min(short, BASE_SIDE) / self._stroke)) / short
        if scale == 1:
            return frame
        cv2 = cv2_module()
        size = max(SMALLEST_SIDE, round(width * scale)), max(SMALLEST_SIDE, round(height * scale))
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(frame, size, interpolation=kind))

    def _begin(self, look: Look, mixture: Mixture) -> Paint:
        """Return the painting of the first frame of a scene."""
        frame, view = look.frame, look.view
        painted = _stored(self._fresh.first(frame, mixture))
        light, weights = float(view.grey.mean()), self._weights(mixture)
        self._start_from(_Key(painted, painted, np.zeros(2), light, weights, 1), view)
        self._references, self._handed = [Reference(frame.copy(), _rounded(painted))], _HANDOVER
        self._finisher = Finisher.of_shot(self._options.color, painted, frame)
        return painted

    def _start_from(self, key: _Key, view: View) -> None:
        self._key, self._since = key, 0
        self._motion, self._solid = Motion.none(view), np.ones_like(view.grey, np.float32)

    def _go_on(self, look: Look, step: Motion, mixture: Mixture, key: _Key) -> Paint:
        """Return the painting of a later frame of the scene."""
        frame, view = look.frame, look.view
        self._since += 1
        self._handed += 1
        motion = step.then(self._motion)
        gaps = 1 - float(motion.trust.mean())
        if gaps > _NOTHING_KEPT:  # a cut that was missed, or a flash: the rest matched by chance
            return self._begin(look, mixture)
        self._motion = motion
        carried, trust = self._carried(step, key)
        whole = fill_gaps(frame, carried, trust[..., 0])
        light = float(view.grey.mean())
        is_like_key = abs(light - key.light) < _MAX_LIGHT and gaps < _MAX_GAPS
        place = key.place + motion.shift() * (frame.shape[0] / view.grey.shape[0])
        row, column = (int(at) for at in np.rint(place))
        if is_like_key and self._since < self._period:
            return self._with_painted_gaps(frame, whole, trust, mixture, (row, column))
        is_other = self._choose_reference(frame, whole)
        fresh = self._fresh.paint(frame, self._weighted_references(), mixture, (row, column), whole, trust[..., 0])
        weights = self._weights(mixture)
        kept = (weights[key.weights > 0] / key.weights[key.weights > 0]).min()  # of a style that is on its way out
        strokes = 1.0 if is_other else max(_LEAST_RENEWED, 1 - self._steady, 1 - float(kept))
        end = renewed(carried, fresh, strokes, max(strokes, _COLOURS_RENEWED))
        end = mixed(fresh, end, trust)
        begin = mixed(fresh, carried, trust)
        begin, end = _stored(begin), _stored(end)
        key = _Key(begin, end, place, light, weights, self._period)
        self._start_from(key, view)
        return key.painting(0)

    def _carried(self, step: Motion, key: _Key) -> tuple[Paint, Mask]:
        """Return the painting as it is carried to a frame, with the trust in it, ``(H, W, 1)``.

        It is carried from the key frame, and where that does not show the pixel, from the frame before.
        """
        trust = self._motion.trust
        carried = self._motion.carry(key.painting(self._since))
        height, width = carried.shape[:2]
        recent = step.trust * warp(self._solid, step.flow)
        self._solid = np.asarray(trust + (1 - trust) * recent, np.float32)
        shown, solid = enlarged_mask(trust, height, width), enlarged_mask(self._solid, height, width)
        rows, columns = np.nonzero((shown[..., 0] < WHOLE) & (solid[..., 0] > shown[..., 0]))
        if len(rows):
            gaps = rows, columns
            before = step.carry_to(gaps, self._last)
            carried[gaps] = before + shown[gaps] / solid[gaps] * (carried[gaps] - before)
        return carried, solid

    def _with_painted_gaps(
        self, frame: Frame, whole: Paint, trust: Mask, mixture: Mixture, place: tuple[int, int]
    ) -> Paint:
        """Return a carried painting ``whole`` whose larger gaps, where something comes into view, are painted."""
        boxes = gap_boxes(trust[..., 0], place)
        if not boxes:
            return whole
        fresh, references = whole.copy(), self._weighted_references()
        for rows, columns in boxes:
            corner = place[0] + rows.start, place[1] + columns.start
            part, known = whole[rows, columns], trust[rows, columns, 0]
            fresh[rows, columns] = self._fresh.paint(frame[rows, columns], references, mixture, corner, part, known)
            scale = self._solid.shape[0] / frame.shape[0]
            self._solid[_scaled(rows, scale), _scaled(columns, scale)] = 1
        return mixed(fresh, whole, trust)

    def _weights(self, mixture: Mixture) -> npt.NDArray[np.float64]:
        """Return the weight of each of the painter's styles in a mixture."""
        return np.array([sum(weight for each, weight in mixture if each == style) for style in self._styles], float)

    def _choose_reference(self, frame: Frame, painted: Paint) -> bool:
        """Make the frame the reference if the shot has changed much since the last one.

        Returns:
            Whether it replaces a reference that it has nothing in common with, such as the black before a fade.
        """
        last = self._references[-1]
        old, new = (_colours(each) for each in (last.frame, frame))
        change = np.abs(new - old).max()
        is_other = bool(change > 4 * _MAX_CHANGE or (change > _MAX_CHANGE and old[1].mean() < _PLAIN))
        if is_other or (change > _MAX_CHANGE and self._handed >= _HANDOVER):
            found = Reference(frame.copy(), _rounded(painted))
            self._references = [found] if is_other else [last, found]
            self._handed = _HANDOVER if is_other else 0
        return is_other

    def _weighted_references(self) -> list[tuple[Reference, float]]:
        """Return the references with their weights: the last one takes over from the one before."""
        *before, last = self._references
        share = min(1.0, (self._handed + self._period) / _HANDOVER)
        return [(last, 1.0)] if share == 1 or not before else [(before[-1], 1 - share), (last, share)]


def _stored(painted: Paint) -> Paint:
    """Return the painting rounded to 16-bit floats, in which `SteadyPainter.state` stores it."""
    return painted.astype(np.float16).astype(np.float32)


def _rounded(painted: Paint) -> Frame:
    """Return the painting in whole levels."""
    return np.asarray(cv2_module().add(painted, 0.0, dtype=cv2_module().CV_8U))


def _scaled(span: slice, scale: float) -> slice:
    return slice(round(span.start * scale), round(span.stop * scale))


def _colours(frame: Frame) -> npt.NDArray[np.float64]:
    """Return means and deviations of the channels, ``(2, 3)``, in [0, 1]."""
    cv2 = cv2_module()
    return np.stack([each[:, 0] for each in cv2.meanStdDev(frame)]) / 255
