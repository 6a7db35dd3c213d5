"""What an account's tastes are: read from the files of `personal`, without learning anything."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sfumato.errors import ModelError
from sfumato.files import read_json
from sfumato.inference.library import PERSONAL_SUFFIX, is_name
from sfumato.inference.style import PersonalStyle
from sfumato.personal.records import PersonalRecord
from sfumato.personal.store import RECORD


@dataclass(frozen=True)
class Taste:
    """A taste: what was rated, and the style that was learnt from it, if there is one."""

    record: PersonalRecord
    style: PersonalStyle | None

    @property
    def is_learnt(self) -> bool:
        """Whether there is a style to paint with, learnt from all pictures and answers."""
        return self.style is not None and self.record.is_learnt(self.style)


def exists(folder: Path, name: str) -> bool:
    """Return whether an account has a taste of that name; ``folder`` is that of its tastes."""
    return is_name(name) and os.path.isfile(folder / name / RECORD)


def names(folder: Path) -> list[str]:
    """Return the names of an account's tastes, sorted."""
    try:
        found = os.listdir(folder)
    except OSError:
        return []
    return sorted(name for name in found if exists(folder, name))


def load(folder: Path, name: str) -> Taste | None:
    """Return a taste; None where there is none, or its files are damaged."""
    if not exists(folder, name):
        return None
    record, style = folder / name / RECORD, style_file(folder, name)
    return _load(name, record, style, _state(record), _state(style))


@lru_cache(maxsize=64)
def _load(name: str, record: Path, style: Path, *_states: tuple[int, int] | None) -> Taste | None:
    """Read a taste whose files are in a certain state; as long as they stay in it, they are not read again."""
    try:
        found = PersonalRecord.from_json(name, read_json(record))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    try:
        return Taste(found, PersonalStyle.load(style) if style.is_file() else None)
    except ModelError:
        return Taste(found, None)


def _state(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever a file is replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def style_file(folder: Path, name: str) -> Path:
    """Return the path of a taste's learnt style, which is what one exports; it may not exist."""
    return folder / name / f"{name}{PERSONAL_SUFFIX}"
