"""The progress display of ``sfumato train``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfumato.cli.console import PlainConsole
    from sfumato.training.loop import Trainer


def run_with_progress(screen: PlainConsole, trainer: Trainer) -> None:
    """Train with a progress bar and the current figures below it, or with lines of text outside a terminal."""
    from rich.console import Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    from sfumato.training.loop import TrainingProgress

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    bar, status = Progress(*columns), Text()
    task = bar.add_task("", total=trainer.config.steps, completed=trainer.state.step)

    validated = ""  # the figures of the last validation

    def show(progress: TrainingProgress) -> None:
        nonlocal validated
        bar.update(task, completed=progress.step)
        for sentence in progress.messages:
            screen.print(f"step {progress.step}: {sentence}", soft_wrap=True)
        if progress.validation:
            validated = "  ".join(f"{name} {value:.3f}" for name, value in progress.validation.items())
            if not screen.is_terminal:
                screen.print(f"step {progress.step} of {progress.steps}  validation: {validated}", soft_wrap=True)
        if progress.report:
            terms = {"content": "content", "style": "statistics", "gram": "gram", "contrast": "contrast"}
            terms |= {"reconstruction": "reconstruction", "matched": "matched"}
            terms |= {"cycle": "cycle", "D accuracy": "d_accuracy"}
            figures = "  ".join(f"{k} {progress.report[v]:.2f}" for k, v in terms.items() if v in progress.report)
            line = f"{figures}  {progress.pictures_per_second:.1f} pictures/s  ({progress.where_time_goes})"
            if screen.is_terminal:
                status.plain = f"{line}\nvalidation: {validated}" if validated else line
            else:  # such as a log file under nohup
                screen.print(f"step {progress.step} of {progress.steps}  {line}", soft_wrap=True)

    with Live(Group(bar, status), console=screen, refresh_per_second=4):
        trainer.run(show)


def duration(seconds: float) -> str:
    """Return a time in words, as in "12 min"."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
