"""Encoding as root leaves the rest of the machine its share."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sfumato.video.encoding import EncoderSettings, SegmentEncoder
from sfumato.video.pipeline import write_video
from sfumato.video.reading import VideoSource
from video_clips import Same, write_clip

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root's threads get real-time priority"
)


def real_time_threads() -> list[int]:
    threads = [int(name) for name in os.listdir("/proc/self/task")]
    return [thread for thread in threads if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR)]


def test_no_thread_of_an_encoder_has_real_time_priority(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", times=range(3))
    colours = VideoSource.probe(source).colours
    encoder = SegmentEncoder(EncoderSettings("av1", 96, 64, Fraction(1, 25), Fraction(25), colours))
    for number in range(3):
        encoder.add(np.full((64, 96, 3), 90 * number, np.uint8), number, 1)
        assert real_time_threads() == []
    assert len(encoder.finish()) == 3
    write_video(VideoSource.probe(source), tmp_path / "out.mp4", Same(), {"kind": "video"}, codec="av1")
    assert real_time_threads() == []


def test_the_encoder_would_take_it() -> None:
    """Otherwise the test above shows nothing, and `usual_priority` can go."""
    program = (
        "import av, io, os\n"
        "stream = av.open(io.BytesIO(), 'w', format='mp4').add_stream('libsvtav1', rate=25)\n"
        "stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'\n"
        "stream.codec_context.open()\n"
        "print(os.sched_getscheduler(0) == os.SCHED_FIFO)\n"
        "os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, "SVT_LOG": "1"}
    )
    assert done.stdout == "True\n"
