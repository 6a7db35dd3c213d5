"""Explanation of a painted picture: a sheet, sentences, and the sources of its strokes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sfumato import assets
from sfumato.errors import UsageError
from sfumato.image import Photo, Picture, to_uint8, write_photo
from sfumato.inference.explain import explain as explain_draft
from sfumato.inference.explain_sheet import explanation_sheet
from sfumato.inference.explain_words import (
    change_sentences,
    discriminator_sentences,
    matched_title_of,
    origin_sentences,
    strongest_sentences,
    swap_sentences,
    title_of,
)
from sfumato.inference.explanation import Explanation
from sfumato.inference.library import personal_in
from sfumato.inference.origins import Explained, find_origins, origins_sheet
from sfumato.inference.progress import Progress
from sfumato.inference.recipe import Recipe
from sfumato.studio.measures import measure_if_alike
from sfumato.studio.thumbs import write_thumb
from sfumato.studio.work import warm
from sfumato.studio.work.parts import Inputs, Made, Stored
from sfumato.studio.work.saving import MEDIA_TYPES

_QUALITY = 90  # of the sheet
_EXPLAINED = 0.9  # share of the progress that the explanation takes


def explain(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Explain how a picture came about: a draft by its style code, another by the origins of its features."""
    stored = files.picture(asked["picture"])
    if stored.recipe is None:
        raise UsageError(f"{stored.name} holds no recipe, so it cannot be explained; choose a picture by Sfumato")
    recipe = Recipe.from_json(stored.recipe, stored.name)
    photo = files.pictures.get(stored.photo or "")
    progress(0.0, "painting it again")
    sources: list[dict[str, Any]] = []

    def tick(done: int, total: int) -> None:
        progress(_EXPLAINED * done / total, "explaining")

    with personal_in(files.personal):
        if recipe.quality == "draft":
            draft = explain_draft(
                stored.path,
                None if photo is None or recipe.finish else photo.path,
                warm.stylizer(),
                tick,
            )
            sheet, sentences = explanation_sheet(draft), _draft_sentences(draft)
        else:
            found = find_origins(
                stored.path, _photo_path(stored, photo, recipe), warm.stylizer(), warm.known_styles(files)
            )
            sheet, sentences, sources = origins_sheet(found), _origin_sentences(found), _sources(found)
    progress(_EXPLAINED, "saving")
    measures = None if photo is None else measure_if_alike(warm.read(stored), warm.read(photo))
    result = {"sheet": {"$made": 0}, "sentences": sentences, "measures": measures, "sources": sources}
    return result, [_saved(sheet, folder, stored)]


def _photo_path(stored: Stored, photo: Stored | None, recipe: Recipe) -> Path:
    """Return the path of the photo, which is painted again.

    Raises:
        UsageError: there is none, or the picture was finished and cannot be compared.
    """
    if recipe.finish:
        raise UsageError(
            f"{stored.name} was finished after painting, and is explained by painting its photo again; choose the "
            "picture before finishing"
        )
    if photo is None:
        raise UsageError(
            f"the photo of {stored.name} has been deleted, and the picture is explained by painting it again; choose "
            "another picture"
        )
    return photo.path


def _draft_sentences(found: Explanation) -> list[str]:
    sentences = [_whole(title_of(found))]
    if found.change is not None:
        sentences += change_sentences(found.change)
    for style in found.styles:
        if style.swaps:
            sentences += swap_sentences(style)
            if any(swap.share for swap in style.swaps):
                parts = sorted(style.swaps, key=lambda swap: -swap.share)
                sentences.append(_whole(", ".join(f"{swap.part.label} {swap.share:.0%}" for swap in parts)))
                sentences.append(" ".join(strongest_sentences(style)))
        if style.discriminator is not None:
            sentences += ["The discriminator's verdict:", *discriminator_sentences(style, found.recipe.model)]
    return [*sentences, *_without_options(found.left_out)]


def _without_options(sentences: Iterable[str]) -> list[str]:
    """Leave out the advice to use an option of the command line."""
    return [_whole(sentence.partition(": give it as --")[0].rstrip(".")) for sentence in sentences]


def _origin_sentences(found: Explained) -> list[str]:
    sentences = [_whole(matched_title_of(found.recipe))]
    for origins in found.styles:
        sentences += origin_sentences(origins)
    if found.recipe.masks:
        sentences.append("It was painted through masks; each style is explained here as if it had all of the picture.")
    return sentences


def _sources(found: Explained) -> list[dict[str, Any]]:
    """Return the pictures of all styles with their shares, the largest first.

    ``work`` is the SHA-256 of a picture that ships, by which the service gives it; None for others.
    """
    ship = {entry.sha256 for entry in assets.ledger()}
    sources = [
        {"title": each.title, "share": each.share, "work": each.sha256 if each.sha256 in ship else None}
        for origins in found.styles
        for each in origins.sources
    ]
    return sorted(sources, key=lambda source: -float(source["share"]))


def _whole(words: str) -> str:
    """Return words as a sentence."""
    return f"{words[:1].upper()}{words[1:]}."


def _saved(sheet: Picture, folder: Path, stored: Stored) -> Made:
    """Write the sheet. It has no recipe, so that nobody takes it for a painting."""
    photo = Photo(to_uint8(sheet))
    file, thumb = folder / "sheet.webp", folder / "sheet.thumb.webp"
    write_photo(photo, file, "webp", _QUALITY)
    write_thumb(photo, thumb)
    return Made(
        "sheet", file, thumb, photo.width, photo.height, MEDIA_TYPES["webp"], photo=stored.id, title=stored.title
    )
