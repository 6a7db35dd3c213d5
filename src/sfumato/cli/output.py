"""All output to the terminal.

Text may come from untrusted sources: names of files, recipes, style files, votes. So this module alone escapes control
characters and unprintable ones (`sfumato.text.printable`), keeps text from being read as rich's markup, and reports a
stream that is closed or full in one sentence.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from sfumato.cli.streams import describe_write_failure, silence, stream_errors
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.text import printable

if TYPE_CHECKING:
    from sfumato.cli.console import PlainConsole


def say(text: object = "", *, err: bool = False) -> None:
    """Print one line to stdout, or to stderr.

    Raises:
        OutputError: stdout cannot be written. (Errors of stderr are ignored: there is no stream left to report them.)
        BrokenPipeError: the reader of stdout has ended.
    """
    with stream_errors(err):
        typer.echo(printable(str(text)), err=err)


def say_error(problem: object) -> None:
    """Print an error as one line on stderr."""
    say(f"sfumato: {' '.join(str(problem).splitlines())}", err=True)


def say_json(value: Any, indent: int | None = None, *, err: bool = False) -> None:
    """Print a value as JSON in ASCII, which streams of any encoding can hold. Raises the same errors as `say`."""
    with stream_errors(err):
        typer.echo(json.dumps(value, indent=indent), err=err)


def console(stderr: bool = False, quiet: bool = False) -> PlainConsole:
    """Return a console for tables, progress bars and live lines, which prints text literally."""
    from sfumato.cli.console import PlainConsole

    return PlainConsole(stderr, quiet)


def prepare_streams() -> None:
    """Prepare stdin, stdout and stderr at the start of the process.

    Closed ones become the null device, and characters that a stream cannot encode are escaped instead of raising.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed, as for daemons: the next file that is opened would get this number
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_streams() -> str | None:
    """Flush the streams at the end of the process; return the error message if stdout cannot be written, else None."""
    failed = None
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as problem:  # silenced, or Python would report it a second time at exit
            silence(stream)
            if stream is sys.stdout and not isinstance(problem, BrokenPipeError):
                failed = describe_write_failure(problem)
    return failed


def standard_input() -> BinaryIO:
    """Return stdin as a binary file.

    Raises:
        InputError: stdin is closed, as under cron and for daemons.
    """
    if sys.stdin is None:
        raise InputError("cannot read -: standard input is closed; pipe the picture in with | or <")
    return sys.stdin.buffer


def standard_output() -> BinaryIO:
    """Return stdout as a binary file.

    Raises:
        OutputError: stdout is closed.
    """
    if sys.stdout is None:
        raise OutputError("cannot write -: standard output is closed; name a file with -o")
    return sys.stdout.buffer


def check_no_terminal() -> None:
    """Check that stdout is not a terminal, before a picture is written to it.

    Raises:
        UsageError: stdout is a terminal.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("refusing to write a picture to a terminal; name a file with -o, or use a pipe")
