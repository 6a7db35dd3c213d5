"""WebDataset shards: tar archives whose files belong together where their names agree up to the first dot.

A picture is a file with the suffix of a picture alone (``0001.jpg``); files with two suffixes (``0001.mask.png``) and
all others are copied as they are. Shards may come from untrusted sources: nothing is unpacked to the disk, and names,
kinds and sizes of members are checked.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from time import perf_counter
from typing import TYPE_CHECKING, BinaryIO

from sfumato import limits
from sfumato.batch.jobs import Job
from sfumato.batch.outcomes import Outcome, explain, failed, worker_name
from sfumato.batch.places import Place, check_name
from sfumato.errors import InputError, OutputError, first_line
from sfumato.image import READABLE, WRITABLE, read_recipe
from sfumato.text import short

if TYPE_CHECKING:
    from sfumato.batch.painter import Painter

_BLOCK = 2**20
_MAX_READ = 64 * 2**20  # bytes: `tarfile` reads a header of any size that an archive states


class _KeptError(Exception):
    """The shard exists already, byte for byte, or there is nothing to put into a new one."""


class _Checked(io.RawIOBase):
    """An archive that refuses to be read in huge pieces."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise InputError("a header in it states a size that no header has")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class _Hashed:
    """A file for writing that computes the SHA-256 of what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.sha256, self._at = file, hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self._at += len(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self._at


@dataclass(frozen=True)
class _Part:
    """A member of a new shard: the old and the new header, the content unless it is the old one, and its outcome."""

    old: tarfile.TarInfo
    new: tarfile.TarInfo
    content: bytes | None = None
    outcome: Outcome | None = None


class _Shard:
    """A shard of results that exists already.

    Args:
        archive: it, open; None where there is none.
        painter: judges which results may stay.
    """

    def __init__(self, archive: tarfile.TarFile | None, painter: Painter) -> None:
        self._archive, self._painter = archive, painter
        self._members = {} if archive is None else {each.name: each for each in _members(archive)}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def has_results(self) -> bool:
        """Return whether Sfumato painted any of its pictures."""
        return any(_is_picture(name) and self._read(name)[1] is not None for name in self._members)

    def find(self, name: str, photo_sha256: str) -> bytes | None:
        """Return a result that would be painted again just so; None where there is none."""
        content, recipe = self._read(name)
        if recipe is None or not self._painter.would_make(content, recipe, "", photo_sha256):
            return None
        return content

    def _read(self, name: str) -> tuple[bytes, dict[str, object] | None]:
        """Return a member's content and the recipe in it; nothing where there is no such member or picture."""
        member = self._members.get(name)
        if self._archive is None or member is None:
            return b"", None
        try:
            _check(member, self._painter.spec.max_pixels)
            content = _content(self._archive, member)
            return content, read_recipe(content)
        except InputError:
            return b"", None


def paint_shard(painter: Painter, job: Job) -> list[Outcome]:
    """Paint the pictures of a shard into a new shard, with all other files; it is written whole or not at all.

    Pictures that the existing shard of that name has, made from the same photo in the same way, are copied from it. A
    sample whose picture fails is left out, and its outcome says so. Where all fail, no shard is written.

    Raises:
        InputError: the shard is no tar archive, is damaged, or has no picture.
        OutputError: the new one cannot be written, or a file without results of Sfumato has its name.
    """
    source, target = painter.source, painter.target
    with ExitStack() as stack:
        known, old = _existing(painter, job.target, stack)
        archive = stack.enter_context(_reading(source, job.photo))  # the last, so that its errors name this shard
        outcomes: list[Outcome] = []
        try:
            with target.writing(job.target) as out:
                hashed = _Hashed(out)
                _write(painter, job, archive, known, hashed, outcomes)
                if not any(_is_picture(outcome.photo.rpartition("::")[2]) for outcome in outcomes):
                    raise InputError(f"no picture lies in the shard {source.address(job.photo)}")
                if hashed.sha256.hexdigest() == old or all(outcome.status == "failed" for outcome in outcomes):
                    raise _KeptError
        except _KeptError:
            pass
    return outcomes


def _existing(painter: Painter, name: str, stack: ExitStack) -> tuple[_Shard, str]:
    """Return the existing shard of results, open until the stack ends, and its SHA-256; an empty one if there is none.

    Raises:
        OutputError: a file without results of Sfumato has that name, and may not be replaced.
    """
    target = painter.target
    if target.exists(name):
        with suppress(InputError), ExitStack() as opened:
            shard = _Shard(opened.enter_context(_reading(target, name)), painter)
            if painter.spec.overwrite or shard.has_results():
                sha256 = _digest(target, name)
                stack.enter_context(opened.pop_all())
                return shard, sha256
        if not painter.spec.overwrite:
            raise OutputError(
                f"{target.address(name)} already exists and was not painted by Sfumato; add --overwrite to replace it"
            )
    return _Shard(None, painter), ""


def _write(
    painter: Painter, job: Job, archive: tarfile.TarFile, known: _Shard, out: _Hashed, outcomes: list[Outcome]
) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:  # type: ignore[call-overload]
        for key, members in groupby(_members(archive), lambda each: _key(each.name)):
            sample, began = list(members), perf_counter()
            name = f"{job.photo}::{next((each.name for each in sample if _is_picture(each.name)), key)}"
            try:
                parts = [_part(painter, job, archive, member, known) for member in sample]
            except Exception as problem:
                error, code = explain(problem, name)
                error = error if name in error else f"{name}: {error}"
                outcomes.append(failed(short(name), "", error, code, perf_counter() - began))
                continue
            for part in parts:
                if part.content is None:
                    made.addfile(part.new, archive.extractfile(part.old))
                else:
                    made.addfile(part.new, io.BytesIO(part.content))
                if part.outcome is not None:
                    outcomes.append(part.outcome)


def _part(painter: Painter, job: Job, archive: tarfile.TarFile, member: tarfile.TarInfo, known: _Shard) -> _Part:
    """Return what a member becomes in the new shard: a picture is painted, another file copied."""
    began = perf_counter()
    _check(member, painter.spec.max_pixels)
    if not _is_picture(member.name):
        return _Part(member, _header(member, member.name, member.size))
    name = _result_name(member.name, painter.spec.shard_format)
    photo, photo_name = _content(archive, member), f"{job.photo}::{member.name}"
    photo_sha256 = hashlib.sha256(photo).hexdigest()
    content, status = known.find(name, photo_sha256), "present"
    remarks: tuple[str, ...] = ()
    if content is None:
        painted = painter.make(photo, photo_name, "", photo_sha256, PurePosixPath(name).suffix)
        assert painted is not None, "shards pass over no results"
        content, remarks, status = painted.content, painted.remarks, "painted"
    outcome = Outcome(
        photo_name,
        f"{job.target}::{name}",
        "present" if status == "present" else "painted",
        photo_sha256,
        hashlib.sha256(content).hexdigest(),
        painter.key("", photo_sha256),
        len(content),
        perf_counter() - began,
        worker_name(),
        replaced=status == "painted" and name in known,
        remarks=remarks,
    )
    return _Part(member, _header(member, name, len(content)), content, outcome)


@contextmanager
def _reading(where: Place, name: str) -> Iterator[tarfile.TarFile]:
    """Open an archive; errors of its format, also in the block, become InputError."""
    try:
        with where.open(name) as file, tarfile.open(fileobj=_Checked(file), mode="r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError, ValueError) as problem:
        raise InputError(f"cannot read the shard {where.address(name)}: {first_line(problem)}") from problem


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive but for folders, without keeping them."""
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]
        if not member.isdir():
            yield member


def _digest(where: Place, name: str) -> str:
    sha256 = hashlib.sha256()
    with where.open(name) as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
    return sha256.hexdigest()


def _check(member: tarfile.TarInfo, max_pixels: int) -> None:
    """Raise InputError for a member that is refused: no regular file, a name that leaves the archive, or too large."""
    check_name(member.name.removeprefix("./"), "the member")
    if not member.isreg() or member.issparse():
        raise InputError("it is a link, a device or a sparse file, which shards of pictures have not")
    limit = limits.max_file_bytes(max_pixels)
    if member.size > limit:
        raise InputError(f"it states {member.size} bytes, more than the limit of {limit}")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, "_check refuses what is no regular file"
    blocks = iter(lambda: file.read(_BLOCK), b"")
    return b"".join(blocks)


def _header(old: tarfile.TarInfo, name: str, size: int) -> tarfile.TarInfo:
    """Return the header of a new member, with the time of the old one and without its owner."""
    made = tarfile.TarInfo(name)
    made.size, made.mtime = size, old.mtime
    return made


def _key(name: str) -> str:
    """Return what the files of a sample have in common: the folder, and the name up to the first dot."""
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.partition('.')[0]}"


def _is_picture(name: str) -> bool:
    ending = name.rpartition("/")[2].partition(".")[2]
    return f".{ending.lower()}" in READABLE


def _result_name(name: str, format: str | None) -> str:
    path = PurePosixPath(name)
    suffix = f".{format}" if format else path.suffix.lower() if path.suffix.lower() in WRITABLE else ".png"
    return str(path.with_suffix(suffix))
