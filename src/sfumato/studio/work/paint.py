"""Painting of a photo, as a result or as a preview."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sfumato.errors import UsageError
from sfumato.image import Photo
from sfumato.inference.library import personal_in
from sfumato.inference.masks import Mask, as_mask, fit_mask
from sfumato.inference.options import PaintOptions
from sfumato.inference.pipeline import Pipeline
from sfumato.inference.progress import Progress, portion
from sfumato.inference.recipe import Recipe
from sfumato.inference.retouch import Finish
from sfumato.inference.style import PersonalStyle, Style
from sfumato.studio.measures import measure
from sfumato.studio.work import warm
from sfumato.studio.work.parts import Inputs, Made
from sfumato.studio.work.saving import save, save_preview

#: Longest side of a preview in pixels: by default, and at most.
PREVIEW, LARGEST_PREVIEW = 768, 1024
_PAINTED = 0.95  # share of the progress that painting takes
_OPTIONS = ("strength", "stroke", "color", "quality", "seed")


def paint(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Paint a photo in styles, or as another picture was painted (``recipe_of``)."""
    began = time.monotonic()
    is_preview = bool(asked.get("preview"))
    stored = files.picture(asked["photo"])
    max_size = asked.get("max_size") or 0
    if is_preview:
        max_size = min(max_size or PREVIEW, LARGEST_PREVIEW)
        photo = warm.read_small(stored, max_size)
    else:
        progress(0.0, "reading the photo")
        photo = warm.read(stored)
    pipeline = _pipeline(asked, files, photo, max_size, is_preview)
    painting = portion(progress, 0, 1 if is_preview else _PAINTED)
    result = pipeline(photo, progress=painting, name=stored.name, photo_sha256=stored.source)
    facts: dict[str, Any] = {"photo": stored.id, "title": stored.title}
    if is_preview:
        made = save_preview(result.picture, folder, "preview", **facts)
    else:
        progress(_PAINTED, "saving")
        facts |= {"measures": measure(result.picture, photo)}
        quality = result.recipe.file_quality
        made = save(result.picture, folder, "result", stored.path, asked.get("format") or "png", quality, **facts)
    seconds = round(time.monotonic() - began, 3)
    return {"picture": {"$made": 0}, "seconds": seconds, "remarks": [*made.remarks]}, [made]


def _pipeline(asked: Mapping[str, Any], files: Inputs, photo: Photo, max_size: int, is_preview: bool) -> Pipeline:
    """Return the pipeline that a request describes."""
    masks = [_mask(each["mask"], files, photo) for each in _styles(asked) if each.get("mask")]
    if asked.get("recipe_of"):
        return _pipeline_of_recipe(asked["recipe_of"], files, masks, max_size, is_preview)
    given = asked.get("options") or {}
    options = PaintOptions(**{name: given[name] for name in _OPTIONS if given.get(name) is not None})
    finish = [Finish(**each) for each in asked.get("finish") or ()]
    selection: dict[str, Any] = {}
    if is_preview:
        options, finish = replace(options, quality=options.quality or "draft"), _without_enlarging(finish)
    else:
        selection = {"auto": bool(asked.get("auto")), "best_of": asked.get("best_of") or 1}
    return Pipeline(
        chosen_styles(asked, files, photo),
        options,
        masks=masks,
        max_size=max_size,
        finish=finish,
        file_quality=asked.get("file_quality") or 92,
        stylizer=warm.stylizer(),
        **selection,
    )


def _pipeline_of_recipe(picture: str, files: Inputs, masks: list[Mask], max_size: int, is_preview: bool) -> Pipeline:
    """Return the pipeline that paints as a picture was painted."""
    stored, stylizer = files.picture(picture), warm.stylizer()
    if stored.recipe is None:
        raise UsageError(f"{stored.name} holds no recipe, so its settings are unknown; choose a picture by Sfumato")
    recipe = Recipe.from_json(stored.recipe, stored.name)
    with personal_in(files.personal):
        known = warm.known_styles(files)
        if is_preview:
            styles = recipe.rebuild(stylizer, known)
            options = replace(recipe.options, quality="draft")
            finish = _without_enlarging(recipe.finishes)
            return Pipeline(styles, options, masks=masks, max_size=max_size, finish=finish, stylizer=stylizer)
        return Pipeline.of_recipe(recipe, masks=masks, known=known, stylizer=stylizer)


def _without_enlarging(steps: Sequence[Finish]) -> list[Finish]:
    """Return finishing steps for a preview, which is shown small."""
    kept = [replace(step, upscale=1, upscaler="") for step in steps]
    return [step for step in kept if not step.is_nothing]


def _styles(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the parts of the style, those with a mask first: the last style takes the rest of the photo."""
    parts = list(asked.get("styles") or ())
    return sorted(parts, key=lambda part: not part.get("mask"))


def chosen_styles(asked: Mapping[str, Any], files: Inputs, photo: Photo) -> list[Style | PersonalStyle]:
    """Return the styles of the regions, or the one style that several are blended into."""
    parts = _styles(asked)
    if not parts:
        raise UsageError("a picture needs a style; choose one")
    styles = [warm.style(part["style"], files) for part in parts]
    masked = sum(bool(part.get("mask")) for part in parts)
    if masked and len(parts) - masked > 1:
        raise UsageError(
            f"{len(parts) - masked} styles have no region, but only one style can take the rest of the photo; draw a "
            "region for the others, or remove them"
        )
    if masked or len(parts) == 1:
        return styles
    weights: dict[Style | str, float] = {}
    for part, style in zip(parts, styles, strict=True):
        one = style.style_for(warm.stylizer(), photo) if isinstance(style, PersonalStyle) else style
        weights[one] = weights.get(one, 0.0) + float(part.get("weight", 1.0))
    return [Style.blend(weights)]


def _mask(picture: str, files: Inputs, photo: Photo) -> Mask:
    """Return a mask at the photo's size."""
    return fit_mask(as_mask(warm.read(files.picture(picture))), photo)
