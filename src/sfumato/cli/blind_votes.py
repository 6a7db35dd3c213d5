"""Blind comparison by people: ``compare --blind`` writes the voting page, ``evaluate VOTES.json`` counts the votes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.cli.output import console, say, say_json
from sfumato.errors import OutputError, UsageError

if TYPE_CHECKING:
    from sfumato.cli.methods import Methods


def write_blind_page(path: Path, methods: Methods, trials: int | None, question: str | None, seed: int) -> None:
    """Write a page on which people choose between the methods without knowing which is which.

    Args:
        path: the page to write, which must not exist and must end in ``.html`` or ``.htm``.
        methods: the methods to compare; only the pairs that all of them have are shown.
        trials: the number of questions; ``None`` asks about every pair.
        question: the question on the page; ``None`` is the default one.
        seed: decides the order of the trials and which method is on the left.

    Raises:
        OutputError: the page has another suffix, already exists, or cannot be written.
        UsageError: the methods share no pair.
    """
    from sfumato.quality.blind import QUESTION, write_page

    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"cannot write {path}: the name of a page must end in .html")
    message = f"{path} already exists; give another name, or remove it first"
    if path.exists():  # people may be voting on it, and their votes are valid for that page only
        raise OutputError(message)
    shared = [pair for pair in methods.pairs if all(pair in method.pairs for method in methods.by_name.values())]
    if not shared:
        raise UsageError("the methods have no pair in common; check the names of their pictures")
    sources = {name: method.source.picture for name, method in methods.by_name.items()}
    try:
        write_page(path, sources, shared, question or QUESTION, seed, trials, overwrite=False)
    except OutputError as problem:
        raise OutputError(message) if isinstance(problem.__cause__, FileExistsError) else problem from None
    say(f"{path}: open it in a browser; `sfumato evaluate VOTES.json` counts the votes that the page exports")


def count_votes(paths: list[Path], as_json: bool) -> None:
    """Print the Bradley-Terry strength of each method, estimated from the votes in all files."""
    from dataclasses import asdict

    from rich.table import Table

    from sfumato.quality.votes import read_votes, tally

    found = tally(read_votes(paths))
    if as_json:
        say_json(asdict(found), 1)
        return
    table = Table("method", "strength, 95 % interval", "won", "votes")
    for each in found.standings:
        s = each.strength
        table.add_row(
            each.method, f"{s.value:+.2f} [{s.low:+.2f}, {s.high:+.2f}]", f"{each.win_rate:.0%}", str(each.votes)
        )
    screen = console()
    screen.print(f"{found.votes} votes on: {found.question}")
    screen.print(table)
    if found.left is not None:
        screen.print(
            f"the left picture was chosen in {found.left.value:.0%} of the decided votes (p = {found.left_p:.2f} for "
            "no effect of the side)"
        )
    screen.print(
        f"no difference: {found.same:.0%}. Strengths are Bradley-Terry log-odds: a lead of 1 wins 73 % of the votes."
    )
