"""``sfumato evaluate --video`` on small videos that are made here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from sfumato.files import digest
from sfumato.inference import Style, Stylizer
from sfumato.inference.options import PaintOptions
from sfumato.quality.motion import Frame
from sfumato.video.pipeline import write_video
from sfumato.video.reading import VideoSource
from sfumato.video.recipe import VideoRecipe
from sfumato.video.schedule import Schedule
from support import assert_one_sentence, run
from video_clips import Same

av = pytest.importorskip("av")
pytest.importorskip("efficientnet_lite_pytorch")


def pan(count: int) -> list[Frame]:
    """Frames of a camera that moves over noise of many sizes."""
    rng = np.random.default_rng(0)
    planes = [cv2.resize(rng.normal(size=(s, s, 3)), (200, 200), interpolation=cv2.INTER_CUBIC) for s in (5, 20, 60)]
    picture = np.clip(128 + 40 * sum(planes), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(picture[20:84, 10 + 2 * k : 106 + 2 * k]) for k in range(count)]


def write(path: Path, frames: Sequence[Frame]) -> str:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def test_figures_of_a_painted_video(tmp_path: Path) -> None:
    frames = pan(4)
    rng = np.random.default_rng(1)
    boiling = [np.clip(255 - frame + rng.normal(0, 15, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
    source, painted = write(tmp_path / "source.mkv", frames), write(tmp_path / "painted.mkv", boiling)
    found = json.loads(run("evaluate", "--video", painted, "--source", source, "--json").stdout)
    assert found["pairs"] == 3
    assert found["scenes"] == [0]
    assert found["ratios"]["warping"] > 3
    assert found["ratios"]["flicker"] > 1.5
    assert found["long"] is None  # the video is too short
    table = run("evaluate", "--video", painted, "--source", source).stdout
    assert "flicker" in table
    assert f"{found['warping']:.3f}" in table


def test_a_painted_part_is_compared_with_that_part(tmp_path: Path) -> None:
    frames = pan(9)
    source = write(tmp_path / "source.mkv", frames)
    painted = tmp_path / "painted.mkv"
    part = VideoSource.probe(source, begin=0.12, end=0.28)  # the frames 3 to 6
    recipe = VideoRecipe.of(
        Stylizer(),
        Schedule.of(Style.named("monet")),
        PaintOptions(quality="draft"),
        steady=0.9,
        begin=part.begin,
        end=part.end,
        codec="vp9",
        max_size=0,
        source_sha256=digest(source, 2**40),
    )
    write_video(part, painted, Same(), recipe.to_json())
    found = json.loads(run("evaluate", "--video", painted, "--source", source, "--json").stdout)
    assert found["pairs"] == 3
    cut = write(tmp_path / "cut.mkv", frames[3:7])  # the same part as a file of its own
    again = json.loads(run("evaluate", "--video", painted, "--source", cut, "--json").stdout)
    assert again["ratios"] == pytest.approx(found["ratios"], nan_ok=True)


def test_a_video_without_its_source(tmp_path: Path) -> None:
    assert_one_sentence(run("evaluate", "--video", str(tmp_path / "a.mkv")), 2, "--video PAINTED --source SOURCE")


def test_videos_of_other_length(tmp_path: Path) -> None:
    frames = pan(4)
    source, painted = write(tmp_path / "source.mkv", frames), write(tmp_path / "painted.mkv", frames[:3])
    assert_one_sentence(run("evaluate", "--video", painted, "--source", source), 3, "painted video ends after 3 frames")
