"""The option ``--max-pixels`` of every command that reads pictures; parsing it sets the limit of the process."""

from __future__ import annotations

from typing import Annotated

import typer


def _limit(pixels: int | None) -> int | None:
    from sfumato.limits import set_max_pixels

    if pixels is not None:
        set_max_pixels(pixels, "--max-pixels")
    return pixels


#: Commands need no parameter for it: its callback sets the limit, and the readers of pictures check that.
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        metavar="N",
        callback=_limit,
        expose_value=False,
        help="Refuse pictures with more pixels than this, before they are decoded. "
        "\\[default: 200000000, or SFUMATO_MAX_PIXELS]",
        show_default=False,
    ),
]
