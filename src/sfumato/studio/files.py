"""The files of pictures, named by their SHA-256: ``<root>/<account>/<first two digits>/<hash>``.

A file may have a small copy beside it, from which drafts are painted: ``<hash>.small``. Files of one content are stored
once for an account. Which files are needed is in the database; `storing` and `deletion` keep both in step.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from sfumato.errors import InputError, OutputError, first_line, needs_extra
from sfumato.files import atomic_file, digest

_ACCOUNT, _HASH = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
_SMALL = ".small"
_MAX_BYTES = 2**40
_TRIES = 20  # to remove a folder


class FileStore:
    """Files in a folder, or under a URL of fsspec such as ``s3://bucket/studio``.

    Args:
        root: the folder or the URL.

    Raises:
        MissingExtraError: the URL needs a library that is not installed.
        OutputError: the URL is wrong.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        text = os.fspath(root)
        self._remote: Any = None
        self._root = text.removeprefix("file://")
        if "://" in self._root:
            with needs_extra("studio", "A store at a URL"):
                import fsspec  # type: ignore[import-untyped]
            try:
                self._remote, base = fsspec.core.url_to_fs(text)
            except Exception as problem:  # fsspec and its plug-ins raise unrelated types here
                raise OutputError(f"cannot use the store {text}: {first_line(problem)}; check its URL") from problem
            self._root = base.rstrip("/")

    def put(self, account: str, source: Path | bytes, small: Path | None = None, sha256: str | None = None) -> str:
        """Store a file, whole or not at all, and return its SHA-256 in hex.

        Args:
            account: id of the account.
            source: the file, or its content.
            small: a small copy of the picture, to be stored beside it.
            sha256: of the file, where it is known; a large file takes seconds to hash.

        Raises:
            OutputError: it cannot be written, for example because the disk is full.
        """
        if sha256 is None:
            sha256 = hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else _digest(source)
        place = self._place(account, sha256)
        if small is not None and not self._exists(place + _SMALL):
            self._write(place + _SMALL, small)
        if not self._exists(place):
            self._write(place, source)
        elif self._remote is None:
            with suppress(OSError):
                os.utime(place)  # so that `sweep` takes it for a new one
        return sha256

    def path(self, account: str, sha256: str) -> Path | None:
        """Return the path of a file, whether it exists or not; None where the store is at a URL."""
        place = self._place(account, sha256)
        return Path(place) if self._remote is None else None

    def open(self, account: str, sha256: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            InputError: it is gone or cannot be read.
        """
        place = self._place(account, sha256)
        try:
            return self._open(place)
        except OSError as problem:
            raise InputError(
                f"the picture's file cannot be read ({problem.strerror or 'it is gone'}); upload or paint it again"
            ) from problem

    def size(self, account: str, sha256: str) -> int:
        """Return the bytes of a file.

        Raises:
            InputError: it is gone.
        """
        place = self._place(account, sha256)
        try:
            return os.path.getsize(place) if self._remote is None else int(self._remote.size(place))
        except OSError as problem:
            raise InputError("the picture's file is gone; upload or paint it again") from problem

    def read(self, account: str, sha256: str) -> bytes:
        """Return the content of a file.

        Raises:
            InputError: it is gone or cannot be read.
        """
        with self.open(account, sha256) as file:
            return file.read()

    def fetch(self, account: str, sha256: str, folder: Path) -> Path:
        """Return the path of a file on this machine: its own, or of a copy in ``folder`` where the store is at a URL.

        Raises:
            InputError: it is gone or cannot be read.
        """
        own = self.path(account, sha256)
        with self.open(account, sha256) as file:
            if own is not None:
                return own
            copy = folder / sha256
            with copy.open("wb") as target:
                shutil.copyfileobj(file, target, 2**20)
        return copy

    def fetch_small(self, account: str, sha256: str, folder: Path) -> Path | None:
        """Return the path of the small copy of a picture, as `fetch` does; None where it has none."""
        place = self._place(account, sha256) + _SMALL
        if not self._exists(place):
            return None
        if self._remote is None:
            return Path(place)
        copy = folder / f"{sha256}{_SMALL}"
        self._remote.get_file(place, str(copy))
        return copy

    def exists(self, account: str, sha256: str) -> bool:
        """Return whether a file is there."""
        return self._exists(self._place(account, sha256))

    def delete(self, account: str, sha256: str) -> None:
        """Remove a file and its small copy, if they are there.

        Raises:
            OutputError: a file cannot be removed.
        """
        place = self._place(account, sha256)
        for each in (place + _SMALL, place):
            try:
                if self._remote is None:
                    os.unlink(each)
                elif self._exists(each):
                    self._remote.rm_file(each)
            except FileNotFoundError:
                pass
            except OSError as problem:
                raise OutputError(f"cannot remove {each}: {problem.strerror or problem}") from problem

    def delete_account(self, account: str) -> None:
        """Remove all files of an account.

        Raises:
            OutputError: a file cannot be removed.
        """
        folder = self._folder(account)
        try:
            if self._remote is None:
                _remove_folder(folder)
            elif self._remote.exists(folder):
                self._remote.rm(folder, recursive=True)
        except FileNotFoundError:
            pass
        except OSError as problem:
            raise OutputError(f"cannot remove {folder}: {problem.strerror or problem}") from problem

    def accounts(self) -> list[str]:
        """Return the ids of the accounts that have files."""
        return sorted(name for name in self._list(self._root) if _ACCOUNT.fullmatch(name))

    def names(self, account: str, older_than: float = 0) -> Iterator[str]:
        """Yield the hashes of an account's files, also of those that only have a small copy.

        Args:
            account: id of the account.
            older_than: leave out files that were written within so many seconds. A store at a URL has no such times,
                and leaves none out.
        """
        folder = self._folder(account)
        before = time.time() - older_than
        for start in self._list(folder):
            for name in self._list(f"{folder}/{start}"):
                sha256 = name.removesuffix(_SMALL)
                if not _HASH.fullmatch(sha256):
                    continue
                with suppress(FileNotFoundError):
                    if self._remote is not None or os.stat(f"{folder}/{start}/{name}").st_mtime <= before:
                        yield sha256

    def check(self) -> None:
        """Raise OutputError where the store cannot be written."""
        probe = f"{self._root}/.probe-{os.getpid()}"
        self._write(probe, b"")
        with suppress(OSError):
            os.unlink(probe) if self._remote is None else self._remote.rm_file(probe)

    def _folder(self, account: str) -> str:
        if not _ACCOUNT.fullmatch(account):
            raise ValueError(f"an account's id must be 32 hex digits, but is {account!r:.50}")
        return f"{self._root}/{account}"

    def _place(self, account: str, sha256: str) -> str:
        if not _HASH.fullmatch(sha256):
            raise ValueError(f"a file's name must be a SHA-256 in hex, but is {sha256!r:.80}")
        return f"{self._folder(account)}/{sha256[:2]}/{sha256}"

    def _open(self, place: str) -> BinaryIO:
        file: BinaryIO = open(place, "rb") if self._remote is None else self._remote.open(place, "rb")  # noqa: SIM115
        return file

    def _exists(self, place: str) -> bool:
        return os.path.isfile(place) if self._remote is None else bool(self._remote.exists(place))

    def _list(self, folder: str) -> list[str]:
        try:
            if self._remote is None:
                return os.listdir(folder)
            return [str(name).rstrip("/").rpartition("/")[2] for name in self._remote.ls(folder, detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _write(self, place: str, source: Path | bytes) -> None:
        try:
            with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
                if self._remote is None:
                    with atomic_file(place) as target:
                        if hasattr(os, "fchmod"):
                            os.fchmod(target.fileno(), 0o600)
                        shutil.copyfileobj(file, target, 2**20)
                else:  # an object appears whole or not at all; other file systems write to a temporary name
                    with self._remote.transaction, self._remote.open(place, "wb") as target:
                        shutil.copyfileobj(file, target, 2**20)
        except OSError as problem:
            raise OutputError(f"cannot write {place}: {problem.strerror or problem}") from problem


def _remove_folder(folder: str) -> None:
    """Remove a folder and all that is in it, while uploads that have begun add files to it and take them back."""
    for left in reversed(range(_TRIES)):
        try:
            shutil.rmtree(folder)
            return
        except OSError as problem:
            if problem.errno not in (errno.ENOENT, errno.ENOTEMPTY) or not left:
                raise
            if not os.path.lexists(folder):
                return


def _digest(path: Path) -> str:
    try:
        return digest(path, _MAX_BYTES)
    except OSError as problem:
        raise OutputError(f"cannot read {path}: {problem.strerror or problem}") from problem
