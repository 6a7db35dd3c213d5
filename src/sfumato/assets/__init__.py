"""What ships inside the package: exported models (``weights/NAME/``) and style codes (``styles/NAME.safetensors``)."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from sfumato.errors import ModelError, UsageError

_ROOT = Path(__file__).parent


def weights_dir(name: str = "base") -> Path:
    """The folder of a model that ships with Sfumato.

    Raises:
        ModelError: this installation has none of that name.
    """
    folder = _ROOT / "weights" / name
    if not (folder / "card.json").is_file():
        raise ModelError(f"this installation of Sfumato lacks the model {name!r} ({folder}); install it again")
    return folder


def collection_names() -> list[str]:
    """The names of the models of one collection that ship with Sfumato, sorted."""
    names = {path.parent.name for path in (_ROOT / "weights").glob("*/card.json")}
    return sorted(names - {"base", "upscaler"})


def find_model(model: str | os.PathLike[str] | None) -> Path:
    """The folder of a model: one given, one that ships by its name, or the one for any style where none is named.

    Raises:
        ModelError: there is nothing there, and the name is nearly that of one that ships.
    """
    if model is None:
        return weights_dir()
    if os.path.exists(model):
        return Path(model)
    if str(model) in collection_names():
        return weights_dir(str(model))
    if near := difflib.get_close_matches(str(model), collection_names()):
        raise ModelError(f"there is no model {model}; did you mean {' or '.join(near)}?")
    return Path(model)


def style_names() -> list[str]:
    """The names of the built-in styles, sorted."""
    return sorted(path.stem for path in (_ROOT / "styles").glob("*.safetensors"))


def style_path(name: str) -> Path:
    """The file of a built-in style.

    Raises:
        UsageError: there is none of that name; the error offers the nearest ones.
    """
    names = style_names()
    if name not in names:
        raise UsageError(f"there is no built-in style {name!r}; {nearest(name, names)}")
    return _ROOT / "styles" / f"{name}.safetensors"


def nearest(name: str, names: Sequence[str]) -> str:
    """What an error says of styles that may have been meant."""
    near = difflib.get_close_matches(name.lower().replace(" ", "-").replace("_", "-"), names)
    return f"did you mean {' or '.join(near)}?" if near else "`sfumato styles` lists them"


def training_hashes() -> set[str]:
    """The first 16 hex digits of the SHA-256 of each picture that the shipped weights were trained on."""
    path = _ROOT / "weights" / "training_pictures.txt"
    return set(path.read_text().split()) if path.is_file() else set()
