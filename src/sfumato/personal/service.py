"""What can be done with a person's style: make it, change it, learn it again, and delete it.

`sfumato personal` calls these. Each that writes holds the store's lock, and leaves the store whole when it is
interrupted (`store`).
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sfumato.errors import OutputError, UsageError
from sfumato.inference.library import is_name, new_personal_path, personal_folder
from sfumato.inference.style import PersonalStyle, Style
from sfumato.inference.style_pictures import LIKED, write_liked
from sfumato.inference.stylizer import Stylizer
from sfumato.personal.gathering import Gathered, recall
from sfumato.personal.inspection import InspectedPicture
from sfumato.personal.learning import learn, painting_pictures
from sfumato.personal.records import Answer, PersonalRecord, RatedPicture, code_id, now
from sfumato.personal.store import (
    RECORD,
    answered_codes,
    copy_picture,
    keep_private,
    load_inspected,
    load_personal_style,
    load_record,
    new_folder,
    sweep,
    write_json,
    writing,
)
from sfumato.style_code import StyleCode, to_text


def create(
    name: str, found: Gathered, stylizer: Stylizer, rights: str = "unstated", copy: bool = False
) -> tuple[PersonalRecord, PersonalStyle | None]:
    """Store a new name, and learn from its pictures.

    Raises:
        UsageError: the name is taken or cannot be one, or there is no picture.
        OutputError: the store cannot be written.
    """
    if not found.liked and not found.disliked:
        raise UsageError(f"no usable picture was given, so there is nothing to learn; {name} was not made")
    with writing():
        path = new_personal_path(name)
        record = _merged(PersonalRecord(name), found, rights, copy)
        with new_folder(path.parent) as new:
            personal_style = _write(new, record, PersonalRecord(name), _inspected_of(found), stylizer)
    return record, personal_style


def add(
    name: str,
    found: Gathered,
    stylizer: Stylizer,
    rights: str = "unstated",
    copy: bool = False,
    inspected: Mapping[str, InspectedPicture] | None = None,
) -> tuple[PersonalRecord, PersonalStyle | None]:
    """Add pictures, or change sides of those that are there. With nothing gathered, only learn again.

    Args:
        inspected: codes of the pictures that are there (`recall`), which then need not be computed again.

    Raises:
        UsageError: there is no such name, or it came as a file.
        InputError: a picture that was to be copied has changed since it was looked at.
        OutputError: the store cannot be written.
    """

    def edit(record: PersonalRecord) -> PersonalRecord:
        return _merged(record, found, rights, copy)

    return _edit(name, edit, stylizer, {**(inspected or {}), **_inspected_of(found)})


def remove(
    name: str, hashes: Sequence[str], stylizer: Stylizer, answers: bool = False
) -> tuple[PersonalRecord, PersonalStyle | None]:
    """Forget pictures by their hashes, with their codes, and all answers if ``answers``.

    Raises:
        UsageError, OutputError: as `add`.
    """

    def edit(record: PersonalRecord) -> PersonalRecord:
        left = tuple(picture for picture in record.pictures if picture.sha256 not in hashes)
        return replace(record, pictures=left, answers=() if answers else record.answers)

    return _edit(name, edit, stylizer, {})


def answer(
    name: str,
    first: Style,
    second: Style,
    preferred: Literal["first", "second", "neither"],
    stylizer: Stylizer,
) -> tuple[PersonalRecord, PersonalStyle | None]:
    """Store one more answer, and learn from it.

    Raises:
        UsageError, OutputError: as `add`.
    """
    ids = [(style.name, code_id(style.code)) for style in (first, second)]

    def edit(record: PersonalRecord) -> PersonalRecord:
        return replace(record, answers=(*record.answers, Answer(ids[0], ids[1], preferred, now())))

    return _edit(name, edit, stylizer, {}, {ids[0][1]: first.code, ids[1][1]: second.code})


def install(personal_style: PersonalStyle, name: str) -> PersonalRecord:
    """Store a personal style that was imported from a file, under a name.

    Raises:
        UsageError: the name is taken or cannot be one.
        OutputError: the store cannot be written.
    """
    with writing():
        path = new_personal_path(name)
        record = PersonalRecord(name, imported=True)
        with new_folder(path.parent) as new:
            write_json(new / RECORD, record.to_json())
            replace(personal_style, name=name).save(new / path.name)
            keep_private(new)
    return record


def delete(name: str) -> None:
    """Remove a name and everything that is stored under it.

    Raises:
        UsageError: there is none.
        OutputError: it cannot be removed, or not wholly.
    """
    with writing():
        folder = personal_folder() / name
        if not is_name(name) or not os.path.isdir(folder):
            load_record(name)  # says so
        gone = folder.with_name(f".deleted-{secrets.token_hex(6)}")
        try:
            os.rename(folder, gone)  # at once: nobody finds half of it
            shutil.rmtree(gone)
        except OSError as problem:
            left = gone if os.path.isdir(gone) else folder
            raise OutputError(f"cannot remove all of {left}: {problem.strerror or problem}; remove it") from problem


def require_learnt_style(record: PersonalRecord) -> PersonalStyle:
    """The personal style, if it was learnt from all pictures and answers.

    Raises:
        UsageError: nothing is liked, or some pictures are not learnt from yet.
        ModelError: the file of what was learnt is damaged.
    """
    personal_style = load_personal_style(record)
    if not record.is_learnt(personal_style):
        raise UsageError(
            f"{record.name} is not learnt from all its pictures; run sfumato personal learn {record.name} first"
        )
    if personal_style is None:
        raise UsageError(
            f"nothing is liked under {record.name}, so there is no style to export; add pictures that you like"
        )
    return personal_style


def _merged(record: PersonalRecord, found: Gathered, rights: str, copy: bool) -> PersonalRecord:
    """PersonalRecord with what was gathered; what another command added meanwhile counts once.

    ``rights`` that are stated are those of pictures that were there and were given again, too.
    """
    there = {picture.sha256 for picture in record.pictures}
    pictures = [replace(picture, liked=found.moved.get(picture.sha256, picture.liked)) for picture in record.pictures]
    if rights != "unstated":
        pictures = [replace(p, rights=rights) if p.sha256 in found.known else p for p in pictures]
    for liked, several in ((True, found.liked), (False, found.disliked)):
        for one in several:
            if one.sha256 not in there:
                path = f"pictures/{one.sha256}{one.path.suffix.lower()}" if copy else str(one.path)
                pictures.append(RatedPicture(one.path.name, path, one.sha256, liked, rights, now()))
    return replace(record, pictures=tuple(pictures))


def _inspected_of(found: Gathered) -> dict[str, InspectedPicture]:
    return {one.sha256: one for one in (*found.liked, *found.disliked)}


def _edit(
    name: str,
    edit: Callable[[PersonalRecord], PersonalRecord],
    stylizer: Stylizer,
    inspected: Mapping[str, InspectedPicture],
    shown: Mapping[str, StyleCode] | None = None,
) -> tuple[PersonalRecord, PersonalStyle | None]:
    with writing():
        before = load_record(name)
        before.check_learnable()
        record = edit(before)
        keep_private(before.folder)  # older versions left that to the umask
        return record, _write(before.folder, record, before, inspected, stylizer, shown)


def _write(
    folder: Path,
    record: PersonalRecord,
    was: PersonalRecord,
    inspected: Mapping[str, InspectedPicture],
    stylizer: Stylizer,
    shown: Mapping[str, StyleCode] | None = None,
) -> PersonalStyle | None:
    """Writes all of a person's folder that is not there as it should be, and returns what was learnt.

    ``was`` is what was kept until now, ``inspected`` what is known of pictures already, ``shown`` the styles of a new
    question.
    """
    model = stylizer.card.model
    there = {p.sha256 for p in record.pictures if load_inspected(folder, p, record.file(p), model)}
    known, _ = recall(
        replace(record, pictures=tuple(p for p in record.pictures if p.sha256 not in inspected)), stylizer
    )
    known |= {picture.sha256: inspected[picture.sha256] for picture in record.pictures if picture.sha256 in inspected}
    for digest in known.keys() - there:
        about = {"sketch": to_text(known[digest].sketch, "<f2")}
        known[digest].code.save(folder / "codes" / f"{digest}.safetensors", about)
    for digest, code in (shown or {}).items():
        code.save(folder / "codes" / f"{digest}.safetensors")
    old = {picture.sha256 for picture in was.pictures}  # of a copy that has vanished there is nothing to copy
    for picture in record.pictures:
        if picture.is_copy and picture.sha256 not in old and not os.path.exists(folder / picture.path):
            copy_picture(inspected[picture.sha256], folder / picture.path)
    codes = {digest: one.code for digest, one in known.items()}
    personal_style = learn(record, {**codes, **answered_codes(record, model), **(shown or {})})
    write_json(folder / RECORD, record.to_json())
    path = folder / f"{record.name}.sfumato"
    if personal_style is None:
        path.unlink(missing_ok=True)
        (folder / LIKED).unlink(missing_ok=True)
    else:
        write_liked(folder, painting_pictures(record, personal_style, codes))
        personal_style.save(path)  # last: a style that does not fit what is kept is learnt again
    sweep(folder, record)
    keep_private(folder)
    return personal_style
