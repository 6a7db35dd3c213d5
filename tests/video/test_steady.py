"""Steady painting, on small scenes whose motion is known; each is a photo-like picture with detail of all sizes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from sfumato import PaintOptions, Style, Stylizer
from sfumato.errors import InputError, UsageError
from sfumato.image import Photo
from sfumato.quality.motion import Frame, measure_steadiness
from sfumato.video.carrying import gap_boxes
from sfumato.video.fresh import DraftFrames, Reference, as_picture
from sfumato.video.schedule import Schedule
from sfumato.video.steady import SteadyPainter

HEIGHT, WIDTH = 96, 144
DRAFT = PaintOptions(quality="draft")


@cache
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


@cache
def style(name: str = "monet") -> Style:
    return Style.named(name)


def scene(seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    planes = [
        cv2.resize(rng.normal(size=(side, side, 3)), (400, 400), interpolation=cv2.INTER_CUBIC) for side in (5, 17, 60)
    ]
    return np.clip(128 + 38 * sum(planes), 0, 255).astype(np.float32)


def view(
    picture: npt.NDArray[np.float32], down: float, across: float, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Frame:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    found = cv2.remap(picture, columns + np.float32(across), rows + np.float32(down), cv2.INTER_CUBIC)
    return np.asarray(np.clip(np.rint(found), 0, 255).astype(np.uint8))


def pan(count: int, step: tuple[float, float] = (0.3, 1.7), grain: float = 2.0) -> list[Frame]:
    """A camera that moves over a picture, with grain of its own in every frame."""
    picture, rng = scene(), np.random.default_rng(1)
    clean = (view(picture, 20 + step[0] * k, 20 + step[1] * k) for k in range(count))
    return [np.clip(np.rint(f + rng.normal(0, grain, f.shape)), 0, 255).astype(np.uint8) for f in clean]


def painter(
    steady: float = 0.9, options: PaintOptions = DRAFT, styles: Style | Schedule | None = None
) -> SteadyPainter:
    return SteadyPainter(stylizer(), styles or style(), options, steady)


def paint(by: SteadyPainter, frames: Iterable[Frame], starts: Sequence[int] = (0,)) -> list[Frame]:
    return [by.paint(frame, number in starts, number / 25) for number, frame in enumerate(frames)]


def still(frame: Frame) -> Frame:
    return np.asarray(stylizer().paint(Photo(frame), style(), DRAFT).pixels)


def like_the_shot(first: Frame, frame: Frame) -> Frame:
    """The frame painted by itself, with the statistics of a shot that begins with ``first``."""
    fresh = DraftFrames(stylizer(), DRAFT)
    return np.rint(fresh.paint(frame, [(Reference(first, first), 1.0)], [(style(), 1.0)], (0, 0))).astype(np.uint8)


def detail(frame: Frame) -> float:
    exact = frame.astype(np.float32)
    return float(np.std(exact - cv2.GaussianBlur(exact, (0, 0), 1.5)))


def gap(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).mean())


def test_at_0_each_frame_is_painted_as_a_photo() -> None:
    frames = pan(2)
    assert all(np.array_equal(a, still(b)) for a, b in zip(paint(painter(0), frames), frames, strict=True))


def test_a_pan_is_steady_and_keeps_its_strokes() -> None:
    frames = pan(24)
    painted, alone = paint(painter(), frames), [still(frame) for frame in frames]
    ours, theirs = (measure_steadiness(frames, each) for each in (painted, alone))
    assert ours.warping < 1.5 * ours.source_warping
    assert ours.warping < 0.6 * theirs.warping
    assert ours.strokes > 0.9 * theirs.strokes


def test_a_still_scene_stands_still() -> None:
    frame = view(scene(), 20, 20)
    painted = paint(painter(), [frame] * 20)
    changes = [int(np.abs(each.astype(int) - painted[0]).max()) for each in painted]
    assert max(changes) <= 1


def test_nothing_darkens_or_wears_out_in_100_frames() -> None:
    frames = pan(100, (0.02, 0.1))
    painted = paint(painter(1.0), frames)
    last = like_the_shot(frames[0], frames[-1])
    assert abs(float(painted[-1].mean()) - float(last.mean())) < 2
    assert detail(painted[-1]) > 0.9 * detail(last)


def test_a_cut_starts_afresh() -> None:
    first, second = view(scene(), 20, 20), view(scene(5), 20, 20)
    painted = paint(painter(), [first] * 3 + [second] * 2, (0, 3))
    assert np.array_equal(painted[3], paint(painter(), [second])[0])


def test_a_missed_cut_leaves_no_ghost() -> None:
    first, second = view(scene(), 20, 20), view(scene(5), 20, 20)
    painted = paint(painter(), [first] * 3 + [second] * 2)
    found, wanted, old = (cv2.blur(each, (7, 7)) for each in (painted[3], like_the_shot(first, second), painted[2]))
    assert gap(found, wanted) < 0.25 * gap(found, old)  # blurred, as the strokes lie elsewhere


def test_what_an_object_uncovers_has_no_ghost_of_it() -> None:
    background, frames = view(scene(), 20, 20) // 3 + 20, []
    for k in range(6):
        frame = background.copy()
        frame[30:66, 10 + 9 * k : 46 + 9 * k] = (250, 240, 60)
        frames.append(frame)
    painted = paint(painter(), frames)
    wanted = like_the_shot(frames[0], background)
    uncovered = np.s_[34:62, 14:40]
    object_colour = painted[0][40:56, 20:36].mean((0, 1))
    assert gap(painted[-1][uncovered], wanted[uncovered]) < 0.3 * gap(painted[-1][uncovered], object_colour)


def test_a_flash_leaves_no_trace() -> None:
    frame = view(scene(), 20, 20)
    bright = np.clip(frame.astype(int) + 90, 0, 255).astype(np.uint8)
    painted = paint(painter(), [frame, frame, bright, frame])
    assert np.array_equal(painted[3], painted[0])


def test_the_black_before_a_fade_decides_nothing() -> None:
    """A scene that rises from black is painted as by itself once it is there."""
    picture = view(scene(), 20, 20).astype(np.float32)
    frames = [np.rint(picture * share).astype(np.uint8) for share in (0, 0.1, 0.3, 0.5, 0.7, 0.9, *[1] * 40)]
    painted = paint(painter(), frames)
    assert gap(cv2.blur(painted[-1], (5, 5)), cv2.blur(still(frames[-1]), (5, 5))) < 10


@pytest.mark.parametrize("until", [1, 7, 9])
def test_a_restored_painter_continues_bit_for_bit(until: int) -> None:
    frames = pan(14)
    whole = painter()
    for frame in frames[:until]:
        whole.paint(frame, whole.state() == {}, 0)
    state = whole.state()
    copies = {name: array.copy() for name, array in state.items()}
    rest = [whole.paint(frame, False, 0) for frame in frames[until:]]
    assert all(np.array_equal(state[name], copies[name]) for name in copies)
    again = painter()
    again.restore(state)
    assert all(np.array_equal(again.paint(f, False, 0), r) for f, r in zip(frames[until:], rest, strict=True))


def test_a_damaged_state_is_refused() -> None:
    by = painter()
    by.paint(pan(1)[0], True, 0)
    state = by.state()
    del state["begin"]
    with pytest.raises(InputError, match="damaged"):
        painter().restore(state)


def test_the_state_before_the_first_frame_is_empty() -> None:
    by = painter()
    assert by.state() == {}
    by.restore({})
    assert np.array_equal(by.paint(pan(1)[0], True, 0), paint(painter(), pan(1))[0])


def test_strokes_are_fixed_to_the_scene() -> None:
    """The same part of a scene gets the same strokes wherever it lies in the frame."""
    picture = scene()
    first, second = (view(picture, 20 + at[0], 20 + at[1]) for at in ((0, 0), (7, 21)))
    frames, reference = DraftFrames(stylizer(), DRAFT), Reference(first, first)
    a, b = (
        frames.paint(frame, [(reference, 1.0)], [(style(), 1.0)], at)
        for frame, at in ((first, (0, 0)), (second, (7, 21)))
    )
    here, there = np.s_[40:60, 60:90], np.s_[33:53, 39:69]
    assert gap(a[here], b[there]) < 0.5
    unfixed = frames.paint(second, [(reference, 1.0)], [(style(), 1.0)], (0, 0))
    assert gap(a[here], unfixed[there]) > 3


def test_styles_turn_into_each_other() -> None:
    frame = view(scene(), 20, 20)
    schedule = Schedule(((0.0, style()), (1.0, style("great-wave"))))
    ends = [paint(painter(styles=each), [frame])[0] for each in (style(), style("great-wave"))]
    by = painter(styles=schedule)
    painted = [by.paint(frame, k == 0, k / 25) for k in range(40)]
    to_first, to_second = ([gap(each, end) for each in painted] for end in ends)
    assert to_first[0] == 0
    assert to_second[-1] < 0.2 * to_second[0]
    assert max(gap(a, b) for a, b in itertools.pairwise(painted)) < 0.25 * gap(*ends)


@pytest.mark.parametrize("size", [(12, 40), (560, 600), (97, 131)])
def test_any_size_is_painted(size: tuple[int, int]) -> None:
    frames = [view(scene(), 2 + k, 3, size) for k in range(2)]
    painted = paint(painter(), frames)
    assert all(each.shape == (*size, 3) and each.dtype == np.uint8 for each in painted)
    assert np.ptp(painted[1]) > 50


@pytest.mark.parametrize(
    "options", [PaintOptions(0.5, 2.0, "luminance", "draft"), PaintOptions(0.7, 0.5, "content", "draft", 3)]
)
def test_options_count(options: PaintOptions) -> None:
    frames = pan(2)
    plain, other = paint(painter(), frames), paint(painter(options=options), frames)
    assert other[1].shape == frames[1].shape
    assert gap(plain[1], other[1]) > 3
    assert gap(other[1], frames[1]) < gap(plain[1], frames[1])


def test_the_quality_best_is_refused() -> None:
    with pytest.raises(UsageError, match="draft or standard"):
        painter(options=PaintOptions(quality="best"))
    with pytest.raises(UsageError, match="steady"):
        painter(1.5)


def test_standard_is_steady_and_restored() -> None:
    options = PaintOptions(quality="standard")
    frames = pan(5)
    by = painter(0.3, options)
    painted, states = [], []
    for number, frame in enumerate(frames):
        painted.append(by.paint(frame, number == 0, 0))
        states.append(by.state())
    alone: Any = [stylizer().paint(Photo(frame), style(), options).pixels for frame in frames[3:]]
    ours = measure_steadiness(frames, painted)
    assert ours.warping < 0.6 * measure_steadiness(frames[3:], alone).warping
    assert gap(painted[0], alone[0]) < 40
    again = painter(0.3, options)
    again.restore(states[1])
    assert all(np.array_equal(again.paint(f, False, 0), p) for f, p in zip(frames[2:], painted[2:], strict=True))


def test_a_frame_becomes_a_picture_in_0_to_1() -> None:
    frame = pan(1)[0]
    assert as_picture(frame).shape == (1, 3, HEIGHT, WIDTH)
    assert np.allclose(as_picture(frame)[0, 1] * 255, frame[..., 1], atol=1e-4)


def test_boxes_cover_the_gaps_and_little_else() -> None:
    trust = np.ones((240, 320), np.float32)
    assert gap_boxes(trust) == []
    trust[:8] = 0
    trust[:, -16:] = 0  # what a pan brings into view: two borders
    trust[120:124, 40:44] = 0  # too small
    covered = np.zeros(trust.shape, bool)
    for rows, columns in gap_boxes(trust):
        covered[rows, columns] = True
    assert covered[:8].all()
    assert covered[:, -16:].all()
    assert not covered[120:124, 40:44].any()
    assert covered.mean() < 0.45


def test_what_comes_into_view_is_painted_once_and_then_carried() -> None:
    """A gap that is painted anew in every frame boils."""
    frames = pan(5, (0.0, 4.0), grain=4.0)
    painted = paint(painter(), frames)
    new = np.s_[8:-8, -14:-8]  # came into view within the last frames, and is no gap of the last one any more
    before = np.s_[8:-8, -10:-4]
    assert gap(painted[-1][new], painted[-2][before]) < 3


def test_looking_ahead_changes_nothing() -> None:
    frames = pan(11)
    by = painter()
    looks = [by.look(frame) for frame in frames]
    ahead = [by.paint(frame, k == 0, k / 25, look) for k, (frame, look) in enumerate(zip(frames, looks, strict=True))]
    assert all(np.array_equal(a, b) for a, b in zip(ahead, paint(painter(), frames), strict=True))
