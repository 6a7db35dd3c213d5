"""What an account's tastes are: read from the files of `personal`, without learning anything."""

from __future__ import annotations

import os
from dataclasses import dataclass
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
    try:
        record = PersonalRecord.from_json(name, read_json(folder / name / RECORD))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    path = style_file(folder, name)
    try:
        style = PersonalStyle.load(path) if path.is_file() else None
    except ModelError:
        style = None
    return Taste(record, style)


def style_file(folder: Path, name: str) -> Path:
    """Return the path of a taste's learnt style, which is what one exports; it may not exist."""
    return folder / name / f"{name}{PERSONAL_SUFFIX}"
