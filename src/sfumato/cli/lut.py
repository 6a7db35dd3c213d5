"""``sfumato lut``: write the colours of a style as a look-up table for video editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import BlendedStyles, Device, Threads
from sfumato.cli.output import say
from sfumato.errors import OutputError, UsageError


def lut(
    style: BlendedStyles,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.cube", help="The table to write.", show_default=False)
    ],
    photo: Annotated[
        list[Path] | None,
        typer.Option(
            help="A photo or a frame like those that the table is for. \\[default: generated pictures of all colours]",
            show_default=False,
        ),
    ] = None,
    size: Annotated[int, typer.Option(metavar="N", help="Points along each axis, 2 to 65.")] = 33,
    strength: Annotated[float, typer.Option(help="0 (no change) to 1 (the style's colours).")] = 1.0,
    preview: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTO",
            help="Also write this photo before and after, side by side, as NAME-preview.png beside the table.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    _max_pixels: MaxPixels = None,
) -> None:
    """Write the colours of a style as a table (.cube) for video editors."""
    from sfumato.cli.progress import one_picture
    from sfumato.cli.stylize import find_styles
    from sfumato.image import read_photo, write_photo
    from sfumato.inference import Stylizer
    from sfumato.inference.lut import before_and_after, check_lut, make_lut

    check_lut(size, strength)
    if out.suffix.lower() != ".cube":
        raise UsageError(f"-o must name a .cube file, but is {out}")
    shown = out.with_name(f"{out.stem}-preview.png")
    for path in (out, *([shown] if preview else [])):
        if path.exists() and not overwrite:
            raise OutputError(f"{path} already exists; add --overwrite to replace it")
    sample = None if preview is None else read_photo(preview)
    stylizer = Stylizer(threads=threads, device=device)
    [wanted] = find_styles(style, 0, stylizer)
    with one_picture("fitting") as progress:
        table = make_lut(wanted, photo or (), size=size, strength=strength, stylizer=stylizer, progress=progress)
    table.save(out, overwrite)
    say(f"wrote {out}")
    if sample is not None:
        write_photo(before_and_after(table, sample), shown, overwrite=overwrite)
        say(f"wrote {shown}")
