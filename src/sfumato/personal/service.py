"""What can be done with a person's taste: make it, change it, learn it again, and delete it.

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
from sfumato.personal.learning import learn, painting_pictures
from sfumato.personal.look import Seen
from sfumato.personal.records import Answer, Preferences, RatedPicture, code_id, now
from sfumato.personal.store import (
    RECORD,
    answered_codes,
    copy_picture,
    keep_private,
    load_preferences,
    load_seen,
    load_taste,
    new_folder,
    sweep,
    write_json,
    writing,
)
from sfumato.style_code import StyleCode, to_text


def create(
    name: str, found: Gathered, stylizer: Stylizer, rights: str = "unstated", copy: bool = False
) -> tuple[Preferences, PersonalStyle | None]:
    """Store a new name, and learn from its pictures.

    Raises:
        UsageError: the name is taken or cannot be one, or there is no picture.
        OutputError: the store cannot be written.
    """
    if not found.liked and not found.disliked:
        raise UsageError(f"no usable picture was given, so there is nothing to learn; {name} was not made")
    with writing():
        path = new_personal_path(name)
        prefs = _merged(Preferences(name), found, rights, copy)
        with new_folder(path.parent) as new:
            taste = _write(new, prefs, Preferences(name), _seen_of(found), stylizer)
    return prefs, taste


def add(
    name: str,
    found: Gathered,
    stylizer: Stylizer,
    rights: str = "unstated",
    copy: bool = False,
    seen: Mapping[str, Seen] | None = None,
) -> tuple[Preferences, PersonalStyle | None]:
    """Add pictures, or change sides of those that are there. With nothing gathered, only learn again.

    Args:
        seen: codes of the pictures that are there (`recall`), which then need not be computed again.

    Raises:
        UsageError: there is no such name, or it came as a file.
        InputError: a picture that was to be copied has changed since it was looked at.
        OutputError: the store cannot be written.
    """

    def edit(prefs: Preferences) -> Preferences:
        return _merged(prefs, found, rights, copy)

    return _edit(name, edit, stylizer, {**(seen or {}), **_seen_of(found)})


def remove(
    name: str, hashes: Sequence[str], stylizer: Stylizer, answers: bool = False
) -> tuple[Preferences, PersonalStyle | None]:
    """Forget pictures by their hashes, with their codes, and all answers if ``answers``.

    Raises:
        UsageError, OutputError: as `add`.
    """

    def edit(prefs: Preferences) -> Preferences:
        left = tuple(picture for picture in prefs.pictures if picture.sha256 not in hashes)
        return replace(prefs, pictures=left, answers=() if answers else prefs.answers)

    return _edit(name, edit, stylizer, {})


def answer(
    name: str,
    first: Style,
    second: Style,
    preferred: Literal["first", "second", "neither"],
    stylizer: Stylizer,
) -> tuple[Preferences, PersonalStyle | None]:
    """Store one more answer, and learn from it.

    Raises:
        UsageError, OutputError: as `add`.
    """
    ids = [(style.name, code_id(style.code)) for style in (first, second)]

    def edit(prefs: Preferences) -> Preferences:
        return replace(prefs, answers=(*prefs.answers, Answer(ids[0], ids[1], preferred, now())))

    return _edit(name, edit, stylizer, {}, {ids[0][1]: first.code, ids[1][1]: second.code})


def install(taste: PersonalStyle, name: str) -> Preferences:
    """Store a taste that was imported from a file, under a name.

    Raises:
        UsageError: the name is taken or cannot be one.
        OutputError: the store cannot be written.
    """
    with writing():
        path = new_personal_path(name)
        prefs = Preferences(name, imported=True)
        with new_folder(path.parent) as new:
            write_json(new / RECORD, prefs.to_json())
            replace(taste, name=name).save(new / path.name)
            keep_private(new)
    return prefs


def delete(name: str) -> None:
    """Remove a name and everything that is stored under it.

    Raises:
        UsageError: there is none.
        OutputError: it cannot be removed, or not wholly.
    """
    with writing():
        folder = personal_folder() / name
        if not is_name(name) or not os.path.isdir(folder):
            load_preferences(name)  # says so
        gone = folder.with_name(f".deleted-{secrets.token_hex(6)}")
        try:
            os.rename(folder, gone)  # at once: nobody finds half of it
            shutil.rmtree(gone)
        except OSError as problem:
            left = gone if os.path.isdir(gone) else folder
            raise OutputError(f"cannot remove all of {left}: {problem.strerror or problem}; remove it") from problem


def learnt_taste(prefs: Preferences) -> PersonalStyle:
    """The taste, if it was learnt from all pictures and answers.

    Raises:
        UsageError: nothing is liked, or some pictures are not learnt from yet.
        ModelError: the file of what was learnt is damaged.
    """
    taste = load_taste(prefs)
    if not prefs.is_learnt(taste):
        raise UsageError(
            f"{prefs.name} is not learnt from all its pictures; run sfumato personal learn {prefs.name} first"
        )
    if taste is None:
        raise UsageError(
            f"nothing is liked under {prefs.name}, so there is no style to export; add pictures that you like"
        )
    return taste


def _merged(prefs: Preferences, found: Gathered, rights: str, copy: bool) -> Preferences:
    """Preferences with what was gathered; what another command added meanwhile counts once.

    ``rights`` that are stated are those of pictures that were there and were given again, too.
    """
    there = {picture.sha256 for picture in prefs.pictures}
    pictures = [replace(picture, liked=found.moved.get(picture.sha256, picture.liked)) for picture in prefs.pictures]
    if rights != "unstated":
        pictures = [replace(p, rights=rights) if p.sha256 in found.known else p for p in pictures]
    for liked, several in ((True, found.liked), (False, found.disliked)):
        for one in several:
            if one.sha256 not in there:
                path = f"pictures/{one.sha256}{one.path.suffix.lower()}" if copy else str(one.path)
                pictures.append(RatedPicture(one.path.name, path, one.sha256, liked, rights, now()))
    return replace(prefs, pictures=tuple(pictures))


def _seen_of(found: Gathered) -> dict[str, Seen]:
    return {one.sha256: one for one in (*found.liked, *found.disliked)}


def _edit(
    name: str,
    edit: Callable[[Preferences], Preferences],
    stylizer: Stylizer,
    seen: Mapping[str, Seen],
    shown: Mapping[str, StyleCode] | None = None,
) -> tuple[Preferences, PersonalStyle | None]:
    with writing():
        before = load_preferences(name)
        before.check_learnable()
        prefs = edit(before)
        keep_private(before.folder)  # older versions left that to the umask
        return prefs, _write(before.folder, prefs, before, seen, stylizer, shown)


def _write(
    folder: Path,
    prefs: Preferences,
    was: Preferences,
    seen: Mapping[str, Seen],
    stylizer: Stylizer,
    shown: Mapping[str, StyleCode] | None = None,
) -> PersonalStyle | None:
    """Writes all of a person's folder that is not there as it should be, and returns what was learnt.

    ``was`` is what was kept until now, ``seen`` what is known of pictures already, ``shown`` the styles of a new
    question.
    """
    model = stylizer.card.model
    there = {p.sha256 for p in prefs.pictures if load_seen(folder, p, prefs.file(p), model)}
    known, _ = recall(replace(prefs, pictures=tuple(p for p in prefs.pictures if p.sha256 not in seen)), stylizer)
    known |= {picture.sha256: seen[picture.sha256] for picture in prefs.pictures if picture.sha256 in seen}
    for digest in known.keys() - there:
        about = {"sketch": to_text(known[digest].sketch, "<f2")}
        known[digest].code.save(folder / "codes" / f"{digest}.safetensors", about)
    for digest, code in (shown or {}).items():
        code.save(folder / "codes" / f"{digest}.safetensors")
    old = {picture.sha256 for picture in was.pictures}  # of a copy that has vanished there is nothing to copy
    for picture in prefs.pictures:
        if picture.is_copy and picture.sha256 not in old and not os.path.exists(folder / picture.path):
            copy_picture(seen[picture.sha256], folder / picture.path)
    codes = {digest: one.code for digest, one in known.items()}
    taste = learn(prefs, {**codes, **answered_codes(prefs, model), **(shown or {})})
    write_json(folder / RECORD, prefs.to_json())
    path = folder / f"{prefs.name}.sfumato"
    if taste is None:
        path.unlink(missing_ok=True)
        (folder / LIKED).unlink(missing_ok=True)
    else:
        write_liked(folder, painting_pictures(prefs, taste, codes))
        taste.save(path)  # last: a style that does not fit what is kept is learnt again
    sweep(folder, prefs)
    keep_private(folder)
    return taste
