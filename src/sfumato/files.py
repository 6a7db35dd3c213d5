"""Files and folders that appear whole or not at all, and files that are read only as far as they should be.

What is being written lies beside its place as ``.sfumato-HEX.tmp`` and is locked for as long as its writer lives. Such
a neighbour whose lock is free was left by a killed process, and whoever writes into that folder next sweeps it away.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from sfumato.errors import OutputError
from sfumato.locks import try_lock

#: Bytes of the largest JSON file that is read; a model's card has some thousand.
MAX_JSON_BYTES = 16 * 2**20
_BLOCK = 2**20  # bytes that are hashed at a time
# A named pipe that nobody writes to would wait for ever when it is opened. (Windows has no such pipes among its files.)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
_TEMPORARY = re.compile(r"\.sfumato-[0-9a-f]{12}\.tmp")
_swept: set[str] = set()  # folders that this process has looked over


# ---- whole or not at all ---------------------------------------------------------------------------------------------


@contextmanager
def atomic_file(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """Opens a temporary neighbour of ``path`` for writing and renames it to ``path`` when the block ends well.

    If the block raises, or the process dies, or the power fails, whatever stood at ``path`` before still stands there,
    whole. Missing folders are made. The file has the permissions of the one it replaces, or those that new files have.

    Args:
        overwrite: whether a file at ``path`` is replaced, also one that appears while this is written.

    Raises:
        OutputError: the file or its folder cannot be written, or a file is there and is not to be replaced. It comes of
            a FileExistsError then.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise OutputError(f"cannot write {path}: a folder has that name; name a file")
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if str(path.parent) not in _swept:
            _swept.add(str(path.parent))
            sweep(path.parent)
        mode = _mode(path)
        temporary, file = _new_file(path.parent, 0o666 if mode is None else mode)
        with _lock_is_held(file.fileno()):
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # or a power cut might leave the name, and nothing under it
            if mode is not None:
                os.chmod(temporary, mode)  # the umask may have taken some of it
            _publish(temporary, path, overwrite)
    except OSError as problem:
        raise OutputError(f"cannot write {path}: {problem.strerror or problem}") from problem
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def _mode(path: Path) -> int | None:
    """The permissions of the file that stands there; None where none does."""
    try:
        found = os.stat(path).st_mode
    except OSError:
        return None
    return stat.S_IMODE(found) & 0o777 if stat.S_ISREG(found) else None


def _new_file(folder: Path, mode: int) -> tuple[Path, BinaryIO]:
    """A temporary file in a folder, open for writing and locked."""
    while True:
        # Not `tempfile`: its files are readable by their owner only, and the rename would keep it so.
        temporary = folder / f".sfumato-{secrets.token_hex(6)}.tmp"
        file = open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
        if _is_held(file.fileno()):
            return temporary, file
        file.close()  # it was swept away before it was locked


def _is_held(descriptor: int) -> bool:
    """Locks a new temporary file or folder. False where another process, which sweeps, had it first."""
    if sys.platform == "win32":
        return True  # an open file cannot be removed there
    try:
        return try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0
    except OSError:
        return True  # this disk knows no locks, and so nothing is swept there


@contextmanager
def _lock_is_held(descriptor: int) -> Iterator[None]:
    """Keeps a file's lock beyond the file's end."""
    if sys.platform == "win32":
        yield
        return
    copy = os.dup(descriptor)
    try:
        yield
    finally:
        os.close(copy)


def _publish(temporary: Path, path: Path, overwrite: bool) -> None:
    """Gives a whole file its name.

    Raises:
        OutputError: there is one of that name, and it is not to be replaced.
    """
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        if sys.platform == "win32":
            os.rename(temporary, path)  # which replaces nothing there
        else:
            _link(temporary, path)
    except FileExistsError as problem:
        raise OutputError(f"{path} already exists; add --overwrite to replace it") from problem


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as problem:  # FAT has no links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from problem
        os.replace(temporary, path)


@contextmanager
def new_directory(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """A temporary directory beside ``path``, renamed to it when the block ends well and removed when it does not.

    A directory that stands at ``path`` stays in its place, whole, until the new one takes it in one step. Where the
    system cannot exchange two names it is moved aside for a moment, and put back by the next call if the process dies
    in that moment.

    Raises:
        OutputError: it cannot be written, or ``path`` is there and is not to be replaced.
    """
    shown, path = path, Path(os.path.realpath(path))  # of a link, what it leads to
    aside = path.with_name(f".sfumato-{path.name}.old")
    temporary, descriptor = None, -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.isdir(aside):
            if os.path.lexists(path):
                shutil.rmtree(aside, ignore_errors=True)
            else:
                os.rename(aside, path)
        sweep(path.parent)
        temporary, descriptor = _new_folder(path.parent)
        yield temporary
        _sync_all(temporary)
        if overwrite and os.path.isdir(path):
            shutil.copymode(path, temporary)
            if not _exchange(temporary, path):
                _replace(path, aside, temporary)
        else:
            try:
                os.rename(temporary, path)  # which fails where a folder with something in it is
            except OSError as problem:
                if not os.path.lexists(path):
                    raise
                raise OutputError(f"{shown} already exists; add --overwrite, or give another name") from problem
        _sync(path.parent)
    except OSError as problem:
        raise OutputError(f"cannot write {shown}: {problem.strerror or problem}") from problem
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)  # what was there before, or all that there is of the new one
        if descriptor >= 0:
            os.close(descriptor)


def _new_folder(parent: Path) -> tuple[Path, int]:
    """A temporary folder, and the descriptor that its lock goes with; -1 where folders cannot be locked."""
    while True:
        temporary = parent / f".sfumato-{secrets.token_hex(6)}.tmp"
        temporary.mkdir()
        if sys.platform == "win32":
            return temporary, -1
        with suppress(FileNotFoundError):
            descriptor = os.open(temporary, os.O_RDONLY)
            if _is_held(descriptor):
                return temporary, descriptor
            os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two names in one step; False where the system or the disk cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # an old C library
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def _replace(path: Path, aside: Path, temporary: Path) -> None:
    """Two renames; the first is undone where the second fails."""
    os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.rename(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sync_all(folder: Path) -> None:
    """Has the disk hold all that lies in a folder."""
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _sync(path: Path) -> None:
    if sys.platform == "win32":  # where nothing that is open for reading can be synced
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Removes the temporary files and folders that killed processes left in a folder, and none of a living one."""
    with suppress(OSError), os.scandir(folder) as found:
        for name in [entry.name for entry in found if _TEMPORARY.fullmatch(entry.name) and not entry.is_symlink()]:
            with suppress(OSError):
                _remove_dead(folder / name)


def _remove_dead(path: Path) -> None:
    if sys.platform == "win32":
        path.unlink()  # which fails for a file that is open
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if try_lock(descriptor):
            shutil.rmtree(path) if stat.S_ISDIR(os.fstat(descriptor).st_mode) else path.unlink()
    finally:
        os.close(descriptor)


# ---- as far as it should be ------------------------------------------------------------------------------------------


def read_bytes(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """A file's content, of at most ``max_bytes`` bytes: neither a pipe nor a device is waited for or read without end,
    and of a file that is too large nothing is read.

    Raises:
        OSError: it is not there, is no regular file (after its links), is larger, or cannot be read; ``strerror`` is
            the reason in words.
    """
    with _regular(path, max_bytes) as (file, size):
        content = file.read(size + 1)
        if len(content) > size:  # it grew, or is one of /proc's, which have no size
            content += file.read(max_bytes + 1 - len(content))
        if len(content) > max_bytes:
            raise _too_large(path, max_bytes)
        return content


def digest(path: str | os.PathLike[str], max_bytes: int) -> str:
    """SHA-256, in hex, of a file, which is read in blocks.

    Raises:
        OSError: as `read_bytes`.
    """
    found, seen = hashlib.sha256(), 0
    with _regular(path, max_bytes) as (file, _):
        while block := file.read(_BLOCK):
            seen += len(block)
            if seen > max_bytes:
                raise _too_large(path, max_bytes)
            found.update(block)
    return found.hexdigest()


def read_json(path: str | os.PathLike[str], max_bytes: int = MAX_JSON_BYTES) -> Any:
    """What a JSON file holds. Its numbers are finite: ``NaN``, ``Infinity`` and ``1e400`` are no JSON, or no number.

    Raises:
        OSError: as `read_bytes`.
        ValueError: it is no JSON, is nested too deeply, or has a number that no float64 holds.
    """
    content = read_bytes(path, max_bytes)
    try:
        return json.loads(content, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem


@contextmanager
def _regular(path: str | os.PathLike[str], max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file, open, and its size, at most ``max_bytes``."""
    _check_regular(os.stat(path), path)  # a pipe that is opened and closed again ends what writes into it
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _AT_ONCE)) as file:
        state = os.fstat(file.fileno())  # of what was opened: a name may come to stand for another file
        _check_regular(state, path)
        if state.st_size > max_bytes:
            raise _too_large(path, max_bytes)
        yield file, state.st_size


def _check_regular(state: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def _too_large(path: str | os.PathLike[str], max_bytes: int) -> OSError:
    size = f"{max_bytes / 1e6:.3g} MB" if max_bytes >= 1e6 else f"{max_bytes} bytes"
    return OSError(errno.EFBIG, f"it has more than {size}", str(path))


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number in it is too large")
    return number
