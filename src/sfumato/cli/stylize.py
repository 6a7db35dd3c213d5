"""``sfumato stylize``: photos, folders and patterns in; pictures out."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import check_no_terminal
from sfumato.cli.pictures import Format, Pictures
from sfumato.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sfumato.image import Photo
    from sfumato.inference import Style, Stylizer
    from sfumato.inference.batch import Job
    from sfumato.inference.gate import Wishes
    from sfumato.inference.recipe import Recipe
    from sfumato.inference.taste import Taste


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
    stroke: Annotated[float, typer.Option(help="Size of the marks, 0.5 to 2.")] = 1.0,
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
    seed: Annotated[int, typer.Option(help="Which way the marks fall, 0 and up.")] = 0,
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
    from sfumato.cli.stylize_options import find_wishes, mask_digest, read_mask
    from sfumato.inference import Stylizer
    from sfumato.inference.batch import left_out, plan
    from sfumato.inference.options import PaintOptions
    from sfumato.inference.recipe import Recipe

    options = PaintOptions(strength, stroke, color.value, None if quality is None else quality.value, seed)
    wishes = find_wishes(auto, keep, best_of, gate or [], strength, stroke, bool(mask))
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
    if wishes is not None:
        wishes.check(stylizer)

    def planned() -> tuple[list[Job], bool]:
        return plan(photos, out, label, format and format.value)

    def paint(changed: Collection[Path] | None = None) -> None:
        """All photos, or, once more, those that have changed."""
        jobs, is_batch = planned()
        if jobs[0].target is None:
            check_no_terminal()
        styles = _styles(texts, len(masks), stylizer)
        regions = [read_mask(path) for path in masks]
        recipe = Recipe.of(
            stylizer,
            styles,
            options,
            max_size=max_size,
            masks=[mask_digest(region) for region in regions],
            file_quality=file_quality,
        )
        tastes = find_tastes(texts, len(masks)) if styles else {}
        replaced = overwrite or changed is not None
        run = Run(stylizer, recipe, styles, regions, format and format.value, replaced, as_json, wishes, tastes)
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


class Run(Pictures):
    """Photos painted under one recipe."""

    doing, done = "painting", "painted"

    def __init__(
        self,
        stylizer: Stylizer,
        recipe: Recipe,
        styles: Sequence[Style],
        masks: Sequence[npt.NDArray[np.float32]],
        format: str | None,
        overwrite: bool,
        as_json: bool,
        wishes: Wishes | None = None,
        tastes: Mapping[int, Taste] | None = None,
    ) -> None:
        """``tastes`` are those of several styles, by the place in ``styles`` that each photo chooses one for."""
        super().__init__(format, recipe.file_quality, overwrite, as_json)
        self.wishes, self.tastes = wishes, tastes or {}
        self.stylizer, self.recipe, self.styles, self.masks = stylizer, recipe, styles, masks

    def make(self, photo: Photo, name: str, digest: str) -> Photo:
        """The photo painted, with the recipe in its metadata. Masks of its size before it is shrunk shrink along."""
        from dataclasses import replace

        from sfumato.cli.stylize_options import shrunk
        from sfumato.image import shrink

        size = photo.height, photo.width
        if self.recipe.max_size:
            photo = shrink(photo, self.recipe.max_size)
        masks = [shrunk(mask, size, photo) for mask in self.masks]

        styles, recipe = list(self.styles), replace(self.recipe, photo_sha256=digest)
        if self.tastes:
            for place, taste in self.tastes.items():
                styles[place] = taste.style_for(self.stylizer, photo)
            recipe = recipe.with_styles(styles)

        with self.bar() as progress:

            def by(recipe: Recipe) -> Photo:
                return self.stylizer.paint(photo, styles, recipe.options, masks=masks, progress=progress, name=name)

            if self.wishes is None:
                painted = by(recipe)
            else:
                from sfumato.inference.gate import paint_as_wished

                painted, recipe = paint_as_wished(self.stylizer, photo, styles, recipe, self.wishes, by, name)
        painted = replace(painted, metadata=replace(painted.metadata, recipe=replace(recipe, finish=()).to_json()))
        for finish in recipe.finishes:
            painted = finish(painted)
        return painted

    def told(self, picture: Photo) -> dict[str, Any]:
        recipe = picture.metadata.recipe or {}
        guidance = recipe.get("guidance")
        if not isinstance(guidance, dict):
            return {}
        chosen = {key: recipe[key] for key in ("strength", "stroke", "seed")}
        return chosen | {key: guidance[key] for key in ("why", "measured") if key in guidance}

    def is_ours(self, found: dict[str, object], job: Job, digest: str) -> bool:
        from dataclasses import replace

        mine = replace(self.recipe, photo_sha256=digest).to_json()
        if self.tastes:
            self._leave_open(found, mine)
        if self.wishes is None:
            return found == mine
        # What was left to Sfumato differs from photo to photo; what was asked of it must not.
        guidance = found.get("guidance")
        asked = guidance.get("asked") if isinstance(guidance, dict) else None
        for recipe in (found, mine):
            for free in ("strength", "stroke", "seed", "guidance"):
                recipe.pop(free, None)
        return asked == self.wishes.asked(self.recipe) and found == mine

    def made_of(self, found: dict[str, object]) -> object:
        return found.get("photo_sha256")

    def _leave_open(self, found: dict[str, Any], mine: dict[str, Any]) -> None:
        """Where each photo chose one of a taste's styles, any of them is ours."""
        from sfumato.inference.recipe import style_to_json

        theirs = found.get("styles")
        if not isinstance(theirs, list) or len(theirs) != len(mine["styles"]):
            return
        for place, taste in self.tastes.items():
            if theirs[place] in [style_to_json(style) for style in taste.styles]:
                mine["styles"][place] = theirs[place]


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
    from sfumato.inference.library import TASTE_SUFFIX, has_style

    if not text:
        raise UsageError("a --style is empty; name one, as in --style monet")
    check_no_address(text)
    path = Path(text)
    if path.suffix in (".safetensors", TASTE_SUFFIX):
        return Style.load(path)
    if not has_style(text) and (path.suffix or len(path.parts) > 1 or os.path.exists(path)):
        return Style.from_image(path, stylizer=stylizer)
    return Style.named(text, own=True)


def style_file(text: str) -> Path | None:
    """The file that a --style names; None of a built-in style, or of one's own that has a name."""
    from sfumato.inference.library import has_style

    name, _ = _weighted(text)
    return None if has_style(name) else Path(name)


def find_tastes(texts: list[str], masks: int) -> dict[int, Taste]:
    """The tastes of several styles among what was named, by their places: each photo chooses one of such.

    In a blend the heaviest counts, and where one is named (NAME/2), that one.
    """
    from sfumato.inference.library import TASTE_SUFFIX, has_style, style_path
    from sfumato.inference.taste import Taste

    if not masks and len(texts) > 1:
        return {}
    found = {}
    for place, (text, _) in enumerate(map(_weighted, texts)):
        path = style_path(text) if has_style(text) and "/" not in text else Path(text)
        if path.suffix != TASTE_SUFFIX:
            continue
        taste = Taste.load(path)
        if len(taste.codes) > 1:
            found[place] = taste
    return found
