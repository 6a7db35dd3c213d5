"""``sfumato stylize``: paint photos, folders or patterns of photos in a style."""

from __future__ import annotations

import os
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import Device, FileFormat, FileQuality, OwnModel, Seed, Stroke, Threads
from sfumato.cli.output import check_no_terminal
from sfumato.cli.pictures import PaintedPictures
from sfumato.cli.rights import Rights, StyleRights, state_rights
from sfumato.cli.sealing import Provenance, open_seal
from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.inference import Style, Stylizer
    from sfumato.inference.jobs import Job
    from sfumato.inference.style import PersonalStyle


class QualityMode(StrEnum):
    """The choices of ``--quality``."""

    draft = "draft"
    standard = "standard"
    best = "best"


class ColorMode(StrEnum):
    """The choices of ``--color``."""

    style = "style"
    content = "content"
    luminance = "luminance"


def stylize(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO|DIR|GLOB|-", help="Photos to paint.", show_default=False)
    ],
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|IMAGE|FOLDER|FILE[:WEIGHT]",
            help="A built-in style (see sfumato styles), one of your own, any picture, all pictures in a folder, or a "
            "style file (.safetensors, .sfumato). Several are blended by weight or, with --mask, assigned to regions. "
            "Not for a --model of one collection.",
            show_default=False,
        ),
    ] = None,
    rights: StyleRights = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH|DIR|-",
            help="The picture to write; a folder for several. \\[default: beside each photo]",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[
        QualityMode | None,
        typer.Option(
            case_sensitive=False,
            help="draft: fast. standard: with the brushwork of the style's own pictures, in some seconds. best: a "
            "refined standard, several times slower. \\[default: standard, if the style contains pictures, else draft]",
            show_default=False,
        ),
    ] = None,
    strength: Annotated[float, typer.Option(help="0 (nearly the photo itself) to 1 (full style).")] = 1.0,
    stroke: Stroke = 1.0,
    auto: Annotated[
        bool, typer.Option("--auto", help="Choose strength and stroke for each photo, and print why.")
    ] = False,
    keep: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="With --auto: the share of the content changed by the full style that must be preserved.",
            show_default=False,
        ),
    ] = None,
    best_of: Annotated[
        int, typer.Option(metavar="N", help="Paint with N seeds, from --seed on, and write the best.")
    ] = 1,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME<NUMBER",
            help="Refuse to write a picture whose measure is too high, as in 'artefacts<2'. Lower strengths are tried "
            "first.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    color: Annotated[
        ColorMode,
        typer.Option(
            case_sensitive=False,
            help="style: the colours of the style; content: the palette of the photo; luminance: the photo's colour at "
            "each pixel.",
        ),
    ] = ColorMode.style,
    mask: Annotated[
        list[Path] | None,
        typer.Option(
            help="Region of a style: white on black, as large as the photo. One for each --style, or one fewer."
        ),
    ] = None,
    tile: Annotated[
        bool,
        typer.Option("--tile", help="Paint a texture, which repeats without a seam; the photo is made to, if needed."),
    ] = False,
    max_size: Annotated[
        int, typer.Option(metavar="PX", help="Shrink photos with a longer side than this; 0: never.")
    ] = 0,
    format: FileFormat = None,
    file_quality: FileQuality = 92,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing pictures.")] = False,
    provenance: Provenance = False,
    model: OwnModel = None,
    device: Device = "auto",
    threads: Threads = None,
    _max_pixels: MaxPixels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each picture.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Show the result in the system's viewer.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Paint again whenever a photo, a mask or a style picture changes, until Ctrl-C."),
    ] = False,
) -> None:
    """Paint photos in a style."""
    from sfumato.checks import check_range
    from sfumato.cli.seeing import check_seen, follow, open_result
    from sfumato.cli.stylize_options import parse_selection
    from sfumato.inference import Stylizer
    from sfumato.inference.jobs import left_out, plan
    from sfumato.inference.options import PaintOptions
    from sfumato.inference.pipeline import Pipeline

    options = PaintOptions(strength, stroke, color.value, None if quality is None else quality.value, seed, tile)
    selection = parse_selection(auto, keep, best_of, gate or [], strength, stroke, bool(mask))
    check_range(file_quality, 1, 100, "--file-quality")
    if max_size:
        check_range(max_size, 16, 1_000_000, "--max-size")
    masks = mask or []
    texts = style or []
    if model is None and not texts:
        raise UsageError("no --style was given; name one, as in --style monet (see sfumato styles)")
    whose = rights_in_styles(rights, texts)
    label = _label(texts) if texts else (model or Path()).resolve().name
    if open_ or watch:
        check_seen(photos, out, open_, watch)
    seal = open_seal(provenance)
    stylizer = Stylizer(model, threads, device)
    stylizer.check_own_style(len(texts), color.value, len(masks))
    if selection is not None:
        selection.check(stylizer)

    def planned() -> tuple[list[Job], bool]:
        return plan(photos, out, label, format and format.value)

    def paint(changed: Collection[Path] | None = None) -> None:
        """Paint all photos or, with ``--watch``, those that have changed."""
        jobs, is_batch = planned()
        if jobs[0].target is None:
            check_no_terminal()
        styles: list[Style | PersonalStyle] = list(_styles(texts, len(masks), stylizer, whose))
        for place, personal in find_personal(texts, len(masks)).items() if styles else ():
            styles[place] = personal
        pipeline = Pipeline(
            styles,
            options,
            masks=masks,
            max_size=max_size,
            auto=auto,
            keep=keep,
            best_of=best_of,
            gates=gate or [],
            file_quality=file_quality,
            stylizer=stylizer,
        )
        run = PaintedPictures(pipeline, format and format.value, overwrite or changed is not None, as_json, seal)
        wanted = jobs if changed is None else [job for job in jobs if job.photo in changed]
        run.all(wanted, is_batch, left_out(photos) if changed is None else ())

    try:
        paint()
    except typer.Exit:  # a photo of a batch failed, and its error has been printed
        if not watch:
            raise
    if open_:
        open_result(planned()[0])
    if watch:
        others = [*masks, *(path for text in texts for path in style_files(text))]
        follow(lambda: [job.photo for job in planned()[0] if job.photo], others, paint)


def _label(styles: list[str]) -> str:
    """Return the part of an output's name that says the style, as in cat-monet.png."""
    from sfumato.inference.library import has_style

    names = [_split_weight(text)[0] for text in styles]
    files = [os.path.basename(os.path.abspath(name)).split(".")[0] for name in names]  # absolute: "." has no name
    return "+".join(
        name.replace("/", "-") if has_style(name) else file for name, file in zip(names, files, strict=True)
    )


def _split_weight(text: str) -> tuple[str, float | None]:
    """Split ``NAME:0.4`` into (NAME, 0.4); a colon without a number after it belongs to the name."""
    name, _, tail = text.rpartition(":")
    try:
        return (name, float(tail)) if name else (text, None)
    except ValueError:
        return text, None


def _styles(texts: list[str], masks: int, stylizer: Stylizer, rights: str) -> list[Style]:
    """Return the styles of ``--style``; none for a model that was trained for a single style."""
    if not stylizer.card.has_codes:
        return []
    if not texts:
        raise UsageError(f"the model {stylizer.card.model!r} needs a style; name one, as in --style painting.jpg")
    return find_styles(texts, masks, stylizer, rights)


def find_styles(texts: list[str], masks: int, stylizer: Stylizer, rights: str = "unstated") -> list[Style]:
    """Return one style for each region or, without masks, one blend of all styles.

    Args:
        texts: the values of ``--style``, each a name or file with an optional ``:WEIGHT``.
        masks: the number of masks.
        stylizer: encodes styles that are pictures.
        rights: the user's rights in styles that are pictures.

    Raises:
        UsageError: a style is unknown, or has a weight although there are masks.
        InputError: a picture cannot be read.
        ModelError: a style file is damaged or of another model.
    """
    from sfumato.inference import Style

    parts = [_split_weight(text) for text in texts]
    found = [find_style(name, stylizer, rights) for name, _ in parts]
    if masks:
        if any(weight is not None for _, weight in parts):
            raise UsageError("weights blend styles over the whole picture; with --mask, leave the weights out")
        return found
    if len(found) == 1 and parts[0][1] is None:
        return found
    weights: dict[Style | str, float] = {}
    for each, (_, weight) in zip(found, parts, strict=True):
        weights[each] = weights.get(each, 0.0) + (1.0 if weight is None else weight)
    mixed = Style.blend(weights)
    return found if len(found) == 1 else [mixed]  # `blend` has checked a single weight, which has no effect


def find_style(text: str, stylizer: Stylizer, rights: str = "unstated") -> Style:
    """Return the style of a name, of a file, or of all pictures in a folder.

    A name takes precedence over a file or folder of that name; ``./NAME`` is the file.

    Raises:
        UsageError: it is empty, a web address, or not the name of a style.
        InputError: a picture cannot be read, or the folder holds none.
        ModelError: the style file is damaged or of another model.
    """
    from sfumato.inference import Style
    from sfumato.inference.jobs import check_no_address
    from sfumato.inference.library import PERSONAL_SUFFIX, has_style

    if not text:
        raise UsageError("a --style is empty; name one, as in --style monet")
    check_no_address(text)
    path = Path(text)
    if path.suffix in (".safetensors", PERSONAL_SUFFIX):
        return Style.load(path)
    if not has_style(text) and os.path.isdir(path):
        return Style.from_images(style_files(text), path.resolve().name, stylizer).with_rights(rights)
    if not has_style(text) and (path.suffix or len(path.parts) > 1 or os.path.exists(path)):
        return Style.from_image(path, stylizer=stylizer).with_rights(rights)
    return Style.named(text, own=True)


def style_of_files(texts: list[str]) -> Style:
    """Return one style of pictures and of all pictures in folders, by which a recipe's own are found.

    Raises:
        InputError: a picture cannot be read, or a folder holds none.
    """
    from sfumato.inference import Style
    from sfumato.inference.jobs import expand

    return Style.from_images([file for text in texts for file, _ in expand(text, None)])


def style_files(text: str) -> list[Path]:
    """Return the file that a ``--style`` names, or the pictures in its folder; none if it names a stored style.

    Raises:
        InputError: the folder holds no picture.
    """
    from sfumato.inference.jobs import expand
    from sfumato.inference.library import has_style

    name, _ = _split_weight(text)
    if has_style(name):
        return []
    return [file for file, _ in expand(name, None)] if os.path.isdir(name) else [Path(name)]


def rights_in_styles(given: Rights | None, texts: list[str]) -> str:
    """Return the rights in those of the values of ``--style`` that are files or folders, as `state_rights`."""
    return state_rights(given, [path for text in texts for path in style_files(text)])


def find_personal(texts: list[str], masks: int) -> dict[int, PersonalStyle]:
    """Return the personal styles that consist of several centres, by their index in ``texts``.

    For each photo, the pipeline chooses one of the centres. A blend uses the centre with the largest weight instead,
    and NAME/2 names one of them, so neither is returned.
    """
    from sfumato.inference.library import PERSONAL_SUFFIX, has_style, style_path
    from sfumato.inference.style import PersonalStyle

    if not masks and len(texts) > 1:
        return {}
    found = {}
    for place, (text, _) in enumerate(map(_split_weight, texts)):
        path = style_path(text) if has_style(text) and "/" not in text else Path(text)
        if path.suffix != PERSONAL_SUFFIX:
            continue
        personal_style = PersonalStyle.load(path)
        if len(personal_style.codes) > 1:
            found[place] = personal_style
    return found
