"""The output of the commands of ``sfumato personal``, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfumato.cli.output import say, say_json
from sfumato.text import counted

if TYPE_CHECKING:
    from sfumato.inference import Stylizer
    from sfumato.inference.style import PersonalStyle
    from sfumato.personal.inspection import Remark
    from sfumato.personal.records import PersonalRecord
    from sfumato.style_code import StyleCode


def codes_of(record: PersonalRecord, stylizer: Stylizer | None = None) -> dict[str, StyleCode]:
    """Return the style codes of the pictures of a record, by their hashes."""
    from sfumato.inference import Stylizer
    from sfumato.personal.gathering import recall

    return {digest: one.code for digest, one in recall(record, stylizer or Stylizer())[0].items()}


def facts_of(record: PersonalRecord, personal_style: PersonalStyle | None, remarks: Sequence[Remark]) -> dict[str, Any]:
    """Return the fields that describe a personal style in JSON."""
    from sfumato.personal.learning import suggested_styles

    styles = zip(personal_style.styles, personal_style.weights, strict=True) if personal_style else ()
    return {
        "name": record.name,
        "folder": str(record.folder),
        "imported": record.imported,
        "liked": len(record.liked),
        "disliked": len(record.disliked),
        "answers": sum(answer.teaches for answer in record.answers),
        "styles": [{"name": style.name, "weight": round(weight, 4)} for style, weight in styles],
        "learnt": record.is_learnt(personal_style),
        "rights": dict(personal_style.rights) if personal_style else {},
        "model": personal_style.model if personal_style else None,
        "created": personal_style.created if personal_style else None,
        "suggested": suggested_styles(personal_style) if personal_style else [],
        "remarks": [vars(remark) for remark in remarks],
    }


def contents(personal_style: PersonalStyle) -> dict[str, Any]:
    """Return the fields that describe an exported file in JSON."""
    return {
        "name": personal_style.name,
        "model": personal_style.model,
        "styles": [style.name for style in personal_style.styles],
        "liked": list(personal_style.liked),
        "disliked": list(personal_style.disliked),
        "answers": personal_style.answers,
        "rights": dict(personal_style.rights),
        "created": personal_style.created,
        "preference": bool(personal_style.preference),
        "private": personal_style.is_private,
    }


def describe_file(personal_style: PersonalStyle) -> None:
    """Print what an exported file contains, and what it does not."""
    from sfumato.inference.style_pictures import levels_of

    rights = ", ".join(f"{right}: {count}" for right, count in personal_style.rights.items()) or "not stated"
    styles = f"{counted(len(personal_style.codes), 'style')} of the model {personal_style.model}"
    if personal_style.is_private:
        spots = sum(len(places) for near in personal_style.pictures for places in levels_of(near).values())
        say(f"It contains {styles}; {counted(spots, 'small spot')} of the pictures. Rights to the pictures: {rights}.")
        say("It does not contain the pictures, their names, folders or hashes, dates, or what you answered.")
        say("Whoever has one of the pictures can still find out that it was liked (docs/privacy.md).")
        return
    parts = [
        styles,
        f"the SHA-256 of {counted(len(personal_style.liked), 'liked picture')} and {len(personal_style.disliked)} "
        "disliked",
        *(["a preference model"] if personal_style.preference else []),
    ]
    say(f"It contains {'; '.join(parts)}. Rights to the pictures: {rights}.")
    say("It does not contain the pictures, their names or their folders.")


def print_result(
    record: PersonalRecord, personal_style: PersonalStyle | None, remarks: Sequence[Remark], as_json: bool = False
) -> None:
    """Print the state of a style after a command changed it."""
    if as_json:
        say_json(facts_of(record, personal_style, remarks), 2)
        return
    print_remarks(remarks)
    print_summary(record, personal_style)
    if personal_style is not None:
        if len(personal_style.codes) > 1:
            print_styles(record, personal_style, codes_of(record))
        print_use(record)
    say(f"All its files are in {record.folder}")


def print_summary(record: PersonalRecord, personal_style: PersonalStyle | None) -> None:
    """Print in a line or two what a style was learnt from, and what is missing."""
    if record.imported and personal_style is not None:
        say(f"{record.name}: {counted(len(personal_style.codes), 'style')}, imported from a file")
        return
    parts = [counted(len(record.liked), "liked picture")]
    parts += [counted(len(record.disliked), "disliked one")] if record.disliked else []
    if answers := sum(answer.teaches for answer in record.answers):
        parts.append(counted(answers, "answer"))
    summary = ", ".join(parts)
    if personal_style is None and record.liked:
        say(f"{record.name}: {summary}; not learnt yet, run: sfumato personal learn {record.name}")
    elif personal_style is None:
        say(f"{record.name}: {summary}. It needs at least one liked picture to become a style; add some with:")
        say(f"  sfumato personal add {record.name} --like FOLDER")
    else:
        say(f"{record.name}: learnt from {summary}; {counted(len(personal_style.codes), 'style')}")
        if not record.is_learnt(personal_style):
            say(f"  out of date, run: sfumato personal learn {record.name}")


def print_styles(record: PersonalRecord, personal_style: PersonalStyle, codes: Mapping[str, StyleCode]) -> None:
    """Print the centres of a personal style, with the pictures nearest to each."""
    from sfumato.personal.learning import nearest_pictures

    for style, weight, near in zip(
        personal_style.styles, personal_style.weights, nearest_pictures(record, personal_style, codes), strict=True
    ):
        names = ", ".join(picture.name for picture in near[:3])
        more = f" and {len(near) - 3} more" if len(near) > 3 else ""
        say(f"  {style.name}  {weight:.0%}  {names}{more}".rstrip())


def print_use(record: PersonalRecord) -> None:
    """Print the command that paints with a style."""
    say(f"Paint with it: sfumato stylize PHOTO --style {record.name} -o OUT.png")


def print_remarks(remarks: Sequence[Remark], err: bool = False) -> None:
    """Print one line for each remark; of each kind at most ten, and then the number of the others."""
    counts: Counter[str] = Counter()
    for remark in remarks:
        counts[remark.kind] += 1
        if counts[remark.kind] <= 10:
            say(f"  {remark.text}", err=err)
    for kind, count in counts.items():
        if count > 10:
            say(f"  and {count - 10} more of this kind ({kind}); --json lists all", err=err)
