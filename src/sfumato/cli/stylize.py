"""``sfumato stylize`` and ``sfumato styles``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.errors import OutputError, UsageError

if TYPE_CHECKING:
    from sfumato.inference import Style, Stylizer


def stylize(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Pictures to paint.", show_default=False)],
    style: Annotated[
        str,
        typer.Option(
            metavar="NAME|IMAGE|FILE",
            help="A built-in style (see sfumato styles), any picture, or a style's .safetensors file.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The picture to write; for several photos, a folder.", show_default=False),
    ],
    strength: Annotated[float, typer.Option(help="From 0, the photo painted as itself, to 1, the full style.")] = 1.0,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model of your own, made by sfumato export.")
    ] = None,
) -> None:
    """Paint photos in a style."""
    from time import perf_counter

    from sfumato.checks import check_range
    from sfumato.image import write_image
    from sfumato.inference import Stylizer

    check_range(strength, 0.0, 1.0, "--strength")
    targets = _targets(photos, out)
    stylizer = Stylizer(model)
    chosen = _style(style, stylizer)
    for photo, target in zip(photos, targets, strict=True):
        start = perf_counter()
        painted = stylizer(photo, chosen, strength)
        write_image(painted, target)
        height, width = painted.shape[2:]
        typer.echo(f"{target}  {width} x {height}  {perf_counter() - start:.2f} s")


def styles(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the built-in styles."""
    from sfumato.assets import style_names
    from sfumato.inference import Style

    found = [Style.named(name) for name in style_names()]
    if as_json:
        import json

        typer.echo(json.dumps([{**style.about, "name": style.name} for style in found], indent=2, ensure_ascii=False))
        return

    from rich.console import Console
    from rich.table import Column, Table

    columns = ("title", "artist", "year", "kind")
    table = Table(Column("name", no_wrap=True), *columns)  # names are there to be typed
    for style in found:
        table.add_row(style.name, *(style.about.get(column, "") for column in columns))
    console = Console(highlight=False)
    console.print(table)
    console.print("Any picture is a style too: sfumato stylize PHOTO --style PICTURE -o OUT.png")


def _style(text: str, stylizer: Stylizer) -> Style:
    """A built-in name goes before a file of the same name, which ``./NAME`` still reaches."""
    from sfumato.assets import style_names
    from sfumato.inference import Style

    path = Path(text)
    if path.suffix == ".safetensors":
        return Style.load(path)
    if text not in style_names() and (path.suffix or len(path.parts) > 1 or path.exists()):
        return Style.from_image(path, stylizer=stylizer)
    return Style.named(text)


def _targets(photos: list[Path], out: Path) -> list[Path]:
    """The file to write for each photo, all looked over before any work."""
    from sfumato.image import WRITABLE

    if out.is_dir() or (len(photos) > 1 and not out.suffix and not out.exists()):
        names = [photo.name if photo.suffix.lower() in WRITABLE else f"{photo.stem}.png" for photo in photos]
        targets = [out / name for name in names]
    elif len(photos) > 1:
        raise UsageError(f"{len(photos)} photos cannot go into the one file {out}; name a folder with -o")
    elif out.suffix.lower() not in WRITABLE:
        raise OutputError(f"cannot write {out}: its name must end in one of {', '.join(WRITABLE)}")
    else:
        targets = [out]
    originals = {photo.resolve() for photo in photos}
    for index, (photo, target) in enumerate(zip(photos, targets, strict=True)):
        if target.resolve() in originals:
            raise UsageError(f"{target} is one of the photos, and stays as it is; choose another -o")
        if target in targets[:index]:
            raise UsageError(f"{photo} and another photo would both become {target}; paint one of them apart")
    return targets
