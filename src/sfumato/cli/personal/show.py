"""``sfumato personal`` show and list: what is known, printed."""

from __future__ import annotations

import typer

from sfumato.cli.output import say, say_error, say_json
from sfumato.cli.personal.options import Json, Name
from sfumato.cli.personal.printing import codes_of, counted_noun, facts_of, print_remarks, print_styles, print_summary
from sfumato.errors import SfumatoError


def show(name: Name, as_json: Json = False) -> None:
    """Print what is known under a name, and where it lies."""
    from sfumato.personal.gathering import odd_remarks
    from sfumato.personal.learning import suggested_styles
    from sfumato.personal.store import load_preferences, load_taste, missing_pictures

    prefs = load_preferences(name)
    taste = load_taste(prefs)
    codes = codes_of(prefs)
    remarks = [*missing_pictures(prefs), *odd_remarks(prefs, codes)]
    if as_json:
        pictures = [{**vars(picture), "file": str(prefs.file(picture))} for picture in prefs.pictures]
        say_json({**facts_of(prefs, taste, remarks), "pictures": pictures}, 2)
        return
    print_summary(prefs, taste)
    if taste is not None:
        print_styles(prefs, taste, codes)
        if suggested := suggested_styles(taste):
            say(f"Of the built-in styles you may like best: {', '.join(suggested)}.")
        rights = ", ".join(f"{right}: {count}" for right, count in taste.rights.items())
        when = taste.created[:16].replace("T", " ") or "at an unknown time"
        say(f"Rights: {rights or 'not said'}. Learnt {when} (UTC) with {taste.model}.")
    if prefs.pictures:
        say(f"Pictures ({len(prefs.liked)} liked, {len(prefs.disliked)} disliked):")
    for picture in prefs.pictures:
        where = "copied" if picture.is_copy else str(prefs.file(picture))
        say(f"  {'+' if picture.liked else '-'} {picture.name}  {picture.sha256[:12]}  {picture.rights}  {where}")
    if remarks:
        say("To be looked at:")
        print_remarks(remarks)
    say(f"All of it lies in {prefs.folder}")


def list_(as_json: Json = False) -> None:
    """List the styles that were learnt."""
    from sfumato.inference.library import personal_folder
    from sfumato.personal.store import load_preferences, load_taste, names

    facts, damaged = [], []
    for name in names():
        try:
            prefs = load_preferences(name)
            facts.append(facts_of(prefs, load_taste(prefs), []))
        except SfumatoError as problem:
            damaged.append(problem)
    if as_json:
        say_json(facts, 2)
    elif not facts and not damaged:
        say("nothing was learnt yet; begin with: sfumato personal new NAME --like FOLDER")
    else:
        width = max((len(fact["name"]) for fact in facts), default=0)
        for fact in facts:
            what = "came as a file" if fact["imported"] else f"{fact['liked']} liked, {fact['disliked']} disliked"
            answers = f", {counted_noun(fact['answers'], 'answer')}" * bool(fact["answers"])
            why = "not learnt yet" if fact["liked"] else "nothing is liked"
            styles = ", ".join(style["name"] for style in fact["styles"]) or f"no style yet: {why}"
            say(f"{fact['name']:{width}}  {what}{answers}  ({styles})")
        say(f"All of it lies in {personal_folder()}")
    for each in damaged:
        say_error(each)
    if damaged:
        raise typer.Exit(damaged[0].exit_code)
