"""Tastes: learning from liked and disliked pictures, questions and answers, and what was learnt, in pictures."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sfumato.errors import UsageError
from sfumato.image import Photo, Picture, to_uint8
from sfumato.inference.library import has_personal, personal_in
from sfumato.inference.options import PaintOptions
from sfumato.inference.pipeline import Pipeline
from sfumato.inference.progress import Progress
from sfumato.inference.style import PersonalStyle, Style
from sfumato.personal import service
from sfumato.personal.ask import Questions, sample_photo
from sfumato.personal.gathering import gather, odd_remarks, recall
from sfumato.personal.records import PersonalRecord, code_id
from sfumato.personal.store import load_personal_style, load_record
from sfumato.studio.work import warm
from sfumato.studio.work.parts import Inputs, Made, Stored
from sfumato.studio.work.saving import save_preview

_SHEET_SIDE = 512  # longest side of the pictures that show what was learnt
_CHOICES: dict[str, Literal["first", "second", "neither"]] = {
    "first": "first",
    "second": "second",
    "neither": "neither",
}
# A sitting is kept between its questions, since it holds the painted pictures.
_sittings: warm.Recent[Questions] = warm.Recent(2)


def learn(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Add liked and disliked pictures to a taste, remove others, and learn it; a new taste is made."""
    name, stylizer = asked["taste"], warm.stylizer()
    liked, disliked = (_named(asked.get(key) or (), files, folder / key) for key in ("liked", "disliked"))

    def tick(done: int, total: int) -> None:
        progress(0.8 * done / max(1, total), f"picture {done} of {total}")

    with personal_in(files.personal):
        is_new = not has_personal(name)
        if not is_new and (removed := asked.get("removed")):
            service.remove(name, removed, stylizer)
        before = None if is_new else load_record(name)
        inspected = {} if before is None else recall(before, stylizer)[0]
        found = gather(liked, disliked, stylizer, before, inspected, tick)
        remarks = [remark.text for remark in found.remarks]
        if is_new and not (found.liked or found.disliked) and remarks:
            raise UsageError(f"nothing can be learnt: {'; '.join(remarks)}")
        progress(0.8, "learning")
        if is_new:
            record, personal_style = service.create(name, found, stylizer, copy=True)
        else:
            record, personal_style = service.add(name, found, stylizer, copy=True, inspected=inspected)
        codes = {digest: one.code for digest, one in recall(record, stylizer)[0].items()}
        remarks += [remark.text for remark in odd_remarks(record, codes, found)]
    return {"taste": name, "learnt": personal_style is not None, "remarks": remarks}, []


def question(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Return the question that teaches most about a taste: one photo in two styles."""
    with personal_in(files.personal):
        return _next(asked, files, folder, progress)


def answer(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Store an answer, learn from it, and return the next question."""
    name, choice = asked["taste"], _CHOICES[asked["choice"]]
    progress(0.0, "learning")
    with personal_in(files.personal):
        first, second = (_one(asked[key], files) for key in ("first", "second"))
        asked_before = {frozenset((each.first[1], each.second[1])) for each in load_record(name).answers}
        if frozenset((code_id(first.code), code_id(second.code))) not in asked_before:  # else a job that ran twice
            service.answer(name, first, second, choice, warm.stylizer())
        return _next(asked, files, folder, progress)


def taste_sheet(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Paint a photo in each centre of a taste: what was learnt, in pictures."""
    with personal_in(files.personal):
        personal_style = load_personal_style(load_record(asked["taste"]))
    if personal_style is None:
        return {"centres": []}, []
    photo = _photo(asked, files)
    centres, made = [], []
    whole = sum(personal_style.weights)
    for place, (style, weight) in enumerate(zip(personal_style.styles, personal_style.weights, strict=True)):
        progress(place / len(personal_style.styles), f"style {place + 1} of {len(personal_style.styles)}")
        pipeline = Pipeline(style, PaintOptions(quality="draft"), max_size=_SHEET_SIDE, stylizer=warm.stylizer())
        painted = pipeline(photo).picture
        made.append(save_preview(painted, folder, f"centre-{place}", photo=asked.get("photo")))
        centres.append({"ref": warm.reference_of(style), "weight": weight / whole, "picture": {"$made": place}})
    return {"centres": centres}, made


def _next(
    asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Made]]:
    """Return the next question to a person, with its two pictures."""
    name = asked["taste"]
    record = load_record(name)
    sitting = _sitting(record, asked, files)
    progress(0.3, "looking for a question")
    found = sitting.next()
    answered = len(record.answers)
    if found is None:
        sentence = "Enough is learnt: no question would teach much more."
        return {"question": None, "answered": answered, "sentence": sentence}, []
    made = [
        save_preview(Photo(to_uint8(picture)), folder, f"choice-{place}", photo=asked.get("photo"))
        for place, picture in enumerate(found.pictures)
    ]
    shown = {
        "first": warm.reference_of(found.first),
        "second": warm.reference_of(found.second),
        "pictures": [{"$made": 0}, {"$made": 1}],
    }
    return {"question": shown, "answered": answered, "sentence": "Which of the two do you like better?"}, made


def _sitting(record: PersonalRecord, asked: Mapping[str, Any], files: Inputs) -> Questions:
    """Return the sitting of a person, a new one where the pictures of the record or the photo have changed."""
    stored = files.picture(asked["photo"]) if asked.get("photo") else None
    pictures = tuple((each.sha256, each.liked) for each in record.pictures)
    path = None if stored is None else stored.small or stored.path
    key = (str(record.folder), pictures, stored and stored.sha256)
    sitting = _sittings.get(key, lambda: Questions(record.name, warm.stylizer(), path))
    sitting.reload()
    return sitting


def _one(reference: str, files: Inputs) -> Style:
    """Return the style of a reference as one style, not as a person."""
    found = warm.style(reference, files)
    return found.style if isinstance(found, PersonalStyle) else found


def _photo(asked: Mapping[str, Any], files: Inputs) -> Photo | Picture:
    """Return the photo that is to be painted, or a drawn one."""
    if asked.get("photo"):
        return warm.read_small(files.picture(asked["photo"]), _SHEET_SIDE)
    return sample_photo()


def _named(ids: Any, files: Inputs, folder: Path) -> list[Path]:
    """Return paths of pictures whose names are their titles, which a taste keeps and remarks quote."""
    paths = []
    for place, id_ in enumerate(ids):
        stored = files.picture(id_)
        path = folder / str(place) / _file_name(stored)
        path.parent.mkdir(parents=True)
        try:
            path.symlink_to(stored.path.absolute())
        except OSError:  # the system has no links, or allows none
            shutil.copyfile(stored.path, path)
        paths.append(path)
    return paths


def _file_name(stored: Stored) -> str:
    safe = "".join(sign if sign.isalnum() or sign in " -_().," else "_" for sign in stored.title).strip(" .")
    return f"{safe[:60] or 'picture'}.png"
