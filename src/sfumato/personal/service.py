"""Operations on personal styles: create, change, learn again, import, forget pictures and delete.

`sfumato personal` calls these functions. Each one that writes holds the lock of the store, and leaves the store intact
when it is interrupted (`store`).
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sfumato.errors import OutputError, UsageError
from sfumato.inference.library import is_name, new_personal_path, personal_folder
from sfumato.inference.style import PersonalStyle, Style
from sfumato.inference.style_bank import thinned
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
    """Create a personal style, and learn it from pictures.

    Args:
        name: Name of the style.
        found: The given pictures.
        stylizer: The model whose style codes are learnt.
        rights: Rights in the pictures, one of `rights.RIGHTS`.
        copy: Whether to copy the pictures into the store.

    Returns:
        The record, and the learnt style; None where no picture is liked.

    Raises:
        UsageError: The name is taken or not allowed, or there is no picture.
        InputError: A picture to be copied has changed since its inspection.
        OutputError: The store cannot be written.
    """
    if not found.liked and not found.disliked:
        raise UsageError(f"no usable picture was given, so there is nothing to learn; {name} was not made")
    with writing():
        path = new_personal_path(name)
        record = _merge(PersonalRecord(name), found, rights, copy)
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
    """Add pictures, or change known ones between liked and disliked; without pictures, only learn again.

    Args:
        name: Name of the style.
        found: The given pictures.
        stylizer: The model whose style codes are learnt.
        rights: Rights in the pictures, one of `rights.RIGHTS`.
        copy: Whether to copy new pictures into the store.
        inspected: The inspected pictures of the record (`recall`), which are then not encoded again.

    Returns:
        The record, and the learnt style; None where no picture is liked.

    Raises:
        UsageError: There is no such style, or it was imported from a file.
        InputError: A picture to be copied has changed since its inspection.
        OutputError: The store cannot be written.
    """

    def edit(record: PersonalRecord) -> PersonalRecord:
        return _merge(record, found, rights, copy)

    return _edit(name, edit, stylizer, {**(inspected or {}), **_inspected_of(found)})


def remove(
    name: str, hashes: Sequence[str], stylizer: Stylizer, answers: bool = False
) -> tuple[PersonalRecord, PersonalStyle | None]:
    """Remove pictures, by their hashes, with their codes; with ``answers``, remove all answers too.

    Raises:
        UsageError: As `add`.
        OutputError: As `add`.
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
    """Store an answer to a question about two styles, and learn from it.

    Raises:
        UsageError: As `add`.
        OutputError: As `add`.
    """
    ids = [(style.name, code_id(style.code)) for style in (first, second)]

    def edit(record: PersonalRecord) -> PersonalRecord:
        return replace(record, answers=(*record.answers, Answer(ids[0], ids[1], preferred, now())))

    return _edit(name, edit, stylizer, {}, {ids[0][1]: first.code, ids[1][1]: second.code})


def install(personal_style: PersonalStyle, name: str) -> PersonalRecord:
    """Store a personal style that comes from a file, under a new name.

    Raises:
        UsageError: The name is taken or not allowed.
        OutputError: The store cannot be written.
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
    """Delete a personal style and everything that is stored under its name.

    Raises:
        UsageError: There is no such style.
        OutputError: The folder cannot be removed completely.
    """
    with writing():
        folder = personal_folder() / name
        if not is_name(name) or not os.path.isdir(folder):
            load_record(name)  # raises the error
        gone = folder.with_name(f".deleted-{secrets.token_hex(6)}")
        try:
            os.rename(folder, gone)  # one atomic step, so that no other command finds an incomplete folder
            shutil.rmtree(gone)
        except OSError as problem:
            left = gone if os.path.isdir(gone) else folder
            raise OutputError(
                f"cannot remove all of {left}: {problem.strerror or problem}; remove it yourself"
            ) from problem


def forget(name: str, hashes: Collection[str]) -> bool:
    """Remove pictures without learning again, so that no model is needed: for the deletion of a picture.

    Their codes and copies are removed, and the learnt style, since it was computed from them. `add` without pictures
    learns it again from the rest.

    Args:
        name: Name of the style.
        hashes: SHA-256 of the pictures.

    Returns:
        Whether the style had one of them.

    Raises:
        UsageError: There is no such style.
        OutputError: The store cannot be written.
    """
    with writing():
        record = load_record(name)
        folder, before = record.folder, len(record.pictures)
        record = replace(record, pictures=tuple(p for p in record.pictures if p.sha256 not in hashes))
        has_changed = len(record.pictures) < before
        if has_changed:
            for learnt in (f"{name}.sfumato", LIKED):
                (folder / learnt).unlink(missing_ok=True)
            write_json(folder / RECORD, record.to_json())
        sweep(folder, record)  # also copies that a killed command has made before the record
    return has_changed


def require_learnt_style(record: PersonalRecord) -> PersonalStyle:
    """Return the personal style, if it was learnt from all pictures and answers.

    Raises:
        UsageError: No picture is liked, or some pictures or answers are not learnt yet.
        ModelError: The file of the learnt style is damaged.
    """
    personal_style = load_personal_style(record)
    if not record.is_learnt(personal_style):
        raise UsageError(
            f"{record.name} is not learnt from all its pictures yet; run sfumato personal learn {record.name} first"
        )
    if personal_style is None:
        raise UsageError(
            f"{record.name} has no liked picture, so there is no style to export; add pictures that you like"
        )
    return personal_style


def private_copy(personal_style: PersonalStyle, stylizer: Stylizer) -> PersonalStyle:
    """Return a personal style as it may be shared, with places of its pictures in their place (`style_bank.thinned`).

    Raises:
        UsageError: No liked picture is there to take places of, or it was imported from a private file already.
    """
    if personal_style.is_private:
        raise UsageError(f"{personal_style.name} was imported from a private file; export it without --private")
    places = [thinned(stylizer.networks, near) if near else None for near in personal_style.pictures]
    if not any(places):
        raise UsageError(
            f"none of the pictures that {personal_style.name} paints with is there any more; put them back "
            f"(sfumato personal show {personal_style.name}), or export it without --private"
        )
    return personal_style.private(places)


def _merge(record: PersonalRecord, found: Gathered, rights: str, copy: bool) -> PersonalRecord:
    """Return the record with the given pictures; a picture that another command added in the meantime counts once.

    Stated ``rights`` also apply to known pictures that were given again.
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
    """Change a stored record with ``edit`` and learn again, while holding the lock of the store."""
    with writing():
        before = load_record(name)
        before.check_learnable()
        record = edit(before)
        keep_private(before.folder)  # also repairs files that were created with other permissions
        return record, _write(before.folder, record, before, inspected, stylizer, shown)


def _write(
    folder: Path,
    record: PersonalRecord,
    before: PersonalRecord,
    inspected: Mapping[str, InspectedPicture],
    stylizer: Stylizer,
    shown: Mapping[str, StyleCode] | None = None,
) -> PersonalStyle | None:
    """Learn from a record, write everything that is missing or outdated in its folder, and return the learnt style.

    Args:
        folder: The person's folder, or the temporary folder of a new style.
        record: The new record.
        before: The record so far.
        inspected: Pictures that need not be inspected again, by hash.
        stylizer: The model whose style codes are learnt.
        shown: Style codes of a newly answered question, by `code_id`.
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
    # Only copies of new pictures are made: an older copy that has vanished cannot be made again.
    old = {picture.sha256 for picture in before.pictures}
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
        personal_style.save(path)  # last, so that after an interruption `is_learnt` reports an outdated style
    sweep(folder, record)
    keep_private(folder)
    return personal_style
