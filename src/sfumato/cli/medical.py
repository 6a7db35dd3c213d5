"""``sfumato medical``: look-alikes of CT, MR and radiographs, for teaching, games and augmentation only."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import Device, Seed, Threads
from sfumato.cli.output import say, say_error
from sfumato.cli.stylize import QualityMode
from sfumato.errors import InputError, OutputError, SfumatoError, UsageError

if TYPE_CHECKING:
    from sfumato.inference import Stylizer
    from sfumato.medical.identity import Identity
    from sfumato.medical.lookalike import Look

XRAY = "xray"


class ViewChoice(StrEnum):
    """The choices of ``--view``."""

    each = "each"
    front = "front"
    side = "side"


class RayChoice(StrEnum):
    """The choices of ``--ray``."""

    mean = "mean"
    max = "max"


class HueChoice(StrEnum):
    """The choices of ``--color``."""

    grey = "grey"
    style = "style"


def medical(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN.dcm|DIR", help="A DICOM file (CT, MR, CR, DX), or a folder.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUT.dcm|DIR", help="The file to write; a folder for a folder."),
    ],
    look: Annotated[
        list[str] | None,
        typer.Option(
            metavar="xray|NAME|IMAGE|FILE[:WEIGHT]",
            help="xray: the tone of a radiograph. Others: the texture of a style. Give several for both. "
            "\\[default: xray]",
            show_default=False,
        ),
    ] = None,
    strength: Annotated[float, typer.Option(help="Of the style, 0 to 0.2.")] = 0.15,
    color: Annotated[
        HueChoice, typer.Option(case_sensitive=False, help="grey, or also the hues of the style.")
    ] = HueChoice.grey,
    view: Annotated[
        ViewChoice,
        typer.Option(
            case_sensitive=False,
            help="each: every frame by itself. front, side: one radiograph of a whole CT series.",
        ),
    ] = ViewChoice.each,
    ray: Annotated[
        RayChoice, typer.Option(case_sensitive=False, help="For a view: mean attenuation along a ray, or its maximum.")
    ] = RayChoice.mean,
    window: Annotated[
        str | None,
        typer.Option(metavar="C,W", help="Center and width. \\[default: the file's own]", show_default=False),
    ] = None,
    difference: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="Also write a map of all changes.", show_default=False),
    ] = None,
    no_notice: Annotated[
        bool,
        typer.Option(
            "--no-notice", help="Do not draw NOT FOR DIAGNOSIS in the pixels. The file says that you chose so."
        ),
    ] = False,
    deidentify: Annotated[
        bool,
        typer.Option(
            "--deidentify/--keep-identity",
            help="Remove the patient's identity (PS3.15 basic profile), or keep patient and study.",
        ),
    ] = True,
    quality: Annotated[
        QualityMode | None,
        typer.Option(case_sensitive=False, help="As for sfumato stylize.", show_default=False),
    ] = None,
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    _max_pixels: MaxPixels = None,
) -> None:
    """Make look-alikes of CT, MR and radiographs: not for diagnosis, for teaching, games and augmentation only."""
    from sfumato.cli.stylize import find_styles
    from sfumato.inference import Stylizer
    from sfumato.inference.options import PaintOptions
    from sfumato.medical.identity import Identity
    from sfumato.medical.lookalike import Look, find_files
    from sfumato.medical.reading import check_extra

    looks = look or [XRAY]
    styles = [each for each in looks if each != XRAY]
    shown = None if window is None else _window(window)
    options = PaintOptions(quality=None if quality is None else quality.value, seed=seed)
    if not source.exists():
        raise InputError(f"cannot read {source}: there is no such file or folder")
    many = source.is_dir()
    for option, place in (("-o", out), ("--difference", difference)):
        if place is not None and source.resolve() in (full := place.resolve(), *full.parents):
            raise UsageError(f"{place} is the source, or in it; name another place with {option}")
    if many and not (files := find_files(source)):
        raise InputError(f"{source} has no files")
    check_extra()
    stylizer = Stylizer(threads=threads, device=device) if styles else None
    style = None if stylizer is None else find_styles(styles, 0, stylizer)[0]
    wanted = Look(
        XRAY in looks, style, strength, color is HueChoice.style, view.value, ray.value, shown, not no_notice, options
    )
    identity = Identity(deidentify)
    if many and wanted.view == "each":
        _make_folder(files, out, difference, wanted, identity, stylizer, overwrite)
    else:
        _make(files if many else source, out, difference, wanted, identity, stylizer, overwrite)


def _window(text: str) -> tuple[float, float]:
    try:
        center, width = (float(each) for each in text.split(","))
    except ValueError:
        raise UsageError(f"--window must be a center and a width, as in 40,400, but is {text[:40]!r}") from None
    return center, width


def _make(
    source: Path | list[Path],
    out: Path,
    difference: Path | None,
    look: Look,
    identity: Identity,
    stylizer: Stylizer | None,
    overwrite: bool,
    number: int = 1,
) -> None:
    """Make one look-alike, and say what was measured."""
    from sfumato.cli.progress import one_picture
    from sfumato.medical.lookalike import check_new, look_alike

    check_new([out, *([] if difference is None else [difference])], overwrite)
    with one_picture("painting") as progress:
        made = look_alike(source, look, identity=identity, stylizer=stylizer, number=number, progress=progress)
    made.save(out, difference, overwrite)
    for remark in made.remarks:
        say_error(remark)
    say(f"wrote {out}: {made.worst()}")
    if difference is not None:
        say(f"wrote {difference}")


def _make_folder(
    files: list[Path],
    out: Path,
    difference: Path | None,
    look: Look,
    identity: Identity,
    stylizer: Stylizer | None,
    overwrite: bool,
) -> None:
    """Make a look-alike of each file, under a number, since file names can name patients.

    Raises:
        SfumatoError: of the first file that could not be made. The others are, unless no file can be written.
    """
    failed: list[SfumatoError] = []
    made = 0
    for folder in (out, difference):
        if folder is not None and folder.is_file():
            raise UsageError(f"a folder of files is written into a folder, but {folder} is a file")
    digits = max(4, len(str(len(files))))
    for number, path in enumerate(files, 1):
        name = f"{number:0{digits}}.dcm"
        into = None if difference is None else difference / name
        try:
            _make(path, out / name, into, look, identity, stylizer, overwrite, number)
            made += 1
        except SfumatoError as problem:
            failed.append(problem)
            if len(failed) > 1:  # the first is told at the end, with its exit code
                say_error(problem)
            if isinstance(problem, OutputError) and not isinstance(problem.__cause__, FileExistsError):
                break  # a full disk, for example: all others would fail too
    if failed:
        say_error(f"{made} of {len(files)} files were made")
        raise failed[0]
