"""What lies in a folder: its pictures, and what is passed over with the reason."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sfumato.image.formats import READABLE, why_unread

#: Folders that file managers, archives and storage boxes fill with thumbnails and copies, beside hidden ones.
_LITTER = frozenset({"@eaDir", "#recycle", "__MACOSX", "$RECYCLE.BIN", "System Volume Information"})
_LITTER_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is passed over, and why; ``is_file`` where it could be opened."""

    path: Path
    reason: str
    is_file: bool = False


@dataclass
class Contents:
    """The pictures of a folder, sorted, and what else lies there but for what is hidden."""

    pictures: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def scan_folder(folder: Path, is_deep: bool = True) -> Contents:
    """The pictures in a folder and, if ``is_deep``, in the folders below it, those that links lead to among them.

    A picture is a regular file with one of the suffixes of ``READABLE``. Hidden files and folders are not looked at,
    nor are those that file managers fill; nothing is opened.
    """
    found = Contents()
    entered: set[tuple[int, int]] = set()
    pending = [folder]
    while pending:
        place = pending.pop()
        try:
            state = os.stat(place)
            if (state.st_dev, state.st_ino) in entered and state.st_ino:  # a link led back
                continue
            entered.add((state.st_dev, state.st_ino))
            names = sorted(os.listdir(place))
        except OSError as problem:
            found.left_out.append(LeftOut(place, f"the folder may not be entered: {problem.strerror or problem}"))
            continue
        if not names and place.suffix.lower() in READABLE:
            found.left_out.append(LeftOut(place, "an empty folder"))
        for name in names:
            if not is_hidden(name):
                _place(place / name, found, pending if is_deep else None)
    found.pictures.sort()
    found.left_out.sort(key=lambda each: each.path)
    return found


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is not meant to be seen."""
    return name.startswith(".") or name in _LITTER or name.lower() in _LITTER_FILES


def describe_left_out(left_out: Sequence[LeftOut], max_names: int = 50) -> list[str]:
    """Sentences that name what was left out, the most of a reason on one line."""
    by_reason: dict[str, list[str]] = {}
    for each in left_out:
        by_reason.setdefault(each.reason, []).append(str(each.path))
    lines = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - max_names} more" if len(names) > max_names else ""
        lines.append(f"{', '.join(names[:max_names])}{more}: {reason}")
    return lines


def _place(path: Path, found: Contents, pending: list[Path] | None) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as problem:
        is_link = os.path.islink(path)
        reason = "a link that leads nowhere" if is_link else f"cannot be read: {problem.strerror or problem}"
        found.left_out.append(LeftOut(path, reason))
        return
    if stat.S_ISDIR(mode):
        if pending is not None:
            pending.append(path)
        else:
            found.left_out.append(LeftOut(path, "a folder; only pictures that lie side by side are taken here"))
    elif not stat.S_ISREG(mode):
        found.left_out.append(LeftOut(path, "not a regular file"))
    elif path.suffix.lower() in READABLE:
        found.pictures.append(path)
    else:
        found.left_out.append(LeftOut(path, why_unread(path), True))
