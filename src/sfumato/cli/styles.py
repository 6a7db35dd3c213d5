"""``sfumato styles``: list, show, add, blend and export styles, or paint one photo in all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import console, say, say_error, say_json
from sfumato.cli.rights import RightsOption, choose_rights
from sfumato.errors import OutputError, SfumatoError, UsageError

if TYPE_CHECKING:
    from sfumato.inference import Style

app = typer.Typer(help="List, show, add, blend and export styles.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _default(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    sheet: Annotated[
        str | None,
        typer.Option(
            metavar="PHOTO",
            help="Paint this photo in all built-in styles, as small drafts on one sheet.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="PATH", help="With --sheet: the sheet to write.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --sheet: replace an existing file.")] = False,
    _max_pixels: MaxPixels = None,
) -> None:
    if context.invoked_subcommand is not None:
        if sheet is not None or out is not None:
            raise UsageError(f"--sheet and -o do not go with a subcommand here; leave {context.invoked_subcommand} out")
    elif sheet is not None:
        _sheet(sheet, out, overwrite)
    elif out is not None:
        raise UsageError("-o names the sheet to write; add --sheet PHOTO")
    else:
        list_(as_json)


def _sheet(photo: str, out: str | None, overwrite: bool) -> None:
    """Paint a photo in all built-in styles, on one sheet."""
    from time import perf_counter

    from sfumato.cli.output import standard_input
    from sfumato.cli.progress import one_picture
    from sfumato.image import write_photo
    from sfumato.inference.jobs import plan
    from sfumato.inference.style_sheet import style_sheet

    if out is None:
        raise UsageError("--sheet writes a picture; name it, as in -o sheet.png")
    [job], _ = plan([photo], out, "styles")  # refuses a folder or a pattern, since `out` is one file
    if job.target is None:
        raise UsageError("--sheet cannot write to standard output; name a file, as in -o sheet.png")
    if os.path.lexists(job.target) and not overwrite:
        raise OutputError(f"{job.target} already exists; add --overwrite to replace it")
    began = perf_counter()
    with one_picture("painting") as progress:
        made = style_sheet(job.photo or standard_input(), progress=progress)
    write_photo(made, job.target, overwrite=overwrite)
    say(f"{job.target}  {made.width} x {made.height}  {perf_counter() - began:.2f} s")
    say("  These are drafts: stylize paints in the quality standard by default, which adds the paintings' brushwork.")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List all styles: built-in ones, your own, and those learnt from pictures that you like."""
    from sfumato.inference import Style
    from sfumato.inference.library import style_names

    found, damaged = [], []
    for name in style_names():
        try:
            found.append(Style.named(name, own=True))
        except SfumatoError as problem:
            damaged.append(problem)
    _print(found, as_json)
    for each in damaged:
        say_error(each)
    if damaged:
        raise typer.Exit(damaged[0].exit_code)


def _print(found: list[Style], as_json: bool) -> None:
    if as_json:
        say_json([{**style.about, "name": style.name} for style in found], 2)
        return

    from rich.table import Column, Table

    from sfumato.cli.thumbnails import WIDTH, can_show, thumbnail_of

    screen = console()
    shows = can_show(screen)
    columns = ("title", "artist", "year", "kind")
    pictures = (Column("picture", no_wrap=True, min_width=WIDTH),) if shows else ()
    table = Table(*pictures, Column("name", no_wrap=True), *columns, show_lines=shows)  # names are for typing
    for style in found:
        picture = (thumbnail_of(style, screen),) if shows else ()
        table.add_row(*picture, style.name, *(style.about.get(column, "") for column in columns))
    screen.print(table)
    screen.print("Any picture can be a style too: sfumato stylize PHOTO --style PICTURE -o OUT.png")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name or file of a style.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print information about a style."""
    from sfumato.inference import Style
    from sfumato.inference.library import PERSONAL_SUFFIX, style_path

    if name.endswith((".safetensors", PERSONAL_SUFFIX)):
        path, style = Path(name), Style.load(name)
    else:
        path, style = style_path(name), Style.named(name, own=True)
    about = {
        "name": style.name,
        **style.about,
        "model": style.code.model,
        "numbers": len(style.code),
        "file": str(path),
    }
    if as_json:
        say_json(about, 2)
    else:
        for key, value in about.items():
            say(f"{key:8} {value}")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the new style.", show_default=False)],
    pictures: Annotated[
        list[Path], typer.Argument(help="One picture, or several in a similar style.", show_default=False)
    ],
    rights: RightsOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a style of that name.")] = False,
    model: Annotated[Path | None, typer.Option(metavar="DIR", help="A model of your own.")] = None,
    _max_pixels: MaxPixels = None,
) -> None:
    """Make your own style from pictures, and store it under a name."""
    from sfumato.inference import Style, Stylizer
    from sfumato.inference.library import new_style_path

    path = new_style_path(name, overwrite)
    whose = choose_rights(rights, False, pictures)
    Style.from_images(pictures, name, Stylizer(model)).with_rights(whose).save(path, overwrite)
    say(f"{name}  {path}")


@app.command()
def blend(
    name: Annotated[str, typer.Argument(help="Name of the new style.", show_default=False)],
    parts: Annotated[
        list[str], typer.Argument(metavar="STYLE[:WEIGHT]", help="Styles to blend, with weights.", show_default=False)
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a style of that name.")] = False,
    model: Annotated[Path | None, typer.Option(metavar="DIR", help="A model of your own.")] = None,
) -> None:
    """Blend styles by weight, and store the blend under a name."""
    from dataclasses import replace

    from sfumato.cli.stylize import find_styles
    from sfumato.inference import Stylizer
    from sfumato.inference.library import new_style_path

    path = new_style_path(name, overwrite)
    [mixed] = find_styles(parts, 0, Stylizer(model))
    replace(mixed, name=name).save(path, overwrite)
    say(f"{name}  {path}")


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="Name of the style.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, NAME.safetensors.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write a style to a file of a few kB, for sharing."""
    from sfumato.inference import Style

    if out.suffix != ".safetensors":
        raise OutputError(f"cannot write {out}: the name of a style file must end in .safetensors")
    if os.path.exists(out) and not overwrite:
        raise OutputError(f"{out} already exists; add --overwrite to replace it")
    Style.named(name, own=True).save(out, overwrite)
    say(str(out))
