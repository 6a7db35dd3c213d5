"""Named pipes: ``<(djxl photo.jxl png:-)`` and ``/dev/stdin`` are files to people."""

from __future__ import annotations

import os
import stat
import time

#: Seconds until somebody has to write into a pipe that is named: one that nobody writes into would wait for ever.
PATIENCE = 5.0
_PIECE = 1 << 20  # bytes read at once


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether that is a pipe. (What is not there is none.)"""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_pipe(path: str | os.PathLike[str], max_bytes: int, patience: float = PATIENCE) -> bytes:
    """What comes through a pipe until its end, or the first ``max_bytes`` bytes of it.

    Nothing (``b""``) where nobody has written into it after ``patience`` seconds. Who has begun may take their time, as
    on standard input.

    Raises:
        OSError: it cannot be opened or read.
    """
    # OpenPicture so that it does not wait for somebody to open the other end.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        deadline = time.monotonic() + patience
        found = bytearray()
        while True:
            try:
                piece = os.read(number, min(_PIECE, max_bytes - len(found)))
            except BlockingIOError:  # somebody is there, and has not written yet
                os.set_blocking(number, True)
                continue
            if piece:
                os.set_blocking(number, True)
                found += piece
            if len(found) >= max_bytes or (not piece and (found or os.get_blocking(number))):
                return bytes(found)
            if not piece and time.monotonic() > deadline:
                return b""
            if not piece:
                time.sleep(0.02)
    finally:
        os.close(number)
