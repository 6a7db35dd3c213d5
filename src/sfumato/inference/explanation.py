"""The values of an explanation: how the parts of a picture came about, and where it left its photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sfumato.image import Picture
from sfumato.inference.changes import Change, Map
from sfumato.inference.nearest import Neighbour
from sfumato.inference.recipe import Recipe
from sfumato.style_code import Part


@dataclass(frozen=True, eq=False)
class Swap:
    """The effect of one part of a style code, measured by replacing it with the photo's own.

    Attributes:
        part: name of a part of the style code.
        colour: mean CIEDE2000 between the small copies painted with and without the part.
        features: mean squared difference of their features, normalised by channel: 0 is equal, 2 unrelated.
        share: the part's share of all parts' effects: the mean of its shares of ``colour`` and of ``features``.
        alone: mean CIEDE2000 between the photo painted with its own code, and with only this part from the style.
        picture: ``(1, 3, h, w)``, the small copy painted without the part.
    """

    part: Part
    colour: float
    features: float
    share: float
    alone: float
    picture: Picture

    def to_json(self) -> dict[str, object]:
        """Return the numbers and the part's name and range in the code."""
        numbers = {name: getattr(self, name) for name in ("colour", "features", "share", "alone")}
        return {"part": self.part.name, "from": self.part.place.start, "to": self.part.place.stop, **numbers}


@dataclass(frozen=True, eq=False)
class DiscriminatorMap:
    """The discriminator's probability, at each place, that it is part of a painting of the style.

    Attributes:
        map: ``(h, w)`` in ``[0, 1]``, of the picture.
        mean: of the map.
        photo: the mean for the photo; ``None`` where there is no photo.
    """

    map: Map
    mean: float
    photo: float | None

    def to_json(self) -> dict[str, object]:
        """Return the means."""
        return {"mean": self.mean, "photo": self.photo}


@dataclass(frozen=True, eq=False)
class StyleExplanation:
    """The explanation of one style of a picture, as if it covered all of it.

    Attributes:
        name: of the style.
        swaps: one for each part of its code; empty without the photo.
        painted: ``(1, 3, h, w)``, the small copy with all parts, with which ``swaps`` are compared.
        plain: the same with none: the photo painted with its own code.
        discriminator: of the model's discriminator, if it has one.
        nearest: the nearest training paintings, if the model has an index of them.
    """

    name: str
    swaps: Sequence[Swap]
    painted: Picture | None
    plain: Picture | None
    discriminator: DiscriminatorMap | None
    nearest: Sequence[Neighbour]

    def to_json(self) -> dict[str, object]:
        """Return the values as JSON, without the pictures."""
        return {
            "name": self.name,
            "parts": [swap.to_json() for swap in self.swaps],
            "discriminator": self.discriminator and self.discriminator.to_json(),
            "nearest": [neighbour.to_json() for neighbour in self.nearest],
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """The explanation of a picture.

    Attributes:
        recipe: how it was made.
        picture: ``(1, 3, h, w)``, a copy of it.
        photo: a copy of its photo, of the same size; ``None`` where it was not given.
        change: the difference between photo and picture.
        styles: one for each style of the recipe.
        left_out: sentences on what is omitted, and why.
    """

    recipe: Recipe
    picture: Picture
    photo: Picture | None
    change: Change | None
    styles: Sequence[StyleExplanation]
    left_out: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Return the values as JSON, without the pictures."""
        return {
            "model": self.recipe.model,
            "strength": self.recipe.strength,
            "stroke": self.recipe.stroke,
            "color": self.recipe.color,
            "seed": self.recipe.seed,
            "change": self.change and self.change.to_json(),
            "styles": [style.to_json() for style in self.styles],
            "left_out": list(self.left_out),
        }
