"""Pairs of a photo and a style picture, and their stylised pictures, matched by name and never by order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from sfumato.errors import InputError, UsageError
from sfumato.image import describe_left_out, scan_folder
from sfumato.tables import read_table
from sfumato.text import short

#: Separates the stems of photo and style picture in the name of a stylised picture.
SEPARATOR = "__"


@dataclass(frozen=True)
class Pair:
    """A photo and a style picture, by their files."""

    content: Path
    style: Path

    @property
    def name(self) -> str:
        """The file name of the stylised picture of this pair, without its suffix."""
        return f"{self.content.stem}{SEPARATOR}{self.style.stem}"


def read_pairs(csv_file: Path, content: Path, style: Path) -> list[Pair]:
    """Read pairs from a CSV with the columns ``content,style``.

    Args:
        csv_file: The list of pairs.
        content: Folder of the photos that it names.
        style: Folder of the style pictures that it names.

    Raises:
        InputError: The CSV cannot be read, has other columns or no row, or names a file that does not exist or that
            lies outside of the two folders.
        UsageError: Two different pairs have the same name.
    """
    rows = read_table(csv_file, ("content", "style"), "list of pairs")
    if not rows:
        raise InputError(f"{csv_file} has no rows under the columns content,style; add a row for each pair")
    for line, row in rows:
        for name in row.values():
            # The list may come from a stranger, and pictures that it names are copied into reports.
            if os.path.isabs(name) or ".." in PurePath(name).parts:
                where = f"{csv_file} names {short(name)} in line {line}"
                raise InputError(f"{where}, which leads out of its folder; name a file in the folder")
    pairs = [Pair(content / row["content"], style / row["style"]) for _, row in rows]
    for pair in pairs:
        for path in (pair.content, pair.style):
            if not os.path.isfile(path):
                raise InputError(
                    f"{csv_file} names {short(str(path), 400)}, which does not exist; check the name and the folder"
                )
    return _distinct(pairs)


def pairs_of(content: Path, style: Path, stylized: Path | None = None) -> list[Pair]:
    """Return the pairs of every photo with every style picture.

    Args:
        content: Folder of the photos.
        style: Folder of the style pictures.
        stylized: Folder of stylised pictures; only pairs that have a picture there are returned. None returns all.

    Raises:
        InputError: A folder does not exist or holds no picture, or no stylised picture is named after a pair.
        UsageError: Two different pairs have the same name.
    """
    photos, styles = pictures_in(content), pictures_in(style)
    pairs = _distinct([Pair(photo, picture) for photo in photos for picture in styles])
    if stylized is None:
        return pairs
    files = pictures_in(stylized)
    there = {path.stem for path in files}
    found = [pair for pair in pairs if pair.name in there]
    if not found:
        of_photo = [pair.name for pair in pairs if pair.content.stem == files[0].stem]
        raise InputError(
            f"no picture in {stylized} is named <photo>{SEPARATOR}<style> after those in {content} and {style}; rename "
            f"them, for example {files[0].name} to {(of_photo or [pairs[0].name])[0]}{files[0].suffix}"
        )
    return found


def stylized_pictures(pairs: Sequence[Pair], folder: Path, allow_missing: bool = False) -> dict[Pair, Path]:
    """Return the file of the stylised picture of each pair.

    Args:
        pairs: The pairs.
        folder: Folder of the stylised pictures.
        allow_missing: Leave out pairs without a picture instead of raising an error.

    Raises:
        InputError: The folder does not exist, a picture is missing (with ``allow_missing``: all are), or two pictures
            have the same name apart from the suffix.
    """
    if not folder.is_dir():
        lacks = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise InputError(f"{folder} {lacks}; name the folder with the stylised pictures")
    files: dict[str, list[Path]] = {}
    for path in scan_folder(folder, is_deep=False).pictures:
        files.setdefault(path.stem, []).append(path)
    found: dict[Pair, Path] = {}
    missing = []
    for pair in pairs:
        there = files.get(pair.name, [])
        if len(there) > 1:
            raise InputError(f"{folder} has both {there[0].name} and {there[1].name}; keep one")
        if there:
            found[pair] = there[0]
        else:
            missing.append(pair.name)
    if missing and (not allow_missing or not found):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{folder} lacks {missing[0]}.png (or .jpg, ...){more}; make them, or evaluate the other pairs with "
            "--allow-missing"
        )
    return found


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder, sorted by name.

    Raises:
        InputError: The folder does not exist, or holds no picture.
    """
    if not os.path.isdir(folder):
        lacks = (
            "is a file, but must be a folder; put the picture into a folder and name that"
            if os.path.exists(folder)
            else "does not exist; name a folder with pictures"
        )
        raise InputError(f"{folder} {lacks}")
    contents = scan_folder(folder, is_deep=False)
    if not contents.pictures:
        others = f" ({'; '.join(describe_left_out(contents.left_out, 3))})" if contents.left_out else ""
        raise InputError(f"no picture lies in the folder {folder}{others}; name a folder with pictures")
    return contents.pictures


def _distinct(pairs: list[Pair]) -> list[Pair]:
    """Remove repeated pairs; different pairs with the same name are an error."""
    taken: dict[str, Pair] = {}
    for pair in pairs:
        other = taken.setdefault(pair.name, pair)
        if other != pair:
            raise UsageError(
                f"{pair.content.name} with {pair.style.name} and {other.content.name} with {other.style.name} would "
                f"have the same name {pair.name}; rename one of the files"
            )
    return list(taken.values())
