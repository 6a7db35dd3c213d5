"""Centres of a person's style: where the styles that they like lie in the style space, as one centre or several."""

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
    """One thing that a person likes.

    Attributes:
        code: a style to paint with.
        weight: share of the likes, of all centres' 1 in sum.
        members: places in the sequence of likes.
    """

    code: StyleCode
    weight: float
    members: tuple[int, ...]


def centres(
    liked: Sequence[StyleCode], disliked: Sequence[StyleCode] = (), space: StyleSpace | None = None
) -> list[Centre]:
    """Where a person's style lies, the heaviest centre first.

    Likes that lie as near to dislikes as to other likes have less weight. ``space`` is by default that of the model
    that ships with Sfumato.

    Raises:
        UsageError: nothing is liked.
        ModelError: styles of several models, or a style without channel statistics.
    """
    if not liked:
        raise UsageError("there is no liked picture to learn from; add one or more that you like")
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
    """Of each like, from 0 to 1, that it is one: 1 where no dislike is near, half where one lies upon it."""
    if not len(disliked):
        return np.ones(len(liked))
    d = liked.shape[1]
    nearest = ((liked[:, None] - disliked[None]) ** 2).sum(2).min(1)  # twice the variance within: 2 d between two works
    return np.asarray(1 / (1 + np.exp(-nearest / (2 * d) * 4)))
