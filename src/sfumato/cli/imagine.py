"""``sfumato imagine``: generate pictures from noise with a model of kind noise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.options import Device, Threads
from sfumato.cli.output import say
from sfumato.errors import OutputError, UsageError

if TYPE_CHECKING:
    from sfumato.inference.imagine import Imaginer

MAX_PICTURES = 10_000  # in one command
MAX_FRAMES = 2_000  # of a GIF, whose frames are all in memory at once


def imagine(
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR|PATH",
            help="A folder for the pictures, one file with all of them side by side, or, with --walk, a .gif.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A model of kind noise, made by sfumato export. \\[default: the shipped one, if there is one]",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of pictures. \\[default: 16; with --walk, 2]", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed, 0 or more.")] = 0,
    index: Annotated[int, typer.Option(help="Index of the first picture in the sequence of the seed.")] = 0,
    truncation: Annotated[
        float, typer.Option(help="Variety, from 0 (all pictures the same) to 1 (all that the model can make).")
    ] = 1.0,
    walk: Annotated[
        int | None,
        typer.Option(metavar="STEPS", help="Make a GIF that moves from picture to picture, in this many steps each."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing pictures.")] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Generate pictures from random noise."""
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
            raise UsageError("--walk needs at least two pictures; give --count 2 or more")
        check_range(count * walk, 2, MAX_FRAMES, "--count times --walk, the number of frames,")
    targets = _targets(out, index, count, walk)
    if not overwrite and (existing := [target for target in targets if os.path.exists(target)]):
        raise OutputError(f"{existing[0]} already exists; add --overwrite to replace it, or give another -o")
    imaginer, began = Imaginer(model, threads, device), perf_counter()
    message = _make(imaginer, targets, count, seed, index, truncation, walk, overwrite)
    say(f"{out}  {message} of {imaginer.side} x {imaginer.side}  {perf_counter() - began:.2f} s")


def _targets(out: str, index: int, count: int, walk: int | None) -> list[Path]:
    """Return the files to write: one, or one for each picture in a folder.

    Raises:
        UsageError: ``out`` is empty or stdout, or does not fit ``walk``: a walk is a GIF, and nothing else is.
        OutputError: the format is unknown, or the folder is missing or is a file.
    """
    from sfumato.image import WRITABLE

    if out in ("", "-"):
        raise UsageError("pictures cannot be written to standard output here; name a folder or a file with -o")
    path, suffix = Path(out), Path(out).suffix.lower()
    # The ".5" of a folder named `made-0.5` is not meant as a suffix.
    is_folder = os.path.isdir(out) or out.endswith(("/", os.sep)) or not suffix[1:].isalnum() or suffix[1:].isdigit()
    if walk is not None and (is_folder or suffix != ".gif"):
        raise UsageError(f"--walk writes a GIF, but {out} does not end in .gif; name a .gif file with -o")
    if walk is None and not is_folder and suffix not in WRITABLE:
        if suffix == ".gif":
            raise UsageError(f"{out} is a GIF, which only --walk writes; add --walk STEPS, or name another file")
        raise OutputError(f"cannot write {out}: name a folder, or a file that ends in one of {', '.join(WRITABLE)}")
    if not os.path.isdir(path.absolute().parent):
        raise OutputError(f"cannot write {out}: the folder {path.parent} does not exist; create it first")
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
    """Write the pictures; return their number for the message, as in "16 pictures"."""
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
    if len(targets) == count:  # a folder, or a single picture in a single file
        for target, place, z in zip(targets, places, drawn, strict=True):
            metadata = Metadata(recipe=imaginer.recipe(seed, truncation, place).to_json())
            write_photo(Photo(to_uint8(imaginer(z)), metadata=metadata), target, overwrite=overwrite)
    else:
        metadata = Metadata(recipe=imaginer.recipe(seed, truncation, index, count).to_json())
        sheet = Photo(to_uint8(mosaic([imaginer(z) for z in drawn])), metadata=metadata)
        write_photo(sheet, targets[0], overwrite=overwrite)
    return "1 picture" if count == 1 else f"{count} pictures"
