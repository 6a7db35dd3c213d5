"""``sfumato stylize``: photos, folders and patterns in; pictures out."""

from __future__ import annotations

import os
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import check_no_terminal
from sfumato.cli.pictures import Format, PaintedPictures
from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.inference import Style, Stylizer
    from sfumato.inference.batch import Job
    from sfumato.inference.style import PersonalStyle


class QualityMode(StrEnum):
    draft = "draft"
    standard = "standard"
    best = "best"


class ColorMode(StrEnum):
    style = "style"
    content = "content"
    luminance = "luminance"


def stylize(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO|DIR|GLOB|-", help="Pictures to paint.", show_default=False)
    ],
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|IMAGE|FILE[:WEIGHT]",
            help="A built-in style (see sfumato styles), one of your own, any picture, or a style's file "
            "(.safetensors, .sfumato). Several are blended by weight or, with --mask, divided over regions. A --model "
            "of one collection takes none.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH|DIR|-",
            help="The picture to write; for several photos, a folder. \\[default: beside each photo]",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[
        QualityMode | None,
        typer.Option(
            case_sensitive=False,
            help="draft: at once. standard: with the brushwork of the style's own pictures, in some seconds. "
            "best: that refined, for several times as long. \\[default: standard, if the style has pictures with it]",
            show_default=False,
        ),
    ] = None,
    strength: Annotated[float, typer.Option(help="From 0, the photo painted as itself, to 1, the full style.")] = 1.0,
    stroke: Annotated[float, typer.Option(help="Size of the strokes, 0.5 to 2.")] = 1.0,
    auto: Annotated[
        bool, typer.Option("--auto", help="Choose strength and stroke for each photo, and say why.")
    ] = False,
    keep: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="With --auto: how much of the content the full style would change must stay.",
            show_default=False,
        ),
    ] = None,
    best_of: Annotated[
        int, typer.Option(metavar="N", help="Paint N times, with seeds from --seed on, and keep the best.")
    ] = 1,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME<NUMBER",
            help="Do not write a picture with worse defects, as in 'artefacts<2'; weaker ones are tried first.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which way the strokes fall, 0 and up.")] = 0,
    color: Annotated[
        ColorMode,
        typer.Option(
            case_sensitive=False, help="Whose colours: the style's, the photo's palette, the photo's pixel by pixel."
        ),
    ] = ColorMode.style,
    mask: Annotated[
        list[Path] | None,
        typer.Option(
            help="Where a style goes: white on black, of the photo's size. One for each --style, or one fewer."
        ),
    ] = None,
    max_size: Annotated[
        int, typer.Option(metavar="PX", help="Shrink larger photos to this longer side; 0: never.")
    ] = 0,
    format: Annotated[
        Format | None,
        typer.Option(help="Of the pictures. \\[default: by name]", show_default=False, case_sensitive=False),
    ] = None,
    file_quality: Annotated[int, typer.Option(metavar="N", help="Of JPEG and WebP, 1 to 100.")] = 92,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there.")] = False,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A model of your own, made by sfumato export."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads. \\[default: one a core]", show_default=False)
    ] = None,
    max_pixels: MaxPixels = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a picture on stdout.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Show the result in the system's viewer.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Paint again when a photo, a mask or a style's picture changes, until Ctrl-C."),
    ] = False,
) -> None:
    """Paint photos in a style."""
    from sfumato.checks import check_range
    from sfumato.cli.seeing import check_seen, follow, open_result
    from sfumato.cli.stylize_options import parse_selection
    from sfumato.inference import Stylizer
    from sfumato.inference.batch import left_out, plan
    from sfumato.inference.options import PaintOptions
    from sfumato.inference.pipeline import Pipeline

    options = PaintOptions(strength, stroke, color.value, None if quality is None else quality.value, seed)
    selection = parse_selection(auto, keep, best_of, gate or [], strength, stroke, bool(mask))
    check_range(file_quality, 1, 100, "--file-quality")
    if max_size:
        check_range(max_size, 16, 1_000_000, "--max-size")
    masks = mask or []
    texts = style or []
    if model is None and not texts:
        raise UsageError("no --style was given; name one, as in --style monet (see sfumato styles)")
    label = _label(texts) if texts else (model or Path()).resolve().name
    if open_ or watch:
        check_seen(photos, out, open_, watch)
    stylizer = Stylizer(model, threads, device)
    stylizer.check_own_style(len(texts), color.value, len(masks))
    if selection is not None:
        selection.check(stylizer)

    def planned() -> tuple[list[Job], bool]:
        return plan(photos, out, label, format and format.value)

    def paint(changed: Collection[Path] | None = None) -> None:
        """All photos, or, once more, those that have changed."""
        jobs, is_batch = planned()
        if jobs[0].target is None:
            check_no_terminal()
        styles: list[Style | PersonalStyle] = list(_styles(texts, len(masks), stylizer))
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
        run = PaintedPictures(pipeline, format and format.value, overwrite or changed is not None, as_json)
        wanted = jobs if changed is None else [job for job in jobs if job.photo in changed]
        run.all(wanted, is_batch, left_out(photos) if changed is None else ())

    try:
        paint()
    except typer.Exit:  # a photo of a folder failed, and that has been told
        if not watch:
            raise
    if open_:
        open_result(planned()[0])
    if watch:
        others = [*masks, *(path for text in texts if (path := style_file(text)) is not None)]
        follow(lambda: [job.photo for job in planned()[0] if job.photo], others, paint)


def _label(styles: list[str]) -> str:
    """What pictures beside their photos are called after."""
    from sfumato.inference.library import has_style

    names = [_weighted(text)[0] for text in styles]
    return "+".join(name.replace("/", "-") if has_style(name) else Path(name).name.split(".")[0] for name in names)


def _weighted(text: str) -> tuple[str, float | None]:
    """``NAME:0.4`` -> (NAME, 0.4); a colon that no number follows belongs to the name."""
    name, _, tail = text.rpartition(":")
    try:
        return (name, float(tail)) if name else (text, None)
    except ValueError:
        return text, None


def _styles(texts: list[str], masks: int, stylizer: Stylizer) -> list[Style]:
    """Those that were named; none for a model that has a style of its own."""
    if not stylizer.card.has_codes:
        return []
    if not texts:
        raise UsageError(f"the model {stylizer.card.model!r} paints any style; name one, as in --style painting.jpg")
    return find_styles(texts, masks, stylizer)


def find_styles(texts: list[str], masks: int, stylizer: Stylizer) -> list[Style]:
    """One style a region; without masks, all of them blended into one."""
    from sfumato.inference import Style

    parts = [_weighted(text) for text in texts]
    found = [find_style(name, stylizer) for name, _ in parts]
    if masks:
        if any(weight is not None for _, weight in parts):
            raise UsageError("weights blend styles over the whole picture; with --mask name styles without them")
        return found
    if len(found) == 1 and parts[0][1] is None:
        return found
    weights: dict[Style | str, float] = {}
    for each, (_, weight) in zip(found, parts, strict=True):
        weights[each] = weights.get(each, 0.0) + (1.0 if weight is None else weight)
    mixed = Style.blend(weights)
    return found if len(found) == 1 else [mixed]  # a single weight is checked, and changes nothing


def find_style(text: str, stylizer: Stylizer) -> Style:
    """A name goes before a file of the same name, which ``./NAME`` still reaches."""
    from sfumato.inference import Style
    from sfumato.inference.batch import check_no_address
    from sfumato.inference.library import PERSONAL_SUFFIX, has_style

    if not text:
        raise UsageError("a --style is empty; name one, as in --style monet")
    check_no_address(text)
    path = Path(text)
    if path.suffix in (".safetensors", PERSONAL_SUFFIX):
        return Style.load(path)
    if not has_style(text) and (path.suffix or len(path.parts) > 1 or os.path.exists(path)):
        return Style.from_image(path, stylizer=stylizer)
    return Style.named(text, own=True)


def style_file(text: str) -> Path | None:
    """The file that a --style names; None of a built-in style, or of one's own that has a name."""
    from sfumato.inference.library import has_style

    name, _ = _weighted(text)
    return None if has_style(name) else Path(name)


def find_personal(texts: list[str], masks: int) -> dict[int, PersonalStyle]:
    """The personal styles of several styles among what was named, by their places: each photo chooses one of such.

    In a blend the heaviest counts, and where one is named (NAME/2), that one.
    """
    from sfumato.inference.library import PERSONAL_SUFFIX, has_style, style_path
    from sfumato.inference.style import PersonalStyle

    if not masks and len(texts) > 1:
        return {}
    found = {}
    for place, (text, _) in enumerate(map(_weighted, texts)):
        path = style_path(text) if has_style(text) and "/" not in text else Path(text)
        if path.suffix != PERSONAL_SUFFIX:
            continue
        personal_style = PersonalStyle.load(path)
        if len(personal_style.codes) > 1:
            found[place] = personal_style
    return found
