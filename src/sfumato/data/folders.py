"""Folders of training pictures: what is there, what is wrong with it, what will be used."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sfumato.errors import InputError, SfumatoError
from sfumato.image import (
    READABLE,
    LeftOut,
    describe_left_out,
    picture_digest,
    read_image,
    resize,
    scan_folder,
    to_uint8,
)
from sfumato.tables import read_table

UNKNOWN = "licence unknown"  # of a picture without a word about it in a manifest


@dataclass(frozen=True)
class TrainingPicture:
    """One training picture: its pixels (3, H, W) uint8, the group that it is balanced in (an artist), its hash, and its
    licence as the manifest has it."""

    path: Path
    group: str
    sha256: str
    pixels: np.ndarray
    licence: str = UNKNOWN


@dataclass
class FolderReport:
    """What was found in a folder. `pictures` are the ones that will be used, `held_out` those kept back."""

    folder: Path
    pictures: list[TrainingPicture] = field(default_factory=list)
    held_out: list[TrainingPicture] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    tiny: list[Path] = field(default_factory=list)
    duplicates: list[Path] = field(default_factory=list)
    trained_on: list[Path] = field(default_factory=list)  # of a validation set: the same files as training has
    passed_over: list[LeftOut] = field(default_factory=list)  # no picture by its name, or no regular file
    split: str = ""  # of the manifest; empty without one

    @property
    def groups(self) -> dict[str, list[int]]:
        """Indices into `pictures` by group, in order."""
        groups: dict[str, list[int]] = {}
        for index, picture in enumerate(self.pictures):
            groups.setdefault(picture.group, []).append(index)
        return groups

    @property
    def digest(self) -> str:
        """One hash for the whole set, whatever the order of the files."""
        return hashlib.sha256("".join(sorted(p.sha256 for p in self.pictures)).encode()).hexdigest()

    def lines(self) -> list[str]:
        """The report in sentences."""
        megabytes = sum(p.pixels.nbytes for p in self.pictures) / 1e6
        groups = f"{len(self.groups)} group{'s' if len(self.groups) != 1 else ''}"
        lines = [f"{self.folder}: {len(self.pictures)} pictures in {groups}, {megabytes:.0f} MB held"]
        if self.held_out:
            lines.append(f"  held out to validate with: {len(self.held_out)}")
        for name, paths in (
            ("too small", self.tiny),
            ("already there under another name", self.duplicates),
            ("trained on under another name", self.trained_on),
        ):
            if paths:
                lines.append(f"  left out, {name}: {len(paths)} ({', '.join(p.name for p in paths[:3])}...)")
        for path, reason in self.unreadable[:5]:
            lines.append(f"  left out, unreadable: {path.name}: {reason}")
        if len(self.unreadable) > 5:
            lines.append(f"  and {len(self.unreadable) - 5} more unreadable")
        lines += [f"  left out: {line}" for line in describe_left_out(self.passed_over, 5)]
        return lines


@dataclass(frozen=True)
class Found:
    """A picture file, its group (the first folder below the one looked into, or "" where it is flat), and its licence
    as the manifest has it."""

    path: Path
    group: str
    licence: str = UNKNOWN


def find_pictures(folder: Path, manifest: Path | None = None, split: str = "train") -> list[Found]:
    """Picture files under `folder`. Hidden files and folders, and those that file managers fill, are not looked at.

    With a `manifest` (columns file, split, and licence where it has one; paths relative to the manifest), only rows of
    the `split` count.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give a folder of pictures")
    allowed = None if manifest is None else _rows(manifest, split)
    found = []
    contents = scan_folder(folder)
    odd = [each.path for each in contents.left_out if each.path.suffix.lower() in READABLE]  # a pipe or link, say
    for path in sorted([*contents.pictures, *odd]):
        if allowed is None or path.resolve() in allowed:
            parts = path.relative_to(folder).parts
            licence = (allowed or {}).get(path.resolve(), UNKNOWN)
            found.append(Found(path, parts[0] if len(parts) > 1 else "", licence))
    return found


def _rows(manifest: Path, split: str) -> dict[Path, str]:
    """Licence by file of the split."""
    rows = read_table(manifest, ("file", "split"), "manifest", optional=("licence", "license"))
    return {
        (manifest.parent / row["file"]).resolve(): row.get("licence") or row.get("license") or UNKNOWN
        for _, row in rows
        if row["split"] == split
    }


def about_data(photos: FolderReport | None, paintings: FolderReport) -> dict[str, object]:
    """What a model's card says of the pictures that it learns from: how many, of which split of a manifest, under
    which licences, and one hash for all photos and one for all paintings (`FolderReport.digest`)."""
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
    hold_out: float = 0.0,
    minimum_side: int = 64,
    tick: Callable[[int, int], None] | None = None,
) -> FolderReport:
    """Read every picture, reduced to `short` px on its short side where larger; InputError under `min_pictures` usable
    ones.

    A share `hold_out` of them, in [0, 1), is kept back: chosen by each picture's own hash, so that it is the same at
    every start, whatever else lies in the folder. `tick(done, total)` is called as the work goes on.
    """
    report = FolderReport(folder, split="" if manifest is None else split)
    hashes: set[str] = set()
    entries = find_pictures(folder, manifest, split)
    if manifest is None:  # else people chose
        others = scan_folder(folder).left_out
        report.passed_over = [each for each in others if each.path.suffix.lower() not in READABLE]
    for done, (entry, result) in enumerate(_read_all(entries, short, minimum_side), 1):
        path = entry.path
        match result:
            case str(reason):
                report.unreadable.append((path, reason))
            case None:
                report.tiny.append(path)
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
    training: FolderReport, manifest: Path | None, *, short: int, trained_on: Collection[str]
) -> FolderReport:
    """What there is to validate with beside a training folder: the manifest's rows of split `validation` in it, and
    what loading it held out.

    Pictures whose hash is among `trained_on` are left out: a file that training sees says nothing of what it does not.
    """
    report = FolderReport(training.folder)
    if manifest is not None:
        report = load_folder(training.folder, manifest, short=short, min_pictures=0, split="validation")
    theirs = {picture.sha256 for picture in report.pictures}
    found = [*report.pictures, *(picture for picture in training.held_out if picture.sha256 not in theirs)]
    report.pictures = [picture for picture in found if picture.sha256 not in trained_on]
    report.trained_on = [picture.path for picture in found if picture.sha256 in trained_on]
    return report


Read = str | None | tuple[str, np.ndarray]


def _read_all(entries: list[Found], short: int, minimum_side: int) -> Iterable[tuple[Found, Read]]:
    def read(entry: Found) -> Read:
        path = entry.path
        try:
            digest = picture_digest(path)  # first, as it takes regular files only: a pipe would be waited for
            pixels = read_image(path)
        except SfumatoError as error:
            return str(error)
        except OSError as error:
            return error.strerror or type(error).__name__
        height, width = pixels.shape[2:]
        if min(height, width) < minimum_side:
            return None
        factor = short / min(height, width)
        if factor < 1:
            pixels = resize(pixels, round(height * factor), round(width * factor))
        return digest, np.ascontiguousarray(to_uint8(pixels).transpose(2, 0, 1))

    with ThreadPoolExecutor(4) as pool:
        yield from zip(entries, pool.map(read, entries), strict=True)
