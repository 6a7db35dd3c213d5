"""To see what one does: the result in the system's viewer, and painted again as its files change."""

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
    from sfumato.inference.batch import Job

_Stamp = tuple[int, int, int] | None


def check_seen(photos: Sequence[str], out: str | None, opened: bool, watched: bool) -> None:
    """Before anything is painted.

    Raises:
        UsageError: there is nothing to be opened or watched, or no display.
        MissingExtraError: what watches files is not installed.
    """
    from sfumato.pipes import is_pipe

    if opened and out == "-":
        raise UsageError("--open shows a file, and -o - writes none; name a file with -o")
    if opened and not _has_display():
        raise UsageError("--open needs a display, and there is none here; leave it out")
    if watched and any(photo == "-" or is_pipe(Path(photo)) for photo in photos):
        raise UsageError("--watch waits for a file to change, and standard input and pipes do not; name a file")
    if watched:
        with needs_extra("watch", "--watch"):
            import watchfiles  # noqa: F401


def open_result(jobs: Sequence[Job]) -> None:
    """Shows one picture, or of several the folder that they are in.

    Raises:
        OutputError: the system has nothing to show it with.
    """
    target = jobs[0].target
    assert target is not None, "check_seen asks for a file"
    shown = target.absolute() if len(jobs) == 1 else target.absolute().parent
    if _launch(shown):
        raise OutputError(f"{shown} is painted, but this system has no viewer for it; open it yourself")


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32", "cygwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _launch(path: Path) -> int:
    if sys.platform == "win32":  # where typer looks for a program `start`, which is none
        os.startfile(path)
        return 0
    return typer.launch(str(path))


def follow(find: Callable[[], list[Path]], others: Sequence[Path], paint: Callable[[Collection[Path]], object]) -> None:
    """Paints again what has changed, until Ctrl-C. A mistake, such as a file that is half saved, is told and waited
    out.

    Args:
        find: the photos that there are now.
        others: files that all photos are painted with: when one changes, all are painted again.
        paint: the photos that it is given.
    """
    from watchfiles import watch

    photos = find()
    before = _stamps([*photos, *others])
    say(f"watching {_named([*photos, *others])}; Ctrl-C ends it", err=True)
    # Folders and not files, since editors put a new file in the place of the old. Where a system tells of no changes,
    # as on some network drives, looking every second finds them.
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
            except typer.Exit:  # a folder with a photo that failed, which has been told
                pass
    except KeyboardInterrupt:
        say("no longer watching", err=True)


def _stamps(paths: Iterable[Path]) -> dict[Path, _Stamp]:
    """What changes with a file; None where there is none."""
    found: dict[Path, _Stamp] = {}
    for path in paths:
        try:
            status = path.stat()
            found[path] = status.st_mtime_ns, status.st_size, status.st_ino
        except OSError:
            found[path] = None
    return found


def _named(paths: Sequence[Path]) -> str:
    names = [str(path) for path in paths[:3]]
    return ", ".join(names) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
