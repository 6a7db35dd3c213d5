"""Decoders in C write what they think of a file to the process's stderr, beside our one sentence."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_lock = threading.Lock()
_inside = 0
_saved_stderr: int | None = None


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """The process's stderr leads nowhere in the block, in however many threads; the last one out leads it back."""
    global _inside, _saved_stderr
    with _lock:
        _inside += 1
        if _inside == 1:
            _saved_stderr = _redirected()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved_stderr is not None:
                os.dup2(_saved_stderr, 2)
                os.close(_saved_stderr)
                _saved_stderr = None


def _redirected() -> int | None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
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
