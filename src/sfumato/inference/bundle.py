"""The card of an exported painting model, and the graphs that each kind of model has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sfumato.errors import ModelError
from sfumato.inference.session import WEIGHTS, Ends, card_files, card_number, card_text, read_card

_GENERATOR: dict[str, Ends] = {"generator.onnx": (("picture", "norm_params", "origin"), ("stylized",))}
GRAPHS: dict[str, dict[str, Ends]] = {  # the graphs that paint photos, by kind of model
    "arbitrary": {
        "style_encoder.onnx": (("picture",), ("code", "features", "channel_stats")),
        "statistics.onnx": (("thumbnail", "code"), ("norm_params",)),
        **_GENERATOR,
    },
    "collection": {"statistics.onnx": (("thumbnail",), ("norm_params",)), **_GENERATOR},
}
OPTIONAL: dict[bool, dict[str, Ends]] = {  # the discriminator, which explains pictures; by whether it is conditional
    True: {"discriminator.onnx": (("picture", "code"), ("logits",))},
    False: {"discriminator.onnx": (("picture",), ("logits",))},
}
_MAX_NUMBERS = {
    "thumbnail": 1024,
    "code_size": 2**16,
    "channel_stats_size": 2**16,
    "norm_params": 2**20,
}  # upper bounds of the numbers on a card
_OTHERS = {"noise": "it paints from noise, not from photos; use sfumato imagine --model {}"}  # kinds for other commands


@dataclass(frozen=True)
class Card:
    """The content of a bundle's ``card.json``.

    Attributes:
        model: id of the model.
        version: version of Sfumato that exported it.
        thumbnail: pixels of the short side of a thumbnail.
        code_size: length of a style code; 0 for a model of the kind collection.
        channel_stats_size: length of a style's channel statistics; 0 if it has none.
        norm_params: number of normalisation parameters of the generator.
        palette: first and last index (exclusive) of the palette in a style code.
        files: SHA-256, in hex, of the bundle's files by name.
        kind: ``"arbitrary"``, for any style by its code, or ``"collection"``, for the one style that the model has.
        conditional: whether the discriminator, if there is one, is conditioned on the style code.
        training, licence, data: how the model was trained and is licensed.
    """

    model: str
    version: str
    thumbnail: int
    code_size: int
    channel_stats_size: int
    norm_params: int
    palette: list[int]
    files: dict[str, str]
    kind: str = "arbitrary"
    conditional: bool = True
    training: dict[str, Any] = field(default_factory=dict)
    licence: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the hashes of the painting graphs and their weights, which determine the pixels."""
        names = (*sorted(GRAPHS[self.kind]), WEIGHTS)
        return hashlib.sha256("".join(self.files[name] for name in names).encode()).hexdigest()

    @property
    def has_codes(self) -> bool:
        """Whether the model paints by style codes; otherwise it has one style of its own."""
        return self.kind == "arbitrary"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the card of the bundle in ``folder``; unknown keys are ignored.

        Raises:
            ModelError: there is no card, or it is damaged.
        """
        path, found = folder / "card.json", read_card(folder)
        # Defaults of optional keys.
        card = {
            "training": {},
            "licence": {},
            "data": {},
            "kind": "arbitrary",
            "conditional": True,
            **found,
        }
        if (kind := str(card["kind"])) not in GRAPHS:
            unknown = f"this version can paint only with the kinds {' and '.join(GRAPHS)}"
            raise ModelError(
                f"{folder} is a model of the kind {kind[:40]!r}: {_OTHERS.get(kind, unknown).format(folder)}"
            )
        for key, wanted in {
            "palette": list,
            "conditional": bool,
            "training": dict,
            "licence": dict,
            "data": dict,
        }.items():
            if not isinstance(card.get(key), wanted):
                raise ModelError(f"{path} is not a model card: {key!r} is missing or wrong; export the model again")
        files, has_codes = card_files(card, path, {*GRAPHS[kind], WEIGHTS}), kind == "arbitrary"
        minimums = {"thumbnail": 1, "code_size": int(has_codes), "channel_stats_size": 0, "norm_params": 1}
        numbers: dict[str, Any] = {
            key: card_number(card, key, path, minimums[key], maximum) for key, maximum in _MAX_NUMBERS.items()
        }
        palette = card["palette"]
        if has_codes or palette:
            ordered = len(palette) == 2 and all(type(place) is int for place in palette)
            if not ordered or not 0 <= palette[0] < palette[1] <= numbers["code_size"]:
                raise ModelError(f"{path} is not a model card: 'palette' is wrong; export the model again")
        return cls(
            model=card_text(card, "model", path),
            version=card_text(card, "version", path),
            palette=palette,
            files=files,
            kind=kind,
            **{key: card[key] for key in ("conditional", "training", "licence", "data")},
            **numbers,
        )
