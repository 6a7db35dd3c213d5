"""``sfumato personal`` new, add, learn, remove and delete: the commands that change a personal style."""

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
    find_pictures,
    load_learnable,
    progress_bar,
)
from sfumato.cli.personal.printing import codes_of, print_remarks, print_result
from sfumato.cli.rights import RightsOption, choose_rights, in_terminal
from sfumato.errors import InputError, UsageError
from sfumato.text import printable


def new(
    name: Name,
    like: Like = None,
    dislike: Dislike = None,
    rights: RightsOption = None,
    copy: Copy = False,
    as_json: Json = False,
    _max_pixels: MaxPixels = None,
) -> None:
    """Learn a style from pictures that you like, and store it under a name."""
    from sfumato.inference import Stylizer
    from sfumato.inference.library import new_personal_path
    from sfumato.personal.gathering import gather, odd_remarks
    from sfumato.personal.service import create

    new_personal_path(name)  # before any work
    liked, disliked, remarks = find_pictures(like, dislike)
    if not liked and not disliked:
        raise UsageError("there are no pictures to learn from; name some that you like, as in --like FOLDER")
    whose = choose_rights(rights, as_json, liked)
    stylizer = Stylizer()
    with progress_bar("looking at pictures") as tick:
        found = gather(liked, disliked, stylizer, tick=tick)
    found.remarks = [*remarks, *found.remarks]
    if not found.liked and not found.disliked:
        print_remarks(found.remarks, err=True)
        given = len(liked) + len(disliked)
        none = "the picture cannot" if given == 1 else f"none of the {given} pictures can"
        raise InputError(f"{none} be used; the style {name} was not created")
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
    _max_pixels: MaxPixels = None,
) -> None:
    """Add pictures to a style and learn it again. A picture that the style already has changes sides."""
    from sfumato.inference import Stylizer
    from sfumato.personal.gathering import gather, odd_remarks, recall
    from sfumato.personal.service import add as add_pictures

    before = load_learnable(name)
    liked, disliked, remarks = find_pictures(like, dislike)
    if not liked and not disliked:
        raise UsageError("no picture was given; name some, as in --like FOLDER or --dislike PICTURE")
    whose = choose_rights(rights, as_json, liked)
    stylizer = Stylizer()
    inspected, lost = recall(before, stylizer)
    with progress_bar("looking at pictures") as tick:
        found = gather(liked, disliked, stylizer, before, inspected, tick)
    record, personal_style = add_pictures(name, found, stylizer, whose, copy, inspected)
    odd = odd_remarks(record, codes_of(record, stylizer), found)
    print_result(record, personal_style, [*lost, *remarks, *found.remarks, *odd], as_json)


def learn(name: Name, as_json: Json = False, _max_pixels: MaxPixels = None) -> None:
    """Learn a style again from its pictures and answers, for example after an update of Sfumato."""
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
        typer.Argument(help="File names, paths, or first digits of hashes.", show_default=False),
    ] = None,
    answers: Annotated[bool, typer.Option("--answers", help="Forget all answers to questions.")] = False,
    as_json: Json = False,
    _max_pixels: MaxPixels = None,
) -> None:
    """Forget pictures and everything computed from them, and learn again from the others."""
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
            raise UsageError(f"{text} fits several pictures: {several}; name one by its hash")
        hashes.append(found[0].sha256)
    record, personal_style = remove_pictures(name, hashes, Stylizer(), answers)
    print_result(record, personal_style, [], as_json)


def delete(
    name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False, as_json: Json = False
) -> None:
    """Delete a style with all its files. Pictures in other folders are not touched."""
    from sfumato.inference.library import has_personal, personal_folder
    from sfumato.personal.service import delete as delete_all
    from sfumato.personal.store import load_record

    if not has_personal(name):
        load_record(name)  # raises an error that lists the existing names
    folder = personal_folder() / name
    count = sum(path.is_file() for path in folder.rglob("*"))
    if not yes:
        if not in_terminal():
            raise UsageError(f"this deletes {folder} with {count} files permanently; add --yes to confirm")
        if not typer.confirm(f"Delete {printable(str(folder))} with {count} files permanently?"):
            say("nothing was deleted", err=True)
            raise typer.Exit(1)
    delete_all(name)
    if as_json:
        say_json({"deleted": str(folder), "files": count})
    else:
        say(f"deleted {folder} with {count} files; pictures in other folders were not touched")
