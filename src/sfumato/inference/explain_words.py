"""Explanations in sentences, as `sfumato explain` prints them and a service shows them."""

from __future__ import annotations

from sfumato.inference.changes import CLEAR_COLOUR, Change
from sfumato.inference.explanation import Explanation, StyleExplanation
from sfumato.inference.origins import Origins
from sfumato.inference.recipe import Recipe

#: The measured accuracy of a shipped discriminator, by model.
_DISCRIMINATOR_FACTS = {
    "base-3": "It was trained for 2,600 steps and was then right in two of three cases, where chance is one in two."
}


def title_of(found: Explanation) -> str:
    """Return how the picture was painted, as the end of a sentence."""
    names = " / ".join(style.name for style in found.styles)
    return f"painted in the style {names} at strength {found.recipe.strength:g}, by the model {found.recipe.model}"


def matched_title_of(recipe: Recipe) -> str:
    """Return how a picture of the qualities standard and best was painted, as the end of a sentence."""
    return f"painted with features of paintings, quality {recipe.quality}, strength {recipe.strength:g}"


def change_sentences(change: Change) -> list[str]:
    """Say where and how much a picture differs from its photo."""
    return [
        f"Colour moved by {change.colour_mean:.1f} units on average, and by more than {CLEAR_COLOUR:g}, a clearly "
        f"visible difference, in {change.colour_area:.0%} of the picture.",
        "(Units of CIEDE2000: a difference of 1 is just visible, and black and white are 100 apart.)",
        f"Structure, the lines and strokes, lost {change.structure_mean:.0%} of its similarity on average, and more "
        f"than half in {change.structure_area:.0%} of the picture.",
        f"Of the whole change, {change.colour_share:.0%} is colour and light over large areas, and "
        f"{change.structure_share:.0%} is lines and strokes.",
    ]


def swap_sentences(style: StyleExplanation) -> list[str]:
    """Say how the parts of a style were compared."""
    found = [
        "Each part in turn was replaced by the photo's own, and the photo was painted again.",
        "The percentage says how far the picture moved.",
    ]
    if not any(swap.share for swap in style.swaps):
        found.append("It did not move: the picture is painted in the photo's own style, so no part has an effect.")
    return found


def strongest_sentences(style: StyleExplanation) -> list[str]:
    """Say which part of a style did most, as a sentence in two lines; the style has swaps."""
    strongest = max(style.swaps, key=lambda swap: swap.share)
    return [
        f"The {strongest.part.label} did most. Parts interact: removed from the style, it moves colours by "
        f"{strongest.colour:.1f} units;",
        f"added alone to the photo's own style, it moves them by {strongest.alone:.1f}.",
    ]


def discriminator_sentences(style: StyleExplanation, model: str) -> list[str]:
    """Say what the discriminator of a model takes the picture for."""
    assert style.discriminator is not None
    photo = "" if style.discriminator.photo is None else f", and the photo itself {style.discriminator.photo:.0%}"
    found = [
        f"It gives the picture an average probability of {style.discriminator.mean:.0%} to be a painting{photo}.",
        "The discriminator told paintings from results in training. Its verdict does not measure quality.",
    ]
    return [*found, _DISCRIMINATOR_FACTS[model]] if model in _DISCRIMINATOR_FACTS else found


def origin_sentences(origins: Origins) -> list[str]:
    """Say how much of its paintings a picture of the qualities standard and best uses."""
    return [
        f"{origins.used:.0%} of the sampled places of the paintings occur in the picture.",
        f"{origins.together:.0%} of neighbouring places were neighbours in a painting too.",
    ]
