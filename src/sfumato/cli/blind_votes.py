"""People's votes: ``sfumato compare --blind`` writes a page for them, ``sfumato evaluate VOTES.json`` counts them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.cli.output import console, say, say_json
from sfumato.errors import OutputError, UsageError

if TYPE_CHECKING:
    from sfumato.cli.methods import Methods


def write_blind_page(path: Path, methods: Methods, trials: int | None, question: str | None, seed: int) -> None:
    """Write a page on which people choose between the methods without knowing which is which.

    Raises:
        OutputError: it is no name of a page, the file is there already, or cannot be written.
        UsageError: the methods share no pair.
    """
    from sfumato.quality.blind import QUESTION, write_page

    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"cannot write {path}: the page's name must end in .html, for browsers to show it")
    taken = f"{path} is there already; give another name, or remove it first"
    if path.exists():  # people may be voting on it, and their votes count for that page alone
        raise OutputError(taken)
    shared = [pair for pair in methods.pairs if all(pair in method.pairs for method in methods.by_name.values())]
    if not shared:
        raise UsageError("the methods share no pair; check the names of their pictures")
    sources = {name: method.source.picture for name, method in methods.by_name.items()}
    try:
        write_page(path, sources, shared, question or QUESTION, seed, trials, overwrite=False)
    except OutputError as problem:
        raise OutputError(taken) if isinstance(problem.__cause__, FileExistsError) else problem from None
    say(f"{path}: open it in a browser; `sfumato evaluate` counts the votes that it exports")


def count_votes(paths: list[Path], as_json: bool) -> None:
    """Print the strength of each method, by the votes of all files."""
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
            f"the left one was chosen in {found.left.value:.0%} of the decided votes (p {found.left_p:.2f} if sides do "
            "not matter)"
        )
    screen.print(f"no difference: {found.same:.0%}. Strengths are Bradley-Terry's: a lead of 1 wins 73 % of the votes.")
