"""Atomic writing of files and folders, and reading with a limit on the size.

A file is written under the temporary name ``.sfumato-HEX.tmp`` beside its final place, and is locked while its writer
runs. A temporary file whose lock is free was left by a killed process; the next write into that folder removes it.
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

#: Maximum size of a JSON file in bytes; the card of a model has a few thousand.
MAX_JSON_BYTES = 16 * 2**20
_BLOCK = 2**20  # bytes that are hashed at a time
# Opening a named pipe without a writer would block forever. (Windows has no named pipes in its file system.)
_NONBLOCKING = getattr(os, "O_NONBLOCK", 0)
_TEMPORARY = re.compile(r"\.sfumato-[0-9a-f]{12}\.tmp")
_swept: set[str] = set()  # folders in which this process has removed left temporary files


# ---- atomic writing --------------------------------------------------------------------------------------------------


@contextmanager
def atomic_file(path: str | os.PathLike[str], overwrite: bool = True, private: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file for writing, and rename it to ``path`` when the block succeeds.

    If the block raises, the process is killed or the power fails, ``path`` is unchanged. Missing folders are created.
    The file gets the permissions of the one that it replaces, or the default ones.

    Args:
        path: the final name.
        overwrite: whether to replace an existing file, including one that is created during the block.
        private: whether only its owner may read and write it.

    Raises:
        OutputError: the file or its folder cannot be written, or the file exists and may not be replaced. In the
            latter case its ``__cause__`` is a FileExistsError.
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
        mode = 0o600 if private else _mode(path)
        temporary, file = _new_file(path.parent, 0o666 if mode is None else mode)
        with _keep_lock(file.fileno()):
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # otherwise a power failure could leave an empty file under the final name
            if mode is not None:
                os.chmod(temporary, mode)  # the umask may have removed bits when the file was created
            _publish(temporary, path, overwrite)
    except OSError as problem:
        raise OutputError(f"cannot write {path}: {problem.strerror or problem}") from problem
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Raise an OSError of the block as an OutputError that begins with some words, such as "cannot write log.jsonl"."""
    try:
        yield
    except OSError as problem:
        raise OutputError(f"{doing}: {problem.strerror or problem}") from problem


def _mode(path: Path) -> int | None:
    """Return the permission bits of an existing regular file, else None."""
    try:
        found = os.stat(path).st_mode
    except OSError:
        return None
    return stat.S_IMODE(found) & 0o777 if stat.S_ISREG(found) else None


def _new_file(folder: Path, mode: int) -> tuple[Path, BinaryIO]:
    """Create a temporary file in a folder, and return it open for writing and locked."""
    while True:
        # Not by `tempfile`, whose files only their owner can read, even after the rename.
        temporary = folder / f".sfumato-{secrets.token_hex(6)}.tmp"
        file = open(temporary, "x+b", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
        if _lock_new(file.fileno()):
            return temporary, file
        file.close()  # another process removed it before it was locked


def _lock_new(descriptor: int) -> bool:
    """Lock a new temporary file or folder; return False if another process is removing it as a left one."""
    if sys.platform == "win32":
        return True  # an open file cannot be removed on Windows
    try:
        return try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0
    except OSError:
        return True  # a disk without locks, on which no process removes temporary files


@contextmanager
def _keep_lock(descriptor: int) -> Iterator[None]:
    """Hold the lock of a file until the end of the block, even after the file is closed."""
    if sys.platform == "win32":
        yield
        return
    copy = os.dup(descriptor)
    try:
        yield
    finally:
        os.close(copy)


def _publish(temporary: Path, path: Path, overwrite: bool) -> None:
    """Rename a complete file to its final name.

    Raises:
        OutputError: the name exists, and may not be replaced.
    """
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        if sys.platform == "win32":
            os.rename(temporary, path)  # on Windows, this fails if the name exists
        else:
            _link(temporary, path)
    except FileExistsError as problem:
        raise OutputError(f"{path} already exists; add --overwrite to replace it") from problem


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as problem:  # file systems without hard links, such as FAT
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from problem
        os.replace(temporary, path)


@contextmanager
def new_directory(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """Create a temporary directory, and rename it to ``path`` when the block succeeds; otherwise remove it.

    An existing directory stays complete until the new one replaces it in one step. If the system cannot exchange two
    names, the old directory is moved aside first; if the process is killed at that moment, the next call restores it.

    Args:
        path: the final name.
        overwrite: whether to replace an existing directory.

    Raises:
        OutputError: the directory cannot be written, or ``path`` exists and may not be replaced.
    """
    shown, path = path, Path(os.path.realpath(path))  # replaces the target of a link, not the link
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
                os.rename(temporary, path)  # fails if `path` is a directory that is not empty
            except OSError as problem:
                if not os.path.lexists(path):
                    raise
                raise OutputError(f"{shown} already exists; add --overwrite, or give another name") from problem
        _sync(path.parent)
    except OSError as problem:
        raise OutputError(f"cannot write {shown}: {problem.strerror or problem}") from problem
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)  # the old directory, or an incomplete new one
        if descriptor >= 0:
            os.close(descriptor)


def _new_folder(parent: Path) -> tuple[Path, int]:
    """Create a temporary folder; return it and the descriptor that holds its lock, -1 where folders have no locks."""
    while True:
        temporary = parent / f".sfumato-{secrets.token_hex(6)}.tmp"
        temporary.mkdir()
        if sys.platform == "win32":
            return temporary, -1
        with suppress(FileNotFoundError):
            descriptor = os.open(temporary, os.O_RDONLY)
            if _lock_new(descriptor):
                return temporary, descriptor
            os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; return False if the system or the disk cannot."""
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
    """Replace a directory with two renames; undo the first if the second fails."""
    os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.rename(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sync_all(folder: Path) -> None:
    """Flush a folder and all its files to the disk."""
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _sync(path: Path) -> None:
    if sys.platform == "win32":  # cannot sync a file that is open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left in a folder; those of running ones stay."""
    with suppress(OSError), os.scandir(folder) as found:
        for name in [entry.name for entry in found if _TEMPORARY.fullmatch(entry.name) and not entry.is_symlink()]:
            with suppress(OSError):
                _remove_dead(folder / name)


def _remove_dead(path: Path) -> None:
    if sys.platform == "win32":
        path.unlink()  # fails for a file that is open
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if try_lock(descriptor):
            shutil.rmtree(path) if stat.S_ISDIR(os.fstat(descriptor).st_mode) else path.unlink()
    finally:
        os.close(descriptor)


# ---- reading with a limit --------------------------------------------------------------------------------------------


def read_bytes(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return the content of a regular file with at most ``max_bytes`` bytes.

    A pipe or a device is refused, since it could block or never end. Nothing is read of a file that is too large.

    Raises:
        OSError: the file does not exist, is not regular (after links), is too large, or cannot be read; ``strerror``
            is the reason in words.
    """
    with _open_regular(path, max_bytes) as (file, size):
        content = file.read(size + 1)
        if len(content) > size:  # it grew meanwhile, or is in /proc, whose files have size 0
            content += file.read(max_bytes + 1 - len(content))
        if len(content) > max_bytes:
            raise _too_large(path, max_bytes)
        return content


def digest(path: str | os.PathLike[str], max_bytes: int) -> str:
    """Return the SHA-256 of a regular file in hex, without reading all of it into memory.

    Raises:
        OSError: as for `read_bytes`.
    """
    sha256, size = hashlib.sha256(), 0
    with _open_regular(path, max_bytes) as (file, _):
        while block := file.read(_BLOCK):
            size += len(block)
            if size > max_bytes:
                raise _too_large(path, max_bytes)
            sha256.update(block)
    return sha256.hexdigest()


def read_json(path: str | os.PathLike[str], max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Return the content of a JSON file. ``NaN``, ``Infinity`` and numbers such as ``1e400`` are refused.

    Raises:
        OSError: as for `read_bytes`.
        ValueError: the file is not JSON, is nested too deeply, or contains a number that is not finite in float64.
    """
    return parse_json(read_bytes(path, max_bytes))


def parse_json(content: str | bytes) -> Any:
    """Return the value of a JSON text, as strictly as `read_json`.

    Raises:
        ValueError: as for `read_json`.
    """
    try:
        return json.loads(content, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem


@contextmanager
def _open_regular(path: str | os.PathLike[str], max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading; yield it and its size, which is at most ``max_bytes``."""
    _check_regular(os.stat(path), path)  # before opening: opening and closing a pipe would end its writer
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCKING)) as file:
        state = os.fstat(file.fileno())  # again, because the name may meanwhile belong to another file
        _check_regular(state, path)
        if state.st_size > max_bytes:
            raise _too_large(path, max_bytes)
        yield file, state.st_size


def _check_regular(state: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def _too_large(path: str | os.PathLike[str], max_bytes: int) -> OSError:
    size = f"{max_bytes / 1e6:.3g} MB" if max_bytes >= 1e6 else f"{max_bytes} bytes"
    return OSError(errno.EFBIG, f"it has more than {size}", str(path))


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number in it is too large")
    return number
