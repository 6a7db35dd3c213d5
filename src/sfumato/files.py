"""Files that appear whole or not at all, and files that are read only as far as they should be."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from sfumato.errors import OutputError

#: Bytes of the largest JSON file that is read; a model's card has some thousand.
LARGEST_JSON = 16 * 2**20
_BLOCK = 2**20  # bytes that are hashed at a time
# A named pipe that nobody writes to would wait for ever when it is opened. (Windows has no such pipes among its files.)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary neighbour of ``path`` for writing and renames it to ``path`` when the block ends well.

    If the block raises, or the process dies, whatever stood at ``path`` before still stands there, whole. Missing
    folders are made.

    Raises:
        OutputError: the file or its folder cannot be written.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise OutputError(f"cannot write {path}: a folder has that name; name a file")
    # Not `tempfile`: its files are readable by their owner only, and the rename would keep it so.
    temporary = path.with_name(f".sfumato-{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as problem:
        raise OutputError(f"cannot write {path}: {problem.strerror or problem}") from problem
    finally:
        with suppress(OSError):
            temporary.unlink()


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """A file's content, of at most ``most`` bytes: neither a pipe nor a device is waited for or read without end, and
    of a file that is too large nothing is read.

    Raises:
        OSError: it is not there, is no regular file (after its links), is larger, or cannot be read; ``strerror`` is
            the reason in words.
    """
    with _regular(path, most) as (file, size):
        content = file.read(size + 1)
        if len(content) > size:  # it grew, or is one of /proc's, which have no size
            content += file.read(most + 1 - len(content))
        if len(content) > most:
            raise _too_large(path, most)
        return content


def digest(path: str | os.PathLike[str], most: int) -> str:
    """SHA-256, in hex, of a file, which is read in blocks.

    Raises:
        OSError: as `read_bytes`.
    """
    found, seen = hashlib.sha256(), 0
    with _regular(path, most) as (file, _):
        while block := file.read(_BLOCK):
            seen += len(block)
            if seen > most:
                raise _too_large(path, most)
            found.update(block)
    return found.hexdigest()


def read_json(path: str | os.PathLike[str], most: int = LARGEST_JSON) -> Any:
    """What a JSON file holds. Its numbers are finite: ``NaN``, ``Infinity`` and ``1e400`` are no JSON, or no number.

    Raises:
        OSError: as `read_bytes`.
        ValueError: it is no JSON, is nested too deeply, or has a number that no float64 holds.
    """
    content = read_bytes(path, most)
    try:
        return json.loads(content, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem


@contextmanager
def _regular(path: str | os.PathLike[str], most: int) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file, open, and its size, at most ``most``."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _AT_ONCE)) as file:
        state = os.fstat(file.fileno())  # of what was opened: a name may come to stand for another file
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if state.st_size > most:
            raise _too_large(path, most)
        yield file, state.st_size


def _too_large(path: str | os.PathLike[str], most: int) -> OSError:
    size = f"{most / 1e6:.3g} MB" if most >= 1e6 else f"{most} bytes"
    return OSError(errno.EFBIG, f"it has more than {size}", str(path))


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number in it is too large")
    return number
