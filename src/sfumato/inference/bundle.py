"""A bundle's card, and which graphs a model has that paints photos with style codes or in its own style."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from sfumato.errors import ModelError
from sfumato.inference.session import WEIGHTS, Ends, read_card

_GENERATOR: dict[str, Ends] = {"generator.onnx": (("picture", "affines", "origin"), ("stylized",))}
GRAPHS: dict[str, dict[str, Ends]] = {  # by the model's kind: those that paint photos
    "arbitrary": {
        "style_encoder.onnx": (("picture",), ("code", "features", "look")),
        "statistics.onnx": (("thumbnail", "code"), ("affines",)),
        **_GENERATOR,
    },
    "collection": {"statistics.onnx": (("thumbnail",), ("affines",)), **_GENERATOR},
}
OPTIONAL: dict[bool, dict[str, Ends]] = {  # they explain pictures, and paint none; by whether they are told a code
    True: {"discriminator.onnx": (("picture", "code"), ("opinion",))},
    False: {"discriminator.onnx": (("picture",), ("opinion",))},
}
_OTHERS = {"noise": "it paints out of noise, and no photos; use sfumato imagine --model {}"}  # kinds of other commands


@dataclass(frozen=True)
class Card:
    """A bundle's ``card.json``: which model it is, what its files hash to, how it was trained and is licensed.

    ``kind`` is ``"arbitrary"``, for any style by its code, or ``"collection"``, for the one style that the model has.
    ``conditional`` is whether its discriminator, where it has one, is told the style code.
    ``look_size`` is how many numbers a style's look has; 0 where there is none.
    """

    model: str
    version: str
    thumbnail: int
    code_size: int
    look_size: int
    affines: int
    palette: list[int]
    files: dict[str, str]
    kind: str = "arbitrary"
    conditional: bool = True
    training: dict[str, Any] = field(default_factory=dict)
    licence: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the hashes of all graphs and their weights: what decides which pixels come out."""
        names = (*sorted(GRAPHS[self.kind]), WEIGHTS)
        return hashlib.sha256("".join(self.files.get(name, "") for name in names).encode()).hexdigest()

    @property
    def has_codes(self) -> bool:
        """Whether it paints by style codes; otherwise it has one style of its own."""
        return self.kind == "arbitrary"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the card of the bundle in ``folder``; keys that it has besides these are ignored.

        Raises:
            ModelError: there is no card, or it is not one.
        """
        path, found = folder / "card.json", read_card(folder)
        # Cards from before there were kinds have none.
        card = {
            "training": {},
            "licence": {},
            "data": {},
            "kind": "arbitrary",
            "conditional": True,
            **found,
        }
        if (kind := str(card["kind"])) not in GRAPHS:
            unknown = f"this version does not paint with it; it knows {' and '.join(GRAPHS)}"
            raise ModelError(f"{folder} is a model of the kind {kind!r}: {_OTHERS.get(kind, unknown).format(folder)}")
        types: dict[str, type] = dict.fromkeys(("thumbnail", "code_size", "look_size", "affines"), int)
        types |= {"model": str, "version": str, "palette": list, "kind": str, "conditional": bool}
        for key in (entry.name for entry in fields(cls)):
            if not isinstance(card.get(key), types.get(key, dict)):
                raise ModelError(f"{path} is not a model card: {key!r} is missing or wrong; export the model again")
        if missing := sorted(GRAPHS[kind].keys() - card["files"].keys()):
            raise ModelError(f"{path} has no hash of {', '.join(missing)}; export the model again")
        return cls(**{entry.name: card[entry.name] for entry in fields(cls)})
