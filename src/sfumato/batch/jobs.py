"""From a source (a folder, a URL, a table of pairs, shards) to a list of jobs, checked before any work begins."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path, PurePosixPath

from sfumato.batch.places import Place, check_name, check_target, identity, is_url, shown
from sfumato.batch.tables import TABLES, Row, read_rows
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.image import READABLE, WRITABLE, LeftOut, is_hidden, scan_folder
from sfumato.image.formats import why_unread
from sfumato.inference.jobs import target_names

SHARD = ".tar"
_MAX_SHARDS = 1_000_000
_MAX_STYLES = 256  # of a table: every worker holds them
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Job:
    """A photo, or a shard of photos, and where its result goes.

    Attributes:
        photo: name in the source.
        target: name in the target.
        style: the style of a table's row; empty for the styles of the command.
        copies: photos with the same content, each with its own target; they are not painted again.
    """

    photo: str
    target: str
    style: str = ""
    copies: tuple[tuple[str, str], ...] = ()


@dataclass
class Plan:
    """The jobs of a batch.

    Attributes:
        source: the place in which the names of photos lie; empty where the names are addresses.
        jobs: one for each photo or shard.
        sizes: of the photos in bytes, in the order of the jobs; None where a size is unknown.
        is_shards: whether the jobs are shards.
        is_table: whether the source is a table.
        left_out: files of a folder that are not pictures.
        folder: the folder of a table, to which the styles in it are relative; else empty.
    """

    source: str
    jobs: list[Job]
    sizes: list[int | None]
    is_shards: bool = False
    is_table: bool = False
    left_out: list[LeftOut] = field(default_factory=list)
    folder: str = ""

    @property
    def styles(self) -> list[str]:
        """The distinct styles that a table's rows name."""
        return list(dict.fromkeys(job.style for job in self.jobs if job.style))


def plan(source: str, target: str, format: str | None = None) -> Plan:
    """Plan a batch.

    Args:
        source: a folder or a URL, which are searched recursively; a CSV or Parquet of pairs; or shards: names that end
            in ``.tar``, with ``{000..009}``, ``{a,b}``, ``*`` or ``?``.
        target: the folder or URL for the results.
        format: ``png``, ``jpg``, ``webp`` or ``tiff``; None: by each photo's name.

    Raises:
        UsageError: source and target do not fit, two photos would become one file, or a photo would be replaced.
        InputError: the source cannot be read or holds no picture, or a name in it is refused.
        MissingExtraError: a library for the source is missing.
    """
    if not source or not target:
        raise UsageError("a name is empty; give a source and a target")
    check_target(target)
    if identity(source) == identity(target):
        raise UsageError(f"the source and the target are both {shown(source)}; choose another target")
    suffix = PurePosixPath(source.partition("::")[0]).suffix.lower()
    if suffix in TABLES:
        found = _of_table(source, format)
    elif suffix == SHARD and not (not is_url(source) and os.path.isdir(source)):
        found = _of_shards(source)
    else:
        found = _of_folder(source, target, format)
    check_targets(found, target)
    return found


def _of_folder(source: str, target: str, format: str | None) -> Plan:
    left_out: list[LeftOut] = []
    names: list[str]
    sizes: list[int | None]
    if is_url(source):
        entries = [(check_name(n, "the name"), size) for n, size in Place(source).find() if not _is_hidden(n)]
        others = [name for name, _ in entries if PurePosixPath(name).suffix.lower() not in READABLE]
        left_out = [LeftOut(Path(name), why_unread(Path(name))) for name in others]
        kept = [entry for entry in entries if PurePosixPath(entry[0]).suffix.lower() in READABLE]
        names, sizes = [name for name, _ in kept], [size for _, size in kept]
    else:
        root = Path(source.removeprefix("file://"))
        if not os.path.isdir(root):
            raise InputError(
                f"cannot read {source}: it is not a folder; name a folder, a URL, a table (.csv, .parquet) or shards "
                "(.tar), and see sfumato stylize for single photos"
            )
        contents = scan_folder(root)
        inside = _inside(root, target)
        pictures = [path for path in contents.pictures if inside is None or not path.is_relative_to(inside)]
        left_out = [each for each in contents.left_out if inside is None or not each.path.is_relative_to(inside)]
        names = [path.relative_to(root).as_posix() for path in pictures]
        sizes = [_size(path) for path in pictures]
    if not names:
        raise InputError(f"no picture lies in {shown(source)}; name another folder, a table or shards")
    targets = [name.as_posix() for name in target_names([Path(name) for name in names], format)]
    jobs = [Job(name, made) for name, made in zip(names, targets, strict=True)]
    return Plan(_absolute(source), jobs, sizes, left_out=left_out)


def _of_table(source: str, format: str | None) -> Plan:
    folder = _absolute(source).rpartition("/")[0]
    rows = read_rows(source)
    if len({row.style for row in rows}) > _MAX_STYLES:
        raise InputError(f"the table {shown(source)} names more than {_MAX_STYLES} styles; split it")
    photos = [row.photo if _is_absolute(row.photo) else f"{folder}/{row.photo}" for row in rows]
    defaults = target_names([Path(_default_name(row)) for row in rows], format)
    place = Place("")
    jobs, sizes = [], []
    for row, photo, default in zip(rows, photos, defaults, strict=True):
        made = check_name(row.target, f"in line {row.line}, the target") if row.target else default.as_posix()
        if PurePosixPath(made).suffix.lower() not in WRITABLE:
            raise InputError(f"in line {row.line}, the target {made!r} must end in one of {', '.join(WRITABLE)}")
        jobs.append(Job(photo, made, row.style))
        sizes.append(None if is_url(photo) else place.size(photo))
    return Plan("", jobs, sizes, is_table=True, folder=folder)


def _default_name(row: Row) -> str:
    """Return the name of a row's result before its suffix is chosen; it names the row's style."""
    try:
        name = PurePosixPath(check_name(row.photo, "the photo"))
    except InputError:  # an absolute path, or one with ..
        name = PurePosixPath(check_name(re.split(r"[/\\]", row.photo)[-1], f"in line {row.line}, the photo"))
    label = PurePosixPath(row.style).name.split(".")[0] if row.style else ""
    return str(name.with_name(f"{name.stem}-{label}{name.suffix}" if label else name.name))


def _of_shards(source: str) -> Plan:
    names = [each for text in _expand_braces(_absolute(source)) for each in _expand_pattern(text)]
    folders = [f"{name.rpartition('/')[0]}/" for name in names]
    root = os.path.commonprefix(folders).rpartition("/")[0]  # noqa: RUF071 - commonpath would break URLs
    relative = [name[len(root) :].lstrip("/") for name in names]
    for name in relative:
        check_name(name, "the shard")
    place = Place(root)
    missing = [name for name in relative if not place.exists(name)]
    if missing:
        raise InputError(f"cannot read {place.address(missing[0])}: it does not exist; check the names of the shards")
    return Plan(root, [Job(name, name) for name in relative], [None] * len(relative), is_shards=True)


def _expand_braces(text: str) -> list[str]:
    """Return the names that ``{000..009}`` and ``{a,b}`` stand for."""
    parts: list[Sequence[str]] = []
    end = 0
    count = 1
    for found in _BRACES.finditer(text):
        low, high, several = found.groups()
        if several is None and int(high) - int(low) >= _MAX_SHARDS:
            raise UsageError(f"{found[0]} names more than {_MAX_SHARDS} shards; give fewer at a time")
        choices: Sequence[str] = (
            several.split(",")
            if several is not None
            else [f"{number:0{len(low)}d}" for number in range(int(low), int(high) + 1)]
        )
        count *= len(choices)
        parts += [[text[end : found.start()]], choices]
        end = found.end()
    if not 0 < count <= _MAX_SHARDS:
        raise UsageError(f"{shown(text)} names {count} shards; it must be 1 to {_MAX_SHARDS}")
    return ["".join(each) for each in product(*parts, [text[end:]])]


def _expand_pattern(text: str) -> list[str]:
    if "*" not in text and "?" not in text:
        return [text]
    folder, _, pattern = text.rpartition("/")
    names = Place(folder).matches(pattern)
    if not names:
        raise InputError(f"no shard matches {shown(text)}; check the pattern")
    return [f"{folder}/{name}" for name in names]


def check_targets(found: Plan, target: str) -> None:
    """Raise UsageError where two photos would become one file, or a result would replace any of the photos."""
    real = lru_cache(maxsize=1024)(os.path.realpath)
    photos = {identity(_joined(found.source, job.photo), real) for job in found.jobs}
    taken: dict[str, str] = {}
    for job in found.jobs:
        made = _joined(target, job.target)
        if identity(made, real) in photos:
            what = "shard" if found.is_shards else "photo"
            raise UsageError(f"refusing to replace the {what} {shown(made)}; choose another target")
        if job.target in taken:
            raise UsageError(
                f"{shown(taken[job.target])} and {shown(job.photo)} would both become {job.target}; rename one, or "
                "name targets in a table"
            )
        taken[job.target] = job.photo


def _joined(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}" if root else name


def _inside(root: Path, target: str) -> Path | None:
    """Return the path of a target folder that lies in the source folder, as paths in the source begin; else None."""
    if is_url(target):
        return None
    real, base = os.path.realpath(target.removeprefix("file://")), os.path.realpath(root)
    return root / os.path.relpath(real, base) if real.startswith(base + os.sep) else None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _is_hidden(name: str) -> bool:
    return any(is_hidden(part) for part in name.split("/"))


def _absolute(source: str) -> str:
    """Return a URL unchanged, and a path as one that other processes can use."""
    return source if is_url(source) else os.path.abspath(source.removeprefix("file://"))


def _is_absolute(name: str) -> bool:
    return "://" in name or os.path.isabs(name)


def check_target_folder(target: str) -> None:
    """Raise OutputError where the parent of a local target folder does not exist, or a file has its name."""
    if is_url(target):
        return
    path = Path(target.removeprefix("file://"))
    if os.path.lexists(path) and not os.path.isdir(path):
        raise OutputError(f"cannot write into {path}: it is a file; name a folder")
    if not os.path.isdir(path.absolute().parent):
        raise OutputError(f"cannot write into {path}: the folder {path.parent} does not exist; create it first")
