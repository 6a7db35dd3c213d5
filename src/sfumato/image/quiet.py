"""Silencing of decoders in C, which print warnings about a file directly to the stderr of the process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_lock = threading.Lock()


class _State:
    """The redirection of stderr, which all threads share.

    Attributes:
        users: blocks that are running.
        saved_stderr: a copy of the original stderr, while it is redirected.
    """

    users = 0
    saved_stderr: int | None = None


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Redirect the stderr of the process to the null device until no thread is in such a block."""
    with _lock:
        _State.users += 1
        if _State.users == 1:
            _State.saved_stderr = _redirect()
    try:
        yield
    finally:
        with _lock:
            _State.users -= 1
            if _State.users == 0 and _State.saved_stderr is not None:
                os.dup2(_State.saved_stderr, 2)
                os.close(_State.saved_stderr)
                _State.saved_stderr = None


def _redirect() -> int | None:
    """Redirect stderr to the null device; return a copy of the original, or None if it cannot be redirected."""
    with suppress(OSError, ValueError, AttributeError):  # stderr is closed or None
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:
        return None
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        os.close(saved)
        return None
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return saved
