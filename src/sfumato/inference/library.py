"""Styles by name: the built-in ones, and a person's own beside them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from sfumato import assets
from sfumato.errors import UsageError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def own_folder() -> Path:
    """Where a person's own styles are kept: ``$SFUMATO_STYLES``, or the system's place for an application's data."""
    if folder := os.environ.get("SFUMATO_STYLES"):
        return Path(folder)
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "sfumato" / "styles"


def own_names() -> list[str]:
    """The names of a person's own styles, sorted."""
    return sorted(path.stem for path in own_folder().glob("*.safetensors"))


def style_names() -> list[str]:
    """All names: the built-in ones first."""
    built_in = assets.style_names()
    return [*built_in, *(name for name in own_names() if name not in built_in)]


def style_path(name: str) -> Path:
    """The file of a style.

    Raises:
        UsageError: there is none of that name; the error offers the nearest ones.
    """
    if name in assets.style_names():
        return assets.style_path(name)
    if name in own_names():
        return own_folder() / f"{name}.safetensors"
    raise UsageError(f"there is no style {name!r}; {assets.nearest(name, style_names())}")


def new_style_path(name: str, overwrite: bool = False) -> Path:
    """Where a style of a person's own goes.

    Raises:
        UsageError: the name cannot be typed easily, is a built-in style's, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"a style's name has small letters, digits and dashes, as in my-garden; {name!r} does not fit")
    if name in assets.style_names():
        raise UsageError(f"{name} is a built-in style; choose another name")
    path = own_folder() / f"{name}.safetensors"
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"there is a style {name} already; add --overwrite to replace it")
    return path
