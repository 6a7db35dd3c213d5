"""What a recipe says about sources and settings, for credentials: without paths, and without names of the user."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sfumato import assets

#: Values of a recipe that say how the picture was painted. Of these, only names that ship with Sfumato are texts.
_SETTINGS = (
    "version",
    "model_sha256",
    "decoder_sha256",
    "kind",
    "quality",
    "strength",
    "stroke",
    "color",
    "seed",
    "max_size",
    "file_quality",
    "tile",
    "steady",
    "begin",
    "end",
    "codec",
    "times",
)
_UNKNOWN = "not stated"


@dataclass(frozen=True)
class Source:
    """A picture that a style was made from.

    Attributes:
        title: of a work that ships with Sfumato; else words that name nobody.
        sha256: of the picture, or of the style's code where no picture is known.
        licence: of the picture.
    """

    title: str
    sha256: str
    licence: str


def recipe_digest(recipe: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a recipe's JSON, in hex."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def uses_models(recipe: Mapping[str, Any]) -> bool:
    """Return whether a trained model had a part in a picture: it was painted, or enlarged by the upscaler."""
    enlarged = any(isinstance(step, Mapping) and step.get("upscaler") for step in recipe.get("finish") or ())
    return "model_sha256" in recipe or enlarged


def settings_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a painting for credentials. Models, styles and pictures of the user have no name in it."""
    settings = {key: recipe[key] for key in _SETTINGS if recipe.get(key) is not None}
    if recipe.get("model") in assets.model_names():
        settings["model"] = recipe["model"]
    settings["styles"] = [_shown(str(style.get("name"))) for style in recipe.get("styles") or ()]
    settings["masks"] = len(recipe.get("masks") or ())
    settings["finished"] = len(recipe.get("finish") or ())
    return settings


def sources_of(recipe: Mapping[str, Any]) -> list[Source]:
    """Return the pictures of a recipe's styles, each once."""
    found = [each for style in recipe.get("styles") or () for each in _sources(style)]
    return list({each.sha256: each for each in found}.values())


def _sources(style: Mapping[str, Any]) -> Iterator[Source]:
    """Yield the pictures of one style."""
    known = {entry.sha256: entry for entry in assets.ledger()}
    hashes = [str(each["sha256"]) for each in style.get("pictures") or ()]
    if not hashes:  # a draft, whose recipe has the code alone
        names = set(_parts(str(style.get("name"))))
        hashes = [entry.sha256 for entry in known.values() if entry.style in names and names <= _built_in()]
    rights = style.get("rights")
    licence = f"the maker of the style states: {rights}" if isinstance(rights, str) else _UNKNOWN
    for sha256 in hashes:
        entry = known.get(sha256)
        if entry is None:
            yield Source("a picture of the user's own style", sha256, licence)
        else:
            yield Source(f"{entry.title} by {entry.artist}", sha256, entry.licence)
    if not hashes:
        yield Source("a style of the user's own", hashlib.sha256(str(style.get("code")).encode()).hexdigest(), licence)


def _shown(name: str) -> str:
    """Return the name of a style, or of a blend, if all of it ships with Sfumato."""
    return name if set(_parts(name)) <= _built_in() else "the user's own"


def _parts(name: str) -> list[str]:
    """Return the names in that of a blend, such as ``monet:0.4 + klimt:0.6``."""
    return [part.rpartition(":")[0] or part for part in name.split(" + ")]


def _built_in() -> set[str]:
    return set(assets.style_names())
