"""Planning of a command: from names (files, folders, patterns) to a list of jobs, checked before any work begins.

``os.path`` tests whether a file exists, because ``Path`` raises where a name is too long or a folder is not accessible.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sfumato.errors import InputError, OutputError, UsageError
from sfumato.image import WRITABLE, LeftOut, describe_left_out, read_recipe, scan_folder
from sfumato.inference.retouch import UNPAINTED
from sfumato.pipes import is_pipe

STANDARD = "-"  # names standard input as a photo, and standard output as a result


@dataclass(frozen=True)
class Job:
    """A photo and the file for its picture; ``None`` is standard input or output."""

    photo: Path | None
    target: Path | None


def plan(
    inputs: Sequence[str], out: str | None, label: str, format: str | None = None, verb: str = "paint"
) -> tuple[list[Job], bool]:
    """Plan the jobs, and return whether they fill a folder.

    In a folder, finished jobs may be skipped and unreadable photos passed over.

    Args:
        inputs: files, folders (searched recursively), patterns (``*``, ``?``, ``**``), or ``-``. Files in folders that
            are not pictures are skipped; :func:`left_out` lists them.
        out: a file, a folder (existing, or ending in a slash), or ``-``; ``None`` writes each picture beside its photo,
            as ``PHOTO-LABEL``.
        label: name of the style, for such names.
        format: ``png``, ``jpg``, ``webp`` or ``tiff``; ``None``: by the name.
        verb: the operation. In folders, ``"paint"`` skips pictures that Sfumato painted, ``"finish"`` those that it
            finished.

    Raises:
        UsageError: inputs and ``out`` do not fit, two photos would be written to one file, or a photo would be
            replaced.
        InputError: a folder or a pattern holds no picture.
        OutputError: ``out`` is not the name of a picture, or its folder does not exist.
    """
    if "" in inputs or out == "":  # an unset variable in a script, which `Path` would take for the current folder
        raise UsageError("a name is empty; check the photos and -o")
    if STANDARD in inputs:
        if len(inputs) > 1:
            raise UsageError("standard input holds one photo; give - alone")
        if out is not None and (os.path.isdir(out) or out.endswith(("/", os.sep))):
            raise UsageError(f"a photo from standard input has no name; name a file in {out}")
        target = None if out is None or out == STANDARD else _file(Path(out), format)
        return [Job(None, target)], False
    found = _deduplicated([entry for text in inputs for entry in expand(text, verb)])
    folder_wanted = len(found) != 1 or len(inputs) != 1 or os.path.isdir(inputs[0]) or _is_pattern(inputs[0])
    if out == STANDARD:
        if len(found) != 1:
            raise UsageError(f"{len(found)} photos cannot go to standard output; name a folder with -o")
        return [Job(found[0][0], None)], False
    if out is None:
        if pipes := [photo for photo, _ in found if is_pipe(photo)]:
            raise UsageError(f"{pipes[0]} is a pipe, and no picture can be written beside it; name a file with -o")
        targets = target_names([photo for photo, _ in found], format, f"-{label}")
    elif folder_wanted or os.path.isdir(out) or out.endswith(("/", os.sep)):
        targets = _in_folder(found, Path(out), format)
    else:
        targets = [_file(Path(out), format)]
    _check_apart([photo for photo, _ in found], targets, verb)
    return [Job(photo, target) for (photo, _), target in zip(found, targets, strict=True)], folder_wanted


def expand(text: str, verb: str | None = "paint") -> list[tuple[Path, Path]]:
    """Return the photos that an input names, each with its path relative to that input.

    Args:
        text: a file, a folder, which is searched recursively, or a pattern.
        verb: as in :func:`plan`; ``None`` skips no picture.

    Raises:
        InputError: a folder or a pattern holds no picture.
    """
    check_no_address(text)
    path = Path(text)
    if os.path.isdir(path):
        if not os.access(path, os.R_OK | os.X_OK):
            raise InputError(f"cannot read the folder {path}: access is denied; check its permissions")
        contents = scan_folder(path)
        below = contents.pictures
        if not below:
            others = f" ({'; '.join(describe_left_out(contents.left_out, 3))})" if contents.left_out else ""
            raise InputError(f"no picture lies in the folder {path}{others}; name another, or a file")
        pictures = [(p, p.relative_to(path)) for p in below if verb is None or not _is_result(p, verb)]
        if not pictures:
            made = "made" if verb == "paint" else "finished"
            raise InputError(
                f"all {len(below)} pictures in the folder {path} were {made} by Sfumato; name a file to {verb} it again"
            )
        return pictures
    if _is_pattern(text):
        matches = [Path(p) for p in sorted(glob.glob(text, recursive=True))]
        files = [(p, Path(p.name)) for p in matches if os.path.isfile(p)]
        if not files:
            raise InputError(f"no file matches the pattern {text}; check it")
        return files
    return [(path, Path(path.name))]


def left_out(inputs: Sequence[str]) -> list[LeftOut]:
    """Return the files in the folders among the inputs that are skipped, with the reasons."""
    folders = dict.fromkeys(text for text in inputs if text and text != STANDARD and os.path.isdir(text))
    return [each for text in folders for each in scan_folder(Path(text)).left_out]


def check_no_address(text: str) -> None:
    """Raise InputError for a URL such as ``https://...``; `Path` would drop one of its slashes."""
    if "://" in text:
        raise InputError(f"cannot read {text}: it is a web address; download the picture, and name the file")


def _is_result(path: Path, verb: str) -> bool:
    """Return whether Sfumato painted (or finished) this picture, so that it is skipped in a folder."""
    try:
        recipe = read_recipe(path)
        return recipe is not None and (recipe.get("kind") != UNPAINTED if verb == "paint" else "finish" in recipe)
    except InputError:
        return False  # reading it later will raise the same error


def _deduplicated(found: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Return the photos without repetitions, in order."""
    return list({os.path.abspath(photo): (photo, name) for photo, name in reversed(found)}.values())[::-1]


def _is_pattern(text: str) -> bool:
    return glob.has_magic(text) and not os.path.exists(text)


def _in_folder(found: list[tuple[Path, Path]], folder: Path, format: str | None) -> list[Path]:
    if not os.path.isdir(folder) and (os.path.exists(folder) or folder.suffix.lower() in WRITABLE):
        for photo, _ in found:
            if not os.path.lexists(photo):  # half of a name with a space
                raise InputError(
                    f"cannot read {photo}: it does not exist; check the name, and put names with spaces in quotes"
                )
        raise UsageError(f"{len(found)} photos cannot go into the one file {folder}; name a folder with -o")
    if not os.path.isdir(folder.absolute().parent):
        raise OutputError(f"cannot write into {folder}: the folder {folder.parent} does not exist; create it first")
    return [folder / name for name in target_names([name for _, name in found], format)]


def target_names(photos: list[Path], format: str | None, ending: str = "") -> list[Path]:
    """Return the name of each photo's picture.

    It has the photo's stem; where ``a.heic`` and ``a.png`` would both become ``a.png``, the photo whose suffix changes
    contributes its whole name (``a.heic.png``).
    """
    suffixes = [_suffix(photo, format) for photo in photos]
    names = [photo.with_name(f"{photo.stem}{ending}{suffix}") for photo, suffix in zip(photos, suffixes, strict=True)]
    count = Counter(names)
    return [
        name if count[name] == 1 or photo.suffix == suffix else photo.with_name(f"{photo.name}{ending}{suffix}")
        for photo, name, suffix in zip(photos, names, suffixes, strict=True)
    ]


def _file(path: Path, format: str | None) -> Path:
    if path.suffix.lower() not in WRITABLE:
        raise OutputError(f"cannot write {path}: its name must end in one of {', '.join(WRITABLE)}")
    if (
        format is not None
        and _suffix(path, None).replace("jpeg", "jpg").replace(".tif", ".tiff")[:4] != f".{format}"[:4]
    ):
        raise UsageError(f"--format {format} and the name {path} disagree; drop one of them")
    if not os.path.isdir(path.absolute().parent):
        lacks = "is not a folder" if os.path.exists(path.parent) else "does not exist; create it first"
        raise OutputError(f"cannot write {path}: the folder {path.parent} {lacks}")
    return path


def _suffix(name: Path, format: str | None) -> str:
    if format is not None:
        return f".{format}"
    suffix = name.suffix.lower()
    return suffix if suffix in WRITABLE else ".jpg" if suffix in (".jpe", ".jfif") else ".png"


def _check_apart(photos: list[Path], targets: list[Path], verb: str) -> None:
    originals = {photo.resolve() for photo in photos}
    taken: dict[Path, Path] = {}
    for photo, target in zip(photos, targets, strict=True):
        if target.resolve() in originals:
            raise UsageError(f"refusing to replace the photo {target}; choose another -o")
        if target in taken:
            raise UsageError(
                f"{taken[target]} and {photo} would both become {target}; {verb} them apart, each with its own -o"
            )
        taken[target] = photo
        try:
            os.lstat(target)
        except FileNotFoundError:
            pass
        except OSError as problem:  # the name is too long, or the folder not accessible
            raise OutputError(f"cannot write {target}: {problem.strerror}; choose another name") from problem
