"""PBR sets: the maps of a material as files, whose names tell their roles (``bricks_albedo.png``)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from sfumato.errors import InputError, OutputError, UsageError
from sfumato.files import atomic_file, read_bytes
from sfumato.image import Picture, is_hidden, read_photo, to_levels, write_photo
from sfumato.inference.progress import Progress, portion
from sfumato.texture import maps
from sfumato.texture.colours import PaintedMap, Painter, is_too_small, paint_map
from sfumato.texture.container import MAX_BYTES

Role: TypeAlias = Literal["colour", "normal", "roughness", "height", "other"]

_ROLES: dict[Role, str] = {
    "colour": r"base[_ -]?colou?r|albedo|diffuse|diff|colou?r|col",
    "normal": r"(?:normal|nor|nrm)[_ -]?(?:gl|dx|opengl|directx)?",
    "roughness": r"roughness|rough",
    "height": r"height|displacement|disp|bump",
}
_NAMES = {
    role: re.compile(rf"(?P<set>.*?)[_\-. ]?(?<![a-z])(?P<role>{words})(?P<size>[_\-. ]\d+k?)?", re.IGNORECASE)
    for role, words in _ROLES.items()
}
_QUALITY = 95  # of JPEG and WebP maps


@dataclass(frozen=True)
class MapFile:
    """One file of a set.

    Attributes:
        path: of the file.
        set: what the files of one material have in common in their names, in small letters.
        role: what the map holds; ``"other"`` stays as it is.
        directx: whether the name tells that green points down in a normal map.
    """

    path: Path
    set: str
    role: Role
    directx: bool = False

    @classmethod
    def of(cls, path: Path) -> MapFile:
        """Return a file with what its name tells."""
        for role, pattern in _NAMES.items():
            if found := pattern.fullmatch(path.stem):
                directx = found["role"].lower().endswith(("dx", "directx"))
                return cls(path, (found["set"] + (found["size"] or "")).lower(), role, directx)
        return cls(path, path.stem.lower(), "other")


@dataclass
class PaintedSet:
    """The files of painted sets.

    Attributes:
        painted, followed, copied: the files that were written, by what was done.
        remarks: a sentence on each colour map that stayed as it was.
    """

    painted: list[Path] = field(default_factory=list)
    followed: list[Path] = field(default_factory=list)
    copied: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find_maps(sources: Sequence[str | os.PathLike[str]]) -> list[MapFile]:
    """Return the files of a folder, or these files, with their roles.

    Raises:
        InputError: a file does not exist, or none is a colour map.
        UsageError: two files have the same name.
    """
    paths: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            paths += sorted(each for each in source.iterdir() if each.is_file() and not is_hidden(each.name))
        elif source.is_file():
            paths.append(source)
        else:
            raise InputError(f"cannot read {source}: there is no such file or folder")
    if len({path.name.lower() for path in paths}) < len(paths):
        raise UsageError("two files of the set have the same name; paint them into two folders")
    found = [MapFile.of(path) for path in paths]
    if not any(each.role == "colour" for each in found):
        raise InputError(
            f"{sources[0]} has no colour map; name it as in bricks_albedo.png, _basecolor, _diffuse or _color"
        )
    return found


def paint_set(
    files: Sequence[MapFile],
    folder: str | os.PathLike[str],
    painter: Painter,
    *,
    follow: bool = False,
    directx: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PaintedSet:
    """Paint the colour maps of a set into another folder, and copy or change its other maps.

    Args:
        files: of the set, or of several sets.
        folder: where files of the same names are written.
        painter: what the colour maps are painted with.
        follow: whether normals, height and roughness follow the strokes; otherwise all files but the colour maps are
            copied byte for byte. A set without normals gets a file of them.
        directx: whether green points down in normal maps, where their names do not tell.
        overwrite: whether existing files are replaced.
        progress: is called with the completed share and the next step.

    Raises:
        InputError: a file cannot be read.
        OutputError: a file cannot be written, or exists and must not be replaced.
        UsageError: maps would follow two colour maps.
    """
    folder, result = Path(folder), PaintedSet()
    targets = {each.path: folder / each.path.name for each in files}
    colours = [each for each in files if each.role == "colour"]
    new = _new_normals(files, colours, folder, directx) if follow else {}
    for path, target in (*targets.items(), *((each.path, new[each.set]) for each in colours if each.set in new)):
        if target.exists():
            if os.path.samefile(path, target):
                raise OutputError(f"the painted set would replace its source {path}; name another folder with -o")
            if not overwrite:
                raise OutputError(f"{target} already exists; add --overwrite to replace it")
    strokes: dict[str, PaintedMap] = {}
    for number, each in enumerate(colours):
        photo = read_photo(each.path)
        if is_too_small(photo):
            result.remarks.append(f"{each.path} is copied: {photo.width} x {photo.height} pixels are too few to paint")
            _copy(each.path, targets[each.path], overwrite)
            continue
        part = portion(progress, number / len(colours), (number + 1) / len(colours))
        strokes[each.set] = paint_map(painter, photo, progress=part, name=str(each.path))
        write_photo(strokes[each.set].photo, targets[each.path], quality=_QUALITY, overwrite=overwrite)
        result.painted.append(targets[each.path])
    for each in files:
        if each.role == "colour":
            continue
        target = targets[each.path]
        if not follow or each.role == "other" or each.set not in strokes:
            _copy(each.path, target, overwrite)
            result.copied.append(target)
            continue
        photo = read_photo(each.path)
        changed = _changed(each, photo.picture(), strokes[each.set], directx)
        write_photo(replace(photo, pixels=to_levels(changed, photo.pixels.dtype)), target, None, _QUALITY, overwrite)
        result.followed.append(target)
    for name, target in new.items():
        if name in strokes:
            _write_normals(target, strokes[name], directx, overwrite)
            result.followed.append(target)
    return result


def _changed(file: MapFile, picture: Picture, strokes: PaintedMap, directx: bool) -> Picture:
    """Return a map that follows the strokes."""
    relief = maps.relief(strokes.photo.picture(), strokes.down, strokes.across)
    if file.role == "normal":
        return maps.normals(picture, relief, strokes.down, strokes.across, directx or file.directx)
    return maps.height(picture, relief) if file.role == "height" else maps.roughness(picture, relief)


def _new_normals(files: Sequence[MapFile], colours: list[MapFile], folder: Path, directx: bool) -> dict[str, Path]:
    """Return the files of normals to write for the sets that have none, by set.

    Raises:
        UsageError: a set has two colour maps, so that it is open which strokes its other maps follow.
    """
    by_set: dict[str, MapFile] = {}
    for each in colours:
        if (other := by_set.setdefault(each.set, each)) is not each:
            raise UsageError(f"{other.path} and {each.path} are colour maps of one set; name one of them for --follow")
    with_normals = {each.set for each in files if each.role == "normal"}
    ending = f"normal{'_dx' if directx else ''}.png"
    return {name: folder / (f"{name}_{ending}" if name else ending) for name in by_set if name not in with_normals}


def _write_normals(target: Path, strokes: PaintedMap, directx: bool, overwrite: bool) -> None:
    """Write the normals of the strokes."""
    relief = maps.relief(strokes.photo.picture(), strokes.down, strokes.across)
    found = maps.normals(None, relief, strokes.down, strokes.across, directx)
    photo = replace(strokes.photo, pixels=to_levels(np.asarray(found), np.dtype(np.uint8)), alpha=None)
    write_photo(photo, target, overwrite=overwrite)


def _copy(path: Path, target: Path, overwrite: bool) -> None:
    """Copy a file byte for byte."""
    try:
        content = read_bytes(path, MAX_BYTES)
    except OSError as problem:
        raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem
    with atomic_file(target, overwrite) as file:
        file.write(content)
