"""File locks between processes. The system releases a lock when its process ends, even if it is killed."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL = 0.05  # seconds between two attempts at a lock that another process holds
_WARN_AFTER = 1.0  # seconds of waiting


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a file in the block. The file is created if it does not exist.

    Args:
        path: the file.
        waiting: called once after a second of waiting for another process; with ``None``, a taken lock is an error.

    Raises:
        BlockingIOError: another process holds the lock, and ``waiting`` is None.
        OSError: the file cannot be created, or its disk has no locks.
    """
    with path.open("a+b") as file:
        began, warned = time.monotonic(), False
        while not try_lock(file.fileno()):
            if waiting is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))
            if not warned and time.monotonic() - began >= _WARN_AFTER:
                waiting()
                warned = True
            time.sleep(_POLL)
        yield


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file if it is free, and return whether it was.

    The lock is held until all copies of the descriptor are closed.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True
