"""A score over all styles, learnt from likes, dislikes and answers "rather this than that"; NumPy alone.

* `PreferenceModel`: a utility over styles with its uncertainty (Bradley & Terry 1952, with a normal prior and Laplace's
  approximation).
* `next_question`: the pair whose answer would tell most (Houlsby et al. 2011).
* `suggestions`: the built-in styles by that score.

The formulas are in docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sfumato import assets
from sfumato.errors import ModelError
from sfumato.personal.centres import Centre, centres
from sfumato.personal.space import Array, StyleSpace
from sfumato.style_code import StyleCode

#: Answers that say nothing of the person's preferences: slips, moods, pairs that are all the same to the person.
LAPSE = 0.1
#: Nats: a question that is expected to tell less is not asked. It is a sixth of the most that an answer can tell,
#: slips counted in, and comes after 32 to 44 questions in the benchmark (docs/personal.md).
ENOUGH = 0.08
#: Of the prior of a utility's weights: the mean and deviation of those of nearness, and the deviation of those of the
#: coordinates, where there is a centre to be near to and where there is none. Chosen on training artists who stood in
#: for persons (docs/personal.md).
_NEAR, _NEAR_DEVIATION, _COORDINATE, _COORDINATE_ALONE = 1.5, 1.0, 0.2, 0.5
_MAX_ROWS = 4000  # pairs of a like and a dislike that are looked at


@dataclass(frozen=True, eq=False)
class PreferenceModel:
    """A utility over styles, ``u(style) = weights · aspects(style)`` with ``weights ~ N(mean, covariance)``.

    Aspects are, part by part of the features (`space.PARTS`, and what was learnt), how much nearer the style is to the
    nearest centre of the likes than paintings are, and the style's coordinates. So a weight of the first kind says how
    much a part matters to the person; those of the second kind are preferences that the likes do not show. The
    difference of two utilities is the log odds of preferring one.

    Attributes:
        centres: ``(K, F)``, features of the centres; K may be 0.
        mean, covariance: ``(p,)`` and ``(p, p)``, of the weights; p is P + A.
    """

    space: StyleSpace
    centres: Array
    mean: Array
    covariance: Array

    @classmethod
    def fit(
        cls,
        space: StyleSpace,
        liked: Sequence[StyleCode] = (),
        disliked: Sequence[StyleCode] = (),
        answers: Sequence[tuple[StyleCode, StyleCode]] = (),
        found: Sequence[Centre] | None = None,
    ) -> Self:
        """Learns from likes, dislikes and answers, each ``(preferred, other)``; without any it knows nothing, and says
        so in its deviations.

        A like counts as one answer: that it is preferred, to each dislike in equal shares. ``found`` are the `centres`
        of the likes, where they are known already: between two questions they stay the same.

        Raises:
            ModelError: a style without channel statistics, or likes of several models.
        """
        if found is None:
            found = centres(liked, disliked, space) if liked else []
        features = space.features([centre.code for centre in found])
        first, second = (_aspects(space, features, [pair[i] for pair in answers]) for i in (0, 1))
        likes, dislikes = (_aspects(space, features, styles) for styles in (liked, disliked))
        every = min(len(dislikes), max(1, _MAX_ROWS // max(1, len(likes))))  # dislikes that each like is held against
        i, j = (index.ravel() for index in np.indices((len(likes), every)))
        rows = np.concatenate([first - second, likes[i] - dislikes[(i + j) % max(1, len(dislikes))]])
        weights = np.concatenate([np.ones(len(answers)), np.full(len(i), 1 / max(1, every))])
        near, coordinates = len(space.scales), space.axes.shape[1]
        prior = np.repeat([_NEAR if found else 0.0, 0.0], [near, coordinates])
        deviations = np.repeat([_NEAR_DEVIATION, _COORDINATE if found else _COORDINATE_ALONE], [near, coordinates])
        return cls(space, features, *laplace(rows, weights, prior, 1 / deviations**2))

    def score(self, code: StyleCode) -> tuple[float, float]:
        """The utility's mean and deviation. Around 0 lie styles that are as far from the likes as paintings are."""
        mean, deviation = self.scores([code])
        return float(mean[0]), float(deviation[0])

    def scores(self, codes: Sequence[StyleCode]) -> tuple[Array, Array]:
        """Of several styles, ``(N,)`` each."""
        aspects = self.aspects(codes)
        return aspects @ self.mean, np.sqrt(_variances(aspects, self.covariance))

    def probability(self, a: StyleCode, b: StyleCode) -> float:
        """That the person prefers ``a`` to ``b``, slips left aside: 0.5 for equal styles."""
        a_row, b_row = self.aspects([a, b])
        difference = (a_row - b_row)[None]
        return float(chance(difference @ self.mean, _variances(difference, self.covariance))[0])

    def rank(self, codes: Sequence[StyleCode]) -> list[int]:
        """Places in the sequence, the style that is liked most first."""
        return [int(i) for i in np.argsort(-self.scores(codes)[0], kind="stable")]

    def aspects(self, codes: Sequence[StyleCode]) -> Array:
        """``(N, p)``: what the utility is a weighted sum of."""
        return _aspects(self.space, self.centres, codes)

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """What a file holds of it, by name."""
        return {name: getattr(self, name).astype(np.float32) for name in ("centres", "mean", "covariance")}

    @classmethod
    def of(cls, tensors: Mapping[str, npt.NDArray[np.float32]], space: StyleSpace) -> Self:
        """From what `tensors` gave.

        Raises:
            ModelError: the tensors are of another space, or damaged.
        """
        size = len(space.scales) + space.axes.shape[1]
        try:
            parts = [np.asarray(tensors[name], np.float64) for name in ("centres", "mean", "covariance")]
            if parts[0].shape[1:] != space.mean.shape or [part.shape for part in parts[1:]] != [(size,), (size, size)]:
                raise ValueError("its parts do not fit this style space")
            if not all(np.isfinite(part).all() for part in parts):
                raise ValueError("it has values that are not numbers")
            return cls(space, *parts)
        except (KeyError, TypeError, ValueError) as problem:
            raise ModelError(f"this is no preference that can be used here ({problem}); learn it again") from problem


def next_question(
    model: PreferenceModel, candidates: Sequence[StyleCode], asked: Collection[tuple[int, int]] = ()
) -> tuple[int, int] | None:
    """The pair of candidates, by their places in the sequence, whose answer is expected to tell most of the person's
    preferences.

    ``None`` where enough is learnt: no pair but those ``asked``, in either order, is expected to tell `ENOUGH`.
    """
    if len(candidates) < 2:
        return None
    aspects = model.aspects(candidates)
    first, second = np.triu_indices(len(aspects), 1)
    differences = aspects[first] - aspects[second]
    gains = gain(differences @ model.mean, _variances(differences, model.covariance))
    done = {(min(pair), max(pair)) for pair in asked}
    for i in np.argsort(-gains, kind="stable"):
        pair = int(first[i]), int(second[i])
        if gains[i] < ENOUGH:
            return None
        if pair not in done:
            return pair
    return None


def suggestions(model: PreferenceModel, count: int = 5) -> list[tuple[str, float, float]]:
    """The built-in styles that the person is expected to like most: name, utility and its deviation."""
    names = assets.style_names()
    codes = [StyleCode.load(assets.style_path(name))[0] for name in names]
    mean, deviation = model.scores(codes)
    return [(names[i], float(mean[i]), float(deviation[i])) for i in model.rank(codes)[:count]]


def _aspects(space: StyleSpace, centres: Array, codes: Sequence[StyleCode]) -> Array:
    """``(N, P + A)``: nearness to the nearest of the centres ``(K, F)``, part by part, and coordinates."""
    features = space.features(codes)
    if len(centres):
        # How far paintings are from each centre, by the root of the mean square.
        usual = np.sqrt(1 + space.differences(centres) ** 2)  # (K, P)
        nearness = usual - space.differences(features[:, None], centres)  # (N, K, P)
        nearest = nearness.sum(2).argmax(1)
        near = nearness[np.arange(len(features)), nearest]
    else:
        near = np.zeros((len(features), len(space.scales)))
    return np.concatenate([near, space.coordinates(features)], 1)


def _variances(rows: Array, covariance: Array) -> Array:
    return np.asarray(np.maximum(((rows @ covariance) * rows).sum(1), 0.0))


def laplace(rows: Array, weights: Array, prior_mean: Array, precision: Array) -> tuple[Array, Array]:
    """Laplace's approximation of the posterior of ``w``: its mode ``(p,)`` and covariance ``(p, p)``.

    Args:
        rows: ``(N, p)``, features of the preferred less those of the other.
        weights: ``(N,)``, for how many answers each counts.
        prior_mean, precision: ``(p,)``, of the normal prior.

    The likelihood of an answer is ``LAPSE/2 + (1 - LAPSE)·σ(w·row)``. Newton's steps with the expected information,
    which is positive, halved until the posterior rises.
    """

    def value(w: Array) -> float:
        return float(weights @ np.log(_answer(rows @ w))) - 0.5 * float(precision @ (w - prior_mean) ** 2)

    def information(w: Array) -> Array:
        p = _answer(rows @ w)
        slope = _slope(rows @ w)
        return np.asarray((rows.T * (weights * slope**2 / (p * (1 - p)))) @ rows + np.diag(precision))

    w = prior_mean.copy()
    for _ in range(100):
        u = rows @ w
        gradient = rows.T @ (weights * _slope(u) / _answer(u)) - precision * (w - prior_mean)
        step = np.linalg.solve(information(w), gradient)
        size, here = 1.0, value(w)
        while value(w + size * step) < here and size > 1e-6:
            size /= 2
        w = w + size * step
        if np.abs(size * step).max() < 1e-8:
            break
    return w, np.asarray(np.linalg.inv(information(w)), np.float64)


def _logistic(u: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(u / 2))


def _answer(u: Array) -> Array:
    """Chance of an answer by the difference of utilities, slips included."""
    return LAPSE / 2 + (1 - LAPSE) * _logistic(u)


def _slope(u: Array) -> Array:
    p = _logistic(u)
    return (1 - LAPSE) * p * (1 - p)


#: Gauss and Hermite's nodes and weights of a standard normal.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(20)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def chance(mean: Array, variance: Array) -> Array:
    """Expected logistic function of normal values, by their means and variances ``(N,)``: ``(N,)``."""
    return np.asarray(_logistic(mean[..., None] + np.sqrt(variance)[..., None] * _NODES) @ _WEIGHTS)


def gain(mean: Array, variance: Array) -> Array:
    """Nats that an answer is expected to tell of the weights, by mean and variance ``(N,)`` of the difference."""
    p = _answer(mean[..., None] + np.sqrt(variance)[..., None] * _NODES)
    return np.asarray(_entropy(p @ _WEIGHTS) - _entropy(p) @ _WEIGHTS)


def _entropy(p: Array) -> Array:
    return np.asarray(-p * np.log(p) - (1 - p) * np.log1p(-p))
