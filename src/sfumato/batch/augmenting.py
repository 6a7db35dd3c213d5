"""Stylised copies of a data set: which copies are made, of what, and the files that come with them.

The folder OUT gets ``images/``, with the subfolders of the data set, and beside it the manifest, annotations and masks.
With the same styles and options, a copy depends on the seed and on the name of its picture only, so a data set may grow
without changing earlier copies.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from sfumato.batch.jobs import Job, Plan, check_targets
from sfumato.batch.outcomes import Outcome
from sfumato.checks import check_range
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.files import atomic_file, read_bytes, told
from sfumato.image import LeftOut, scan_folder
from sfumato.image.reading import stored_size
from sfumato.inference.augment import draw, strength_count
from sfumato.inference.jobs import target_names
from sfumato.limits import max_file_bytes, max_pixels
from sfumato.text import counted

IMAGES, MASKS, MANIFEST, ANNOTATIONS, REPORT = "images", "masks", "augmentation.csv", "annotations.json", "batch-report"
_COLUMNS = ("file", "source", "style", "strength", "source_sha256", "sha256")
_MAX_AMOUNT = 100


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy: its picture in the data set, its own name in ``images/``, its style and strength."""

    source: str
    name: str
    style: str
    strength: float

    @property
    def key(self) -> str:
        """Style and strength as one text, by which a batch finds its recipe."""
        return f"{self.style}@{self.strength:.2f}"


@dataclass
class Augmentation:
    """The copies of a data set.

    Attributes:
        folder: of the data set.
        copies: in the order of the pictures.
        left_out: files of the folder that are not pictures.
        masks: file of each picture's mask, where there are masks.
    """

    folder: Path
    copies: list[Copy]
    left_out: list[LeftOut] = field(default_factory=list)
    masks: Mapping[str, Path] = field(default_factory=dict)

    def plan(self, out: Path) -> Plan:
        """Return the copies as jobs of a batch that writes into ``OUT/images``.

        Raises:
            UsageError: a copy would replace a picture.
        """
        jobs = [Job(copy.source, copy.name, copy.key) for copy in self.copies]
        sizes: dict[str, int] = {}
        for copy in self.copies:
            if copy.source not in sizes:
                sizes[copy.source] = os.path.getsize(self.folder / copy.source)
        found = Plan(os.path.abspath(self.folder), jobs, [sizes[job.photo] for job in jobs], is_table=True)
        check_targets(found, str(out / IMAGES))
        return found


def find_pictures(folder: Path) -> tuple[list[str], list[LeftOut]]:
    """Return the names of the pictures below a folder, sorted, and the files that are none.

    Raises:
        InputError: it is not a folder, or holds no picture.
    """
    if not folder.is_dir():
        raise InputError(f"cannot read {folder}: it is not a folder; name the folder of the pictures")
    found = scan_folder(folder)
    if not found.pictures:
        raise InputError(f"no picture lies in {folder}; name another folder")
    return [path.relative_to(folder).as_posix() for path in found.pictures], found.left_out


def choose_copies(
    names: Sequence[str], styles: Sequence[str], amount: float, strengths: tuple[float, float], seed: int
) -> list[Copy]:
    """Choose style and strength of each copy.

    Args:
        names: of the pictures.
        styles: labels of the styles.
        amount: copies of each picture, from 0.01 to 100; of 1.5, every second picture has two, chosen at random.
        strengths: least and largest.
        seed: of all choices.

    Raises:
        UsageError: the amount is outside its range, or there are fewer choices than copies of a picture.
        InputError: it is so small that no copy is made.
    """
    check_range(amount, 0.01, _MAX_AMOUNT, "--amount")
    most = len(styles) * strength_count(strengths)
    copies: list[Copy] = []
    targets = dict(zip(names, target_names([Path(name) for name in names], None), strict=True))
    for name in names:
        whole, rest = divmod(amount, 1)
        count = int(whole) + (_rng(seed, name, "count").random() < rest)
        if count > most:
            raise UsageError(
                f"an --amount of {amount:g} needs more different copies than the styles and strengths give, {most}; "
                "name more styles, widen --strength, or take a smaller --amount"
            )
        used: set[tuple[int, float]] = set()
        for number in range(1, count + 1):
            rng = _rng(seed, name, str(number))
            while (drawn := draw(rng, len(styles), strengths)) in used:
                pass
            used.add(drawn)
            index, strength = drawn
            target = PurePosixPath(targets[name].as_posix())
            own = str(target.with_name(f"{target.stem}-style{number}{target.suffix}"))
            copies.append(Copy(name, own, styles[index], round(strength, 2)))
    if not copies:
        raise InputError(f"an --amount of {amount:g} of {counted(len(names), 'picture')} gives no copy; give more")
    return copies


def find_masks(folder: Path, masks: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return the file of each picture's mask: the same name below ``masks``, whatever the suffix.

    Raises:
        InputError: a mask is missing, there are two, or its size is not that of its picture.
    """
    found: dict[str, list[Path]] = {}
    for path in find_pictures(masks)[0]:
        found.setdefault(str(PurePosixPath(path).with_suffix("")), []).append(masks / path)
    chosen = {}
    for name in names:
        candidates = found.get(str(PurePosixPath(name).with_suffix("")), [])
        if len(candidates) != 1:
            lack = "has no mask" if not candidates else f"has {len(candidates)} masks"
            raise InputError(f"{name} {lack} in {masks}; give one with the same name, such as {_mask_name(name)}")
        size, own = stored_size(folder / name), stored_size(candidates[0])
        if size != own:
            raise InputError(
                f"the mask {candidates[0]} has {own[0]} x {own[1]} pixels, but {name} has {size[0]} x {size[1]}; give "
                "one of the picture's size"
            )
        chosen[name] = candidates[0]
    return chosen


def _mask_name(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(".png"))


def check_own_files(out: Path, coco: Path | None, masks: Path | None) -> None:
    """Check that no list or mask in OUT is the user's own, which the run would replace.

    Raises:
        OutputError: one is.
    """
    if masks is not None and (is_below(masks, out / MASKS) or is_below(out / MASKS, masks)):
        raise OutputError(f"{masks} is in {out}, where the masks of the copies go; choose another -o")
    if coco is not None and os.path.exists(out / ANNOTATIONS) and os.path.samefile(coco, out / ANNOTATIONS):
        raise OutputError(f"{coco} would be replaced by the annotations of the copies; choose another -o")
    if (out / REPORT).is_dir():  # an earlier run wrote them
        return
    for name in (MANIFEST, ANNOTATIONS, MASKS):
        if os.path.lexists(out / name):
            raise OutputError(f"{out / name} is there, and sfumato augment did not write it; choose another -o")


def remove_lists(out: Path) -> None:
    """Remove manifest and annotations of an earlier run, which may not fit the copies that are painted now.

    Raises:
        OutputError: one cannot be removed.
    """
    for name in (MANIFEST, ANNOTATIONS):
        with told(f"cannot replace {out / name}"):
            (out / name).unlink(missing_ok=True)


def check_empty_of_others(out: Path, copies: Sequence[Copy]) -> None:
    """Check that OUT has no copies of another run, on which the user would train without noticing.

    Raises:
        OutputError: it has.
    """
    images = out / IMAGES
    if not images.is_dir():
        return
    known = {copy.name for copy in copies}
    others = [
        name for path in scan_folder(images).pictures if (name := path.relative_to(images).as_posix()) not in known
    ]
    if others:
        raise OutputError(
            f"{images} has {counted(len(others), 'picture')} of another run, such as {others[0]}; choose another folder"
        )


def write_masks(found: Augmentation, out: Path, made: Iterable[Copy]) -> None:
    """Write the mask of each copy to ``OUT/masks``, under the copy's name; the bytes are those of the picture's.

    Raises:
        InputError: a mask cannot be read.
        OutputError: one cannot be written.
    """
    for copy in made:
        path = found.masks[copy.source]
        target = out / MASKS / PurePosixPath(copy.name).with_suffix(path.suffix)
        try:
            content = read_bytes(path, max_file_bytes(max_pixels()))
            if target.is_file() and read_bytes(target, max_file_bytes(max_pixels())) == content:
                continue
        except OSError as problem:
            raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem
        with atomic_file(target) as file:
            file.write(content)


def write_manifest(out: Path, copies: Sequence[Copy], outcomes: Mapping[str, Outcome]) -> None:
    """Write ``OUT/augmentation.csv``: of each copy its picture, style, strength, and the hashes of both files.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for copy in copies:
        done = outcomes[copy.name]
        rows.writerow(
            [copy.name, copy.source, copy.style, f"{copy.strength:g}", done.photo_sha256, done.sha256],
        )
    with atomic_file(out / MANIFEST) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))


def find_style_pictures(folder: Path, most: int, seed: int) -> list[Path]:
    """Return the pictures of a folder, each of which is a style; of more than ``most``, as many chosen at random.

    Raises:
        InputError: it holds no picture.
    """
    names, _ = find_pictures(folder)
    if len(names) > most:
        rng = _rng(seed, "styles", "")
        names = sorted(names[place] for place in rng.permutation(len(names))[:most])
    return [folder / name for name in names]


def _rng(seed: int, name: str, what: str) -> np.random.Generator:
    key = hashlib.sha256(f"{seed}\0{name}\0{what}".encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(key[:16], "big"))


def is_below(folder: Path, out: Path) -> bool:
    """Whether OUT is the data set's folder or lies in it, where its copies would be copied again."""
    full = out.resolve()
    return folder.resolve() in (full, *full.parents)
