"""``sfumato personal`` export and import: styles as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.output import say, say_json
from sfumato.cli.personal.options import Json, Name
from sfumato.cli.personal.printing import contents, describe_file, facts_of, print_use
from sfumato.errors import OutputError, UsageError


def export(
    name: Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file, NAME.sfumato.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a style to a file of some kB, to use elsewhere or to share; it says what is in it."""
    from sfumato.inference.library import TASTE_SUFFIX
    from sfumato.personal.service import learnt_taste
    from sfumato.personal.store import load_preferences

    prefs = load_preferences(name)
    if str(out) == "-":
        raise OutputError(f"a style is exported to a file, not to the output; name one, as in -o {name}{TASTE_SUFFIX}")
    if out.suffix != TASTE_SUFFIX:
        raise OutputError(f"cannot write {out}: a style's file ends in {TASTE_SUFFIX}; name it so")
    if os.path.exists(out) and not overwrite:
        raise OutputError(f"{out} is there already; add --overwrite to replace it")
    taste = learnt_taste(prefs)
    taste.save(out, overwrite)
    if as_json:
        say_json({"file": str(out), **contents(taste)}, 2)
        return
    say(f"{out}  {out.stat().st_size / 1000:.0f} kB")
    describe_file(taste)


def import_(
    file: Annotated[Path, typer.Argument(help="A .sfumato file.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="What to call it here; otherwise its own name.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep a style that somebody exported under its name, or another."""
    from sfumato.inference.library import has_personal, style_names
    from sfumato.inference.style import PersonalStyle
    from sfumato.personal.service import install
    from sfumato.personal.store import load_taste

    taste = PersonalStyle.load(file)
    called = taste.name if name is None else name
    if called in style_names() or has_personal(called):
        raise UsageError(f"there is a style {called} already; import this one under another name, as in --name friend")
    prefs = install(taste, called)
    if as_json:
        say_json(facts_of(prefs, load_taste(prefs), []), 2)
        return
    say(f"{prefs.name}  {prefs.folder}")
    describe_file(taste)
    print_use(prefs)
