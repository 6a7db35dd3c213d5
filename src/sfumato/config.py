"""Typed, frozen configuration from TOML files and ``key=value`` overrides, validated before any work."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from sfumato.errors import UsageError, first_line
from sfumato.files import read_bytes
from sfumato.text import short

_MAX_BYTES = 1_000_000  # of a TOML file; typical ones have a few thousand


class Config(BaseModel):
    """Base class of every configuration: frozen; an unknown key or a wrong value raises a ``UsageError``."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as problem:
            raise UsageError(_sentence(type(self), problem)) from None

    # Tells Pydantic that this constructor only forwards its arguments. Nested models are then validated by the outer
    # model, so that an error gives the full path of its key.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Validate values and return the configuration.

        Args:
            values: nested tables, such as those of a TOML file.
            where: the source of the values, such as the file's name, which begins an error message.

        Raises:
            UsageError: one sentence about the first wrong key: its full path, what is wrong, and the valid keys.
        """
        try:
            return cls(**values)
        except UsageError as problem:
            raise UsageError(f"{where}: {problem}" if where else str(problem)) from None


def load_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UsageError: the file cannot be read or is not TOML; the message gives the line.
    """
    path = Path(path)
    try:
        return tomllib.loads(read_bytes(path, _MAX_BYTES).decode())
    except OSError as problem:
        raise UsageError(f"cannot read the configuration {path}: {problem.strerror or problem}") from problem
    except RecursionError as problem:
        raise UsageError(f"{path} is not valid TOML: it is nested too deeply") from problem
    except ValueError as problem:
        raise UsageError(f"{path} is not valid TOML: {first_line(problem)}") from problem


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of nested ``values`` in which each override, such as ``"a.b=3"``, is set.

    The right side is TOML (``3``, ``0.5``, ``true``, ``[1, 2]``, ``"text"``). Anything else is plain text, so that a
    word needs no quotes. Whether a key exists is not checked here, but by :class:`Config`.

    Raises:
        UsageError: no ``=``, an empty key, or a key below something that is not a table.
    """
    result = deepcopy(dict(values))
    for override in overrides:
        dotted, equals, text = override.partition("=")
        keys = [key.strip() for key in dotted.split(".")]
        if not equals or not all(keys):
            raise UsageError(f"an override must be KEY=VALUE, such as learning_rate=5e-4, but is {override!r}")
        table = result
        for depth, key in enumerate(keys[:-1], start=1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise UsageError(f"cannot set {'.'.join(keys)}: {'.'.join(keys[:depth])} is a value, not a table")
        table[keys[-1]] = _value(text.strip())
    return result


def _value(text: str) -> Any:
    """Parse the right side of an override as TOML or, failing that, as plain text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # ValueError also for a number with more digits than Python parses
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _sentence(model: type[BaseModel], problem: ValidationError) -> str:
    """Return one sentence about the first error in a configuration, and the number of the others."""
    first, *others = problem.errors(include_url=False)
    path = [str(part) for part in first["loc"]]
    key = short(".".join(path)) or "the configuration"
    if first["type"] == "extra_forbidden":
        valid = list(_model_at(model, path[:-1]).model_fields)
        near = difflib.get_close_matches(path[-1], valid, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        text = f"unknown key {key}{hint}; valid keys here: {', '.join(valid)}"
    elif first["type"] == "missing":
        text = f"the key {key} is missing"
    else:
        message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
        text = f"{key} is wrong: {message[:1].lower()}{message[1:]}"
        text += f" (it is {_short(first['input'])})" if path else ""
    more = f" (and {len(others)} more to correct)" if others else ""
    return f"{text}{more}"


def _model_at(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """Return the nested model that ``path`` leads to; list indices and union branches in it are skipped."""
    for part in path:
        field = model.model_fields.get(part)
        if field is not None:
            model = _find_model(field.annotation) or model
    return model


def _find_model(annotation: Any) -> type[BaseModel] | None:
    """Return the first model in a type annotation, such as ``list[Phase]``; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _find_model(inner))), None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
