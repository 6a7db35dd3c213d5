"""``sfumato personal ask``: ask in the terminal which of two pictures is better."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import say
from sfumato.cli.personal.options import Name
from sfumato.errors import OutputError
from sfumato.text import counted

if TYPE_CHECKING:
    from sfumato.personal.ask import Questions


def ask(
    name: Name,
    photo: Annotated[
        Path | None, typer.Option(help="The photo to paint. \\[default: a generated landscape]", show_default=False)
    ] = None,
    most: Annotated[int, typer.Option(metavar="N", help="Maximum number of questions.")] = 50,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File for the two pictures, side by side. \\[default: a temporary file in the style's folder]",
            show_default=False,
        ),
    ] = None,
    _max_pixels: MaxPixels = None,
) -> None:
    """Ask which of two pictures you like better. Each pair is the most informative one, until enough is learnt.

    Studio asks on a web page: sfumato studio.
    """
    from sfumato.checks import check_range
    from sfumato.image import WRITABLE
    from sfumato.inference import Stylizer
    from sfumato.personal.ask import Questions
    from sfumato.personal.store import load_personal_style

    check_range(most, 1, 1000, "--most")
    if out is not None and out.suffix.lower() not in WRITABLE:
        raise OutputError(f"cannot write {out}: its name must end in one of {', '.join(WRITABLE)}")
    if out is not None and os.path.exists(out):
        raise OutputError(f"{out} already exists; name a new file")
    questions = Questions(name, Stylizer(), photo)
    why = _in_terminal(questions, most, out)
    personal_style = load_personal_style(questions.record)
    say(f"{why} {_answered(questions)}.")
    from sfumato.personal.preference_model import suggestions

    if questions.record.answers or personal_style is not None:
        best = ", ".join(name for name, _, _ in suggestions(questions.model(), 3))
        say(f"The built-in styles that fit best: {best}.")


def _answered(questions: Questions) -> str:
    """Return a sentence on how many questions were answered, and how many answers were used for learning."""
    count = questions.answered
    message = f"{counted(count, 'question')} answered"
    neither = sum(not each.teaches for each in questions.record.answers[-count:]) if count else 0
    if neither:
        message += f', {neither} of them with "neither"'
    if count > neither:
        others = "the others" if neither else "it" if count == 1 else "them"
        message += f", and {questions.record.name} has learnt from {others}"
    return message


def _in_terminal(questions: Questions, most: int, out: Path | None) -> str:
    """Ask in the terminal; return the reason for the end as a sentence."""
    from sfumato.image import Photo, to_uint8, write_photo
    from sfumato.personal.ask import side_by_side
    from sfumato.personal.store import QUESTION

    target = out or questions.record.folder / QUESTION
    try:
        while questions.answered < most:
            question = questions.next()
            if question is None:
                return "Enough is learnt: another question would add little."
            # The first write must not replace a file that was created since the command began.
            is_mine = out is None or questions.answered > 0
            write_photo(Photo(to_uint8(side_by_side(question))), target, overwrite=is_mine)
            if out is None:
                target.chmod(0o600)  # like all files in that folder
            say(
                f"{questions.answered + 1}. Which is better, the left (1) or the right (2)?  (0: neither, q: stop)  "
                f"{target}"
            )
            choice = _key()
            if choice == "q":
                return "Stopped."
            questions.answer(question, {"1": "first", "2": "second"}.get(choice, "neither"))  # type: ignore[arg-type]
        return "The maximum number of questions is reached."
    finally:
        if out is None:
            target.unlink(missing_ok=True)


def _key() -> str:
    """Read 1, 2, 0 or q: one key from a terminal, else one line of stdin. The end of the input counts as q."""
    while True:
        if sys.stdin is None:
            return "q"
        if sys.stdin.isatty():
            key = typer.getchar()
            say(key if key.isprintable() else "")
        else:
            key = sys.stdin.readline()
            if not key:
                return "q"
        if (key := key.strip().lower()) in ("1", "2", "0", "q"):
            return key
        say("press 1, 2, 0 or q")
