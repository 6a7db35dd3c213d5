"""Progress bars for many pictures and for one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn

    from sfumato.inference.progress import Progress


def count_bar() -> Bar:
    """Return a bar on stderr with a count and the time left; it prints nothing if stderr is not a terminal."""
    from rich.progress import MofNCompleteColumn

    return _bar(MofNCompleteColumn(), transient=False)


def rate_bar() -> Bar:
    """Return a bar like `count_bar` that also shows a rate, the field ``rate`` of its task."""
    from rich.progress import MofNCompleteColumn, TextColumn

    return _bar(MofNCompleteColumn(), TextColumn("{task.fields[rate]}", markup=False), transient=False)


@contextmanager
def one_picture(doing: str) -> Iterator[Progress | None]:
    """Show a bar for one picture on stderr, and remove it at the end of the block.

    Args:
        doing: the label of the bar, such as "painting".

    Yields:
        A function to call with the completed share, from 0 to 1, and the name of the current stage; None if stderr is
        not a terminal.
    """
    from rich.progress import TaskProgressColumn

    bar = _bar(TaskProgressColumn(), transient=True)
    if bar.disable:
        yield None
        return
    with bar:
        task = bar.add_task(doing, total=1.0)

        def show(share: float, what: str) -> None:
            if share < bar.tasks[0].completed:  # the next painting of the same photo (--best-of)
                bar.reset(task)
            description = f"{doing}, {what}" if what else doing
            # A new step is drawn at once: it may be over before the next refresh.
            bar.update(task, completed=share, description=description, refresh=description != bar.tasks[0].description)

        yield show


def _bar(*counts: ProgressColumn, transient: bool) -> Bar:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from sfumato.cli.output import console

    screen = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counts, TimeRemainingColumn())
    # rich prints stdout above the bar. A stdout that is a file or a pipe must not be redirected there.
    to_terminal = sys.stdout is not None and sys.stdout.isatty()
    silent = not screen.is_terminal
    return Progress(*columns, console=screen, disable=silent, redirect_stdout=to_terminal, transient=transient)
