"""Scene cuts, found in frames that are made here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.video.scenes import SceneDetector

av = pytest.importorskip("av")


def frames(pictures: list[np.ndarray]) -> list[Any]:
    found = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        found.append(frame)
    return found


def shots(counts: list[int], sides: tuple[int, int] = (90, 160)) -> list[np.ndarray]:
    """Shots of noise of large grain that moves by a pixel a frame."""
    found = []
    for seed, count in enumerate(counts):
        coarse = np.random.default_rng(seed).integers(0, 256, (12, 24, 3), np.uint8)
        picture = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
        found += [picture[: sides[0], k : k + sides[1]].copy() for k in range(count)]
    return found


def test_every_cut_is_found_and_nothing_else() -> None:
    detector = SceneDetector()
    assert [k for k, f in enumerate(frames(shots([8, 5, 12]))) if detector.starts_scene(f)] == [0, 8, 13]


def test_fast_motion_from_the_first_frame_on_is_no_cut() -> None:
    pictures = [np.roll(shots([1])[0], 24 * k, 1) for k in range(6)]
    detector = SceneDetector()
    assert [detector.starts_scene(f) for f in frames(pictures)] == [True] + [False] * 5


def test_answers_depend_on_the_last_frames_only() -> None:
    """A detector that is given the frames before the resumption finds the same cuts."""
    every = frames(shots([20, 9, 7]))
    whole, late = SceneDetector(), SceneDetector()
    answers = [whole.starts_scene(f) for f in every]
    again = [late.starts_scene(f) for f in every[12:]]
    assert again[2:] == answers[14:]


def test_a_stream_that_changes_its_size_starts_a_scene() -> None:
    detector = SceneDetector()
    answers = [detector.starts_scene(f) for f in frames(shots([3])) + frames(shots([3], (64, 96)))]
    assert answers == [True, False, False, True, False, False]
