"""Painting of a video."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sfumato.image import Photo
from sfumato.inference.library import personal_in
from sfumato.inference.options import PaintOptions
from sfumato.inference.progress import Progress
from sfumato.inference.style import PersonalStyle, Style
from sfumato.studio.thumbs import write_thumb
from sfumato.studio.work import warm
from sfumato.studio.work.paint import chosen_styles
from sfumato.studio.work.parts import Inputs, Made
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
    target = parts / "painted.webm"
    _, photo = first_frame(stored.path)
    result = paint_video(
        stored.path,
        target,
        _style(asked, files, photo),
        PaintOptions(**asked["options"]),
        steady=STEADY if asked["steady"] is None else asked["steady"],
        start=asked["start"],
        end=asked["end"],
        max_size=asked["max_size"],
        overwrite=True,  # an attempt may have been interrupted after its last step
        stylizer=warm.stylizer(),
        progress=progress,
    )
    file, thumb = target.replace(folder / target.name), folder / "thumb.webp"
    _, painted = first_frame(file)
    write_thumb(painted, thumb)
    facts = {"seconds": result.seconds, "rate": round(result.frames / result.seconds, 3), "remarks": result.remarks}
    size, recipe = (result.width, result.height), {**result.recipe["painting"], **result.recipe}
    del recipe["painting"]  # so that styles and options are where those of pictures are
    made = Made("film", file, thumb, *size, "video/webm", recipe, facts, photo=stored.id, title=stored.title)
    return {"picture": {"$made": 0}, "seconds": round(time.monotonic() - began, 3)}, [made]


def first_frame(path: Path) -> tuple[VideoSource, Photo]:
    """Return the facts of a video, and its first frame.

    Raises:
        InputError: it is no video, or cannot be decoded.
    """
    source = VideoSource.probe(path)
    with closing(source.frames(SceneDetector)) as frames:
        return source, Photo(next(frames).rgb)


def _style(asked: Mapping[str, Any], files: Inputs, photo: Photo) -> Style:
    """Return the style of a request; the centre of a taste is chosen for the first frame."""
    with personal_in(files.personal):
        [style] = chosen_styles(asked, files, photo)
    return style.style_for(warm.stylizer(), photo) if isinstance(style, PersonalStyle) else style
