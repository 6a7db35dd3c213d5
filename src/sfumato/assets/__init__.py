"""What ships inside the package: exported models (``weights/NAME/``), style codes (``styles/NAME.safetensors``) and the
pictures of the built-in styles (``pictures/``) with a ledger that says where each comes from.

This package is not public: its names may change.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sfumato.errors import ModelError, UsageError

_ROOT = Path(__file__).parent


def weights_dir(name: str = "base") -> Path:
    """The folder of a model that ships with Sfumato.

    Raises:
        ModelError: this installation has none of that name.
    """
    folder = _ROOT / "weights" / name
    if not (folder / "card.json").is_file():
        raise ModelError(f"this installation of Sfumato lacks the model {name!r} ({folder}); install it again")
    return folder


def style_names() -> list[str]:
    """The names of the built-in styles, sorted."""
    return sorted(path.stem for path in (_ROOT / "styles").glob("*.safetensors"))


def style_path(name: str) -> Path:
    """The file of a built-in style.

    Raises:
        UsageError: there is none of that name; the error offers the nearest ones.
    """
    names = style_names()
    if name not in names:
        raise UsageError(f"there is no built-in style {name!r}; {nearest(name, names)}")
    return _ROOT / "styles" / f"{name}.safetensors"


@dataclass(frozen=True)
class LedgerEntry:
    """What is known of one picture that ships, from ``pictures/ledger.json``.

    Attributes:
        file: its name in the folder ``pictures``.
        style: the built-in style that it belongs to.
        artist: who made the work, or which painters it comes from where nobody knows.
        title: of the work.
        year: as text, since many are approximate ("c. 1831").
        source: where the scan was found: repository, commit and path.
        licence: of the work and the scan.
        original: the file that it was made from, in the project's data.
        crop: pixels taken off the left, top, right and bottom of the original.
        width: pixels.
        height: pixels.
        bytes: size of the file.
        sha256: of the file, hex.
    """

    file: str
    style: str
    artist: str
    title: str
    year: str
    source: str
    licence: str
    original: str
    crop: tuple[int, int, int, int]
    width: int
    height: int
    bytes: int
    sha256: str


@cache
def ledger() -> tuple[LedgerEntry, ...]:
    """One entry for each picture that ships, those of a style together; tools/build_style_pictures.py makes it.

    Raises:
        ModelError: this installation has no readable ledger.
    """
    path = _ROOT / "pictures" / "ledger.json"
    try:
        rows = json.loads(path.read_text("utf-8"))
        return tuple(LedgerEntry(**{**row, "crop": tuple(row["crop"])}) for row in rows)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"this installation of Sfumato lacks its list of pictures ({path}); install it again"
        ) from error


def picture_path(entry: LedgerEntry) -> Path:
    """The file of a picture that ships."""
    return _ROOT / "pictures" / entry.file


def style_pictures(name: str) -> tuple[Path, ...]:
    """The picture files (WebP, sRGB) of a built-in style: one of a work, several of an artist.

    Raises:
        UsageError: there is none of that name; the error offers the nearest ones.
        ModelError: this installation has no readable ledger.
    """
    found = tuple(picture_path(entry) for entry in ledger() if entry.style == name)
    if not found:
        names = sorted({entry.style for entry in ledger()})
        raise UsageError(f"there is no built-in style {name!r}; {nearest(name, names)}")
    return found


def nearest(name: str, names: Sequence[str]) -> str:
    """What an error says of styles that may have been meant."""
    near = difflib.get_close_matches(name.lower().replace(" ", "-").replace("_", "-"), names)
    return f"did you mean {' or '.join(near)}?" if near else "`sfumato styles` lists them"


def training_hashes() -> set[str]:
    """The first 16 hex digits of the SHA-256 of each picture that the shipped weights were trained on."""
    path = _ROOT / "weights" / "training_pictures.txt"
    return set(path.read_text().split()) if path.is_file() else set()
