"""What the commands of ``sfumato personal`` print, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfumato.cli.output import say, say_json

if TYPE_CHECKING:
    from sfumato.inference import Stylizer
    from sfumato.inference.style import PersonalStyle
    from sfumato.personal.look import Remark
    from sfumato.personal.records import Preferences
    from sfumato.style_code import StyleCode


def counted_noun(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def codes_of(prefs: Preferences, stylizer: Stylizer | None = None) -> dict[str, StyleCode]:
    """The style codes of a person's pictures, by their hashes."""
    from sfumato.inference import Stylizer
    from sfumato.personal.gathering import recall

    return {digest: one.code for digest, one in recall(prefs, stylizer or Stylizer())[0].items()}


def facts_of(prefs: Preferences, taste: PersonalStyle | None, remarks: Sequence[Remark]) -> dict[str, Any]:
    """What is known under a name, for JSON."""
    from sfumato.personal.learning import suggested_styles

    styles = zip(taste.styles, taste.weights, strict=True) if taste else ()
    return {
        "name": prefs.name,
        "folder": str(prefs.folder),
        "imported": prefs.imported,
        "liked": len(prefs.liked),
        "disliked": len(prefs.disliked),
        "answers": sum(answer.teaches for answer in prefs.answers),
        "styles": [{"name": style.name, "weight": round(weight, 4)} for style, weight in styles],
        "learnt": prefs.is_learnt(taste),
        "rights": dict(taste.rights) if taste else {},
        "model": taste.model if taste else None,
        "created": taste.created if taste else None,
        "suggested": suggested_styles(taste) if taste else [],
        "remarks": [vars(remark) for remark in remarks],
    }


def contents(taste: PersonalStyle) -> dict[str, Any]:
    return {
        "name": taste.name,
        "model": taste.model,
        "styles": [style.name for style in taste.styles],
        "liked": list(taste.liked),
        "disliked": list(taste.disliked),
        "answers": taste.answers,
        "rights": dict(taste.rights),
        "created": taste.created,
        "preference": bool(taste.preference),
    }


def describe_file(taste: PersonalStyle) -> None:
    """Print what is in a file."""
    parts = [
        f"{counted_noun(len(taste.codes), 'style')} of the model {taste.model}",
        f"the SHA-256 of {counted_noun(len(taste.liked), 'liked picture')} and {len(taste.disliked)} disliked",
        *(["a model of preferences"] if taste.preference else []),
    ]
    rights = ", ".join(f"{right}: {count}" for right, count in taste.rights.items()) or "not said"
    say(f"In it: {'; '.join(parts)}. Rights of the pictures: {rights}.")
    say("Not in it: the pictures, their names, and where they lie.")


def print_result(
    prefs: Preferences, taste: PersonalStyle | None, remarks: Sequence[Remark], as_json: bool = False
) -> None:
    if as_json:
        say_json(facts_of(prefs, taste, remarks), 2)
        return
    print_remarks(remarks)
    print_summary(prefs, taste)
    if taste is not None:
        if len(taste.codes) > 1:
            print_styles(prefs, taste, codes_of(prefs))
        print_use(prefs)
    say(f"All that is known lies in {prefs.folder}")


def print_summary(prefs: Preferences, taste: PersonalStyle | None) -> None:
    if prefs.imported and taste is not None:
        say(f"{prefs.name}: {counted_noun(len(taste.codes), 'style')} that came as a file")
        return
    parts = [counted_noun(len(prefs.liked), "liked picture")]
    parts += [counted_noun(len(prefs.disliked), "disliked one")] if prefs.disliked else []
    if answers := sum(answer.teaches for answer in prefs.answers):
        parts.append(counted_noun(answers, "answer"))
    told = ", ".join(parts)
    if taste is None and prefs.liked:
        say(f"{prefs.name}: {told}; not learnt yet (sfumato personal learn {prefs.name})")
    elif taste is None:
        say(f"{prefs.name}: {told}. Nothing is liked, so it is no style yet; add pictures that you like:")
        say(f"  sfumato personal add {prefs.name} --like FOLDER")
    else:
        say(f"{prefs.name}: learnt from {told}; {counted_noun(len(taste.codes), 'style')}")
        if not prefs.is_learnt(taste):
            say(f"  not from all of them: run sfumato personal learn {prefs.name}")


def print_styles(prefs: Preferences, taste: PersonalStyle, codes: Mapping[str, StyleCode]) -> None:
    """Print the centres, with the pictures nearest to each."""
    from sfumato.personal.learning import nearest_pictures

    for style, weight, near in zip(taste.styles, taste.weights, nearest_pictures(prefs, taste, codes), strict=True):
        names = ", ".join(picture.name for picture in near[:3])
        more = f" and {len(near) - 3} more" if len(near) > 3 else ""
        say(f"  {style.name}  {weight:.0%}  {names}{more}".rstrip())


def print_use(prefs: Preferences) -> None:
    say(f"Paint with it: sfumato stylize PHOTO --style {prefs.name} -o OUT.png")


def print_remarks(remarks: Sequence[Remark], err: bool = False) -> None:
    """Print each in a line; of many of one kind the first few, and how many more."""
    told: Counter[str] = Counter()
    for remark in remarks:
        told[remark.kind] += 1
        if told[remark.kind] <= 10:
            say(f"  {remark.text}", err=err)
    for kind, count in told.items():
        if count > 10:
            say(f"  and {count - 10} more like that ({kind}); --json has all", err=err)
