"""Helpers for public names, which appear under the package that users import them from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import get_annotations
from typing import Any, TypeVar, get_type_hints

Named = TypeVar("Named")


def public(thing: Named) -> Named:
    """Make a class or a function appear as ``sfumato.NAME``, wherever it is defined; for use as a decorator.

    Pickles use the same name, so they stay valid when a module moves. The annotations of a class are evaluated here,
    because later `typing.get_type_hints` would look up their names in the wrong module, the public package.
    """
    if isinstance(thing, type):
        hints = get_type_hints(thing, include_extras=True)
        thing.__annotations__ = {name: hints[name] for name in get_annotations(thing)}
    thing.__module__ = __name__.partition(".")[0]
    return thing


def exports(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package whose names are imported when first used.

    Args:
        package: the name of the package.
        homes: the module that defines each public name, relative to the package.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        vars(sys.modules[package])[name] = value  # so that the next access does not call `find`
        return value

    return find, lambda: sorted({*vars(sys.modules[package]), *homes})
