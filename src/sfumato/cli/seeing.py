"""``stylize --open`` and ``--watch``: show the result in the system's viewer, and paint again when a file changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sfumato.cli.output import say, say_error
from sfumato.errors import OutputError, SfumatoError, UsageError, needs_extra

if TYPE_CHECKING:
    from sfumato.inference.jobs import Job

_Stamp = tuple[int, int, int] | None


def check_seen(photos: Sequence[str], out: str | None, opened: bool, watched: bool) -> None:
    """Check ``--open`` and ``--watch`` before anything is painted.

    Args:
        photos: the photos as named on the command line.
        out: ``--out``.
        opened: whether ``--open`` is given.
        watched: whether ``--watch`` is given.

    Raises:
        UsageError: no file can be opened or watched, or there is no display.
        MissingExtraError: the extra that watches files is not installed.
    """
    from sfumato.pipes import is_pipe

    if opened and out == "-":
        raise UsageError("--open shows a file, but -o - writes to standard output; name a file with -o")
    if opened and not _has_display():
        raise UsageError("--open needs a display, but none was found; leave it out")
    if watched and any(photo == "-" or is_pipe(Path(photo)) for photo in photos):
        raise UsageError("--watch cannot watch standard input or a pipe; name a file")
    if watched:
        with needs_extra("watch", "--watch"):
            import watchfiles  # noqa: F401


def open_result(jobs: Sequence[Job]) -> None:
    """Show a single picture, or the folder of several, in the system's viewer.

    Raises:
        OutputError: the system has no viewer for it.
    """
    target = jobs[0].target
    assert target is not None, "check_seen asks for a file"
    shown = target.absolute() if len(jobs) == 1 else target.absolute().parent
    if _launch(shown):
        raise OutputError(f"{shown} was written, but this system has no viewer for it; open it yourself")


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32", "cygwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _launch(path: Path) -> int:
    if sys.platform == "win32":  # typer.launch runs `start` as a program there, but it is a shell command
        os.startfile(path)
        return 0
    return typer.launch(str(path))


def follow(find: Callable[[], list[Path]], others: Sequence[Path], paint: Callable[[Collection[Path]], object]) -> None:
    """Paint changed photos again until Ctrl-C. An error, such as from a half-saved file, is printed; watching goes on.

    Args:
        find: returns the photos that exist now.
        others: files that affect all photos, such as masks: if one changes, all photos are painted again.
        paint: paints the photos that it is given.
    """
    from watchfiles import watch

    photos = find()
    before = _stamps([*photos, *others])
    say(f"watching {_list_names([*photos, *others])}; press Ctrl-C to stop", err=True)
    # Folders instead of files, because editors replace a file by a new one. Some systems report no changes, as on
    # network drives; the timeout checks once a second there.
    folders = {path.absolute().parent for path in before}
    try:
        for events in watch(*folders, recursive=False, watch_filter=None, rust_timeout=1000, yield_on_timeout=True):
            try:
                photos = find() if events else photos
                now = _stamps([*photos, *others])
                changed = {path for path, stamp in now.items() if stamp not in (None, before.get(path))}
                before = now
                if changed:
                    paint(photos if changed & set(others) else changed)
            except SfumatoError as problem:
                say_error(problem)
            except typer.Exit:  # a photo of a batch failed, and its error has been printed
                pass
    except KeyboardInterrupt:
        say("no longer watching", err=True)


def _stamps(paths: Iterable[Path]) -> dict[Path, _Stamp]:
    """Return the time, size and inode of each file, which change with it; None for a missing file."""
    found: dict[Path, _Stamp] = {}
    for path in paths:
        try:
            status = path.stat()
            found[path] = status.st_mtime_ns, status.st_size, status.st_ino
        except OSError:
            found[path] = None
    return found


def _list_names(paths: Sequence[Path]) -> str:
    names = [str(path) for path in paths[:3]]
    return ", ".join(names) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
