"""``sfumato personal`` export and import: personal styles as files."""

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
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, NAME.sfumato.", show_default=False)],
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            help="For other people: no hashes, dates and preferences, but small spots of the pictures to paint with.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a style to a file, for other machines or for sharing, and print what it contains."""
    from sfumato.inference.library import PERSONAL_SUFFIX
    from sfumato.personal.service import private_copy, require_learnt_style
    from sfumato.personal.store import load_record

    record = load_record(name)
    if str(out) == "-":
        raise OutputError(
            f"a style cannot be exported to standard output; name a file, as in -o {name}{PERSONAL_SUFFIX}"
        )
    if out.suffix != PERSONAL_SUFFIX:
        raise OutputError(f"cannot write {out}: the name of a personal style must end in {PERSONAL_SUFFIX}")
    if os.path.exists(out) and not overwrite:
        raise OutputError(f"{out} already exists; add --overwrite to replace it")
    personal_style = require_learnt_style(record)
    if private:
        from sfumato.inference import Stylizer

        personal_style = private_copy(personal_style, Stylizer())
    personal_style.save(out, overwrite)
    if as_json:
        say_json({"file": str(out), **contents(personal_style)}, 2)
        return
    say(f"{out}  {out.stat().st_size / 1000:.0f} kB")
    describe_file(personal_style)


def import_(
    file: Annotated[Path, typer.Argument(help="A .sfumato file.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="New name of the style. \\[default: the name in the file]", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Store a style that somebody exported, under its own or another name."""
    from sfumato.inference.library import has_personal, style_names
    from sfumato.inference.style import PersonalStyle
    from sfumato.personal.service import install
    from sfumato.personal.store import load_personal_style

    personal_style = PersonalStyle.load(file)
    new_name = personal_style.name if name is None else name
    if new_name in style_names() or has_personal(new_name):
        raise UsageError(f"the style {new_name} already exists; choose another name, as in --name friend")
    record = install(personal_style, new_name)
    if as_json:
        say_json(facts_of(record, load_personal_style(record), []), 2)
        return
    say(f"{record.name}  {record.folder}")
    describe_file(personal_style)
    print_use(record)
