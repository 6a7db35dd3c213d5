"""Arguments, options and questions that the commands of ``sfumato personal`` share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from sfumato.cli.output import say

if TYPE_CHECKING:
    from sfumato.personal.gathering import Tick
    from sfumato.personal.inspection import Remark
    from sfumato.personal.records import PersonalRecord

_SEVERAL = ("--like", "--dislike")


class ManyValues(TyperCommand):
    """``--like a.jpg b.jpg`` is ``--like a.jpg --like b.jpg``: shells make the former of ``--like *.jpg``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
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


class Rights(StrEnum):
    own = "own"
    licensed = "licensed"
    public_domain = "public-domain"
    unstated = "unstated"


Name = Annotated[str, typer.Argument(metavar="NAME", help="What the style is called.", show_default=False)]
Like = Annotated[
    list[str] | None,
    typer.Option(metavar="DIR|FILES", help="Pictures that you like: folders, files, patterns.", show_default=False),
]
Dislike = Annotated[
    list[str] | None, typer.Option(metavar="DIR|FILES", help="Pictures that you do not like.", show_default=False)
]
RightsOption = Annotated[
    Rights | None,
    typer.Option(
        help="Whose the pictures are; it goes into the file that you share. Without it you are asked in a terminal, "
        "and elsewhere it is unstated.",
        show_default=False,
    ),
]
Copy = Annotated[
    bool, typer.Option("--copy", help="Copy the pictures into the style's folder; otherwise they stay where they are.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def in_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def load_learnable(name: str) -> PersonalRecord:
    from sfumato.personal.store import load_record

    record = load_record(name)
    record.check_learnable()
    return record


def find_pictures(like: list[str] | None, dislike: list[str] | None) -> tuple[list[Path], list[Path], list[Remark]]:
    from sfumato.personal.inspection import find_inputs

    liked, remarks = find_inputs(like or [])
    disliked, others = find_inputs(dislike or [])
    return liked, disliked, [*remarks, *others]


def choose_rights(given: Rights | None, as_json: bool) -> str:
    if given is not None:
        return given.value
    if as_json or not in_terminal():
        return "unstated"
    letters = {right.value[0]: right.value for right in Rights if right is not Rights.unstated}
    question = "Whose are the pictures? own (o), licensed (l), public domain (p), or Enter to leave it unstated"
    while True:
        message = typer.prompt(question, default="", show_default=False).strip().lower()
        if not message:
            return Rights.unstated.value
        if message in (*letters, *letters.values()):
            return letters[message[0]]
        say("o, l, p or Enter, please")


@contextmanager
def progress_bar(what: str) -> Iterator[Tick]:
    from sfumato.cli.progress import count_bar

    with count_bar() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
