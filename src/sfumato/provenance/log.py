"""The log of what was sealed: a file to which lines are only added, each signed and bound to the one before.

A line is a JSON object: ``n`` (its number, from 0), ``previous`` (SHA-256 of the line before; 64 zeros in the first),
``time`` (UTC), ``id`` (16 hex digits, as in the mark), ``file`` (SHA-256 of the file), ``pixels`` (of its pixels; null
for videos), ``recipe`` (SHA-256 of the recipe's JSON) and ``signature`` (Ed25519, of the line without it). It holds no
name and no path.

Each line is written to the disk before the file that it speaks of gets its name. The folder of the keys has the number
of lines and the hash of the last one, by which a cut end is found. A line that a killed process left unfinished is
removed when the next one is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from sfumato.errors import InputError, OutputError
from sfumato.files import atomic_file, parse_json, read_json, told
from sfumato.provenance.keys import Keys, head_path, log_path, log_public_key, own_lock

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_FIRST = "0" * 64
_MAX_LINE = 4096  # bytes
_FIELDS = {"n", "previous", "time", "id", "file", "pixels", "recipe", "signature"}
_HASH = re.compile(r"[0-9a-f]{64}")
_REMEDY = (
    "restore it from a backup, or move log.jsonl and keys/head.json to another folder to begin a new log; what it "
    "proved is then lost"
)


@dataclass(frozen=True)
class Entry:
    """What a line says of a sealed file.

    Attributes:
        id: 16 hex digits.
        file: SHA-256 of the file, in hex.
        pixels: SHA-256 of its pixels (`seal.pixels_digest`); None for a video.
        recipe: SHA-256 of the recipe's JSON.
        time: in UTC, as in 2026-12-01T08:00:00Z; "" before it is in the log.
    """

    id: str
    file: str
    pixels: str | None
    recipe: str
    time: str = ""


@dataclass(frozen=True)
class _Head:
    """The end of the log: number of lines, their bytes, and the SHA-256 of the last one."""

    lines: int = 0
    size: int = 0
    last: str = _FIRST


class SealLog:
    """The log of a folder.

    Args:
        keys: of the folder.
    """

    def __init__(self, keys: Keys) -> None:
        self.path, self._head_path = log_path(keys.folder), head_path(keys.folder)
        self._key = keys.log_key

    def append(self, entry: Entry) -> str | None:
        """Add a line, and flush it to the disk; return a sentence where a damaged end was repaired.

        Raises:
            OutputError: the log cannot be written, or lines are missing from it.
        """
        lock = self._head_path.with_name("log.lock")
        with told(f"cannot write {self.path}"), own_lock(lock):
            head, said = self._end()
            body = {
                "n": head.lines,
                "previous": head.last,
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "id": entry.id,
                "file": entry.file,
                "pixels": entry.pixels,
                "recipe": entry.recipe,
            }
            line = _packed({**body, "signature": self._key.sign(_packed(body)).hex()})
            with open(self.path, "ab", opener=_private) as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._write_head(_Head(head.lines + 1, head.size + len(line) + 1, _digest(line)))
        return said

    def check(self) -> None:
        """Raise OutputError where lines are missing or were changed, so that nothing is added to a log that is wrong.

        Only the hashes of the lines are compared, which takes a second for some 100,000 of them: a change of one line
        does not fit the next one, or the stored end. `read_log` also checks the signatures.
        """
        head = _read_head(self._head_path)  # first: the log only grows
        if _size(self.path) < head.size:
            raise OutputError(_cut(self.path))
        number, previous = 0, _FIRST
        with told(f"cannot read {self.path}"), open(self.path if head.size else os.devnull, "rb") as file:
            for number, line in enumerate(_lines(file, head.size), 1):
                found = _parsed(line[:-1])
                if found is None:
                    raise OutputError(f"cannot write {self.path}: line {number} is damaged; {_REMEDY}")
                if found["previous"] != previous:
                    raise OutputError(
                        f"cannot write {self.path}: line {number} does not follow the line before it, so one of them "
                        f"was changed, removed or moved; {_REMEDY}"
                    )
                previous = _digest(line[:-1])
        if (number, previous) != (head.lines, head.last):
            raise OutputError(f"cannot write {self.path}: line {number} is not the one that was written; {_REMEDY}")

    def _end(self) -> tuple[_Head, str | None]:
        """Return the end of the log, mended: lines that the head does not know yet are added to it."""
        head, size = _read_head(self._head_path), _size(self.path)
        if size < head.size:
            raise OutputError(_cut(self.path))
        if size == head.size:
            return head, None
        public = self._key.public_key()
        with open(self.path, "r+b") as file:
            file.seek(head.size)
            for line in _lines(file, size - head.size):
                if not line.endswith(b"\n"):
                    break
                if problem := _problem(line[:-1], head.lines, head.last, public):
                    raise OutputError(f"cannot write {self.path}: line {head.lines + 1} {problem}; {_REMEDY}")
                head = _Head(head.lines + 1, head.size + len(line), _digest(line[:-1]))
            file.truncate(head.size)
        torn = size - head.size
        return head, f"an unfinished line of {torn} bytes at the end of the log was removed" if torn else None

    def _write_head(self, head: _Head) -> None:
        with atomic_file(self._head_path, private=True) as file:
            file.write(json.dumps(vars(head)).encode())


@dataclass(frozen=True)
class Reading:
    """What a log says.

    Attributes:
        entries: of its valid lines.
        problems: a sentence on each thing that is wrong with it.
        has_end: whether its end is stored, by which a cut is found.
        is_torn: whether an unfinished line follows, as a loss of power or a full disk leaves it. That is no problem:
            its file never got its name, and the next line replaces it.
    """

    entries: list[Entry]
    problems: list[str]
    has_end: bool
    is_torn: bool = False


def read_log(folder: Path) -> Reading | None:
    """Return what the log of a folder says; None where there is no log, nor a key for one.

    Nothing is written, and no private key is needed. A writer at the same time does no harm: the end is read first, and
    the log only grows.

    Raises:
        InputError: the log or its key cannot be read.
    """
    path = log_path(folder)
    if (public := log_public_key(folder)) is None:
        if os.path.exists(path):
            raise InputError(f"cannot check {path}: the public key of the log, {folder / 'log-key.pem'}, is missing")
        return None
    problems: list[str] = []
    try:
        head, has_end = _read_head(head_path(folder)), os.path.exists(head_path(folder))
    except InputError as problem:
        head, has_end = _Head(), False
        if not isinstance(problem.__cause__, PermissionError):
            problems.append("its end, which keys/head.json states, is not known, since that file is damaged")
    entries: list[Entry] = []
    number, previous, at_head, is_torn = 0, _FIRST, head.lines == 0, False
    try:
        with open(path, "rb") as file:
            for line in _lines(file, os.fstat(file.fileno()).st_size):
                if not line.endswith(b"\n"):
                    is_torn = True
                    break
                wrong = _problem(line[:-1], number, previous, public)
                if wrong:
                    problems.append(f"line {number + 1} {wrong}")
                found = _parsed(line[:-1])
                if found is not None and not wrong:
                    entries.append(Entry(*(found[key] for key in ("id", "file", "pixels", "recipe", "time"))))
                number, previous = number + 1, _digest(line[:-1])
                at_head = at_head or (number == head.lines and previous == head.last)
    except FileNotFoundError:
        pass
    except OSError as problem:
        raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem
    if number < head.lines:
        problems.append(f"lines are missing at the end: it has {number}, but had {head.lines}")
    elif not at_head:
        problems.append(f"line {head.lines} is not the one that was written")
    return Reading(entries, problems, has_end, is_torn)


def _read_head(path: Path) -> _Head:
    if not os.path.exists(path):
        return _Head()
    try:
        found = _Head(**read_json(path, _MAX_LINE))
        if not (isinstance(found.lines, int) and isinstance(found.size, int) and _HASH.fullmatch(found.last)):
            raise ValueError("its values have other types")
    except (OSError, ValueError, TypeError) as problem:
        raise InputError(f"cannot read {path} ({problem}); {_REMEDY}") from problem
    return found


def _problem(line: bytes, number: int, previous: str, public: Ed25519PublicKey) -> str | None:
    """Return what is wrong with a line, as the rest of a sentence; None if it is right."""
    from cryptography.exceptions import InvalidSignature

    found = _parsed(line)
    if found is None:
        return "is damaged"
    body = {key: value for key, value in found.items() if key != "signature"}
    try:
        public.verify(bytes.fromhex(found["signature"]), _packed(body))
    except (InvalidSignature, ValueError):
        return "was changed: its signature does not fit"
    if found["n"] != number:
        return f"is number {found['n'] + 1}: lines before it were removed, added or moved"
    return None if found["previous"] == previous else "does not follow the line before it, which was changed"


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the values of a line if they have the right names and types, written as Sfumato writes them."""
    try:
        found = parse_json(line)
        if not isinstance(found, dict) or found.keys() != _FIELDS or _packed(found) != line:
            return None
    except ValueError:
        return None
    texts = all(isinstance(found[key], str) for key in _FIELDS - {"n", "pixels"})
    return found if texts and isinstance(found["n"], int) and isinstance(found["pixels"], str | None) else None


def _packed(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the lines in the next bytes; one that is too long comes in parts, none of which is a valid line."""
    while size > 0 and (line := file.readline(min(_MAX_LINE, size))):
        size -= len(line)
        yield line if line.endswith(b"\n") or len(line) < _MAX_LINE else line + b"\n"


def _size(path: Path) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _cut(path: Path) -> str:
    return f"cannot write {path}: lines that were written are missing at its end; {_REMEDY}"


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
