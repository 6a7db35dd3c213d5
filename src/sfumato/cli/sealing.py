"""The option ``--provenance`` of the commands that write pictures and videos."""

from __future__ import annotations

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


def open_seal(is_wanted: bool) -> Seal | None:
    """Return the seal with the user's keys, which are made if there are none; ``None`` where none is wanted.

    Raises:
        SfumatoError: the extra is not installed, or keys or log cannot be used.
    """
    if not is_wanted:
        return None
    from sfumato.provenance.seal import Seal

    return Seal.open()
