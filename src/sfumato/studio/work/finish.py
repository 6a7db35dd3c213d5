"""Finishing of a picture: colours, sharpness, twice the size."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sfumato.errors import InputError, UsageError
from sfumato.inference.progress import Progress, portion
from sfumato.inference.retouch import Finish
from sfumato.studio.measures import measure_if_alike
from sfumato.studio.work import warm
from sfumato.studio.work.parts import Inputs, Made
from sfumato.studio.work.saving import save

_OPTIONS = ("brightness", "contrast", "saturation", "warmth", "sharpen", "radius", "threshold", "upscale")
_FINISHED = 0.9  # share of the progress that finishing takes


def finish(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Finish a picture; the result is a new one, whose recipe has the step added."""
    began = time.monotonic()
    stored = files.picture(asked["picture"])
    step = Finish(**{name: asked[name] for name in _OPTIONS if asked.get(name) is not None}, picture=stored.source)
    if step.is_nothing:
        raise UsageError("there is nothing to change; move one of the sliders, or choose twice the size")
    progress(0.0, "reading the picture")
    picture = warm.read(stored)
    recipe, _ = step.what_is_carried(picture.metadata)
    picture = replace(picture, metadata=replace(picture.metadata, recipe=recipe))
    try:
        finished = step(picture, warm.threads(), portion(progress, 0, _FINISHED))
    except InputError as problem:
        raise InputError(f"cannot finish {stored.name}: {problem}") from problem
    progress(_FINISHED, "saving")
    facts: dict[str, Any] = {"photo": stored.photo, "title": stored.title}
    if stored.photo in files.pictures:
        facts["measures"] = measure_if_alike(finished, warm.read(files.picture(stored.photo or "")))
    quality = asked.get("file_quality") or 92
    made = save(finished, folder, "finished", stored.path, asked.get("format") or "png", quality, **facts)
    seconds = round(time.monotonic() - began, 3)
    return {"picture": {"$made": 0}, "seconds": seconds, "remarks": [*made.remarks]}, [made]
