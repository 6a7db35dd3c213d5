"""A preference model over styles, learnt from likes, dislikes and pairwise answers; needs NumPy only.

* `PreferenceModel`: a utility over styles with its uncertainty (Bradley & Terry 1952, with a normal prior and Laplace's
  approximation).
* `next_question`: the pair of styles with the largest expected information gain (Houlsby et al. 2011).
* `suggestions`: the built-in styles with the highest utility.

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

#: Lapse rate: share of answers that are random, such as slips.
LAPSE = 0.1
#: Minimum of the expected information gain of a question, in nats. It is a sixth of the maximum at this lapse rate, and
#: is reached after 32 to 44 questions in the benchmark (docs/personal.md).
ENOUGH = 0.08
#: Prior of the utility's weights: mean and deviation for nearness, and the deviation for coordinates, with and without
#: a centre. Chosen on training artists in the role of persons (docs/personal.md).
_NEAR, _NEAR_DEVIATION, _COORDINATE, _COORDINATE_ALONE = 1.5, 1.0, 0.2, 0.5
_MAX_ROWS = 4000  # maximum of pairs of a like and a dislike in the fit


@dataclass(frozen=True, eq=False)
class PreferenceModel:
    """A utility over styles, ``u(style) = weights · aspects(style)`` with ``weights ~ N(mean, covariance)``.

    The aspects of a style are, for each part of its features (`space.PARTS` and the learnt part), its nearness to the
    nearest centre of the likes compared with paintings in general; and its coordinates in the style space. A weight of
    nearness is the importance of a part for the person; a weight of a coordinate is a preference beyond the likes. The
    difference of two utilities is the log odds of preferring the first style.

    Attributes:
        space: The style space, with P parts and A coordinates.
        centres: ``(K, F)``, features of the centres; K may be 0.
        mean: ``(p,)``, posterior mean of the weights; p is P + A.
        covariance: ``(p, p)``, posterior covariance of the weights.
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
        """Fit the model to likes, dislikes and answers; without any, the result is the prior.

        A like counts as one answer, shared equally among the dislikes, to each of which it is preferred.

        Args:
            space: The style space.
            liked: Style codes of liked pictures.
            disliked: Style codes of disliked pictures.
            answers: Pairs ``(preferred, other)`` of style codes.
            found: `centres` of the likes, which do not change between two questions; None computes them.

        Raises:
            ModelError: A style has no channel statistics, or the codes come from different models.
        """
        if found is None:
            found = centres(liked, disliked, space) if liked else []
        features = space.features([centre.code for centre in found])
        first, second = (_aspects(space, features, [pair[i] for pair in answers]) for i in (0, 1))
        likes, dislikes = (_aspects(space, features, styles) for styles in (liked, disliked))
        every = min(len(dislikes), max(1, _MAX_ROWS // max(1, len(likes))))  # dislikes that each like is compared with
        i, j = (index.ravel() for index in np.indices((len(likes), every)))
        rows = np.concatenate([first - second, likes[i] - dislikes[(i + j) % max(1, len(dislikes))]])
        weights = np.concatenate([np.ones(len(answers)), np.full(len(i), 1 / max(1, every))])
        near, coordinates = len(space.scales), space.axes.shape[1]
        prior = np.repeat([_NEAR if found else 0.0, 0.0], [near, coordinates])
        deviations = np.repeat([_NEAR_DEVIATION, _COORDINATE if found else _COORDINATE_ALONE], [near, coordinates])
        return cls(space, features, *laplace(rows, weights, prior, 1 / deviations**2))

    def score(self, code: StyleCode) -> tuple[float, float]:
        """Return the mean and deviation of a style's utility; 0 is a painting of average distance from the likes."""
        mean, deviation = self.scores([code])
        return float(mean[0]), float(deviation[0])

    def scores(self, codes: Sequence[StyleCode]) -> tuple[Array, Array]:
        """Return the means and deviations of several styles' utilities, ``(N,)`` each."""
        aspects = self.aspects(codes)
        return aspects @ self.mean, np.sqrt(_variances(aspects, self.covariance))

    def probability(self, a: StyleCode, b: StyleCode) -> float:
        """Return the probability that the person prefers ``a`` to ``b``, without lapses: 0.5 for equal styles."""
        a_row, b_row = self.aspects([a, b])
        difference = (a_row - b_row)[None]
        return float(chance(difference @ self.mean, _variances(difference, self.covariance))[0])

    def rank(self, codes: Sequence[StyleCode]) -> list[int]:
        """Return the indices of styles in descending order of utility."""
        return [int(i) for i in np.argsort(-self.scores(codes)[0], kind="stable")]

    def aspects(self, codes: Sequence[StyleCode]) -> Array:
        """Return the aspects of styles, ``(N, p)``, of which the utility is a weighted sum."""
        return _aspects(self.space, self.centres, codes)

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the tensors to store in a file, by name."""
        return {name: getattr(self, name).astype(np.float32) for name in ("centres", "mean", "covariance")}

    @classmethod
    def of(cls, tensors: Mapping[str, npt.NDArray[np.float32]], space: StyleSpace) -> Self:
        """Restore a model from its `tensors`.

        Raises:
            ModelError: The tensors belong to another style space, or are damaged.
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
            raise ModelError(f"the stored preference model cannot be used ({problem}); learn it again") from problem


def next_question(
    model: PreferenceModel, candidates: Sequence[StyleCode], asked: Collection[tuple[int, int]] = ()
) -> tuple[int, int] | None:
    """Return the pair of candidates, by index, with the largest expected information gain.

    None where no pair reaches `ENOUGH`, except those in ``asked``, in either order.
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
    """Return the built-in styles with the highest expected utility: name, utility and its deviation."""
    names = assets.style_names()
    codes = [StyleCode.load(assets.style_path(name))[0] for name in names]
    mean, deviation = model.scores(codes)
    return [(names[i], float(mean[i]), float(deviation[i])) for i in model.rank(codes)[:count]]


def _aspects(space: StyleSpace, centres: Array, codes: Sequence[StyleCode]) -> Array:
    """Return the aspects ``(N, P + A)``: nearness to the nearest of the centres ``(K, F)`` by part, and coordinates."""
    features = space.features(codes)
    if len(centres):
        # Root mean square distance of paintings from each centre.
        usual = np.sqrt(1 + space.differences(centres) ** 2)  # (K, P)
        nearness = usual - space.differences(features[:, None], centres)  # (N, K, P)
        nearest = nearness.sum(2).argmax(1)
        near = nearness[np.arange(len(features)), nearest]
    else:
        near = np.zeros((len(features), len(space.scales)))
    return np.concatenate([near, space.coordinates(features)], 1)


def _variances(rows: Array, covariance: Array) -> Array:
    """Return the variance of ``w · row`` for each row, ``(N,)``."""
    return np.asarray(np.maximum(((rows @ covariance) * rows).sum(1), 0.0))


def laplace(rows: Array, weights: Array, prior_mean: Array, precision: Array) -> tuple[Array, Array]:
    """Return Laplace's approximation of the posterior of ``w``: its mode ``(p,)`` and covariance ``(p, p)``.

    The likelihood of an answer is ``LAPSE/2 + (1 - LAPSE)·σ(w·row)``. The mode is found by Newton's method with the
    expected information, which is positive definite, and step halving.

    Args:
        rows: ``(N, p)``, aspects of the preferred style minus those of the other.
        weights: ``(N,)``, number of answers for which each row counts.
        prior_mean: ``(p,)``, mean of the normal prior.
        precision: ``(p,)``, precision of the normal prior.
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
    """Return the probability of an answer for a difference of utilities, including lapses."""
    return LAPSE / 2 + (1 - LAPSE) * _logistic(u)


def _slope(u: Array) -> Array:
    """Return the derivative of `_answer`."""
    p = _logistic(u)
    return (1 - LAPSE) * p * (1 - p)


#: Nodes and weights of Gauss-Hermite quadrature for a standard normal variable.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(20)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def chance(mean: Array, variance: Array) -> Array:
    """Return the expectation of the logistic function of normal variables with these means and variances, ``(N,)``."""
    return np.asarray(_logistic(mean[..., None] + np.sqrt(variance)[..., None] * _NODES) @ _WEIGHTS)


def gain(mean: Array, variance: Array) -> Array:
    """Return the expected information gain of an answer about the weights, in nats, ``(N,)``.

    Args:
        mean: ``(N,)``, mean of the difference of utilities.
        variance: ``(N,)``, its variance.
    """
    p = _answer(mean[..., None] + np.sqrt(variance)[..., None] * _NODES)
    return np.asarray(_entropy(p @ _WEIGHTS) - _entropy(p) @ _WEIGHTS)


def _entropy(p: Array) -> Array:
    """Return the entropy of a binary variable, in nats."""
    return np.asarray(-p * np.log(p) - (1 - p) * np.log1p(-p))
