"""The files that ship inside the package.

Exported models are in ``weights/NAME/``, style codes in ``styles/NAME.safetensors``, and the pictures of the built-in
styles in ``pictures/``. ``ledger.json`` says of each file, and of each package that Sfumato uses, where it comes from
and what may be done with it; ``weights/training_pictures.csv`` lists what the weights were trained on.

This package is not public: its names may change.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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
    """The line of one picture in the ledger.

    Attributes:
        file: its name in the folder ``pictures``.
        style: the built-in style that it belongs to.
        artist: who made the work; where nobody knows, the school that it comes from.
        title: of the work.
        year: as text, since many are approximate ("c. 1831").
        source: where the scan was found: repository, commit and path.
        died: year of the artist's death; where it is not known, a year after it.
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
    died: int
    licence: str
    original: str
    crop: tuple[int, int, int, int]
    width: int
    height: int
    bytes: int
    sha256: str


@cache
def whole_ledger() -> dict[str, Any]:
    """Return ``ledger.json``, which tools/build_ledger.py writes.

    Returns:
        ``lines``: one for each picture, style, file of weights, script and package, with name, kind, source, licence,
        author, died, commercial, sha256; ``models``: what each model was trained on, by its id; ``artists``: the year
        in which artists died whose works are still protected.

    Raises:
        ModelError: this installation has no readable ledger.
    """
    path = _ROOT / "ledger.json"
    try:
        found = dict(json.loads(path.read_text("utf-8")))
        if not {"lines", "models", "artists"} <= found.keys():
            raise ValueError("a part is missing")
        return found
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"this installation of Sfumato lacks its ledger ({path}); install it again") from error


@cache
def ledger() -> tuple[LedgerEntry, ...]:
    """Return one entry for each picture that ships, grouped by style; tools/build_style_pictures.py makes them.

    Raises:
        ModelError: this installation has no readable ledger.
    """
    lines = [line for line in whole_ledger()["lines"] if line["kind"] == "picture"]
    try:
        others = set(LedgerEntry.__dataclass_fields__) - {"file", "artist", "crop"}
        return tuple(
            LedgerEntry(
                file=Path(line["file"]).name,
                artist=line["author"],
                crop=tuple(line["crop"]),
                **{name: line[name] for name in others},
            )
            for line in lines
        )
    except KeyError as error:
        raise ModelError("this installation of Sfumato has another ledger than it needs; install it again") from error


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


def training_hashes() -> dict[str, str]:
    """Return the SHA-256 of each picture that the shipped weights were trained on.

    Returns:
        The hash in the manifest, by the hash of each file that was seen: that one itself, or a larger scan.
    """
    path = _ROOT / "weights" / "training_pictures.csv"
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found |= {digest: row["sha256"] for digest in (row["sha256"], row["large_sha256"]) if digest}
    return found
