"""Failures of standard output and standard error: closed pipes, full disks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sfumato.errors import OutputError


@contextmanager
def stream_errors(err: bool) -> Iterator[None]:
    """Handle a failed write in the block: the stream is silent from then on.

    Args:
        err: whether the block writes to stderr instead of stdout. Errors of stderr are ignored, because no stream is
            left on which to report them.

    Raises:
        OutputError: stdout cannot be written.
        BrokenPipeError: the reader of stdout has ended.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        yield
    except OSError as problem:
        silence(stream)
        if err:
            return
        if isinstance(problem, BrokenPipeError):
            raise
        raise OutputError(describe_write_failure(problem)) from problem


def describe_write_failure(problem: Exception) -> str:
    """Return the error message for a failed write to stdout."""
    return f"cannot write to standard output: {getattr(problem, 'strerror', None) or problem}"


def silence(stream: Any) -> None:
    """Redirect a failed stream to the null device.

    Otherwise the text left in its buffer would fail again when the process ends.
    """
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
