"""Evaluations as tables in the terminal: all figures where the window is wide enough, else one line for each method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sfumato.cli.output import console, say

if TYPE_CHECKING:
    from sfumato.cli.console import PlainConsole
    from sfumato.quality.evaluation import Evaluation
    from sfumato.quality.features import Estimate


def print_evaluations(evaluations: Sequence[Evaluation]) -> None:
    """Print the tables and the notes that belong to them."""
    from sfumato.quality.evaluation import curve_area

    screen = console()
    if len(evaluations) * 22 + 16 <= screen.width:
        _print_whole(screen, evaluations)
    else:
        _print_short(screen, evaluations)
    for note in dict.fromkeys(f"{f.name.replace('_', ' ')}: {f.note}" for f in evaluations[0].sets if f.note):
        screen.print(note, style="dim")
    screen.print(f"strokes and variety: {evaluations[0].about['strokes and variety']}", style="dim")
    if (why := evaluations[0].why_absolute) is not None:
        screen.print(why, style="dim")
    if (why := evaluations[0].why_no_intervals) is not None:
        screen.print(f"no intervals: {why}", style="dim")
    if (area := curve_area(evaluations)) is not None:
        screen.print(f"area under the content-against-style curve: {area:.3f} (lower is better)")
    for each in evaluations:
        if each.missing:
            say(f"{each.method}: {each.missing} pairs have no picture and are not evaluated")


def _print_whole(screen: PlainConsole, evaluations: Sequence[Evaluation]) -> None:
    """Print all figures, one column for each method."""
    from rich.table import Table

    from sfumato.quality.measures import MEASURES

    table = Table("figure", *(each.method for each in evaluations))
    for name in evaluations[0].rows[0].values:
        cells = []
        for each in evaluations:
            if name in each.absolute:
                cells.append("not relative")
                continue
            found = each.interval(name)
            interval = f" [{found.low:.3f}, {found.high:.3f}]" if found.low == found.low else ""
            cells.append(f"{found.value:.3f}{interval}")
        table.add_row(f"{name} {MEASURES[name].arrow}".rstrip(), *cells)
    screen.print(table)
    table = Table("as a set", *(each.method for each in evaluations))
    for estimate in evaluations[0].sets:
        title = f"{estimate.name.replace('_', ' ')} ({estimate.backbone})"
        table.add_row(title, *(_or_dash(each.estimate_like(estimate)) for each in evaluations))
    screen.print(table)


def _print_short(screen: PlainConsole, evaluations: Sequence[Evaluation]) -> None:
    """Print the most important figures, one line for each method, for a narrow terminal."""
    from rich.table import Table

    from sfumato.quality.measures import MEASURES

    names = ("content", "style", "texture", "top1", "artefacts")
    kid = next(estimate for estimate in evaluations[0].sets if estimate.name == "kid")
    table = Table("method", *(f"{name} {MEASURES[name].arrow}" for name in names), "kid ↓")
    for each in evaluations:
        means = ["not relative" if name in each.absolute else f"{each.interval(name).value:.3f}" for name in names]
        table.add_row(each.method, *means, _or_dash(each.estimate_like(kid)))
    screen.print(table)
    screen.print("All figures, with intervals: --report or --json, or a wider window.", style="dim")


def _or_dash(estimate: Estimate | None) -> str:
    return "–" if estimate is None or estimate.value != estimate.value else f"{estimate.value:.3f}"
