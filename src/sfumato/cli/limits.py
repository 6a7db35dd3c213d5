"""``--max-pixels``, the same for every command that reads pictures: it is set for the process as it is parsed."""

from __future__ import annotations

from typing import Annotated

import typer


def _limit(pixels: int | None) -> int | None:
    from sfumato.limits import set_max_pixels

    if pixels is not None:
        set_max_pixels(pixels, "--max-pixels")
    return pixels


#: Commands need not look at it: what reads pictures does.
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        metavar="N",
        callback=_limit,
        expose_value=False,
        help="Refuse pictures of more pixels than this before they are decoded. "
        "\\[default: 200000000, or SFUMATO_MAX_PIXELS]",
        show_default=False,
    ),
]
