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
    from sfumato.inference.library import PERSONAL_SUFFIX
    from sfumato.personal.service import require_learnt_style
    from sfumato.personal.store import load_record

    record = load_record(name)
    if str(out) == "-":
        raise OutputError(
            f"a style is exported to a file, not to the output; name one, as in -o {name}{PERSONAL_SUFFIX}"
        )
    if out.suffix != PERSONAL_SUFFIX:
        raise OutputError(f"cannot write {out}: a style's file ends in {PERSONAL_SUFFIX}; name it so")
    if os.path.exists(out) and not overwrite:
        raise OutputError(f"{out} is there already; add --overwrite to replace it")
    personal_style = require_learnt_style(record)
    personal_style.save(out, overwrite)
    if as_json:
        say_json({"file": str(out), **contents(personal_style)}, 2)
        return
    say(f"{out}  {out.stat().st_size / 1000:.0f} kB")
    describe_file(personal_style)


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
    from sfumato.personal.store import load_personal_style

    personal_style = PersonalStyle.load(file)
    called = personal_style.name if name is None else name
    if called in style_names() or has_personal(called):
        raise UsageError(f"there is a style {called} already; import this one under another name, as in --name friend")
    record = install(personal_style, called)
    if as_json:
        say_json(facts_of(record, load_personal_style(record), []), 2)
        return
    say(f"{record.name}  {record.folder}")
    describe_file(personal_style)
    print_use(record)
