"""``sfumato personal`` show and list: print one personal style, or all."""

from __future__ import annotations

import typer

from sfumato.cli.output import say, say_error, say_json
from sfumato.cli.personal.options import Json, Name
from sfumato.cli.personal.printing import codes_of, facts_of, print_remarks, print_styles, print_summary
from sfumato.errors import SfumatoError
from sfumato.text import counted


def show(name: Name, as_json: Json = False) -> None:
    """Print what a style was learnt from, and where its files are."""
    from sfumato.personal.gathering import odd_remarks
    from sfumato.personal.learning import suggested_styles
    from sfumato.personal.store import load_personal_style, load_record, missing_pictures

    record = load_record(name)
    personal_style = load_personal_style(record)
    codes = codes_of(record)
    remarks = [*missing_pictures(record), *odd_remarks(record, codes)]
    if as_json:
        pictures = [{**vars(picture), "file": str(record.file(picture))} for picture in record.pictures]
        say_json({**facts_of(record, personal_style, remarks), "pictures": pictures}, 2)
        return
    print_summary(record, personal_style)
    if personal_style is not None:
        print_styles(record, personal_style, codes)
        if suggested := suggested_styles(personal_style):
            say(f"The built-in styles that fit best: {', '.join(suggested)}.")
        rights = ", ".join(f"{right}: {count}" for right, count in personal_style.rights.items())
        when = personal_style.created[:16].replace("T", " ") or "at an unknown time"
        say(f"Rights: {rights or 'not stated'}. Learnt {when} (UTC) with {personal_style.model}.")
    if record.pictures:
        say(f"Pictures ({len(record.liked)} liked, {len(record.disliked)} disliked):")
    for picture in record.pictures:
        where = "copied" if picture.is_copy else str(record.file(picture))
        say(f"  {'+' if picture.liked else '-'} {picture.name}  {picture.sha256[:12]}  {picture.rights}  {where}")
    if remarks:
        say("Please check:")
        print_remarks(remarks)
    say(f"All its files are in {record.folder}")


def list_(as_json: Json = False) -> None:
    """List the personal styles."""
    from sfumato.inference.library import personal_folder
    from sfumato.personal.store import load_personal_style, load_record, names

    facts, damaged = [], []
    for name in names():
        try:
            record = load_record(name)
            facts.append(facts_of(record, load_personal_style(record), []))
        except SfumatoError as problem:
            damaged.append(problem)
    if as_json:
        say_json(facts, 2)
    elif not facts and not damaged:
        say("there is no personal style yet; create one with: sfumato personal new NAME --like FOLDER")
    else:
        width = max((len(fact["name"]) for fact in facts), default=0)
        for fact in facts:
            what = "imported" if fact["imported"] else f"{fact['liked']} liked, {fact['disliked']} disliked"
            answers = f", {counted(fact['answers'], 'answer')}" * bool(fact["answers"])
            why = "not learnt yet" if fact["liked"] else "no liked picture"
            styles = ", ".join(style["name"] for style in fact["styles"]) or f"no style yet: {why}"
            say(f"{fact['name']:{width}}  {what}{answers}  ({styles})")
        say(f"All their files are in {personal_folder()}")
    for each in damaged:
        say_error(each)
    if damaged:
        raise typer.Exit(damaged[0].exit_code)
