"""Arguments and options shared by the commands of ``sfumato personal``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from sfumato.personal.gathering import Tick
    from sfumato.personal.inspection import Remark
    from sfumato.personal.records import PersonalRecord

_SEVERAL = ("--like", "--dislike")


class ManyValues(TyperCommand):
    """A command whose ``--like`` and ``--dislike`` take several values, as shells expand ``--like *.jpg``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with ``--like a b`` rewritten to ``--like a --like b``."""
        arguments: list[str] = []
        option, first = "", False
        for place, word in enumerate(args):
            if word == "--":
                arguments += args[place:]
                break
            if word.startswith("-") and word != "-":
                option, first = (word, True) if word in _SEVERAL else ("", False)
                arguments.append(word)
            elif option and not first:
                arguments += [option, word]
            else:
                arguments.append(word)
                first = False
        return super().parse_args(ctx, arguments)


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the style.", show_default=False)]
Like = Annotated[
    list[str] | None,
    typer.Option(metavar="DIR|FILES", help="Pictures that you like: folders, files, patterns.", show_default=False),
]
Dislike = Annotated[
    list[str] | None, typer.Option(metavar="DIR|FILES", help="Pictures that you do not like.", show_default=False)
]
Copy = Annotated[
    bool, typer.Option("--copy", help="Copy the pictures into the style's folder instead of referring to them.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def load_learnable(name: str) -> PersonalRecord:
    """Return the record of a style that can be learnt again, which an imported one cannot.

    Raises:
        UsageError: there is no such style, or it was imported.
    """
    from sfumato.personal.store import load_record

    record = load_record(name)
    record.check_learnable()
    return record


def find_pictures(like: list[str] | None, dislike: list[str] | None) -> tuple[list[Path], list[Path], list[Remark]]:
    """Return the liked pictures, the disliked ones, and remarks on files that cannot be used.

    Raises:
        InputError: a name matches no file.
    """
    from sfumato.personal.inspection import find_inputs

    liked, remarks = find_inputs(like or [])
    disliked, others = find_inputs(dislike or [])
    return liked, disliked, [*remarks, *others]


@contextmanager
def progress_bar(what: str) -> Iterator[Tick]:
    """Show a bar with a label on stderr; yield the function to call with the finished and the total number."""
    from sfumato.cli.progress import count_bar

    with count_bar() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
