"""The store of personal styles: one folder per name on the person's disk, in formats that they can read.

::

    $SFUMATO_PERSONAL, or sfumato/personal in the system's folder for data
      NAME/
        record.json            the record: pictures (path, hash, liked or not, rights, time) and answers
        pictures.json          paths of the liked pictures with which each style is painted
        codes/HASH.safetensors style code and sketch of each picture, and codes of styles in questions
        pictures/HASH.jpg      copies of pictures, if requested
        NAME.sfumato           the learnt style (`inference.personal_file`)
      .lock                    lock of the command that writes

Nothing about a person is stored anywhere else. A command that writes holds the lock. It replaces each file as a whole,
the record before the style that is learnt from it. A killed command therefore leaves the old or the new record, and at
most an outdated ``NAME.sfumato``, which `PersonalRecord.is_learnt` detects and the next write replaces. The next
command that writes also removes the temporary files of a killed one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from sfumato import assets
from sfumato.errors import InputError, OutputError, SfumatoError, UsageError, first_line
from sfumato.files import atomic_file, read_bytes, read_json
from sfumato.image import picture_digest
from sfumato.inference.library import PERSONAL, PERSONAL_SUFFIX, has_personal, is_name, personal_folder
from sfumato.inference.style import PersonalStyle, Style
from sfumato.inference.style_pictures import LIKED
from sfumato.limits import max_file_bytes, max_pixels
from sfumato.locks import locked
from sfumato.personal.inspection import InspectedPicture, Remark
from sfumato.personal.records import FORMAT, PersonalRecord, RatedPicture
from sfumato.style_code import StyleCode, from_text

_log = logging.getLogger(__name__)  # warnings go to stderr unless the program configures logging
#: Name of the file of the record (`PersonalRecord.to_json`).
RECORD = "record.json"
_MAX_BYTES = 256_000_000  # maximum size of the record; a picture takes about 400 bytes
#: Name of the picture that `sfumato personal ask` shows for a question.
QUESTION = "question.png"
# Files that `sweep` may remove; any other file in the folder belongs to the person.
_OURS = re.compile(
    rf"{re.escape(QUESTION)}|((codes|pictures)/)?\.sfumato-[0-9a-f]+\.tmp"
    r"|codes/([0-9a-f]{32}|[0-9a-f]{64})\.safetensors|pictures/[0-9a-f]{64}(\.[a-z]+)?"
)


# ---- reading -------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """Return the names of all personal styles, sorted.

    Raises:
        OutputError: The store cannot be read, for example because it is a file.
    """
    try:
        root = personal_folder()
    except OutputError:  # without a home folder there is no store
        return []
    try:
        found = os.listdir(root)
    except FileNotFoundError:  # the store does not exist yet
        return []
    except OSError as problem:
        raise OutputError(f"cannot read {root}: {problem.strerror or problem}; see SFUMATO_PERSONAL") from problem
    return sorted(name for name in found if is_name(name) and os.path.isfile(root / name / RECORD))


def load_record(name: str) -> PersonalRecord:
    """Read the record of a personal style.

    Raises:
        UsageError: There is no style of this name.
        InputError: The file cannot be read, or is damaged.
        OutputError: The store cannot be read.
    """
    if not has_personal(name):
        hint = assets.nearest(name, names())
        hint = hint if hint.startswith("did") else "`sfumato personal list` lists all names"
        raise UsageError(f"no style {name!r} was learnt; {hint}")
    path = personal_folder() / name / RECORD
    try:
        found = read_json(path, _MAX_BYTES)
        if type(found["format"]) is int and found["format"] > FORMAT:
            raise InputError(f"{path} was written by a later version of Sfumato; install that version")
        return PersonalRecord.from_json(name, found)
    except OSError as problem:
        raise InputError(
            f"cannot read {path}: {problem.strerror}; check the file, or delete {name} and start again"
        ) from problem
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise InputError(
            f"{path} is damaged ({first_line(problem)}); repair it, or delete {name} and start again"
        ) from problem


def load_personal_style(record: PersonalRecord) -> PersonalStyle | None:
    """Read the learnt style; None if no picture is liked.

    Raises:
        ModelError: The file is damaged.
    """
    path = record.folder / f"{record.name}.sfumato"
    return PersonalStyle.load(path) if os.path.exists(path) else None


def missing_pictures(record: PersonalRecord) -> list[Remark]:
    """Return a remark on each picture that has vanished or changed since it was added.

    The style codes of such pictures are still stored, so they still count.
    """
    found = []
    for picture in record.pictures:
        path = record.file(picture)
        match picture_state(record, picture):
            case "changed":
                mend = f"to use the new one, add it and remove {picture.sha256[:12]}"
                message = f"{picture.name} has changed since; its earlier version still counts ({mend})"
                found.append(Remark(str(path), "changed", message, left_out=False))
            case "vanished":
                message = f"{picture.name} is no longer at {path}; its stored style code still counts"
                found.append(Remark(str(path), "vanished", message, left_out=False))
    return found


def picture_state(record: PersonalRecord, picture: RatedPicture) -> Literal["there", "changed", "vanished"]:
    """Return whether a picture's file is still there, has changed, or has vanished since it was added."""
    try:
        digest = picture_digest(record.file(picture))
    except InputError:
        return "vanished"
    return "there" if digest == picture.sha256 else "changed"


def load_inspected(folder: Path, picture: RatedPicture, path: Path, model: str) -> InspectedPicture | None:
    """Read the stored style code and sketch of a picture; None where they are missing, damaged or of another model."""
    try:
        code, about = StyleCode.load(folder / "codes" / f"{picture.sha256}.safetensors")
        if code.model != model:
            return None
        return InspectedPicture(path.with_name(picture.name), picture.sha256, code, from_text(about["sketch"], "<f2"))
    except (SfumatoError, KeyError, ValueError):
        return None


def answered_codes(record: PersonalRecord, model: str) -> dict[str, StyleCode]:
    """Load the style codes of answered questions that belong to ``model``, by their `code_id`.

    For a built-in style, the code is that of the installed version, even if it has changed since the question.
    """
    found = {}
    built_in = assets.style_names()
    for name, code in {shown for each in record.answers for shown in (each.first, each.second)}:
        with suppress(SfumatoError):  # answers about a style that no longer exists are not used
            if name in built_in:
                found[code] = Style.named(name).code
            else:
                found[code] = StyleCode.load(record.folder / "codes" / f"{code}.safetensors")[0]
    return {key: code for key, code in found.items() if code.model == model}


# ---- writing -------------------------------------------------------------------------------------------------------


def copy_picture(one: InspectedPicture, path: Path) -> None:
    """Copy the file of an inspected picture.

    Raises:
        InputError: The file cannot be read, or has changed since its inspection.
        OutputError: The copy cannot be written.
    """
    try:
        data = read_bytes(one.path, max_file_bytes(max_pixels()))
    except OSError as problem:
        raise InputError(f"cannot copy {one.path}: {problem.strerror}; check the file") from problem
    if hashlib.sha256(data).hexdigest() != one.sha256:
        raise InputError(f"{one.path} has changed while it was being read; run the command again")
    with atomic_file(path) as file:
        file.write(data)


def write_json(path: Path, found: Mapping[str, Any]) -> None:
    """Write an object as a JSON file, whole or not at all."""
    with atomic_file(path) as file:
        file.write(json.dumps(found, indent=1).encode() + b"\n")


def sweep(folder: Path, record: PersonalRecord) -> None:
    """Remove files that the record no longer names, and temporary files of killed commands.

    Only files with names of the store's own forms are removed.
    """
    codes = {picture.sha256 for picture in record.pictures}
    codes |= {code for each in record.answers for _, code in (each.first, each.second)}
    wanted = {folder / "codes" / f"{code}.safetensors" for code in codes}
    wanted |= {folder / picture.path for picture in record.pictures if picture.is_copy}
    for path in (*folder.glob("*"), *folder.glob("codes/*"), *folder.glob("pictures/*")):
        name = path.relative_to(folder).as_posix()
        if path not in wanted and _OURS.fullmatch(name) and not path.is_dir():
            with suppress(OSError):
                path.unlink()


@contextmanager
def writing() -> Iterator[None]:
    """Hold the lock of the store, so that only one command writes at a time, and remove leftovers of killed commands.

    Raises:
        OutputError: The store cannot be written or locked.
    """
    root = personal_folder()
    try:
        if not os.path.isdir(root):
            root.mkdir(0o700, parents=True, exist_ok=True)  # only the owner may read it
    except OSError as problem:
        raise OutputError(f"cannot write into {root}: {problem.strerror or problem}; see {PERSONAL}") from problem

    def waiting() -> None:
        _log.warning("sfumato: another command writes into %s; waiting for it to finish", root)

    with ExitStack() as held:
        try:
            held.enter_context(locked(root / ".lock", waiting))
            keep_private(root / ".lock")
        except OSError as problem:
            raise OutputError(f"cannot lock {root}: {problem.strerror or problem}; see {PERSONAL}") from problem
        for left in (*root.glob(".new-*"), *root.glob(".deleted-*")):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Provide a temporary folder for a new style; at the end it is renamed to ``path``, or removed after an error.

    Raises:
        OutputError: The folder cannot be written.
    """
    new = personal_folder() / f".new-{secrets.token_hex(6)}"
    try:
        new.mkdir(0o700)
        try:
            yield new
            os.rename(new, path)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as problem:
        raise OutputError(f"cannot write {path}: {problem.strerror or problem}; see {PERSONAL}") from problem


def keep_private(path: Path) -> None:
    """Make the store's own files in a folder, or one file, readable for their owner only, whatever the umask.

    Other files in the folder keep their permissions.
    """
    ours = [path]
    if path.is_dir():
        named = {RECORD, LIKED, "codes", "pictures", *(each.name for each in path.glob(f"*{PERSONAL_SUFFIX}"))}
        inside = (*path.glob("*"), *path.glob("codes/*"), *path.glob("pictures/*"))
        names = {each: each.relative_to(path).as_posix() for each in inside if not each.is_symlink()}
        ours += [each for each, name in names.items() if name in named or _OURS.fullmatch(name)]
    for each in ours:
        with suppress(OSError):  # for example, files of another user
            each.chmod(0o700 if each.is_dir() else 0o600)
