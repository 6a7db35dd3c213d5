"""``sfumato explain``: how a picture came to look as it does, in plain words, in numbers and on a contact sheet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import OwnModel
from sfumato.cli.output import say, say_json
from sfumato.errors import OutputError, UsageError

if TYPE_CHECKING:
    from sfumato.inference import Stylizer
    from sfumato.inference.explanation import Explanation, StyleExplanation

_BAR = 20  # characters in a bar of 100 %


def explain(
    picture: Annotated[Path, typer.Argument(help="A picture that sfumato stylize made.", show_default=False)],
    photo: Annotated[
        Path | None, typer.Option(help="The photo that it was painted from. Parts that need it are omitted without it.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH|DIR",
            help="The contact sheet to write. \\[default: beside the picture, as NAME-explained.png]",
            show_default=False,
        ),
    ] = None,
    model: OwnModel = None,
    style: Annotated[
        list[str] | None,
        typer.Option(metavar="IMAGE|FOLDER", help="Pictures that the style was made from, if it is not built in."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing sheet.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON instead of the text.")] = False,
    _max_pixels: MaxPixels = None,
) -> None:
    """Explain how a picture came to look as it does."""
    from sfumato.cli.progress import count_bar
    from sfumato.inference import Stylizer
    from sfumato.inference.explain import explain as explained
    from sfumato.inference.explain_sheet import write_sheet
    from sfumato.inference.repaint import recipe_of

    recipe = recipe_of(picture)  # first, since other errors do not matter for a picture without a recipe
    target = _target(picture, photo, out)
    if os.path.exists(target) and not overwrite:
        raise OutputError(f"{target} already exists; add --overwrite to replace it")
    if recipe.quality != "draft":
        _explain_matched(picture, photo, target, Stylizer(model), style or [], overwrite, as_json)
        return
    with count_bar() as bar:
        task = bar.add_task("explaining", total=None)
        found = explained(
            picture, photo, Stylizer(model), lambda done, total: bar.update(task, completed=done, total=total), own=True
        )
    write_sheet(found, target, picture.name, overwrite)
    if as_json:
        names = {"picture": str(picture), "photo": None if photo is None else str(photo), "sheet": str(target)}
        say_json({**names, **found.to_json()}, 1)
        return
    for line in _text(picture, found):
        say(line)
    say()
    say(f"In pictures: {target}")


def _explain_matched(
    picture: Path,
    photo: Path | None,
    target: Path,
    stylizer: Stylizer,
    styles: list[str],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Explain a picture painted by feature matching: which part of which painting each place came from."""
    from sfumato.cli.stylize import style_of_files
    from sfumato.inference.explain_sheet import write_on_sheet
    from sfumato.inference.explain_words import matched_title_of, origin_sentences
    from sfumato.inference.origins import find_origins, origins_sheet

    if photo is None:
        raise UsageError(f"{picture} can only be explained by painting its photo again; name the photo with --photo")
    found = find_origins(picture, photo, stylizer, [style_of_files(styles)] if styles else [], own=True)
    write_on_sheet(origins_sheet(found), found.recipe, target, picture.name, overwrite)
    if as_json:
        names = {"picture": str(picture), "photo": str(photo), "sheet": str(target)}
        say_json({**names, **found.to_json()}, 1)
        return
    say(f"{picture}: {matched_title_of(found.recipe)}")
    for each in found.styles:
        say()
        say(f"Sources of the style {each.style}")
        for source in sorted(each.sources, key=lambda source: -source.share):
            say(f"  {source.share:4.0%}  {'#' * round(_BAR * source.share):{_BAR}} {source.title}")
        for line in _indented(origin_sentences(each)):
            say(line)
    say()
    say(f"In pictures: {target}")


def _target(picture: Path, photo: Path | None, out: str | None) -> Path:
    """Return the path of the sheet, which is never that of the picture or the photo.

    Raises:
        UsageError: it would be one of them, or standard output.
    """
    from sfumato.inference.jobs import plan

    name = f"{picture.stem}-explained.png"
    if out is None:
        out = str(picture.with_name(name))
    elif out and (os.path.isdir(out) or out.endswith(("/", os.sep))):
        out = str(Path(out) / name)
    (job,), _ = plan([str(picture)], out, "explained")
    if job.target is None:
        raise UsageError("a contact sheet cannot be written to standard output; name a file with -o")
    if photo is not None and job.target.resolve() == photo.resolve():
        raise UsageError(f"{job.target} is the photo itself, and would be overwritten; choose another -o")
    return job.target


def _text(picture: Path, found: Explanation) -> Iterator[str]:
    """Yield the lines of the explanation."""
    from sfumato.inference.explain_words import change_sentences, discriminator_sentences, title_of

    yield f"{picture}: {title_of(found)}"
    if found.change is not None:
        yield ""
        yield "Where it changed"
        yield from _indented(change_sentences(found.change))
    for style in found.styles:
        which = f" ({style.name})" if len(found.styles) > 1 else ""
        if style.swaps:
            yield ""
            yield f"What each part of the style did{which}"
            yield from _parts(style)
        if style.discriminator is not None:
            yield ""
            yield f"The discriminator's verdict{which}"
            yield from _indented(discriminator_sentences(style, found.recipe.model))
        if style.nearest:
            yield ""
            yield f"The nearest training paintings{which}"
            yield from _nearest(style)
    if found.left_out:
        yield ""
        yield "Omitted"
        yield from _indented(found.left_out)


def _parts(style: StyleExplanation) -> Iterator[str]:
    from sfumato.inference.explain_words import strongest_sentences, swap_sentences

    yield from _indented(swap_sentences(style))
    if not any(swap.share for swap in style.swaps):
        return
    for swap in style.swaps:
        bar = "#" * round(_BAR * swap.share)
        yield f"  {swap.part.label:18} {swap.share:4.0%}  {bar:{_BAR}} {swap.part.about}"
    yield from _indented(strongest_sentences(style))


def _indented(sentences: Iterable[str]) -> Iterator[str]:
    return (f"  {sentence}" for sentence in sentences)


def _nearest(style: StyleExplanation) -> Iterator[str]:
    first = style.nearest[0]
    if first.is_the_same:
        yield "  The style is itself one of them: the first."
    for neighbour in style.nearest:
        work = neighbour.work
        yield f"  {neighbour.distance:4.2f}  {_spaced(work.artist).title()}, {_spaced(work.title)}"
        yield f"        {work.licence}"
        yield f"        {_short(work.source)}"
    yield "  1.00 is the usual distance between two of these paintings; 0 is the same style."


def _short(source: str) -> str:
    """Shorten ``github:someone/art@12ab:a/long/path/cat.jpg`` to its place and file; ``--json`` has all of it."""
    place, colon, path = source.rpartition(":")
    folder, _, name = path.rpartition("/")
    return f"{place}{colon}{'.../' if folder else ''}{name}"


def _spaced(name: str) -> str:
    return name.replace("_", " ")
