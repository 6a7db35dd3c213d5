"""Reading from named pipes, such as ``/dev/stdin`` or the shell's ``<(djxl photo.jxl png:-)``."""

from __future__ import annotations

import os
import stat
import time

#: Seconds to wait for the first byte from a named pipe, because one without a writer would block forever.
PATIENCE = 5.0
_PIECE = 1 << 20  # bytes per read


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a named pipe; a path that does not exist is not."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_pipe(path: str | os.PathLike[str], max_bytes: int, patience: float = PATIENCE) -> bytes:
    """Read a pipe to its end, but at most ``max_bytes`` bytes.

    Args:
        path: the pipe.
        max_bytes: where to stop reading.
        patience: seconds to wait for the first byte. After it, there is no limit, as for standard input.

    Returns:
        The bytes; ``b""`` if none came in time.

    Raises:
        OSError: the pipe cannot be opened or read.
    """
    # Non-blocking, because open() would otherwise wait for a writer.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        deadline = time.monotonic() + patience
        found = bytearray()
        while True:
            try:
                piece = os.read(number, min(_PIECE, max_bytes - len(found)))
            except BlockingIOError:  # there is a writer, which has not written yet
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
