"""Motion and the measures of steadiness, on frames whose motion is known."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from sfumato.errors import InputError
from sfumato.quality.motion import (
    LONG,
    FlowFinder,
    Frame,
    agreement,
    camera_motion,
    grey,
    is_inside,
    measure_steadiness,
    shown_by_both,
    warp,
)

SIDES = 96, 128


def scene(seed: int = 0, sides: tuple[int, int] = (160, 260)) -> npt.NDArray[np.float32]:
    """A picture with detail of all sizes, in levels."""
    rng = np.random.default_rng(seed)
    octaves = [
        cv2.resize(rng.normal(size=(s, 2 * s, 3)), sides[::-1], interpolation=cv2.INTER_CUBIC) for s in (6, 12, 30)
    ]
    return np.clip(128 + 40 * sum(octaves), 0, 255).astype(np.float32)


def view(picture: npt.NDArray[np.float32], down: float, across: float) -> Frame:
    """The part of a picture whose corner lies there, in fractions of a pixel."""
    height, width = SIDES
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    found = cv2.remap(picture, columns + np.float32(across), rows + np.float32(down), cv2.INTER_CUBIC)
    return np.asarray(np.clip(np.rint(found), 0, 255).astype(np.uint8))


def moving(count: int, step: tuple[float, float] = (0.4, 2.3)) -> list[Frame]:
    picture = scene()
    return [view(picture, 10 + step[0] * k, 10 + step[1] * k) for k in range(count)]


def inner(values: Any) -> Any:
    return values[12:-12, 12:-12]


def test_the_flow_of_a_pan_is_its_motion() -> None:
    before, now = moving(2)
    flow = FlowFinder()(grey(now), grey(before))
    assert np.abs(inner(flow) - np.array([2.3, 0.4])).mean() < 0.1  # the pixel at x was at x + 2.3 in the frame before


def test_warping_along_the_true_flow_gives_the_frame() -> None:
    before, now = moving(2, (1.0, 3.0))
    flow = np.broadcast_to(np.array([3, 1], np.float32), (*SIDES, 2)).copy()
    assert np.array_equal(warp(before, flow)[:-1, :-3], now[:-1, :-3])


def test_bicubic_warping_blurs_less() -> None:
    before, now = moving(2, (0.5, 0.5))
    flow = np.full((*SIDES, 2), 0.5, np.float32)
    errors = [
        np.abs(inner(warp(before, flow, sharp).astype(np.float32)) - inner(now)).mean() for sharp in (False, True)
    ]
    assert errors[1] < 0.6 * errors[0]


def test_pixels_beyond_the_border_are_outside() -> None:
    flow = np.full((4, 6, 2), (2.0, -1.0), np.float32)
    inside = is_inside(flow)
    assert inside[1:, :4].all()
    assert not inside[0].any()
    assert not inside[:, 4:].any()


def test_a_pixel_that_the_other_frame_hides_is_found() -> None:
    """A square moves right over a still background; what it uncovers was hidden before."""
    background, square = scene(1)[:96, :128], scene(2)[:40, :40]
    frames = []
    for left in (30, 40):
        frame = background.copy()
        frame[30:70, left : left + 40] = square
        frames.append(np.rint(frame).astype(np.uint8))
    finder = FlowFinder()
    before, now = (grey(frame) for frame in frames)
    shown = shown_by_both(finder(now, before), finder(before, now))
    uncovered, far, object_ = shown[35:65, 31:38], shown[:, 90:120], shown[40:60, 50:70]
    assert uncovered.mean() < 0.3
    assert far.mean() > 0.95
    assert object_.mean() > 0.95


def test_equal_flows_agree_and_opposite_ones_do_not() -> None:
    flow = np.full((8, 8, 2), 2.0, np.float32)
    assert agreement(flow, -flow).max() == 0
    assert agreement(flow, flow).min() > 1


def test_the_cameras_motion_ignores_an_object() -> None:
    rows, columns = np.mgrid[0:60, 0:80].astype(np.float32)
    flow = np.stack([1.5 + 0.01 * columns, -0.5 + 0.02 * rows], 2)
    true = flow.copy()
    flow[20:40, 30:60] = (-6, 4)
    assert np.abs(camera_motion(flow) - true).max() < 0.15


def test_a_source_is_as_steady_as_itself() -> None:
    frames = moving(LONG + 2)
    found = measure_steadiness(frames, frames)
    assert found.pairs == LONG + 1
    assert found.ratios()["warping"] == 1
    assert found.ratios()["long"] == 1
    assert found.strokes == 1
    assert 0 < found.source_warping < 2


def test_boiling_is_measured_and_strokes_that_move_along_are_not() -> None:
    frames, picture = moving(4), scene(3)
    attached: Any = [view(picture, 10 + 0.4 * k, 10 + 2.3 * k) for k in range(4)]
    rng = np.random.default_rng(0)
    boiling: Any = [np.clip(frame + rng.normal(0, 12, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
    steady, unsteady = (measure_steadiness(frames, painted) for painted in (attached, boiling))
    assert steady.warping < 4
    assert unsteady.warping > 12


def test_blur_lowers_the_strokes() -> None:
    frames = moving(3)
    blurred: Any = [np.asarray(cv2.GaussianBlur(frame, (0, 0), 2)) for frame in frames]
    assert measure_steadiness(frames, blurred).strokes < 0.5


def test_the_distance_is_asked_about_pictures() -> None:
    asked: list[tuple[int, ...]] = []

    def distance(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
        asked.append(a.shape)
        return float(np.abs(a - b).mean())

    frames = moving(2)
    painted: list[Any] = [cv2.bitwise_not(frame) for frame in frames]
    found = measure_steadiness(frames, painted, distance)
    assert asked == [(1, 3, *SIDES)] * 2
    assert found.flicker == pytest.approx(found.source_flicker, rel=0.2)


def test_no_pair_reaches_across_a_cut() -> None:
    frames: Any = [*moving(2), *(255 - frame for frame in moving(2))]
    assert measure_steadiness(frames, frames, cuts=[2]).pairs == 2


def test_videos_of_other_length_or_size_are_refused() -> None:
    frames = moving(2)
    with pytest.raises(InputError, match="painted video ends after 1"):
        measure_steadiness(frames, frames[:1])
    with pytest.raises(InputError, match="differ in size"):
        measure_steadiness(frames, [frame[:-2] for frame in frames])
    with pytest.raises(InputError, match="no two neighbouring frames"):
        measure_steadiness(frames[:1], frames[:1])
