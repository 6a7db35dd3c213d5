"""Painting of a video."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sfumato.errors import InputError
from sfumato.files import atomic_file
from sfumato.image import Photo
from sfumato.inference.library import personal_in
from sfumato.inference.options import PaintOptions
from sfumato.inference.progress import Progress
from sfumato.inference.style import PersonalStyle, Style
from sfumato.studio.thumbs import write_thumb
from sfumato.studio.work import warm
from sfumato.studio.work.paint import chosen_styles
from sfumato.studio.work.parts import Inputs, Made, Stored
from sfumato.video.pipeline import paint_video
from sfumato.video.reading import VideoSource
from sfumato.video.scenes import SceneDetector
from sfumato.video.steady import STEADY


def video(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Paint a video. It goes on where an interrupted attempt with the same ``files.parts`` ended."""
    began = time.monotonic()
    stored = files.picture(asked["video"])
    parts = files.parts or folder
    parts.mkdir(0o700, parents=True, exist_ok=True)
    file, facts_file = parts / "painted.webm", parts / "painted.json"
    if not facts_file.exists():  # else an attempt ended before its result was stored
        facts = _paint(asked, files, stored, file, progress)
        with atomic_file(facts_file) as target:
            target.write(json.dumps(facts).encode())
    facts, thumb = json.loads(facts_file.read_bytes()), folder / "thumb.webp"
    _, painted = first_frame(file)
    write_thumb(painted, thumb)
    made = Made(
        "film", file, thumb, painted.width, painted.height, "video/webm", **facts, photo=stored.id, title=stored.title
    )
    seconds = round(time.monotonic() - began, 3)
    return {"picture": {"$made": 0}, "seconds": seconds, "remarks": facts["measures"]["remarks"]}, [made]


def _paint(
    asked: Mapping[str, Any], files: Inputs, stored: Stored, target: Path, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Paint a video, and return its recipe and measures."""
    _, photo = first_frame(stored.path, asked["start"])
    result = paint_video(
        stored.path,
        target,
        _style(asked, files, photo),
        PaintOptions(**asked["options"]),
        steady=STEADY if asked["steady"] is None else asked["steady"],
        start=asked["start"],
        end=asked["end"],
        max_size=asked["max_size"],
        overwrite=True,
        stylizer=warm.stylizer(),
        seal=warm.seal(),
        progress=progress,
    )
    rate = round(result.frames / result.seconds, 3)
    return {
        "recipe": dict(result.recipe),
        "measures": {"seconds": result.seconds, "rate": rate, "remarks": result.remarks},
    }


def first_frame(path: Path, start: float = 0.0) -> tuple[VideoSource, Photo]:
    """Return the facts of a video, and the first frame from ``start`` (in seconds) on.

    Raises:
        InputError: it is no video, cannot be decoded, or ends before ``start``.
    """
    source = VideoSource.probe(path, begin=start)
    with closing(source.frames(SceneDetector)) as frames:
        frame = next(frames, None)
    if frame is None:
        raise InputError(f"{source.shown} has no frame from {start:g} s on; choose an earlier start")
    return source, Photo(frame.rgb)


def _style(asked: Mapping[str, Any], files: Inputs, photo: Photo) -> Style:
    """Return the style of a request; the centre of a taste is chosen for the first frame."""
    with personal_in(files.personal):
        [style] = chosen_styles(asked, files, photo)
    return style.style_for(warm.stylizer(), photo) if isinstance(style, PersonalStyle) else style
