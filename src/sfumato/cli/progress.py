"""The progress bar of commands that do many pictures."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def counted() -> Progress:
    """A bar on stderr with a count and the time left; it is silent where stderr is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from sfumato.cli.output import console

    screen = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # What is said on a stdout that is a file or a pipe goes there, and not above the bar.
    to_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Progress(*columns, console=screen, disable=not screen.is_terminal, redirect_stdout=to_terminal)
