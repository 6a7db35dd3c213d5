"""``sfumato show`` and ``sfumato replay``: print or reuse the recipe in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import OwnModel
from sfumato.cli.output import say, say_error, say_json
from sfumato.cli.sealing import Provenance, open_seal
from sfumato.errors import InputError, UsageError
from sfumato.rights import joined_rights
from sfumato.text import counted

if TYPE_CHECKING:
    from sfumato.inference.imagine import Imagined
    from sfumato.inference.recipe import Recipe
    from sfumato.video.recipe import VideoRecipe


def show(
    picture: Annotated[Path, typer.Argument(help="A picture or video that Sfumato made.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
    _max_pixels: MaxPixels = None,
) -> None:
    """Print how a picture or a video was made."""
    from sfumato.inference.retouch import UNPAINTED, finishes
    from sfumato.inference.style_sheet import SHEET

    found = recipe_of(picture)
    finished = finishes(found, str(picture))
    recipe: dict[str, Any] = {"kind": UNPAINTED}
    lines: dict[str, str] = {}
    if found.get("kind") == "noise":
        from sfumato.inference.imagine import Imagined

        imagined = Imagined.from_json(found, str(picture))
        recipe, lines = imagined.to_json(), _lines_of_noise(imagined)
    elif found.get("kind") == "video":
        from sfumato.video.recipe import VideoRecipe

        painted = VideoRecipe.from_json(found, str(picture))
        recipe, lines = painted.to_json(), _lines_of_video(painted)
    elif found.get("kind") == SHEET:
        recipe, lines = {"kind": SHEET}, {"sheet": "one photo in all built-in styles, as drafts"}
    elif found.get("kind") != UNPAINTED:
        stylised = _parse_recipe(found, picture)
        recipe, lines = stylised.to_json(), _lines(stylised)
    if as_json:
        recipe |= {"finish": [finish.to_json() for finish in finished]} if finished else {}
        say_json(recipe, 2)
        return
    rows = [*lines.items(), *(("finish", f"{finish.words} (Sfumato {finish.version})") for finish in finished)]
    for name, value in rows:
        say(f"{name:9} {value}")


def _lines(recipe: Recipe) -> dict[str, str]:
    lines = {
        "made by": f"Sfumato {recipe.version}, model {recipe.model} ({recipe.model_sha256[:12]})",
        "style": " / ".join(style["name"] for style in recipe.styles) or "the model's own",
        "strength": _exact(recipe.strength),
        "stroke": _exact(recipe.stroke),
        "color": recipe.color,
        "max size": f"{recipe.max_size} px" if recipe.max_size else "no limit",
        "quality": recipe.quality,
        "file": f"quality {recipe.file_quality}",
        "seed": str(recipe.seed),
        "masks": ", ".join(digest[:12] for digest in recipe.masks) or "none",
    }
    if rights := joined_rights(style.get("rights", "") for style in recipe.styles):
        lines["rights"] = f"{rights} (sfumato licences)"
    if recipe.tile:
        lines["tile"] = "repeats without a seam"
    if isinstance(why := (recipe.guidance or {}).get("why"), str):
        lines["chosen"] = why
    return lines


def _exact(value: float) -> str:
    """Return a number so that the same option, given again, has the same value; 1.0 as 1."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _lines_of_noise(recipe: Imagined) -> dict[str, str]:
    last = recipe.index + recipe.count - 1
    return {
        "made by": f"Sfumato {recipe.version}, model {recipe.model} ({recipe.model_sha256[:12]})",
        "from": f"noise, seed {recipe.seed}, truncation {_exact(recipe.truncation)}",
        "pictures": f"{recipe.index}" if recipe.count == 1 else f"{recipe.index} to {last}",
        "walk": f"{recipe.walk} steps from each to the next" if recipe.walk else "none",
        "again": recipe.command,
    }


def _lines_of_video(recipe: VideoRecipe) -> dict[str, str]:
    lines = _lines(recipe.painting)
    for name in ("masks", "file"):
        del lines[name]
    if len(recipe.times) > 1:
        names = [style["name"] for style in recipe.painting.styles]
        lines["style"] = ", ".join(
            f"{name} at {_exact(time)} s" for name, time in zip(names, recipe.times, strict=True)
        )
    end = "its end" if recipe.end is None else f"{_exact(recipe.end)} s"
    return {
        **lines,
        "steady": _exact(recipe.steady),
        "part": "all" if not recipe.begin and recipe.end is None else f"{_exact(recipe.begin)} s to {end}",
        "codec": recipe.codec,
    }


def replay(
    picture: Annotated[Path, typer.Argument(help="A picture that Sfumato made.", show_default=False)],
    photo: Annotated[str, typer.Argument(help="The photo to paint with its recipe.", show_default=False)],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="PATH|-", help="The picture to write.", show_default=False)
    ],
    style: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE", help="Pictures, or their folder, that the style was made from, if it is not built in."
        ),
    ] = None,
    mask: Annotated[list[Path] | None, typer.Option(help="As many masks as the recipe has, in the same order.")] = None,
    file_quality: Annotated[
        int | None,
        typer.Option(help="Quality of JPEG and WebP, 1 to 100. \\[default: the recipe's]", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    provenance: Provenance = False,
    model: OwnModel = None,
    _max_pixels: MaxPixels = None,
) -> None:
    """Paint a photo with the recipe of a picture.

    The same photo gives the same pixels, except for rounding on another machine or with another number of threads.
    """
    from dataclasses import replace

    from sfumato.checks import check_range
    from sfumato.cli.pictures import PaintedPictures
    from sfumato.cli.stylize import style_of_files
    from sfumato.inference import Stylizer
    from sfumato.inference.jobs import plan
    from sfumato.inference.pipeline import Pipeline

    recipe, masks = _parse_recipe(recipe_of(picture), picture), mask or []
    if len(masks) != len(recipe.masks):
        given = f"{counted(len(recipe.masks), 'mask')}, but {len(masks)} {'was' if len(masks) == 1 else 'were'} given"
        raise UsageError(f"{picture} was made with {given}; give the same number with --mask")
    if file_quality is not None:
        check_range(file_quality, 1, 100, "--file-quality")
        recipe = replace(recipe, file_quality=file_quality)
    jobs, _ = plan([photo], out, "replay")
    seal = open_seal(provenance)
    known = [style_of_files(list(map(str, style)))] if style else []
    pipeline = Pipeline.of_recipe(recipe, masks=masks, known=known, stylizer=Stylizer(model), own=True)
    if list(pipeline.recipe.masks) != list(recipe.masks):
        say_error(f"these are not the masks that {picture} was made with")
    PaintedPictures(pipeline, None, overwrite, False, seal).all(jobs, False)


def recipe_of(picture: Path) -> dict[str, object]:
    """Return the recipe in a picture or a video.

    Raises:
        InputError: there is none, or the file cannot be read.
    """
    from sfumato.image import read_recipe
    from sfumato.video.tags import looks_like_video, read_video_recipe

    found = read_video_recipe(picture) if looks_like_video(picture) else read_recipe(picture)
    if found is None:
        raise InputError(f"{picture} contains no recipe: Sfumato did not make it, or another program saved it again")
    return found


def _parse_recipe(found: dict[str, object], picture: Path) -> Recipe:
    from sfumato.inference.recipe import Recipe

    return Recipe.from_json(found, str(picture))
