"""The option ``--provenance`` of the commands that write pictures and videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sfumato.provenance.seal import Seal

Provenance = Annotated[
    bool,
    typer.Option(
        "--provenance/--no-provenance",
        help="Seal what is written: content credentials (C2PA), an invisible mark, and a line in a signed log. See "
        "sfumato keys and sfumato verify.",
    ),
]

_MANIFEST = b"jumdc2pa"  # how the description of a C2PA manifest store begins, in all formats


def open_seal(is_wanted: bool) -> Seal | None:
    """Return the seal with the user's keys, which are made if there are none; ``None`` where none is wanted.

    Raises:
        SfumatoError: the extra is not installed, or keys or log cannot be used.
    """
    if not is_wanted:
        return None
    from sfumato.provenance.seal import Seal

    return Seal.open()


def has_credentials(picture: Path | None) -> bool:
    """Return whether a file contains content credentials, valid or not; False for a pipe, which is ``None``."""
    return picture is not None and picture.is_file() and _MANIFEST in picture.read_bytes()
