"""Styles by name: the built-in ones, and beside them a person's own and those learnt from what a person likes."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from sfumato import assets
from sfumato.errors import OutputError, UsageError
from sfumato.public import public

#: How the file of a personal style ends (`inference.personal_file`).
PERSONAL_SUFFIX = ".sfumato"
OWN, PERSONAL = "SFUMATO_STYLES", "SFUMATO_PERSONAL"  # variables that name folders
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def data_folder() -> Path:
    """The system's place for an application's data.

    Raises:
        OutputError: there is none: the user has no home folder, as in a container with a number for a user.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or _home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = _home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or _home() / ".local" / "share")
    return base / "sfumato"


def _home() -> Path:
    try:
        if os.environ.get("HOME") != "":  # of which the root folder would come
            return Path.home()
    except RuntimeError:
        pass
    raise OutputError(f"there is no home folder to keep styles in; set {OWN} and {PERSONAL} to folders")


def _is_named(variable: str) -> bool:
    """Whether the environment says where a person's styles lie, so that nothing is looked for in the home folder.
    (``XDG_DATA_HOME`` does not: desktops set it to a folder of the home folder.)"""
    return bool(os.environ.get(variable))


def own_folder() -> Path:
    """Where a person's own styles are kept: ``$SFUMATO_STYLES``, or a folder of the system's place for data.

    Raises:
        OutputError: there is no such place.
    """
    return Path(os.environ.get(OWN) or data_folder() / "styles")


def personal_folder() -> Path:
    """Where what people like is kept, a folder each: ``$SFUMATO_PERSONAL``, or one of the system's place for data.

    Raises:
        OutputError: there is no such place.
    """
    return Path(os.environ.get(PERSONAL) or data_folder() / "personal")


def own_names(home: bool = True) -> list[str]:
    """The names of a person's own styles, sorted; without ``home`` only where the environment names a folder."""
    if not home and not _is_named(OWN):
        return []
    with suppress(OutputError):  # who has no folder has no styles of their own
        return sorted(path.stem for path in own_folder().glob("*.safetensors"))
    return []


def personal_path(name: str) -> Path:
    """The file of the person's preferences of that name, whether it is there or not.

    Raises:
        OutputError: there is no place for personal styles.
    """
    return personal_folder() / name / f"{name}{PERSONAL_SUFFIX}"


def has_personal(name: str) -> bool:
    """Whether something is kept under that name."""
    with suppress(OutputError):
        return is_name(name) and os.path.isdir(personal_folder() / name)
    return False


def personal_names(home: bool = True) -> list[str]:
    """The names of the personal styles that are styles, sorted; without ``home`` only where the environment names a
    folder."""
    if not home and not _is_named(PERSONAL):
        return []
    with suppress(OutputError):
        found = personal_folder().glob(f"*/*{PERSONAL_SUFFIX}")
        return sorted(path.stem for path in found if path.stem == path.parent.name and is_name(path.stem))
    return []


def style_names(home: bool = True) -> list[str]:
    """All names: the built-in ones first. Without ``home`` nothing that lies in the user's home folder."""
    return list(dict.fromkeys([*assets.style_names(), *own_names(home), *personal_names(home)]))


@public
def list_styles(own: bool = False) -> list[str]:
    """Return the names of the built-in styles, and with ``own`` of those in the user's home folder.

    Folders that the environment names (``SFUMATO_STYLES``, ``SFUMATO_PERSONAL``) are always looked into.
    """
    return style_names(home=own)


def is_name(name: str) -> bool:
    """Whether a style can be called that: it is easily typed, and the name of a file everywhere."""
    return _NAME.fullmatch(name) is not None


def split_name(name: str) -> tuple[str, int]:
    """The personal style and which of its styles a name means, the heaviest being 1: ``anna/2`` -> (anna, 2)."""
    person, slash, number = name.partition("/")
    return (person, int(number)) if slash and number.isdecimal() and len(number) < 4 else (name, 1)


def has_style(name: str) -> bool:
    """Whether :func:`style_path` finds a style of that name."""
    return name in style_names() or split_name(name)[0] in personal_names()


def style_path(name: str, home: bool = True) -> Path:
    """The file of a style; of one of a person's styles (``anna/2``) that of the person's preferences, which ends in
    `PERSONAL_SUFFIX`. ``home`` as in :func:`style_names`.

    Raises:
        UsageError: there is none of that name; the error offers the nearest ones.
    """
    if name in assets.style_names():
        return assets.style_path(name)
    if name in own_names(home):
        return own_folder() / f"{name}.safetensors"
    person, _ = split_name(name)
    if person in personal_names(home):
        return personal_path(person)
    if (home or _is_named(PERSONAL)) and has_personal(person):
        raise UsageError(
            f"{person} is no style yet: `sfumato personal show {person}` says whether it is to be learnt again, or "
            "lacks "
            "pictures that are liked"
        )
    hint = "" if home else " (in Python, own=True looks into the home folder too)"
    raise UsageError(f"there is no style {name!r}; {assets.nearest(name, style_names(home))}{hint}")


def new_style_path(name: str, overwrite: bool = False) -> Path:
    """Where a style of a person's own goes.

    Raises:
        UsageError: the name cannot be typed easily, is a built-in style's or a personal style's, or is taken.
        OutputError: there is no place for such styles.
    """
    check_new_name(name)
    if has_personal(name):
        raise UsageError(f"{name} is learnt from pictures (sfumato personal show {name}); choose another name")
    path = own_folder() / f"{name}.safetensors"
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"there is a style {name} already; add --overwrite to replace it")
    return path


def new_personal_path(name: str) -> Path:
    """Where the personal style of that name goes.

    Raises:
        UsageError: the name cannot be typed easily, is a built-in style's or a person's own, or is taken.
        OutputError: there is no place for personal styles.
    """
    check_new_name(name)
    if name in own_names():
        raise UsageError(f"there is a style {name} already (sfumato styles show {name}); choose another name")
    if os.path.exists(personal_folder() / name):
        raise UsageError(f"{name} is there already: sfumato personal add {name} adds to it, or choose another name")
    return personal_path(name)


def check_new_name(name: str) -> None:
    """Raises UsageError for a name that cannot be typed easily, or is a built-in style's."""
    if not is_name(name):
        shown = name if len(name) < 70 else f"{name[:30]}..."
        raise UsageError(
            f"a style's name has up to 63 small letters, digits and dashes, as in my-garden; {shown!r} does not fit"
        )
    if name in assets.style_names():
        raise UsageError(f"{name} is a built-in style; choose another name")
