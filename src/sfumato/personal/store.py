"""The store of what a person likes: one folder on their disk for each name, which they can open.

::

    $SFUMATO_PERSONAL, or sfumato/personal in the system's place for data
      NAME/
        pictures.json          where the liked pictures lie that each style is painted with
        record.json             the record: pictures (where, hash, liked or not, rights, when) and answers
        codes/HASH.safetensors style code and sketch of each picture, and codes of styles that questions were about
        pictures/HASH.jpg      copies, where they were asked for
        NAME.sfumato           what was learnt of it (`inference.personal_file`): the style
      .lock                    taken by whoever writes

Nothing about a person lies anywhere else. Whoever writes holds the lock, and each file is replaced as a whole, the
record before what is learnt from it: a command that is killed leaves the store as it was, or as it was to be, and at
most an older ``NAME.sfumato``, until the next that writes, which `PersonalRecord.is_learnt` tells. The next command
that writes removes the temporary files of a killed one.
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

_log = logging.getLogger(__name__)  # its warnings go to stderr where nobody set up logging otherwise
#: The file of the record, `PersonalRecord.to_json`.
RECORD = "record.json"
_MAX_BYTES = 256_000_000  # of the record; a picture takes about 400
#: The picture that `sfumato personal ask` shows while it asks.
QUESTION = "question.png"
# What may be swept away: whatever else a person puts there is theirs.
_OURS = re.compile(
    rf"{re.escape(QUESTION)}|((codes|pictures)/)?\.sfumato-[0-9a-f]+\.tmp"
    r"|codes/([0-9a-f]{32}|[0-9a-f]{64})\.safetensors|pictures/[0-9a-f]{64}(\.[a-z]+)?"
)


# ---- reading -------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """The names under which something is stored, sorted.

    Raises:
        OutputError: the store cannot be read: it is a file, say.
    """
    try:
        root = personal_folder()
    except OutputError:  # nobody who has no home has learnt anything
        return []
    try:
        found = os.listdir(root)
    except FileNotFoundError:  # nothing was learnt yet
        return []
    except OSError as problem:
        raise OutputError(f"cannot read {root}: {problem.strerror or problem}; see SFUMATO_PERSONAL") from problem
    return sorted(name for name in found if is_name(name) and os.path.isfile(root / name / RECORD))


def load_record(name: str) -> PersonalRecord:
    """Read what is stored under a name.

    Raises:
        UsageError: there is nothing of that name.
        InputError: the file cannot be read, or is damaged.
        OutputError: the store itself cannot be read.
    """
    if not has_personal(name):
        hint = assets.nearest(name, names())
        hint = hint if hint.startswith("did") else "`sfumato personal list` lists what there is"
        raise UsageError(f"no style {name!r} was learnt; {hint}")
    path = personal_folder() / name / RECORD
    try:
        found = read_json(path, _MAX_BYTES)
        if type(found["format"]) is int and found["format"] > FORMAT:
            raise InputError(f"{path} was written by a later version of Sfumato; install that")
        return PersonalRecord.from_json(name, found)
    except OSError as problem:
        raise InputError(f"cannot read {path}: {problem.strerror}; delete {name}, and begin again") from problem
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise InputError(
            f"{path} is damaged ({first_line(problem)}); mend it, or delete {name} and begin again"
        ) from problem


def load_personal_style(record: PersonalRecord) -> PersonalStyle | None:
    """Read what was learnt; None where nothing is liked.

    Raises:
        ModelError: its file is damaged.
    """
    path = record.folder / f"{record.name}.sfumato"
    return PersonalStyle.load(path) if os.path.exists(path) else None


def missing_pictures(record: PersonalRecord) -> list[Remark]:
    """A remark on each picture that has vanished or changed since it was added. Its style code is still known."""
    found = []
    for picture in record.pictures:
        path = record.file(picture)
        match picture_state(record, picture):
            case "changed":
                mend = f"add it again, and remove what it was: {picture.sha256[:12]}"
                message = f"{picture.name} has changed since; what it was is still known ({mend})"
                found.append(Remark(str(path), "changed", message, left_out=False))
            case "vanished":
                message = f"{picture.name} is no longer at {path}; what it was is still known"
                found.append(Remark(str(path), "vanished", message, left_out=False))
    return found


def picture_state(record: PersonalRecord, picture: RatedPicture) -> Literal["there", "changed", "vanished"]:
    """What became of a picture's file since it was added."""
    try:
        digest = picture_digest(record.file(picture))
    except InputError:
        return "vanished"
    return "there" if digest == picture.sha256 else "changed"


def load_inspected(folder: Path, picture: RatedPicture, path: Path, model: str) -> InspectedPicture | None:
    """Read a picture's stored style code and sketch; None where they are missing, damaged or of another model."""
    try:
        code, about = StyleCode.load(folder / "codes" / f"{picture.sha256}.safetensors")
        if code.model != model:
            return None
        return InspectedPicture(path.with_name(picture.name), picture.sha256, code, from_text(about["sketch"], "<f2"))
    except (SfumatoError, KeyError, ValueError):
        return None


def answered_codes(record: PersonalRecord, model: str) -> dict[str, StyleCode]:
    """The codes that questions were about, by their `code_id`, as far as they are that model's.

    A built-in style is that of this version, whatever it was when the question was asked.
    """
    found = {}
    built_in = assets.style_names()
    for name, code in {shown for each in record.answers for shown in (each.first, each.second)}:
        with suppress(SfumatoError):  # a style that is gone teaches nothing
            if name in built_in:
                found[code] = Style.named(name).code
            else:
                found[code] = StyleCode.load(record.folder / "codes" / f"{code}.safetensors")[0]
    return {key: code for key, code in found.items() if code.model == model}


# ---- writing -------------------------------------------------------------------------------------------------------


def copy_picture(one: InspectedPicture, path: Path) -> None:
    """Copies a picture that was looked at.

    Raises:
        InputError: it cannot be read, or has changed since it was looked at.
    """
    try:
        data = read_bytes(one.path, max_file_bytes(max_pixels()))
    except OSError as problem:
        raise InputError(f"cannot copy {one.path}: {problem.strerror}") from problem
    if hashlib.sha256(data).hexdigest() != one.sha256:
        raise InputError(f"{one.path} has changed while it was looked at; run the command again")
    with atomic_file(path) as file:
        file.write(data)


def write_json(path: Path, found: Mapping[str, Any]) -> None:
    """Writes an object as a JSON file, whole or not at all."""
    with atomic_file(path) as file:
        file.write(json.dumps(found, indent=1).encode() + b"\n")


def sweep(folder: Path, record: PersonalRecord) -> None:
    """Removes what ``personal_style.json`` no longer names, and what killed commands left; nothing that has another's
    name."""
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
    """Holds the store's lock, so that one command at a time writes, and removes what killed commands left.

    Raises:
        OutputError: the store cannot be written or locked.
    """
    root = personal_folder()
    try:
        if not os.path.isdir(root):
            root.mkdir(0o700, parents=True, exist_ok=True)  # nobody else's business
    except OSError as problem:
        raise OutputError(f"cannot write into {root}: {problem.strerror or problem}; see {PERSONAL}") from problem

    def waiting() -> None:
        _log.warning("sfumato: another command writes into %s; waiting for its end", root)

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
    """Where a new name is made ready, for nobody else to see; it becomes ``path`` at the end, or nothing is left.

    Raises:
        OutputError: it cannot be written.
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
        raise OutputError(f"cannot write {path}: {problem.strerror or problem}") from problem


def keep_private(path: Path) -> None:
    """Has the owner alone read what is kept of a person, whatever the folder of the store and the umask let others do.
    What lies there and is not ours stays as it is."""
    ours = [path]
    if path.is_dir():
        named = {RECORD, LIKED, "codes", "pictures", *(each.name for each in path.glob(f"*{PERSONAL_SUFFIX}"))}
        inside = (*path.glob("*"), *path.glob("codes/*"), *path.glob("pictures/*"))
        names = {each: each.relative_to(path).as_posix() for each in inside if not each.is_symlink()}
        ours += [each for each, name in names.items() if name in named or _OURS.fullmatch(name)]
    for each in ours:
        with suppress(OSError):  # another user's, say
            each.chmod(0o700 if each.is_dir() else 0o600)
