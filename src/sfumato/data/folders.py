"""Folders of training pictures: finding, reading and checking them, and a report of what will be used."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

import numpy as np

from sfumato.errors import InputError, SfumatoError, UsageError
from sfumato.image import (
    READABLE,
    LeftOut,
    as_image,
    describe_left_out,
    picture_digest,
    read_photo,
    reservation,
    resize,
    scan_folder,
    to_uint8,
)
from sfumato.rights import LICENCE_FILTERS
from sfumato.tables import read_table
from sfumato.text import counted

UNKNOWN = "licence unknown"  # for a picture whose licence no manifest gives


@dataclass(frozen=True)
class TrainingPicture:
    """One training picture."""

    path: Path
    group: str  # group within which pictures are balanced, for example an artist
    sha256: str
    pixels: np.ndarray  # (3, H, W) uint8
    licence: str = UNKNOWN  # as in the manifest


@dataclass
class FolderReport:
    """The pictures of a folder, and the files that were left out."""

    folder: Path
    pictures: list[TrainingPicture] = field(default_factory=list)  # those that will be used
    held_out: list[TrainingPicture] = field(default_factory=list)  # those held out for validation
    unreadable: list[tuple[Path, str]] = field(default_factory=list)  # file and reason
    tiny: list[Path] = field(default_factory=list)
    duplicates: list[Path] = field(default_factory=list)
    reserved: list[Path] = field(default_factory=list)  # marked by their owners as not for training
    other_licences: int = 0  # rows of the manifest's split under other licences than those asked for
    trained_on: list[Path] = field(default_factory=list)  # in a validation set: files that training uses too
    passed_over: list[LeftOut] = field(default_factory=list)  # not a picture by its name, or not a regular file
    split: str = ""  # split of the manifest; empty without a manifest

    @property
    def groups(self) -> dict[str, list[int]]:
        """The indices into `pictures` by group, in order."""
        groups: dict[str, list[int]] = {}
        for index, picture in enumerate(self.pictures):
            groups.setdefault(picture.group, []).append(index)
        return groups

    @property
    def digest(self) -> str:
        """One hash of all pictures, independent of their order."""
        return hashlib.sha256("".join(sorted(p.sha256 for p in self.pictures)).encode()).hexdigest()

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        megabytes = sum(p.pixels.nbytes for p in self.pictures) / 1e6
        groups = f"{len(self.groups)} group{'s' if len(self.groups) != 1 else ''}"
        lines = [f"{self.folder}: {len(self.pictures)} pictures in {groups}, {megabytes:.0f} MB held"]
        if self.held_out:
            lines.append(f"  held out for validation: {len(self.held_out)}")
        for name, paths in (
            ("too small", self.tiny),
            ("duplicates of other files", self.duplicates),
            ("also used for training", self.trained_on),
        ):
            if paths:
                lines.append(f"  left out, {name}: {len(paths)} ({', '.join(p.name for p in paths[:3])}...)")
        if self.reserved:
            are = "is" if len(self.reserved) == 1 else "are"
            lines.append(f"  left out: {counted(len(self.reserved), 'picture')} that {are} marked as not for training")
        if self.other_licences:
            lines.append(f"  left out, under other licences or none that is known: {self.other_licences}")
        for path, reason in self.unreadable[:5]:
            lines.append(f"  left out, unreadable: {path.name}: {reason}")
        if len(self.unreadable) > 5:
            lines.append(f"  and {len(self.unreadable) - 5} more unreadable")
        lines += [f"  left out: {line}" for line in describe_left_out(self.passed_over, 5)]
        return lines


@dataclass(frozen=True)
class Found:
    """A picture file that was found in a folder."""

    path: Path
    group: str  # the first subfolder on the way to it; empty for a file in the folder itself
    licence: str = UNKNOWN  # as in the manifest


def find_pictures(folder: Path, manifest: Path | None = None, split: str = "train") -> list[Found]:
    """Return the files under `folder` with the suffix of a picture, sorted by path, readable or not.

    Hidden files and folders, and those of file managers, are skipped.

    Args:
        folder: searched with its subfolders.
        manifest: CSV with the columns file, split, and optionally licence; paths are relative to the manifest. Only
            files of its `split` are taken. Listed files that are not under `folder` are ignored.
        split: the split to take.

    Raises:
        InputError: `folder` is not a folder, or the manifest cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of pictures")
    allowed = None if manifest is None else _rows(manifest, split)
    found = []
    contents = scan_folder(folder)
    odd = [each.path for each in contents.left_out if each.path.suffix.lower() in READABLE]  # e.g. a pipe or a link
    for path in sorted([*contents.pictures, *odd]):
        if allowed is None or path.resolve() in allowed:
            parts = path.relative_to(folder).parts
            licence = (allowed or {}).get(path.resolve(), UNKNOWN)
            found.append(Found(path, parts[0] if len(parts) > 1 else "", licence))
    return found


def _rows(manifest: Path, split: str) -> dict[Path, str]:
    """Return the licence of each file of the split."""
    rows = read_table(manifest, ("file", "split"), "manifest", optional=("licence", "license"))
    return {
        (manifest.parent / row["file"]).resolve(): row.get("licence") or row.get("license") or UNKNOWN
        for _, row in rows
        if row["split"] == split
    }


def about_data(photos: FolderReport | None, paintings: FolderReport) -> dict[str, object]:
    """Describe the training pictures for a model's card.

    Returns:
        Numbers of photos and paintings, the manifest's split, the number of pictures under each licence, and one hash
        of all photos and one of all paintings (`FolderReport.digest`).
    """
    reports = {"photos": photos, "paintings": paintings}
    given = {name: report for name, report in reports.items() if report is not None}
    licences = Counter(picture.licence for report in given.values() for picture in report.pictures)
    return {
        **{name: len(report.pictures) for name, report in given.items()},
        "split": paintings.split or "no manifest",
        "licences": dict(sorted(licences.items(), key=lambda each: (-each[1], each[0]))),
        "sha256": {name: report.digest for name, report in given.items()},
    }


def load_folder(
    folder: Path,
    manifest: Path | None = None,
    *,
    short: int,
    min_pictures: int,
    split: str = "train",
    licences: str | None = None,
    hold_out: float = 0.0,
    minimum_side: int = 64,
    tick: Callable[[int, int], None] | None = None,
) -> FolderReport:
    """Read every picture of a folder.

    Args:
        folder: searched with its subfolders.
        manifest: see `find_pictures`.
        short: pictures with a larger short side are reduced to this one, in pixels.
        min_pictures: fewer usable pictures are an error.
        split: the manifest's split to take.
        licences: take only pictures whose licence in the manifest passes this one of `rights.LICENCE_FILTERS`.
        hold_out: share of the pictures, in [0, 1), that is held out for validation. It is chosen by each picture's own
            hash, so that the choice does not depend on the folder's other files.
        minimum_side: pictures with a shorter side are left out, in pixels.
        tick: called as `tick(done, total)` after each file.

    Raises:
        UsageError: licences are asked for without a manifest.
        InputError: there are fewer than `min_pictures` usable pictures, or see `find_pictures`.
    """
    if licences is not None and manifest is None:
        raise UsageError("only a manifest says which licence a picture has; name one with --manifest")
    report = FolderReport(folder, split="" if manifest is None else split)
    hashes: set[str] = set()
    entries = find_pictures(folder, manifest, split)
    if licences is not None:
        found, allows = len(entries), LICENCE_FILTERS[licences]
        entries = [entry for entry in entries if allows(entry.licence)]
        report.other_licences = found - len(entries)
    if manifest is None:  # a manifest lists the files on purpose, so nothing is reported as left out
        others = scan_folder(folder).left_out
        report.passed_over = [each for each in others if each.path.suffix.lower() not in READABLE]
    for done, (entry, result) in enumerate(_read_all(entries, short, minimum_side), 1):
        path = entry.path
        match result:
            case str(reason):
                report.unreadable.append((path, reason))
            case Refused.tiny:
                report.tiny.append(path)
            case Refused.reserved:
                report.reserved.append(path)
            case (digest, pixels) if digest not in hashes:
                hashes.add(digest)
                is_used = int(digest[:8], 16) >= hold_out * 2**32
                (report.pictures if is_used else report.held_out).append(
                    TrainingPicture(path, entry.group, digest, pixels, entry.licence)
                )
            case _:
                report.duplicates.append(path)
        if tick:
            tick(done, len(entries))
    if len(report.pictures) < min_pictures:
        raise InputError(
            f"{folder} has {len(report.pictures)} usable pictures of {len(entries)} found"
            f"{f', {len(report.held_out)} of them held out' * bool(report.held_out)}; training needs at least "
            f"{min_pictures}"
        )
    return report


def load_validation_folder(
    training: FolderReport,
    manifest: Path | None,
    *,
    short: int,
    trained_on: Collection[str],
    licences: str | None = None,
) -> FolderReport:
    """Collect the validation pictures of a training folder: the manifest's split `validation`, and those held out.

    Args:
        training: the folder as loaded for training.
        manifest: see `find_pictures`.
        short: see `load_folder`.
        trained_on: hashes of training pictures, which are left out.
        licences: see `load_folder`.
    """
    report = FolderReport(training.folder)
    if manifest is not None:
        report = load_folder(
            training.folder, manifest, short=short, min_pictures=0, split="validation", licences=licences
        )
    theirs = {picture.sha256 for picture in report.pictures}
    found = [*report.pictures, *(picture for picture in training.held_out if picture.sha256 not in theirs)]
    report.pictures = [picture for picture in found if picture.sha256 not in trained_on]
    report.trained_on = [picture.path for picture in found if picture.sha256 in trained_on]
    return report


class Refused(Enum):
    """Why a readable picture is not used."""

    tiny = auto()
    reserved = auto()


Read = str | Refused | tuple[str, np.ndarray]


def _read_all(entries: list[Found], short: int, minimum_side: int) -> Iterable[tuple[Found, Read]]:
    def read(entry: Found) -> Read:
        path = entry.path
        try:
            digest = picture_digest(path)  # first: it refuses pipes, on which reading would block
            photo = read_photo(path)
        except SfumatoError as error:
            return str(error)
        except OSError as error:
            return error.strerror or type(error).__name__
        if min(photo.height, photo.width) < minimum_side:
            return Refused.tiny
        if reservation(path, photo.metadata):
            return Refused.reserved
        pixels = as_image(photo)
        height, width = photo.height, photo.width
        factor = short / min(height, width)
        if factor < 1:
            pixels = resize(pixels, round(height * factor), round(width * factor))
        return digest, np.ascontiguousarray(to_uint8(pixels).transpose(2, 0, 1))

    with ThreadPoolExecutor(4) as pool:
        yield from zip(entries, pool.map(read, entries), strict=True)
