"""Previews: what a painted video will look like, in seconds instead of hours."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sfumato.errors import InputError
from sfumato.image import Photo, Picture, as_image, to_uint8, write_photo
from sfumato.inference.options import PaintOptions
from sfumato.inference.progress import Progress
from sfumato.inference.stylizer import Stylizer
from sfumato.sheet import gallery
from sfumato.video.reading import VideoSource
from sfumato.video.scenes import SceneDetector
from sfumato.video.schedule import Schedule
from sfumato.video.steady import SteadyPainter

#: Longer side of the frames of a preview, in pixels, and the length of a preview that is a video, in seconds.
PREVIEW_SIZE, PREVIEW_SECONDS = 640, 5.0
_FRAMES, _CELL = 12, 420


def preview_part(source: VideoSource) -> tuple[float, float]:
    """Return the begin and end in seconds of a preview: from ``source.begin``, or else in the middle of the video."""
    end = min(source.end or float("inf"), source.length or float("inf"))
    begin = source.begin
    if not begin and PREVIEW_SECONDS < end < float("inf"):
        begin = (end - PREVIEW_SECONDS) / 2
    return begin, min(begin + PREVIEW_SECONDS, source.end or float("inf"))


def preview_sheet(
    source: VideoSource,
    target: str | os.PathLike[str],
    schedule: Schedule,
    options: PaintOptions,
    stylizer: Stylizer,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write a sheet of painted frames from all parts of a video, with their times; return their number.

    Args:
        source: the video, probed with `PREVIEW_SIZE`.
        target: the picture to write.
        schedule: the styles.
        options: of the painting.
        stylizer: paints each frame by itself.
        overwrite: whether an existing file is replaced.
        progress: as for `paint_video`.

    Raises:
        InputError: no frame can be read.
        OutputError: the sheet cannot be written.
    """
    painter = SteadyPainter(stylizer, schedule, options, steady=0.0)
    end = min(source.end or float("inf"), source.length or float("inf"))
    span = end - source.begin if end < float("inf") else 0.0
    found: list[tuple[float, Picture]] = []
    for number in range(_FRAMES if span else 1):
        if progress is not None:
            progress(number / _FRAMES, f"frame {number + 1} of {_FRAMES}")
        at = source.begin + span * (number + 0.5) / _FRAMES if span else source.begin
        with closing(replace(source, begin=at).frames(SceneDetector)) as frames:
            frame = next(frames, None)
        if frame is not None and frame.seconds not in [seconds for seconds, _ in found]:
            found.append((frame.seconds, as_image(painter.paint(frame.rgb, True, frame.seconds))))
    if not found:
        raise InputError(f"{source.shown} has no frame in this part; it is {source.length:.1f} s long")
    sheet = gallery([picture for _, picture in found], [_clock(seconds) for seconds, _ in found], _CELL)
    write_photo(Photo(to_uint8(sheet)), Path(target), overwrite=overwrite)
    return len(found)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"
