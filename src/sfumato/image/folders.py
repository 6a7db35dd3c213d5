"""Search of folders for pictures, with the reason for each file that is skipped."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sfumato.image.formats import READABLE, why_unread

#: Folders in which file managers, archivers and network storage put thumbnails and copies.
_LITTER = frozenset({"@eaDir", "#recycle", "__MACOSX", "$RECYCLE.BIN", "System Volume Information"})
_LITTER_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that was skipped.

    Attributes:
        path: the file or folder.
        reason: why it was skipped.
        is_file: whether it is a regular file, which can be opened.
    """

    path: Path
    reason: str
    is_file: bool = False


@dataclass
class Contents:
    """The pictures in a folder and the skipped files, both sorted; hidden files are in neither."""

    pictures: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def scan_folder(folder: Path, is_deep: bool = True) -> Contents:
    """Return the pictures in a folder and, if ``is_deep``, in its subfolders; links are followed.

    A picture is a regular file with one of the suffixes in ``READABLE``. Hidden files and folders are ignored, and so
    are those of file managers. No file is opened.
    """
    found = Contents()
    entered: set[tuple[int, int]] = set()
    pending = [folder]
    while pending:
        place = pending.pop()
        try:
            state = os.stat(place)
            if (state.st_dev, state.st_ino) in entered and state.st_ino:  # a link to a folder that was already scanned
                continue
            entered.add((state.st_dev, state.st_ino))
            names = sorted(os.listdir(place))
        except OSError as problem:
            found.left_out.append(LeftOut(place, f"the folder cannot be read: {problem.strerror or problem}"))
            continue
        if not names and place.suffix.lower() in READABLE:
            found.left_out.append(LeftOut(place, "an empty folder"))
        for name in names:
            if not is_hidden(name):
                _sort_in(place / name, found, pending if is_deep else None)
    found.pictures.sort()
    found.left_out.sort(key=lambda each: each.path)
    return found


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or written by a file manager."""
    return name.startswith(".") or name in _LITTER or name.lower() in _LITTER_FILES


def describe_left_out(left_out: Sequence[LeftOut], max_names: int = 50) -> list[str]:
    """Return one line for each reason, with at most ``max_names`` of the skipped files."""
    by_reason: dict[str, list[str]] = {}
    for each in left_out:
        by_reason.setdefault(each.reason, []).append(str(each.path))
    lines = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - max_names} more" if len(names) > max_names else ""
        lines.append(f"{', '.join(names[:max_names])}{more}: {reason}")
    return lines


def _sort_in(path: Path, found: Contents, pending: list[Path] | None) -> None:
    """Add a path to the pictures, the skipped files or, if it is a folder, the pending folders (None: skip it)."""
    try:
        mode = os.stat(path).st_mode
    except OSError as problem:
        is_link = os.path.islink(path)
        reason = "a broken link" if is_link else f"cannot be read: {problem.strerror or problem}"
        found.left_out.append(LeftOut(path, reason))
        return
    if stat.S_ISDIR(mode):
        if pending is not None:
            pending.append(path)
        else:
            found.left_out.append(LeftOut(path, "a folder; subfolders are not searched here"))
    elif not stat.S_ISREG(mode):
        found.left_out.append(LeftOut(path, "not a regular file"))
    elif path.suffix.lower() in READABLE:
        found.pictures.append(path)
    else:
        found.left_out.append(LeftOut(path, why_unread(path), True))
