"""Options that several commands have; each command gives its own default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.pictures import Format

BlendedStyles = Annotated[
    list[str],
    typer.Option(
        metavar="NAME|IMAGE|FILE[:WEIGHT]",
        help="A style, as sfumato stylize takes it; several are blended.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="Device: auto, cpu or cuda.")]
FileFormat = Annotated[
    Format | None,
    typer.Option(help="File format. \\[default: by name]", show_default=False, case_sensitive=False),
]
FileQuality = Annotated[int, typer.Option(metavar="N", help="Quality of JPEG and WebP, 1 to 100.")]
OwnModel = Annotated[Path | None, typer.Option(metavar="DIR", help="A model of your own, made by sfumato export.")]
Seed = Annotated[int, typer.Option(help="Random seed of the strokes, 0 or more.")]
Stroke = Annotated[float, typer.Option(help="Relative size of the strokes, 0.5 to 2.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads. \\[default: one per core]", show_default=False)]
