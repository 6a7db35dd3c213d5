"""Configuration: typed, frozen, checked before any work. TOML files plus ``key=value`` overrides make it."""

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

_MAX_BYTES = 1_000_000  # of a TOML file; ours have some thousand


class Config(BaseModel):
    """Base of every configuration: frozen, an unknown key is an error, and every error is one ``UsageError``."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as problem:
            raise UsageError(_sentence(type(self), problem)) from None

    # Pydantic's mark for a constructor that only passes on: inner models are then checked by the outer one, and an
    # error names the whole path to its key.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Checks values from outside; an error begins with ``where`` they come from, such as the file's name.

        Raises:
            UsageError: one sentence about the first wrong key: its whole path, what is wrong, and the valid keys.
        """
        try:
            return cls(**values)
        except UsageError as problem:
            raise UsageError(f"{where}: {problem}" if where else str(problem)) from None


def load_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UsageError: it cannot be read or is not TOML; the error gives the line.
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
    """Returns a copy of nested ``values`` with ``"a.b=3"`` set in it, for each override in turn.

    The right side is TOML (``3``, ``0.5``, ``true``, ``[1, 2]``, ``"text"``); anything else is taken as plain text, so
    that a shell's quotes are not needed around a word. Whether a key exists is for :class:`Config` to say.

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
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # also a number of more digits than Python reads
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _sentence(model: type[BaseModel], problem: ValidationError) -> str:
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
    """The model that holds the key at the end of ``path``; list positions and union branches have no field and stay."""
    for part in path:
        field = model.model_fields.get(part)
        if field is not None:
            model = _find_model(field.annotation) or model
    return model


def _find_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _find_model(inner))), None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
