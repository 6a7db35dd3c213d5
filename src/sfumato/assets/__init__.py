"""The files that ship inside the package.

Exported models are in ``weights/NAME/``, style codes in ``styles/NAME.safetensors``, and the pictures of the built-in
styles in ``pictures/``, with a ledger of their sources.

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
    """Return the folder of a model that ships with Sfumato.

    Raises:
        ModelError: this installation has no model of that name.
    """
    folder = _ROOT / "weights" / name
    if not (folder / "card.json").is_file():
        raise ModelError(f"this installation of Sfumato lacks the model {name!r} ({folder}); install it again")
    return folder


@cache
def model_names() -> frozenset[str]:
    """Return the names of the models that ship with Sfumato."""
    cards = (_ROOT / "weights").glob("*/card.json")
    return frozenset(json.loads(card.read_text("utf-8"))["model"] for card in cards)


def style_names() -> list[str]:
    """Return the names of the built-in styles, sorted."""
    return sorted(path.stem for path in (_ROOT / "styles").glob("*.safetensors"))


def style_path(name: str) -> Path:
    """Return the file of a built-in style.

    Raises:
        UsageError: there is no style of that name; the error suggests similar names.
    """
    names = style_names()
    if name not in names:
        raise UsageError(f"there is no built-in style {name!r}; {nearest(name, names)}")
    return _ROOT / "styles" / f"{name}.safetensors"


@dataclass(frozen=True)
class LedgerEntry:
    """The record of one picture that ships, from ``pictures/ledger.json``.

    Attributes:
        file: its name in the folder ``pictures``.
        style: the built-in style that it belongs to.
        artist: who made the work; where nobody knows, the school that it comes from.
        title: of the work.
        year: as text, since many are approximate ("c. 1831").
        source: where the scan was found: repository, commit and path.
        licence: of the work and the scan.
        original: the file that it was made from, in the project's data.
        crop: pixels cut off the left, top, right and bottom of the original.
        width: in pixels.
        height: in pixels.
        bytes: size of the file.
        sha256: of the file, in hex.
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
    """Return one entry for each picture that ships, grouped by style; tools/build_style_pictures.py writes the file.

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
    """Return the file of a picture that ships."""
    return _ROOT / "pictures" / entry.file


def style_pictures(name: str) -> tuple[Path, ...]:
    """Return the picture files (WebP, sRGB) of a built-in style: one for a work, several for an artist.

    Raises:
        UsageError: there is no style of that name; the error suggests similar names.
        ModelError: this installation has no readable ledger.
    """
    found = tuple(picture_path(entry) for entry in ledger() if entry.style == name)
    if not found:
        names = sorted({entry.style for entry in ledger()})
        raise UsageError(f"there is no built-in style {name!r}; {nearest(name, names)}")
    return found


def nearest(name: str, names: Sequence[str]) -> str:
    """Return the hint of an error message that suggests similar names of styles."""
    near = difflib.get_close_matches(name.lower().replace(" ", "-").replace("_", "-"), names)
    return f"did you mean {' or '.join(near)}?" if near else "`sfumato styles` lists them"


def training_hashes() -> set[str]:
    """Return the first 16 hex digits of the SHA-256 of each picture that the shipped weights were trained on."""
    path = _ROOT / "weights" / "training_pictures.txt"
    return set(path.read_text().split()) if path.is_file() else set()
