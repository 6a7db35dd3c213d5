"""Places where pictures are read and written: a local folder, or a URL of fsspec such as ``s3://bucket/photos``.

A file is written whole or not at all. Object stores do so by themselves; on other file systems a file is written under
a temporary name and then renamed.
"""

from __future__ import annotations

import os
import posixpath
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sfumato.errors import InputError, OutputError, SfumatoError, UsageError, first_line, needs_extra
from sfumato.files import atomic_file, read_bytes
from sfumato.text import short

#: File systems of fsspec on which one write creates the whole object.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "memory"})
#: Other names of protocols.
_SAME = {"s3a": "s3", "gcs": "gs", "az": "abfs", "abfss": "abfs", "ssh": "sftp"}
_CHAIN = re.compile(r"^.*::(?=\w+://)")  # what stands before the address of a store, such as a cache
_MAX_NAME = 1024  # characters of a name that a table, an archive or an object store gives


def is_url(text: str) -> bool:
    """Whether a text is a URL and not a local path."""
    return "://" in text.removeprefix("file://")


def shown(address: str) -> str:
    """Return an address for messages and records, without the user and password that a URL may contain."""
    return short(re.sub(r"(?<=://)[^/@\s]*@", "", address))


def identity(address: str, real: Callable[[str], str] = os.path.realpath) -> str:
    """Return a text that is the same for all addresses of a file: its path without links, or its URL in one form.

    Args:
        address: a path or a URL, which may not exist.
        real: returns the path of a folder without links; a caller with many files in few folders can store its values.
    """
    if is_url(address):
        scheme, _, rest = _CHAIN.sub("", address).partition("://")
        if scheme not in ("file", "local"):
            return f"{_SAME.get(scheme, scheme)}://{posixpath.normpath(rest.strip('/'))}"
        address = rest
    folder, name = os.path.split(address.removeprefix("file://").rstrip("/") or "/")
    path = os.path.join(real(folder), name)
    return os.path.realpath(path) if name in ("", ".", "..") or os.path.islink(path) else path


def check_name(name: str, what: str) -> str:
    """Return a relative name in POSIX form that stays below its folder.

    Args:
        name: a name from a table, an archive or a listing, which may come from an untrusted source.
        what: what it is, in the error.

    Raises:
        InputError: it is empty, absolute or too long, or has a part such as ``..`` or an unprintable character.
    """
    parts = name.split("/")
    bad = {"", ".", ".."} & set(parts) or not name.isprintable() or "\\" in name or len(name) > _MAX_NAME
    if bad or (os.name == "nt" and ":" in name):
        raise InputError(f"{what} {short(name)!r} is refused: it must be a plain name below its folder, without ..")
    return name


class Place:
    """A folder or a URL, and the files below it by name.

    Args:
        root: the folder or the URL; ``""``: the names themselves are paths or URLs.

    Raises:
        MissingExtraError: the URL needs fsspec, which is not installed.
        UsageError: the URL is wrong, or of a file system that is not installed.
    """

    def __init__(self, root: str) -> None:
        self.root = root.removeprefix("file://")
        self._fs: Any = None
        self._base = self.root
        if is_url(root):
            self._fs, self._base = _connect(root)
            self._base = self._base.rstrip("/")

    def __str__(self) -> str:
        return shown(self.root)

    @property
    def is_remote(self) -> bool:
        """Whether the place is a URL."""
        return self._fs is not None

    def address(self, name: str) -> str:
        """Return the address of a file for messages."""
        return shown(f"{self.root.rstrip('/')}/{name}" if self.root else name)

    def find(self) -> Iterator[tuple[str, int]]:
        """Yield the name and the size of each file below a URL.

        Raises:
            InputError: it cannot be listed.
        """
        try:
            found = self._fs.find(self._base, detail=True)
        except Exception as problem:  # fsspec and its plug-ins raise unrelated types
            raise InputError(f"cannot list {self}: {first_line(problem)}; check the URL and the rights") from problem
        for path, entry in sorted(found.items()):
            yield path.removeprefix(self._base).lstrip("/"), int(entry.get("size") or 0)

    def matches(self, pattern: str) -> list[str]:
        """Return the names below the place that match a pattern with ``*`` or ``?``, sorted."""
        if self._fs is None:
            return sorted(p.relative_to(self._base).as_posix() for p in Path(self._base).glob(pattern))
        try:
            return sorted(p.removeprefix(self._base).lstrip("/") for p in self._fs.glob(f"{self._base}/{pattern}"))
        except Exception as problem:
            raise InputError(f"cannot list {self}: {first_line(problem)}; check the URL and the rights") from problem

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None where it is unknown."""
        with suppress(Exception):
            fs, path = self._where(name)
            return os.stat(path).st_size if fs is None else int(fs.size(path))
        return None

    def exists(self, name: str) -> bool:
        """Return whether a file is there.

        Raises:
            OutputError: the store does not answer.
        """
        fs, path = self._where(name)
        if fs is None:
            return os.path.lexists(path)
        try:
            return bool(fs.exists(path))
        except Exception as problem:
            raise OutputError(f"cannot look for {self.address(name)}: {first_line(problem)}") from problem

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return the content of a file with at most ``max_bytes`` bytes.

        Raises:
            InputError: it cannot be read, or is larger.
        """
        fs, path = self._where(name)
        try:
            if fs is None:
                return read_bytes(path, max_bytes)
            content = bytes(fs.cat_file(path, start=0, end=max_bytes + 1))  # one request; `open` takes two
        except OSError as problem:
            reason = problem.strerror or first_line(problem)
            raise InputError(f"cannot read {self.address(name)}: {reason}") from problem
        except Exception as problem:
            raise InputError(f"cannot read {self.address(name)}: {first_line(problem)}") from problem
        if len(content) > max_bytes:
            raise InputError(f"cannot read {self.address(name)}: it has more than {max_bytes} bytes")
        return content

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a regular file for reading and seeking.

        Raises:
            InputError: it cannot be opened.
        """
        fs, path = self._where(name)
        try:
            if fs is None and not stat.S_ISREG(os.stat(path).st_mode):
                raise InputError(f"cannot read {self.address(name)}: it is not a regular file")
            file: BinaryIO = open(path, "rb") if fs is None else fs.open(path, "rb")  # noqa: SIM115
        except SfumatoError:
            raise
        except Exception as problem:
            reason = getattr(problem, "strerror", None) or first_line(problem)
            raise InputError(f"cannot read {self.address(name)}: {reason}") from problem
        with file:
            yield file

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all; it replaces an existing one.

        Raises:
            OutputError: it cannot be written.
        """
        fs, path = self._where(name)
        if fs is None:
            with atomic_file(path) as file:
                file.write(content)
            return
        with self._remote_errors(name):
            if _is_object_store(fs):
                _make_folder(fs, path)
                fs.pipe_file(path, content)
            else:
                with _renamed(fs, path) as temporary:
                    fs.pipe_file(temporary, content)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a temporary local file, which becomes the file of that name when the block succeeds.

        Raises:
            OutputError: it cannot be written.
        """
        fs, path = self._where(name)
        if fs is None:
            with atomic_file(path) as file:
                yield file
            return
        with tempfile.NamedTemporaryFile(prefix="sfumato-batch-") as local:
            yield local  # type: ignore[misc]  # it has all methods of a binary file
            local.flush()
            with self._remote_errors(name):
                if _is_object_store(fs):
                    _make_folder(fs, path)
                    fs.put_file(local.name, path)
                else:
                    with _renamed(fs, path) as temporary:
                        fs.put_file(local.name, temporary)

    def check_writable(self, name: str) -> None:
        """Write and remove a small file.

        Raises:
            OutputError: the place cannot be written.
        """
        self.write(name, b"")
        fs, path = self._where(name)
        with suppress(Exception):
            os.unlink(path) if fs is None else fs.rm_file(path)

    def _where(self, name: str) -> tuple[Any, str]:
        """Return the file system of fsspec, None for the local one, and the path in it."""
        if not self.root:
            return _connect(name) if is_url(name) else (None, name.removeprefix("file://"))
        return self._fs, f"{self._base}/{name}" if self._base else name

    @contextmanager
    def _remote_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as problem:  # fsspec and its plug-ins raise unrelated types
            raise OutputError(f"cannot write {self.address(name)}: {first_line(problem)}") from problem


def check_target(text: str) -> None:
    """Raise UsageError where pictures cannot be written to an address: into an archive, or to a web page."""
    if "::" in text or text.partition("://")[0] in ("zip", "tar", "http", "https", "github", "git"):
        raise UsageError(f"cannot write to {shown(text)}; name a folder, or a store such as s3://bucket/painted")


def _connect(url: str) -> tuple[Any, str]:
    with needs_extra("scale", "Reading and writing at URLs"):
        import fsspec  # type: ignore[import-untyped]
    try:
        fs, base = fsspec.core.url_to_fs(url, skip_instance_cache=True)  # which could hold old listings
    except Exception as problem:  # fsspec and its plug-ins raise unrelated types
        raise UsageError(f"cannot use the address {shown(url)}: {first_line(problem)}") from problem
    return fs, str(base)


def _is_object_store(fs: Any) -> bool:
    names = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return bool(_OBJECT_STORES & set(names))


def _make_folder(fs: Any, path: str) -> None:
    if "memory" in fs.protocol:  # the one of them in which folders exist
        fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)


@contextmanager
def _renamed(fs: Any, path: str) -> Iterator[str]:
    """Yield a temporary name in the same folder, and rename it to the final one when the block succeeds."""
    folder = str(PurePosixPath(path).parent)
    fs.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.sfumato-{secrets.token_hex(6)}.tmp"
    try:
        yield temporary
        fs.mv(temporary, path)
    except BaseException:
        with suppress(Exception):
            fs.rm_file(temporary)
        raise
