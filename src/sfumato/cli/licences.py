"""``sfumato licences``: what a result depends on, and whether it may be used commercially."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import say, say_json
from sfumato.errors import UsageError
from sfumato.text import counted

if TYPE_CHECKING:
    from sfumato.inference.licences import Dependency, OwnModel

_FEW = 8  # things of a kind that are printed one by one
_HEAD = re.compile("[(;:,]")  # ends the first words of a licence
_NOUNS = {  # one, and what follows it
    "training": ("picture", " in the training of the weights"),
    "style": ("picture", " of the style"),
    "picture": ("picture", " of built-in styles"),
    "weights": ("file", " of weights"),
    "recipe": ("part", " that the damaged recipe does not name"),
}
_ANSWERS = {True: "yes", False: "no", None: "not known"}


def licences(
    results: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|STYLE...",
            help="Pictures or videos that Sfumato made, style files, or names of styles. \\[default: all that ships]",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A model of your own that painted the pictures; its card counts the licences of its training.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
    _max_pixels: MaxPixels = None,
) -> None:
    """Print what a result depends on, under which licences, and whether it may be used commercially."""
    from sfumato.inference.licences import OwnModel, shipped, verdict

    own = None if model is None else OwnModel.read(model)
    if own is not None and not results:
        raise UsageError("name the pictures that the model painted; --model says nothing of what ships")
    found = {text: _find(text, own) for text in results or ()} or {"all that ships": shipped()}
    if as_json:
        say_json(
            [
                {"name": name, "commercial": verdict(each), "depends_on": [one.to_json() for one in each]}
                for name, each in found.items()
            ],
            2,
        )
        return
    for name, each in found.items():
        _print(name, each)
    if any(verdict(each) is not True for each in found.values()):
        say("Weights of your own, trained on pictures whose rights you know, change the answer: see docs/licences.md.")
    say("This repeats what owners and users state; it is no legal advice. --json adds authors, sources and hashes.")


def _find(text: str, own: OwnModel | None) -> list[Dependency]:
    """Return what a file or a style depends on.

    Raises:
        UsageError: it is neither a file nor the name of a style, or ``own`` did not paint it.
        InputError: the picture contains no recipe.
    """
    from sfumato.cli.show import recipe_of
    from sfumato.inference import Style
    from sfumato.inference.library import PERSONAL_SUFFIX, has_style
    from sfumato.inference.licences import dependencies, of_painting_in

    path = Path(text)
    is_style_file = path.suffix in (".safetensors", PERSONAL_SUFFIX)
    if is_style_file or has_style(text) or not (path.suffix or path.exists()):
        if own is not None:
            raise UsageError(f"{text} is a style; --model answers for the pictures that the model painted")
        style = Style.load(path) if is_style_file else Style.named(text, own=True)
        return of_painting_in(style.name, style.about, [each.sha256 for each in style.pictures])
    recipe = recipe_of(path)
    if own is not None and own.digest not in (recipe.get("model_sha256"), recipe.get("decoder_sha256")):
        raise UsageError(f"{path} was not painted by the model {own.name} of --model")
    return dependencies(recipe, own)


def _print(name: str, found: list[Dependency]) -> None:
    """Print what one result depends on: by kind and answer, a few things one by one, and many as counts by licence."""
    from sfumato.inference.licences import verdict

    say(f"{name} depends on:")
    groups: dict[tuple[str, bool | None], list[Dependency]] = {}
    for each in found:
        groups.setdefault((each.kind, each.commercial), []).append(each)
    for (kind, commercial), group in groups.items():
        start = f"  {kind:8}  commercial use: {_ANSWERS[commercial]:9}"
        if len(group) <= _FEW and kind != "training":
            for each in group:
                whose = f"{each.author}, " if kind == "picture" else ""
                say(f"{start}  {whose}{each.name}: {each.licence}")
            continue
        licences: Counter[str] = Counter()
        for each in group:
            licences[_HEAD.split(each.licence)[0].strip()] += each.count
        say(f"{start}  {licences.total()}: {', '.join(f'{words} {count}' for words, count in licences.most_common())}")
    say(f"Commercial use: {_sentence(verdict(found), found)}")


def _sentence(answer: bool | None, found: list[Dependency]) -> str:
    if answer:
        return "yes, as far as is stated. The rights in the photo are yours to check."
    because = []
    trained = any(each.kind == "training" for each in found)
    terms = ((False, "whose terms allow only research or no sale"), (None, "whose terms are not known"))
    for value, words in terms:
        counts: Counter[str] = Counter()
        for each in found:
            if each.commercial is value and (each.kind != "weights" or not trained):  # the reason is their training
                counts[each.kind] += each.count
        for kind, count in counts.items():
            noun, rest = _NOUNS.get(kind, (kind, ""))
            because.append(f"{counted(count, noun)}{rest}, {words}")
    return f"{'not known' if answer is None else 'not cleared'}. It depends on {'; '.join(because)}."
