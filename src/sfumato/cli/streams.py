"""Standard output and standard error that fail: closed pipes, full disks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sfumato.errors import OutputError


@contextmanager
def heard(err: bool) -> Iterator[None]:
    """Around what writes to stdout, or to stderr: see `sfumato.cli.output.say`.

    A stream that failed is silent from then on.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        yield
    except OSError as problem:
        mute(stream)
        if err:
            return
        if isinstance(problem, BrokenPipeError):
            raise
        raise OutputError(unwritten(problem)) from problem


def unwritten(problem: Exception) -> str:
    return f"cannot write to standard output: {getattr(problem, 'strerror', None) or problem}"


def mute(stream: Any) -> None:
    """What is still held for a stream that failed would fail again as the process ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
