"""``sfumato imagine``: pictures out of noise, by a model of that kind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.output import say
from sfumato.errors import OutputError, UsageError

if TYPE_CHECKING:
    from sfumato.inference.imagine import Imaginer

MAX_PICTURES = 10_000  # pictures at once
MAX_FRAMES = 2_000  # they are held in memory


def imagine(
    model: Annotated[
        Path, typer.Option(metavar="DIR", help="A model of kind noise, made by sfumato export.", show_default=False)
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR|PATH",
            help="A folder of pictures, one picture with all of them on it, or a .gif with --walk.",
            show_default=False,
        ),
    ],
    count: Annotated[
        int | None, typer.Option(metavar="N", help="Pictures. \\[default: 16; of a walk, 2]", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Which pictures, 0 and up.")] = 0,
    index: Annotated[int, typer.Option(help="Which picture of the seed is the first.")] = 0,
    truncation: Annotated[
        float, typer.Option(help="From 0, all pictures the same, to 1, as various as the model can.")
    ] = 1.0,
    walk: Annotated[
        int | None,
        typer.Option(metavar="STEPS", help="Go from picture to picture and back, in so many steps each, as a GIF."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads. \\[default: one a core]", show_default=False)
    ] = None,
) -> None:
    """Paint pictures out of nothing but noise."""
    from time import perf_counter

    from sfumato.checks import check_range
    from sfumato.inference.imagine import Imaginer
    from sfumato.inference.options import MAX_SEED

    count = (16 if walk is None else 2) if count is None else count
    check_range(count, 1, MAX_PICTURES, "--count")
    check_range(seed, 0, MAX_SEED, "--seed")
    check_range(index, 0, MAX_SEED, "--index")
    check_range(truncation, 0.0, 1.0, "--truncation")
    if threads is not None:
        check_range(threads, 1, 10_000, "--threads")
    if walk is not None:
        check_range(walk, 1, MAX_FRAMES, "--walk")
        if count < 2:
            raise UsageError("a walk goes from one picture to another; give --count 2 or more")
        check_range(count * walk, 2, MAX_FRAMES, "--count times --walk, the number of frames,")
    targets = _targets(out, index, count, walk)
    if not overwrite and (there := [target for target in targets if os.path.exists(target)]):
        raise OutputError(f"{there[0]} is there already; add --overwrite to replace it, or give another -o")
    imaginer, began = Imaginer(model, threads, device), perf_counter()
    message = _make(imaginer, targets, count, seed, index, truncation, walk, overwrite)
    say(f"{out}  {message} of {imaginer.side} x {imaginer.side}  {perf_counter() - began:.2f} s")


def _targets(out: str, index: int, count: int, walk: int | None) -> list[Path]:
    """The files to write: one, or one a picture in a folder."""
    from sfumato.image import WRITABLE

    if out in ("", "-"):
        raise UsageError("pictures go into files; name a folder or a file with -o")
    path, suffix = Path(out), Path(out).suffix.lower()
    # `made-0.5` has no suffix that anybody meant.
    is_folder = os.path.isdir(out) or out.endswith(("/", os.sep)) or not suffix[1:].isalnum() or suffix[1:].isdigit()
    if walk is not None and (is_folder or suffix != ".gif"):
        raise UsageError(f"a walk is a GIF, and {out} is not named as one; name a .gif file with -o")
    if walk is None and not is_folder and suffix not in WRITABLE:
        if suffix == ".gif":
            raise UsageError(f"{out} would be a GIF, which shows a walk; add --walk STEPS, or name another file")
        raise OutputError(f"cannot write {out}: its name must end in one of {', '.join(WRITABLE)}, or be a folder's")
    if not os.path.isdir(path.absolute().parent):
        raise OutputError(f"cannot write {out}: the folder {path.parent} is not there; make it first")
    if is_folder and os.path.lexists(path) and not os.path.isdir(path):
        raise OutputError(f"cannot write into {out}: it is a file; name a folder or another file")
    return [path / f"{i:04d}.png" for i in range(index, index + count)] if is_folder else [path]


def _make(
    imaginer: Imaginer,
    targets: list[Path],
    count: int,
    seed: int,
    index: int,
    truncation: float,
    walk: int | None,
    overwrite: bool,
) -> str:
    """Write the pictures, and say what they are."""
    from sfumato.image import Photo, to_uint8, write_animation, write_photo
    from sfumato.metadata import Metadata
    from sfumato.sheet import mosaic

    places = range(index, index + count)
    drawn = [imaginer.z(seed, i, truncation) for i in places]
    if walk is not None:
        recipe = imaginer.recipe(seed, truncation, index, count, walk)
        frames = list(imaginer.walk(drawn, walk))
        write_animation(frames, targets[0], recipe.to_json(), overwrite=overwrite)
        return f"{len(frames)} frames"
    if len(targets) == count:  # one picture as a file too
        for target, place, z in zip(targets, places, drawn, strict=True):
            metadata = Metadata(recipe=imaginer.recipe(seed, truncation, place).to_json())
            write_photo(Photo(to_uint8(imaginer(z)), metadata=metadata), target, overwrite=overwrite)
    else:
        metadata = Metadata(recipe=imaginer.recipe(seed, truncation, index, count).to_json())
        together = Photo(to_uint8(mosaic([imaginer(z) for z in drawn])), metadata=metadata)
        write_photo(together, targets[0], overwrite=overwrite)
    return "1 picture" if count == 1 else f"{count} pictures"
