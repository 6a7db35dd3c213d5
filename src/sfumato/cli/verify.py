"""``sfumato verify``: say what is known about where pictures and videos come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import say, say_error, say_json
from sfumato.errors import SfumatoError

#: Exit code where credentials or the log are there, and not valid.
INVALID = 8


def verify(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE|DIR", help="Pictures and videos of any maker.", show_default=False)
    ],
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PEM", help="Certificates that you trust besides your own; repeatable.", show_default=False
        ),
    ] = None,
    _max_pixels: MaxPixels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each file, one for the log.")] = (
        False
    ),
) -> None:
    """Say what is known about where pictures and videos come from, and what is not.

    The exit code is 0 if all that is there is valid (or nothing is there), and 8 if something is there and not valid.
    """
    from sfumato.provenance.verify import Verdict, Verifier, files_of, log_sentence, summary

    verifier = Verifier(trust=tuple(trust or ()))
    code, failed, unread = 0, 0, 0
    verdicts: list[Verdict] = []
    for path in [found for each in paths for found in files_of(each)]:
        try:
            verdict = verifier(path)
        except SfumatoError as problem:
            say_error(problem)
            failed, unread = failed or problem.exit_code, unread + 1
            continue
        code = code if verdict.is_valid else INVALID
        verdicts.append(verdict)
        if as_json:
            say_json(verdict.facts)
            continue
        say(path)
        for sentence in verdict.sentences:
            say(f"  {sentence}")
    code = INVALID if verifier.log_problems else code
    if as_json:
        facts = {"lines": verifier.lines, "problems": verifier.log_problems, "unfinished_line": verifier.is_torn}
        say_json({"log": facts} if verifier.has_log else {})
    else:
        if verifier.has_log:
            say(log_sentence(verifier))
        if len(verdicts) + unread > 1:
            say(summary(verdicts, unread))
    if code or failed:
        raise typer.Exit(code or failed)
