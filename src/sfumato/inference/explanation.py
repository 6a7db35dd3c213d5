"""What is known of a picture, as values: how its parts came about, and where it left its photo."""

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
    """What a style does without one of its parts, the photo's own in its place.

    Attributes:
        part: which.
        colour: mean CIEDE2000 between the small copies painted with and without it.
        features: mean squared difference of their features, normalised by channel: 0 is equal, 2 unrelated.
        share: of the parts' movements, the mean of the shares in ``colour`` and in ``features``.
        alone: mean CIEDE2000 between the photo painted as itself, and with this part alone from the style.
        picture: ``(1, 3, h, w)``, the small copy painted without it.
    """

    part: Part
    colour: float
    features: float
    share: float
    alone: float
    picture: Picture

    def to_json(self) -> dict[str, object]:
        numbers = {name: getattr(self, name) for name in ("colour", "features", "share", "alone")}
        return {"part": self.part.name, "from": self.part.place.start, "to": self.part.place.stop, **numbers}


@dataclass(frozen=True, eq=False)
class DiscriminatorMap:
    """A discriminator's: how likely it takes each place for a part of a painting of the style.

    Attributes:
        map: ``(h, w)`` in ``[0, 1]``, of the picture.
        mean: of the map.
        photo: the same mean for the photo itself; ``None`` where there is none.
    """

    map: Map
    mean: float
    photo: float | None

    def to_json(self) -> dict[str, object]:
        return {"mean": self.mean, "photo": self.photo}


@dataclass(frozen=True, eq=False)
class StyleExplanation:
    """One style of a picture, over all of it.

    Attributes:
        name: the style's.
        swaps: one for each part of its code; empty without the photo.
        painted: ``(1, 3, h, w)``, the small copy with all parts, which ``swaps`` are compared with.
        plain: the same with none: the photo painted as itself.
        discriminator: of the model's discriminator, where it has one.
        nearest: training paintings, where the model has an index of them.
    """

    name: str
    swaps: Sequence[Swap]
    painted: Picture | None
    plain: Picture | None
    discriminator: DiscriminatorMap | None
    nearest: Sequence[Neighbour]

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "parts": [swap.to_json() for swap in self.swaps],
            "discriminator": self.discriminator and self.discriminator.to_json(),
            "nearest": [neighbour.to_json() for neighbour in self.nearest],
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """All that is known of a picture.

    Attributes:
        recipe: how it was made.
        picture: ``(1, 3, h, w)``, a copy of it.
        photo: a copy of its photo, of the same size; ``None`` where it was not given.
        change: from the photo to the picture.
        styles: of the recipe.
        left_out: sentences on what is not here, and why.
    """

    recipe: Recipe
    picture: Picture
    photo: Picture | None
    change: Change | None
    styles: Sequence[StyleExplanation]
    left_out: Sequence[str]

    def to_json(self) -> dict[str, Any]:
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
