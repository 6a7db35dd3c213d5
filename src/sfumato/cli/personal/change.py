"""``sfumato personal`` new, add, learn, remove and delete: what is known of a personal style, changed."""

from __future__ import annotations

from typing import Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import say, say_json
from sfumato.cli.personal.options import (
    Copy,
    Dislike,
    Json,
    Like,
    Name,
    RightsOption,
    choose_rights,
    find_pictures,
    in_terminal,
    load_learnable,
    progress_bar,
)
from sfumato.cli.personal.printing import codes_of, print_remarks, print_result
from sfumato.errors import InputError, UsageError
from sfumato.text import printable


def new(
    name: Name,
    like: Like = None,
    dislike: Dislike = None,
    rights: RightsOption = None,
    copy: Copy = False,
    as_json: Json = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Learn a style from pictures that you like, and keep it under a name."""
    from sfumato.inference import Stylizer
    from sfumato.inference.library import new_personal_path
    from sfumato.personal.gathering import gather, odd_remarks
    from sfumato.personal.service import create

    new_personal_path(name)  # before any work
    liked, disliked, remarks = find_pictures(like, dislike)
    if not liked and not disliked:
        raise UsageError("there is nothing to learn from; name pictures that you like, as in --like FOLDER")
    whose = choose_rights(rights, as_json)
    stylizer = Stylizer()
    with progress_bar("looking at pictures") as tick:
        found = gather(liked, disliked, stylizer, tick=tick)
    found.remarks = [*remarks, *found.remarks]
    if not found.liked and not found.disliked:
        print_remarks(found.remarks, err=True)
        given = len(liked) + len(disliked)
        none = "the picture cannot" if given == 1 else f"none of the {given} pictures can"
        raise InputError(f"{none} be learnt from; {name} was not made")
    record, personal_style = create(name, found, stylizer, whose, copy)
    print_result(
        record, personal_style, [*found.remarks, *odd_remarks(record, codes_of(record, stylizer), found)], as_json
    )


def add(
    name: Name,
    like: Like = None,
    dislike: Dislike = None,
    rights: RightsOption = None,
    copy: Copy = False,
    as_json: Json = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Add pictures to those that a style is learnt from; one that is there already changes sides."""
    from sfumato.inference import Stylizer
    from sfumato.personal.gathering import gather, odd_remarks, recall
    from sfumato.personal.service import add as add_pictures

    before = load_learnable(name)
    liked, disliked, remarks = find_pictures(like, dislike)
    if not liked and not disliked:
        raise UsageError("no picture was given; name some, as in --like FOLDER or --dislike PICTURE")
    whose = choose_rights(rights, as_json)
    stylizer = Stylizer()
    inspected, lost = recall(before, stylizer)
    with progress_bar("looking at pictures") as tick:
        found = gather(liked, disliked, stylizer, before, inspected, tick)
    record, personal_style = add_pictures(name, found, stylizer, whose, copy, inspected)
    odd = odd_remarks(record, codes_of(record, stylizer), found)
    print_result(record, personal_style, [*lost, *remarks, *found.remarks, *odd], as_json)


def learn(name: Name, as_json: Json = False, max_pixels: MaxPixels = None) -> None:
    """Learn a style again from its pictures and answers, as after an update of Sfumato."""
    from sfumato.inference import Stylizer
    from sfumato.personal.gathering import Gathered, recall
    from sfumato.personal.service import add as add_pictures

    before = load_learnable(name)
    stylizer = Stylizer()
    with progress_bar("looking at pictures") as tick:
        inspected, lost = recall(before, stylizer, tick)
    record, personal_style = add_pictures(name, Gathered(), stylizer, inspected=inspected)
    print_result(record, personal_style, lost, as_json)


def remove(
    name: Name,
    pictures: Annotated[
        list[str] | None,
        typer.Argument(help="By their files' names, paths, or the beginning of their hashes.", show_default=False),
    ] = None,
    answers: Annotated[bool, typer.Option("--answers", help="Forget all answers to questions.")] = False,
    as_json: Json = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Forget pictures, with all that was seen of them, and learn again from the others."""
    from sfumato.inference import Stylizer
    from sfumato.personal.service import remove as remove_pictures
    from sfumato.personal.store import picture_state

    before = load_learnable(name)
    if not pictures and not answers:
        raise UsageError(f"no picture was named; sfumato personal show {name} lists them")
    hashes = []
    for text in pictures or []:
        found = before.find(text)
        if len(found) > 1:
            changed = (", changed since" * (picture_state(before, picture) == "changed") for picture in found)
            several = ", ".join(
                f"{picture.sha256[:12]} ({picture.path}{since})" for picture, since in zip(found, changed, strict=True)
            )
            raise UsageError(f"{text} may be any of {several}; name it by its hash")
        hashes.append(found[0].sha256)
    record, personal_style = remove_pictures(name, hashes, Stylizer(), answers)
    print_result(record, personal_style, [], as_json)


def delete(
    name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False, as_json: Json = False
) -> None:
    """Remove a style and everything that is known under its name; pictures elsewhere stay where they are."""
    from sfumato.inference.library import has_personal, personal_folder
    from sfumato.personal.service import delete as delete_all
    from sfumato.personal.store import load_record

    if not has_personal(name):
        load_record(name)  # says what there is
    folder = personal_folder() / name
    count = sum(path.is_file() for path in folder.rglob("*"))
    if not yes:
        if not in_terminal():
            raise UsageError(f"this removes {folder} with its {count} files for good; add --yes to do it")
        if not typer.confirm(f"Remove {printable(str(folder))} with its {count} files for good?"):
            say("nothing was removed", err=True)
            raise typer.Exit(1)
    delete_all(name)
    if as_json:
        say_json({"deleted": str(folder), "files": count})
    else:
        say(f"removed {folder} with its {count} files; pictures elsewhere are where they were")
