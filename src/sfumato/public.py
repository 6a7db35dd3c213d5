"""Names of the public interface: they appear under the package that people import them from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import get_annotations
from typing import Any, TypeVar, get_type_hints

Named = TypeVar("Named")


def public(thing: Named) -> Named:
    """Make a class or a function appear as ``sfumato.NAME``, wherever it is defined; for use as a decorator.

    Pickles then name it so too, and survive when a module is moved. The annotations of a class are evaluated here:
    `typing.get_type_hints` looks for their names in the module that a class claims to be from.
    """
    if isinstance(thing, type):
        hints = get_type_hints(thing, include_extras=True)
        thing.__annotations__ = {name: hints[name] for name in get_annotations(thing)}
    thing.__module__ = __name__.partition(".")[0]
    return thing


def exports(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package whose names are imported when first used.

    Args:
        package: its name.
        homes: the module, without the package's name, in which each public name is defined.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        vars(sys.modules[package])[name] = value  # the next look-up does not come here
        return value

    return find, lambda: sorted({*vars(sys.modules[package]), *homes})
