"""The one way to the terminal: whatever a command says goes through here.

Text comes from strangers: names of files, recipes, style files, votes. Here, and nowhere else, what a terminal would
obey or cannot show is written out (`sfumato.text.printable`), no text is taken for rich's markup, and a stream that is
closed, full or no terminal is met with one sentence.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from sfumato.cli.streams import heard, mute, unwritten
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.text import printable

if TYPE_CHECKING:
    from sfumato.cli.console import PlainConsole


def say(text: object = "", *, err: bool = False) -> None:
    """One line on stdout, or on stderr.

    Raises:
        OutputError: stdout is full. (A full stderr is passed over: there is nobody left to tell.)
        BrokenPipeError: what reads stdout has ended.
    """
    with heard(err):
        typer.echo(printable(str(text)), err=err)


def say_error(problem: object) -> None:
    """A mistake, as one sentence on stderr."""
    say(f"sfumato: {' '.join(str(problem).splitlines())}", err=True)


def say_json(value: Any, indent: int | None = None, *, err: bool = False) -> None:
    """JSON in ASCII: it holds any name, on streams of any encoding. Raises as `say` does."""
    with heard(err):
        typer.echo(json.dumps(value, indent=indent), err=err)


def console(stderr: bool = False, quiet: bool = False) -> PlainConsole:
    """For tables, bars and live lines; text is text on it, and never markup."""
    from sfumato.cli.console import PlainConsole

    return PlainConsole(stderr, quiet)


def prepare_streams() -> None:
    """At the start of the process: no name stops a stream, and a file that is opened never gets a stream's number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed, as daemons have it: the next file that is opened would take its place
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle_streams() -> str | None:
    """At the end of the process: what was wrong with stdout, if what is left for it does not go out."""
    failed = None
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as problem:  # Python would say it again, in its own words
            mute(stream)
            if stream is sys.stdout and not isinstance(problem, BrokenPipeError):
                failed = unwritten(problem)
    return failed


def standard_input() -> BinaryIO:
    """Raises InputError where there is none (cron and daemons close it)."""
    if sys.stdin is None:
        raise InputError("cannot read -: standard input is closed; send the picture in with | or <")
    return sys.stdin.buffer


def standard_output() -> BinaryIO:
    """Raises OutputError where there is none."""
    if sys.stdout is None:
        raise OutputError("cannot write -: standard output is closed; name a file with -o")
    return sys.stdout.buffer


def check_no_terminal() -> None:
    """Raises UsageError where a picture on stdout would go to a terminal."""
    if sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("a picture is no text for a terminal; name a file with -o, or send it on with |")
