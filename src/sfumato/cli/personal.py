"""``sfumato personal``: a style of your own, learnt from the pictures that you like."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import say, say_error, say_json
from sfumato.errors import InputError, ModelError, OutputError, SfumatoError, UsageError
from sfumato.text import printable

if TYPE_CHECKING:
    from sfumato.inference import Stylizer
    from sfumato.inference.taste import Taste
    from sfumato.personal.ask import Questions
    from sfumato.personal.look import Remark
    from sfumato.personal.preferences import Gathered, Preferences, Tick
    from sfumato.style_code import StyleCode

app = typer.Typer(help="A style of your own, learnt from the pictures that you like.", no_args_is_help=True)

_SEVERAL = ("--like", "--dislike")


class _Lists(TyperCommand):
    """``--like a.jpg b.jpg`` is ``--like a.jpg --like b.jpg``: shells make the former of ``--like *.jpg``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        told: list[str] = []
        option, first = "", False
        for place, word in enumerate(args):
            if word == "--":
                told += args[place:]
                break
            if word.startswith("-") and word != "-":
                option, first = (word, True) if word in _SEVERAL else ("", False)
                told.append(word)
            elif option and not first:
                told += [option, word]
            else:
                told.append(word)
                first = False
        return super().parse_args(ctx, told)


class Rights(StrEnum):
    own = "own"
    licensed = "licensed"
    public_domain = "public-domain"
    unstated = "unstated"


_Name = Annotated[str, typer.Argument(metavar="NAME", help="What the style is called.", show_default=False)]
_Like = Annotated[
    list[str] | None,
    typer.Option(metavar="DIR|FILES", help="Pictures that you like: folders, files, patterns.", show_default=False),
]
_Dislike = Annotated[
    list[str] | None, typer.Option(metavar="DIR|FILES", help="Pictures that you do not like.", show_default=False)
]
_Rights = Annotated[
    Rights | None,
    typer.Option(
        help="Whose the pictures are; it goes into the file that you share. Without it you are asked in a terminal, "
        "and elsewhere it is unstated.",
        show_default=False,
    ),
]
_Copy = Annotated[
    bool, typer.Option("--copy", help="Copy the pictures into the style's folder; otherwise they stay where they are.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command(cls=_Lists)
def new(
    name: _Name,
    like: _Like = None,
    dislike: _Dislike = None,
    rights: _Rights = None,
    copy: _Copy = False,
    as_json: _Json = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Learn a style from pictures that you like, and keep it under a name."""
    from sfumato.inference import Stylizer
    from sfumato.inference.library import new_personal_path
    from sfumato.personal.preferences import create, gather

    new_personal_path(name)  # before any work
    liked, disliked, remarks = _found(like, dislike)
    if not liked and not disliked:
        raise UsageError("there is nothing to learn from; name pictures that you like, as in --like FOLDER")
    whose = _rights(rights, as_json)
    stylizer = Stylizer()
    with _bar("looking at pictures") as tick:
        found = gather(liked, disliked, stylizer, tick=tick)
    found.remarks = [*remarks, *found.remarks]
    if not found.liked and not found.disliked:
        _remarks(found.remarks, err=True)
        given = len(liked) + len(disliked)
        none = "the picture cannot" if given == 1 else f"none of the {given} pictures can"
        raise InputError(f"{none} be learnt from; {name} was not made")
    kept, taste = create(name, found, stylizer, whose, copy)
    _tell(kept, taste, [*found.remarks, *_odd(kept, _codes(kept, stylizer), found)], as_json)


@app.command(cls=_Lists)
def add(
    name: _Name,
    like: _Like = None,
    dislike: _Dislike = None,
    rights: _Rights = None,
    copy: _Copy = False,
    as_json: _Json = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Add pictures to those that a style is learnt from; one that is there already changes sides."""
    from sfumato.inference import Stylizer
    from sfumato.personal.preferences import add as added
    from sfumato.personal.preferences import gather, recall

    before = _learnable(name)
    liked, disliked, remarks = _found(like, dislike)
    if not liked and not disliked:
        raise UsageError("no picture was given; name some, as in --like FOLDER or --dislike PICTURE")
    whose = _rights(rights, as_json)
    stylizer = Stylizer()
    seen, lost = recall(before, stylizer)
    with _bar("looking at pictures") as tick:
        found = gather(liked, disliked, stylizer, before, seen, tick)
    kept, taste = added(name, found, stylizer, whose, copy, seen)
    odd = _odd(kept, _codes(kept, stylizer), found)
    _tell(kept, taste, [*lost, *remarks, *found.remarks, *odd], as_json)


@app.command()
def learn(name: _Name, as_json: _Json = False, max_pixels: MaxPixels = None) -> None:
    """Learn a style again from its pictures and answers, as after an update of Sfumato."""
    from sfumato.inference import Stylizer
    from sfumato.personal.preferences import Gathered, recall
    from sfumato.personal.preferences import add as added

    before = _learnable(name)
    stylizer = Stylizer()
    with _bar("looking at pictures") as tick:
        seen, lost = recall(before, stylizer, tick)
    kept, taste = added(name, Gathered(), stylizer, seen=seen)
    _tell(kept, taste, lost, as_json)


@app.command()
def remove(
    name: _Name,
    pictures: Annotated[
        list[str] | None,
        typer.Argument(help="By their files' names, paths, or the beginning of their hashes.", show_default=False),
    ] = None,
    answers: Annotated[bool, typer.Option("--answers", help="Forget all answers to questions.")] = False,
    as_json: _Json = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Forget pictures, with all that was seen of them, and learn again from the others."""
    from sfumato.inference import Stylizer
    from sfumato.personal.preferences import remove as removed

    before = _learnable(name)
    if not pictures and not answers:
        raise UsageError(f"no picture was named; sfumato personal show {name} lists them")
    hashes = []
    for text in pictures or []:
        found = before.find(text)
        if len(found) > 1:
            several = ", ".join(
                f"{picture.sha256[:12]} ({picture.path}{', changed since' * (before.state(picture) == 'changed')})"
                for picture in found
            )
            raise UsageError(f"{text} may be any of {several}; name it by its hash")
        hashes.append(found[0].sha256)
    kept, taste = removed(name, hashes, Stylizer(), answers)
    _tell(kept, taste, [], as_json)


@app.command()
def show(name: _Name, as_json: _Json = False) -> None:
    """Print what is known under a name, and where it lies."""
    from sfumato.personal.preferences import Preferences

    kept = Preferences.load(name)
    taste = kept.taste
    codes = _codes(kept)
    remarks = [*kept.missing(), *_odd(kept, codes)]
    if as_json:
        pictures = [{**vars(picture), "file": str(kept.file(picture))} for picture in kept.pictures]
        say_json({**_facts(kept, taste, remarks), "pictures": pictures}, 2)
        return
    _summary(kept, taste)
    if taste is not None:
        _styles(kept, taste, codes)
        if suggested := _suggested(taste):
            say(f"Of the built-in styles you may like best: {', '.join(suggested)}.")
        rights = ", ".join(f"{right}: {count}" for right, count in taste.rights.items())
        when = taste.created[:16].replace("T", " ") or "at an unknown time"
        say(f"Rights: {rights or 'not said'}. Learnt {when} (UTC) with {taste.model}.")
    if kept.pictures:
        say(f"Pictures ({len(kept.liked)} liked, {len(kept.disliked)} disliked):")
    for picture in kept.pictures:
        where = "copied" if picture.is_copy else str(kept.file(picture))
        say(f"  {'+' if picture.liked else '-'} {picture.name}  {picture.sha256[:12]}  {picture.rights}  {where}")
    if remarks:
        say("To be looked at:")
        _remarks(remarks)
    say(f"All of it lies in {kept.folder}")


@app.command("list")
def list_(as_json: _Json = False) -> None:
    """List the styles that were learnt."""
    from sfumato.inference.library import personal_folder
    from sfumato.personal.preferences import Preferences, names

    facts, damaged = [], []
    for name in names():
        try:
            kept = Preferences.load(name)
            facts.append(_facts(kept, kept.taste, []))
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
            answers = f", {_number(fact['answers'], 'answer')}" * bool(fact["answers"])
            why = "not learnt yet" if fact["liked"] else "nothing is liked"
            styles = ", ".join(style["name"] for style in fact["styles"]) or f"no style yet: {why}"
            say(f"{fact['name']:{width}}  {what}{answers}  ({styles})")
        say(f"All of it lies in {personal_folder()}")
    for each in damaged:
        say_error(each)
    if damaged:
        raise typer.Exit(damaged[0].exit_code)


@app.command()
def export(
    name: _Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file, NAME.sfumato.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    as_json: _Json = False,
) -> None:
    """Write a style to a file of some kB, to use elsewhere or to share; it says what is in it."""
    from sfumato.inference.library import TASTE_SUFFIX
    from sfumato.personal.preferences import Preferences

    kept = Preferences.load(name)
    if str(out) == "-":
        raise OutputError(f"a style is exported to a file, not to the output; name one, as in -o {name}{TASTE_SUFFIX}")
    if out.suffix != TASTE_SUFFIX:
        raise OutputError(f"cannot write {out}: a style's file ends in {TASTE_SUFFIX}; name it so")
    if os.path.exists(out) and not overwrite:
        raise OutputError(f"{out} is there already; add --overwrite to replace it")
    taste = _learnt(kept)
    taste.save(out, overwrite)
    if as_json:
        say_json({"file": str(out), **_contents(taste)}, 2)
        return
    say(f"{out}  {out.stat().st_size / 1000:.0f} kB")
    _describe(taste)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A .sfumato file.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="What to call it here; otherwise its own name.", show_default=False)
    ] = None,
    as_json: _Json = False,
) -> None:
    """Keep a style that somebody exported under its name, or another."""
    from sfumato.inference.library import has_personal, style_names
    from sfumato.inference.taste import Taste
    from sfumato.personal.preferences import install

    taste = Taste.load(file)
    called = taste.name if name is None else name
    if called in style_names() or has_personal(called):
        raise UsageError(f"there is a style {called} already; import this one under another name, as in --name friend")
    kept = install(taste, called)
    if as_json:
        say_json(_facts(kept, kept.taste, []), 2)
        return
    say(f"{kept.name}  {kept.folder}")
    _describe(taste)
    _use(kept)


@app.command()
def delete(
    name: _Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False, as_json: _Json = False
) -> None:
    """Remove a style and everything that is known under its name; pictures elsewhere stay where they are."""
    from sfumato.inference.library import has_personal, personal_folder
    from sfumato.personal.preferences import Preferences
    from sfumato.personal.preferences import delete as deleted

    if not has_personal(name):
        Preferences.load(name)  # says what there is
    folder = personal_folder() / name
    count = sum(path.is_file() for path in folder.rglob("*"))
    if not yes:
        if not _terminal():
            raise UsageError(f"this removes {folder} with its {count} files for good; add --yes to do it")
        if not typer.confirm(f"Remove {printable(str(folder))} with its {count} files for good?"):
            say("nothing was removed", err=True)
            raise typer.Exit(1)
    deleted(name)
    if as_json:
        say_json({"deleted": str(folder), "files": count})
    else:
        say(f"removed {folder} with its {count} files; pictures elsewhere are where they were")


@app.command()
def ask(
    name: _Name,
    photo: Annotated[
        Path | None, typer.Option(help="What is painted; otherwise a made-up landscape.", show_default=False)
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="Ask on a page that only this machine can open.")] = False,
    most: Annotated[int, typer.Option(metavar="N", help="Questions at most.")] = 50,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where the two pictures are put, side by side; otherwise the style's folder, while it asks.",
            show_default=False,
        ),
    ] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Ask which of two pictures you like better, the pair that would teach most, until enough is learnt."""
    from sfumato.checks import check_range
    from sfumato.image import WRITABLE
    from sfumato.inference import Stylizer
    from sfumato.personal.ask import Questions

    check_range(most, 1, 1000, "--most")
    if out is not None and page:
        raise UsageError("a page shows its pictures itself; leave -o or --page out")
    if out is not None and out.suffix.lower() not in WRITABLE:
        raise OutputError(f"cannot write {out}: its name must end in one of {', '.join(WRITABLE)}")
    if out is not None and os.path.exists(out):
        raise OutputError(f"{out} is there already; name a file that is not")
    questions = Questions(name, Stylizer(), photo)
    why = _on_page(questions, most) if page else _in_terminal(questions, most, out)
    taste = questions.kept.taste
    say(f"{why} {_answered(questions)}.")
    from sfumato.personal.profile import suggestions

    if questions.kept.answers or taste is not None:
        best = ", ".join(name for name, _, _ in suggestions(questions.model(), 3))
        say(f"Of the built-in styles it would choose {best}.")


def _answered(questions: Questions) -> str:
    """How many questions were, and how many of the answers teach."""
    count = questions.answered
    said = f"{_number(count, 'question')} answered"
    neither = sum(not each.teaches for each in questions.kept.answers[-count:]) if count else 0
    if neither:
        said += f", {neither} of them with neither"
    if count > neither:
        others = "the others" if neither else "it" if count == 1 else "them"
        said += f", and {questions.kept.name} has learnt from {others}"
    return said


def _on_page(questions: Questions, most: int) -> str:
    from sfumato.personal.page import Page

    server = Page(questions, most)
    try:
        say(f"Open {server.address} in a browser on this machine; Ctrl-C ends it.")
        server.serve()
    except KeyboardInterrupt:
        return "Stopped."
    return server.ended


def _in_terminal(questions: Questions, most: int, out: Path | None) -> str:
    from sfumato.image import Photo, to_uint8, write_photo
    from sfumato.personal.ask import side_by_side
    from sfumato.personal.preferences import QUESTION

    target = out or questions.kept.folder / QUESTION
    try:
        while questions.answered < most:
            question = questions.next()
            if question is None:
                return "Enough is learnt: no question would teach much more."
            # The first is not to replace what has come to stand there since the command began.
            is_mine = out is None or questions.answered > 0
            write_photo(Photo(to_uint8(side_by_side(question))), target, overwrite=is_mine)
            if out is None:
                target.chmod(0o600)  # as all that is kept there
            say(
                f"{questions.answered + 1}. Which is better, the left (1) or the right (2)?  (0: neither, q: stop)  "
                f"{target}"
            )
            choice = _key()
            if choice == "q":
                return "Stopped."
            questions.answer(question, {"1": "first", "2": "second"}.get(choice, "neither"))  # type: ignore[arg-type]
        return "Enough for now."
    finally:
        if out is None:
            target.unlink(missing_ok=True)


def _key() -> str:
    """One of 1, 2, 0 and q: a key in a terminal, else a line; the end of the input is q."""
    while True:
        if sys.stdin is None:
            return "q"
        if sys.stdin.isatty():
            key = typer.getchar()
            say(key if key.isprintable() else "")
        else:
            key = sys.stdin.readline()
            if not key:
                return "q"
        if (key := key.strip().lower()) in ("1", "2", "0", "q"):
            return key
        say("1, 2, 0 or q, please")


# ---- what the commands share -----------------------------------------------------------------------------------------


def _terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _learnable(name: str) -> Preferences:
    from sfumato.personal.preferences import Preferences

    kept = Preferences.load(name)
    kept.check_learnable()
    return kept


def _learnt(kept: Preferences) -> Taste:
    """What was learnt of all pictures; raises UsageError where nothing was, of some or of all."""
    taste = kept.taste
    if not kept.is_learnt(taste):
        raise UsageError(
            f"{kept.name} is not learnt from all its pictures; run sfumato personal learn {kept.name} first"
        )
    if taste is None:
        raise UsageError(
            f"nothing is liked under {kept.name}, so there is no style to export; add pictures that you like"
        )
    return taste


def _found(like: list[str] | None, dislike: list[str] | None) -> tuple[list[Path], list[Path], list[Remark]]:
    from sfumato.personal.look import find

    liked, remarks = find(like or [])
    disliked, others = find(dislike or [])
    return liked, disliked, [*remarks, *others]


def _rights(given: Rights | None, as_json: bool) -> str:
    if given is not None:
        return given.value
    if as_json or not _terminal():
        return "unstated"
    letters = {right.value[0]: right.value for right in Rights if right is not Rights.unstated}
    question = "Whose are the pictures? own (o), licensed (l), public domain (p), or Enter to leave it unstated"
    while True:
        said = typer.prompt(question, default="", show_default=False).strip().lower()
        if not said:
            return Rights.unstated.value
        if said in (*letters, *letters.values()):
            return letters[said[0]]
        say("o, l, p or Enter, please")


@contextmanager
def _bar(what: str) -> Iterator[Tick]:
    from sfumato.cli.progress import counted

    with counted() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _codes(kept: Preferences, stylizer: Stylizer | None = None) -> dict[str, StyleCode]:
    """Of the pictures, by their hashes."""
    from sfumato.inference import Stylizer
    from sfumato.personal.preferences import recall

    return {digest: one.code for digest, one in recall(kept, stylizer or Stylizer())[0].items()}


def _odd(kept: Preferences, codes: Mapping[str, StyleCode], found: Gathered | None = None) -> list[Remark]:
    """The remark on an odd picture; with ``found``, only where that is one of it."""
    from sfumato.personal.preferences import odd_remark

    if kept.imported:
        return []
    remark = odd_remark(kept, codes)
    if remark is None:
        return []
    if found is None:
        return [remark]
    new = {one.sha256: str(one.path) for one in found.liked} | {
        digest: str(kept.file(picture)) for picture in kept.pictures if (digest := picture.sha256) in found.moved
    }
    # A copy's remark has the path that the person gave.
    given = {str(kept.file(picture)): new[picture.sha256] for picture in kept.pictures if picture.sha256 in new}
    return [replace(remark, path=given[remark.path])] if remark.path in given else []


def _facts(kept: Preferences, taste: Taste | None, remarks: Sequence[Remark]) -> dict[str, Any]:
    styles = zip(taste.styles, taste.weights, strict=True) if taste else ()
    return {
        "name": kept.name,
        "folder": str(kept.folder),
        "imported": kept.imported,
        "liked": len(kept.liked),
        "disliked": len(kept.disliked),
        "answers": sum(answer.teaches for answer in kept.answers),
        "styles": [{"name": style.name, "weight": round(weight, 4)} for style, weight in styles],
        "learnt": kept.is_learnt(taste),
        "rights": dict(taste.rights) if taste else {},
        "model": taste.model if taste else None,
        "created": taste.created if taste else None,
        "suggested": _suggested(taste) if taste else [],
        "remarks": [vars(remark) for remark in remarks],
    }


def _suggested(taste: Taste) -> list[str]:
    """The built-in styles that a taste would choose; none where it holds no preference model of this version."""
    from sfumato.personal.profile import PreferenceModel, suggestions
    from sfumato.personal.space import StyleSpace

    if not taste.preference:
        return []
    try:
        model = PreferenceModel.of(taste.preference, StyleSpace.load())
    except ModelError:
        return []
    return [name for name, _, _ in suggestions(model, 3)]


def _contents(taste: Taste) -> dict[str, Any]:
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


def _describe(taste: Taste) -> None:
    """What is in a file."""
    parts = [
        f"{_number(len(taste.codes), 'style')} of the model {taste.model}",
        f"the SHA-256 of {_number(len(taste.liked), 'liked picture')} and {len(taste.disliked)} disliked",
        *(["a model of preferences"] if taste.preference else []),
    ]
    rights = ", ".join(f"{right}: {count}" for right, count in taste.rights.items()) or "not said"
    say(f"In it: {'; '.join(parts)}. Rights of the pictures: {rights}.")
    say("Not in it: the pictures, their names, and where they lie.")


def _tell(kept: Preferences, taste: Taste | None, remarks: Sequence[Remark], as_json: bool = False) -> None:
    if as_json:
        say_json(_facts(kept, taste, remarks), 2)
        return
    _remarks(remarks)
    _summary(kept, taste)
    if taste is not None:
        if len(taste.codes) > 1:
            _styles(kept, taste, _codes(kept))
        _use(kept)
    say(f"All that is known lies in {kept.folder}")


def _summary(kept: Preferences, taste: Taste | None) -> None:
    if kept.imported and taste is not None:
        say(f"{kept.name}: {_number(len(taste.codes), 'style')} that came as a file")
        return
    parts = [_number(len(kept.liked), "liked picture")]
    parts += [_number(len(kept.disliked), "disliked one")] if kept.disliked else []
    if answers := sum(answer.teaches for answer in kept.answers):
        parts.append(_number(answers, "answer"))
    told = ", ".join(parts)
    if taste is None and kept.liked:
        say(f"{kept.name}: {told}; not learnt yet (sfumato personal learn {kept.name})")
    elif taste is None:
        say(f"{kept.name}: {told}. Nothing is liked, so it is no style yet; add pictures that you like:")
        say(f"  sfumato personal add {kept.name} --like FOLDER")
    else:
        say(f"{kept.name}: learnt from {told}; {_number(len(taste.codes), 'style')}")
        if not kept.is_learnt(taste):
            say(f"  not from all of them: run sfumato personal learn {kept.name}")


def _styles(kept: Preferences, taste: Taste, codes: Mapping[str, StyleCode]) -> None:
    """The centres, with the pictures nearest to each."""
    from sfumato.personal.preferences import nearest_pictures

    for style, weight, near in zip(taste.styles, taste.weights, nearest_pictures(kept, taste, codes), strict=True):
        names = ", ".join(picture.name for picture in near[:3])
        more = f" and {len(near) - 3} more" if len(near) > 3 else ""
        say(f"  {style.name}  {weight:.0%}  {names}{more}".rstrip())


def _use(kept: Preferences) -> None:
    say(f"Paint with it: sfumato stylize PHOTO --style {kept.name} -o OUT.png")


def _remarks(remarks: Sequence[Remark], err: bool = False) -> None:
    """Each in a line; of many of one kind the first few, and how many more."""
    told: Counter[str] = Counter()
    for remark in remarks:
        told[remark.kind] += 1
        if told[remark.kind] <= 10:
            say(f"  {remark.text}", err=err)
    for kind, count in told.items():
        if count > 10:
            say(f"  and {count - 10} more like that ({kind}); --json has all", err=err)
