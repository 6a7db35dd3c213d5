"""The question for the rights in a user's pictures, and the option that answers it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.output import say
from sfumato.errors import SfumatoError, UsageError


class Rights(StrEnum):
    """The choices of ``--rights``, equal to `rights.RIGHTS`."""

    own = "own"
    licensed = "licensed"
    public_domain = "public-domain"
    unstated = "unstated"


RightsOption = Annotated[
    Rights | None,
    typer.Option(
        help="Rights to the pictures, which style files and results carry. \\[default: asked in a terminal, else "
        "unstated]",
        show_default=False,
    ),
]
StyleRights = Annotated[
    Rights | None,
    typer.Option(
        "--rights",
        help="Your rights in style pictures that are files; results carry the answer. \\[default: unstated]",
        show_default=False,
    ),
]


def in_terminal() -> bool:
    """Whether stdin and stdout are a terminal, so that questions can be asked."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def choose_rights(given: Rights | None, as_json: bool, pictures: Sequence[Path]) -> str:
    """Return the rights to pictures that are stored as a style.

    They are as given, else as answered in a terminal, else ``unstated``. A picture whose name or metadata names an
    artist whose works are still protected needs the statement ``own`` or ``licensed``.

    Raises:
        UsageError: it needs the statement, and there is another one, or none and no terminal to ask in.
    """
    protected = protected_artist(pictures)
    asks = given is None and not as_json and in_terminal()
    if protected and asks:
        say(protected)
    answer = _ask(("own", "licensed") if protected else tuple(Rights)) if asks else given or Rights.unstated
    if protected and answer not in ("own", "licensed"):
        raise UsageError(f"{protected}; state the rights that you have, with --rights own or --rights licensed")
    return str(answer)


def state_rights(given: Rights | None, pictures: Sequence[Path]) -> str:
    """Return the rights to pictures that are used as a style once: as given, else ``unstated``.

    Nobody is asked, since a person may paint for themselves. Where a picture names an artist whose works are protected,
    one line on stderr says so, and ``public-domain`` is refused.

    Raises:
        UsageError: ``public-domain`` is stated for such a picture.
    """
    if given in (Rights.own, Rights.licensed):
        return str(given)
    if protected := protected_artist(pictures):
        if given is Rights.public_domain:
            raise UsageError(f"{protected}; state the rights that you have, with --rights own or --rights licensed")
        say(f"{protected}; --rights states what rights you have", err=True)
    return str(given or Rights.unstated)


def _ask(choices: Sequence[str]) -> str:
    """Ask for the rights in a terminal; Enter stands for ``unstated`` where that is a choice."""
    letters = {choice[0]: str(choice) for choice in choices if choice != "unstated"}
    words = ", ".join(f"{choice.replace('-', ' ')} ({letter})" for letter, choice in letters.items())
    enter = ", or Enter for unstated" if "unstated" in choices else ""
    while True:
        message = (
            typer.prompt(f"Rights to the pictures? {words}{enter}", default="", show_default=False).strip().lower()
        )
        if not message and enter:
            return "unstated"
        if message in (*letters, *letters.values()):
            return letters[message[0]]
        say(f"type {', '.join(letters)}{' or just Enter' if enter else ''}")


def protected_artist(pictures: Sequence[Path]) -> str | None:
    """Return a sentence on the first picture that names an artist whose works are still protected; None if none does.

    The ledger lists such artists by name and year of death. Names are looked for in the file's name, and in its
    metadata: artist, copyright and description. Pictures that cannot be read are passed over here.
    """
    from datetime import UTC, datetime

    from sfumato.assets import whole_ledger
    from sfumato.image import READABLE, read_metadata_of
    from sfumato.rights import PROTECTED_YEARS, is_protected, names_artist

    year = datetime.now(UTC).year
    artists = {name: died for name, died in whole_ledger()["artists"].items() if is_protected(died, year)}
    for path in (each for each in pictures if each.suffix.lower() in READABLE and os.path.isfile(each)):  # no pipes
        texts: list[str | None] = [path.stem]
        try:
            found = read_metadata_of(path)
            texts += [found.artist, found.copyright, found.description]
        except (SfumatoError, OSError):
            pass
        for artist, died in artists.items():
            answers = {names_artist(text, artist) for text in texts if text}
            if answers - {False}:
                who = f"{path.name} {'names' if True in answers else 'may name'} {artist}, who died in {died}"
                return f"{who}: in many countries protected to the end of {died + PROTECTED_YEARS}"
    return None
