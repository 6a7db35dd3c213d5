"""Centres of a person's style: the clusters of their liked pictures in the style space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfumato.errors import UsageError
from sfumato.personal.mixture import choose_mixture
from sfumato.personal.space import Array, StyleSpace
from sfumato.style_code import StyleCode


@dataclass(frozen=True)
class Centre:
    """One cluster of liked pictures.

    Attributes:
        code: Style code of the centre, to paint with.
        weight: Share of the liked pictures; the weights of all centres add up to 1.
        members: Indices of its liked pictures.
    """

    code: StyleCode
    weight: float
    members: tuple[int, ...]


def centres(
    liked: Sequence[StyleCode], disliked: Sequence[StyleCode] = (), space: StyleSpace | None = None
) -> list[Centre]:
    """Cluster liked pictures, and return the centres, the largest first.

    Liked pictures near to disliked ones have less weight.

    Args:
        liked: Style codes of liked pictures.
        disliked: Style codes of disliked pictures.
        space: The style space; None takes that of the model that ships with Sfumato.

    Raises:
        UsageError: There is no liked picture.
        ModelError: The codes come from different models, or one has no channel statistics.
    """
    if not liked:
        raise UsageError("there is no liked picture to learn from; add one or more pictures that you like")
    space = space or StyleSpace.load()
    x = space.places(liked)
    trust = _trust(x, space.places(disliked))
    mixture = choose_mixture(x, trust, space.between.astype(np.float64))
    shares, pull = mixture.shares_of(x)
    weights = shares * pull * trust[:, None]
    home = shares.argmax(1)
    found = []
    for k in range(len(mixture.means)):
        members = np.flatnonzero(home == k)
        if len(members):
            code = StyleCode.blend([liked[int(i)] for i in members], [float(weights[i, k]) for i in members])
            found.append(Centre(code, float(len(members)) / len(x), tuple(int(i) for i in members)))
    return sorted(found, key=lambda centre: -centre.weight)


def _trust(liked: Array, disliked: Array) -> Array:
    """Return the weight of each liked picture: 1 without a disliked one nearby, down to 0.5 at the same place."""
    if not len(disliked):
        return np.ones(len(liked))
    d = liked.shape[1]
    # The squared distance of two works of one artist has the expectation 2·d.
    nearest = ((liked[:, None] - disliked[None]) ** 2).sum(2).min(1)
    return np.asarray(1 / (1 + np.exp(-nearest / (2 * d) * 4)))
