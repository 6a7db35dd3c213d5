"""Styles by name: the built-in styles, the user's own styles, and personal styles learnt from liked pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from sfumato import assets
from sfumato.errors import OutputError, UsageError
from sfumato.folders import data_folder
from sfumato.public import public

#: File name suffix of a personal style (`inference.personal_file`).
PERSONAL_SUFFIX = ".sfumato"
OWN, PERSONAL = "SFUMATO_STYLES", "SFUMATO_PERSONAL"  # environment variables that name folders
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_personal_in: ContextVar[Path | None] = ContextVar("personal_in", default=None)


@contextmanager
def personal_in(folder: Path) -> Iterator[None]:
    """Look for personal styles in a folder in the block, and for own styles in ``styles`` beside it.

    A service that works for several people gives each a folder with it; neither the home folder nor the environment is
    read then. It holds for the calling thread, and for tasks that get its context.
    """
    token = _personal_in.set(folder)
    try:
        yield
    finally:
        _personal_in.reset(token)


def _is_set(variable: str) -> bool:
    """Return whether `personal_in` or an environment variable names the folder, and not the home folder.

    ``XDG_DATA_HOME`` does not count: desktops set it to a folder inside the home folder.
    """
    return _personal_in.get() is not None or bool(os.environ.get(variable))


def own_folder() -> Path:
    """Return the folder of the user's own styles: ``$SFUMATO_STYLES``, or one in `data_folder`; see `personal_in`.

    Raises:
        OutputError: there is no such folder.
    """
    if (personal := _personal_in.get()) is not None:
        return personal.with_name("styles")
    return Path(os.environ.get(OWN) or data_folder() / "styles")


def personal_folder() -> Path:
    """Return the folder of personal styles: ``$SFUMATO_PERSONAL``, or one in `data_folder`; see `personal_in`.

    It has a folder for each style.

    Raises:
        OutputError: there is no such folder.
    """
    if (personal := _personal_in.get()) is not None:
        return personal
    return Path(os.environ.get(PERSONAL) or data_folder() / "personal")


def own_names(home: bool = True) -> list[str]:
    """Return the names of the user's own styles, sorted; without ``home`` only where the environment names a folder."""
    if not home and not _is_set(OWN):
        return []
    with suppress(OutputError):  # without a folder there are no own styles
        return sorted(path.stem for path in own_folder().glob("*.safetensors"))
    return []


def personal_path(name: str) -> Path:
    """Return the path of the file of a personal style, whether it exists or not.

    Raises:
        OutputError: there is no folder for personal styles.
    """
    return personal_folder() / name / f"{name}{PERSONAL_SUFFIX}"


def has_personal(name: str) -> bool:
    """Return whether a folder for a personal style of that name exists, learnt or not."""
    with suppress(OutputError):
        return is_name(name) and os.path.isdir(personal_folder() / name)
    return False


def personal_names(home: bool = True) -> list[str]:
    """Return the names of the personal styles that have been learnt, sorted.

    Without ``home`` only those in a folder that the environment names.
    """
    if not home and not _is_set(PERSONAL):
        return []
    with suppress(OutputError):
        found = personal_folder().glob(f"*/*{PERSONAL_SUFFIX}")
        return sorted(path.stem for path in found if path.stem == path.parent.name and is_name(path.stem))
    return []


def style_names(home: bool = True) -> list[str]:
    """Return the names of all styles, the built-in ones first; without ``home`` none from the user's home folder."""
    return list(dict.fromkeys([*assets.style_names(), *own_names(home), *personal_names(home)]))


@public
def list_styles(own: bool = False) -> list[str]:
    """Return the names of the built-in styles, and with ``own`` of those in the user's home folder.

    Folders that the environment names (``SFUMATO_STYLES``, ``SFUMATO_PERSONAL``) are always searched.
    """
    return style_names(home=own)


def is_name(name: str) -> bool:
    """Return whether a style may have that name: easy to type, and a valid file name on every system."""
    return _NAME.fullmatch(name) is not None


def split_name(name: str) -> tuple[str, int]:
    """Split a name into a personal style and the number of its centre, of which 1 is the heaviest.

    ``anna/2`` gives ``("anna", 2)``; ``anna`` gives ``("anna", 1)``.
    """
    person, slash, number = name.partition("/")
    return (person, int(number)) if slash and number.isdecimal() and len(number) < 4 else (name, 1)


def has_style(name: str) -> bool:
    """Return whether :func:`style_path` finds a style of that name."""
    return name in style_names() or split_name(name)[0] in personal_names()


def style_path(name: str, home: bool = True) -> Path:
    """Return the file of a style.

    Args:
        name: of the style; for a centre of a personal style (``anna/2``) the result is the personal style's file, which
            ends in `PERSONAL_SUFFIX`.
        home: as in :func:`style_names`.

    Raises:
        UsageError: there is no style of that name; the error suggests similar names.
    """
    if name in assets.style_names():
        return assets.style_path(name)
    if name in own_names(home):
        return own_folder() / f"{name}.safetensors"
    person, _ = split_name(name)
    if person in personal_names(home):
        return personal_path(person)
    if (home or _is_set(PERSONAL)) and has_personal(person):
        raise UsageError(
            f"the style {person!r} has not been learnt yet; `sfumato personal show {person}` says whether it needs "
            f"liked pictures or `sfumato personal learn {person}`"
        )
    from sfumato.image import READABLE  # only here: names of styles are listed without NumPy

    if Path(name).suffix.lower() in READABLE:  # whether the file exists is nothing to tell a stranger
        raise UsageError(f"{name!r} is a file, not the name of a style; use Style.from_image({name!r}) for a picture")
    hint = "" if home else " (in Python, own=True also searches the home folder)"
    raise UsageError(f"there is no style {name!r}; {assets.nearest(name, style_names(home))}{hint}")


def new_style_path(name: str, overwrite: bool = False) -> Path:
    """Return the path of a new style of the user's own.

    Args:
        name: of the style.
        overwrite: whether a style of that name may exist.

    Raises:
        UsageError: the name is not valid, or a style of that name exists.
        OutputError: there is no folder for such styles.
    """
    check_new_name(name)
    if has_personal(name):
        raise UsageError(f"{name} is a personal style (sfumato personal show {name}); choose another name")
    folder = own_folder()
    path = folder / f"{name}.safetensors"
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"the style {name} already exists; add --overwrite to replace it")
    with suppress(OSError):  # writing the style tells the problem
        if not os.path.isdir(folder):
            folder.mkdir(0o700, parents=True)  # only the owner may read it
    return path


def new_personal_path(name: str) -> Path:
    """Return the path of a new personal style.

    Raises:
        UsageError: the name is not valid, or a style of that name exists.
        OutputError: there is no folder for personal styles.
    """
    check_new_name(name)
    if name in own_names():
        raise UsageError(f"the style {name} already exists (sfumato styles show {name}); choose another name")
    if os.path.exists(personal_folder() / name):
        raise UsageError(f"{name} already exists; add to it with sfumato personal add {name}, or choose another name")
    return personal_path(name)


def check_new_name(name: str) -> None:
    """Raise UsageError where a name is not valid for a new style, or is that of a built-in style."""
    if not is_name(name):
        shown = name if len(name) < 70 else f"{name[:30]}..."
        raise UsageError(
            f"a style's name must be of up to 63 small letters, digits and dashes, as in my-garden, but is {shown!r}"
        )
    if name in assets.style_names():
        raise UsageError(f"{name} is a built-in style; choose another name")
