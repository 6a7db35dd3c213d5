"""What a person likes, learnt from a few pictures: centres of their taste, and a score over all styles.

Both live in the style space (`personal.space`). NumPy alone; the formulas are in docs/theory.md.

* `centres`: where the liked styles lie, as one centre or several. They are a mixture of Student's t distributions
  (Peel & McLachlan 2000) whose centres have the artists' distribution as their prior; how many there are is decided by
  the likelihood of likes that were left out.
* `PreferenceModel`: a utility over styles with its uncertainty, from likes, dislikes and answers "rather this than
  that" (Bradley & Terry 1952, with a normal prior and Laplace's approximation).
* `next_question`: the pair whose answer would tell most (Houlsby et al. 2011).
* `suggestions`: the built-in styles by that score; `setting`: strength and stroke by answers about those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sfumato import assets
from sfumato.errors import ModelError, UsageError
from sfumato.personal.space import Array, StyleSpace
from sfumato.style_code import StyleCode

__all__ = ["Centre", "PreferenceModel", "StyleSpace", "centres", "next_question", "suggestions"]

#: Degrees of freedom of the t distributions: low, so that one odd picture among many moves no centre.
FREEDOM = 5.0
#: Centres at most.
MOST_CENTRES = 5
#: Of the likes, at least this many for each centre.
LIKES_TO_A_CENTRE = 3
#: A second centre must tell left-out likes better by this many standard errors, and any further one by the other: works
#: of one artist are often of two kinds (prints and paintings, say), and taste should not fall apart over them.
SURE, SURER = 1.5, 2.5
#: Answers that say nothing of the taste: slips, moods, pairs that are all the same to the person.
LAPSE = 0.1
#: Nats: a question that is expected to tell less is not asked. It is a sixth of the most that an answer can tell,
#: slips counted in, and comes after 32 to 44 questions in the benchmark (docs/personal.md).
ENOUGH = 0.08
#: Of the prior of a utility's weights: the mean and deviation of those of nearness, and the deviation of those of the
#: coordinates, where there is a centre to be near to and where there is none. Chosen on training artists who stood in
#: for persons (docs/personal.md).
_NEAR, _NEAR_DEVIATION, _COORDINATE, _COORDINATE_ALONE = 1.5, 1.0, 0.2, 0.5
_STARTS = 10  # of the mixture; the best is kept
_MOST_ROWS = 4000  # pairs of a like and a dislike that are looked at


# ---- centres ---------------------------------------------------------------------------------------------------------


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
    """Where a person's taste lies, the heaviest centre first.

    Likes that lie as near to dislikes as to other likes have less weight. ``space`` is by default that of the model
    that ships with Sfumato.

    Raises:
        UsageError: nothing is liked.
        ModelError: styles of several models, or a style without a look.
    """
    if not liked:
        raise UsageError("there is no liked picture to learn from; add one or more that you like")
    space = space or StyleSpace.load()
    x = space.places(liked)
    trust = _trust(x, space.places(disliked))
    mixture = _choose(x, trust, space.between.astype(np.float64))
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


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K t distributions in the style space.

    Attributes:
        means: ``(K, d)``.
        variances: ``(K, d)``: of the members around the mean, and of the mean itself.
        weights: ``(K,)``, of sum 1.
    """

    means: Array
    variances: Array
    weights: Array

    def densities(self, x: Array) -> Array:
        """Log densities ``(N, K)`` of each part, its weight included."""
        delta = ((x[:, None] - self.means) ** 2 / self.variances).sum(2)
        d = x.shape[1]
        kernel = -(FREEDOM + d) / 2 * np.log1p(delta / FREEDOM) - 0.5 * np.log(self.variances).sum(1)
        # The constant of the t distribution is left out: it is the same for every mixture.
        return np.asarray(kernel + np.log(self.weights))

    def log_density(self, x: Array) -> Array:
        """``(N,)``, but for a constant."""
        return np.asarray(np.logaddexp.reduce(self.densities(x), axis=1))

    def shares_of(self, x: Array) -> tuple[Array, Array]:
        """Whose each place is, ``(N, K)`` of sum 1 over K, and how much it pulls, ``(N, K)``: little from far off."""
        logs = self.densities(x)
        shares = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
        delta = ((x[:, None] - self.means) ** 2 / self.variances).sum(2)
        return shares, np.asarray((FREEDOM + x.shape[1]) / (FREEDOM + delta))


def fit_mixture(x: Array, trust: Array, between: Array, count: int, seed: int = 0) -> Mixture:
    """A mixture of ``count`` parts by expectation and maximisation, from the best of a few starts."""
    best, most = None, -np.inf
    for start in range(1 if count == 1 else _STARTS):
        mixture = _climb(x, trust, between, _starts(x, count, np.random.default_rng([seed, count, start])))
        value = float(trust @ mixture.log_density(x))
        if value > most:
            best, most = mixture, value
    assert best is not None
    return best


def _starts(x: Array, count: int, rng: np.random.Generator) -> Array:
    """Means to begin with, far from each other (Arthur & Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(x)))]
    while len(chosen) < count:
        far = ((x[:, None] - x[chosen]) ** 2).sum(2).min(1)
        chosen.append(int(rng.choice(len(x), p=far / far.sum())) if far.sum() > 0 else chosen[0])
    return x[chosen]


def _climb(x: Array, trust: Array, between: Array, means: Array, steps: int = 40) -> Mixture:
    count = len(means)
    mixture = Mixture(means, np.ones((count, x.shape[1])), np.full(count, 1 / count))
    for _ in range(steps):
        shares, pull = mixture.shares_of(x)
        mass = (trust[:, None] * shares).sum(0)
        weight = trust[:, None] * shares * pull
        precision = 1 / between + weight.sum(0)[:, None]
        new = Mixture(weight.T @ x / precision, 1 + 1 / precision, (mass + 1) / (mass.sum() + count))
        moved = float(np.abs(new.means - mixture.means).max())
        mixture = new
        if moved < 1e-4:
            break
    return mixture


def _choose(x: Array, trust: Array, between: Array) -> Mixture:
    """The mixture with as many parts as tell left-out likes surely better (`SURE`, `SURER`)."""
    count = 1
    here = held_out(x, trust, between, 1) if len(x) > 1 else np.zeros(1)
    while count < min(MOST_CENTRES, len(x) // LIKES_TO_A_CENTRE):
        more = held_out(x, trust, between, count + 1)
        if not _surely_above(more - here, trust, SURE if count == 1 else SURER):
            break
        count, here = count + 1, more
    return fit_mixture(x, trust, between, count)


def _surely_above(gains: Array, trust: Array, errors: float) -> bool:
    """Whether the weighted mean of the gains is above 0 by so many standard errors."""
    weights = trust / trust.sum()
    mean = float(weights @ gains)
    error = float(np.sqrt(weights**2 @ (gains - mean) ** 2 * len(gains) / (len(gains) - 1)))
    return mean > errors * error and mean > 0


def held_out(x: Array, trust: Array, between: Array, count: int) -> Array:
    """Log density ``(N,)``, but for a constant, of each like under the mixture of the others: a tenth is left out in
    turn. ``N`` is 2 or more."""
    values, folds = np.zeros(len(x)), min(len(x), 10)
    for fold in range(folds):
        out = np.arange(len(x)) % folds == fold
        values[out] = fit_mixture(x[~out], trust[~out], between, count).log_density(x[out])
    return values


# ---- preferences -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PreferenceModel:
    """A utility over styles, ``u(style) = weights · aspects(style)`` with ``weights ~ N(mean, covariance)``.

    Aspects are, part by part of the features (`space.PARTS`, and what was learnt), how much nearer the style is to the
    nearest centre of the likes than paintings are, and the style's coordinates. So a weight of the first kind says how
    much a part matters to the person; those of the second kind are tastes that the likes do not show. The difference of
    two utilities is the log odds of preferring one.

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
            ModelError: a style without a look, or likes of several models.
        """
        if found is None:
            found = centres(liked, disliked, space) if liked else []
        features = space.features([centre.code for centre in found])
        first, second = (_aspects(space, features, [pair[i] for pair in answers]) for i in (0, 1))
        likes, dislikes = (_aspects(space, features, styles) for styles in (liked, disliked))
        every = min(len(dislikes), max(1, _MOST_ROWS // max(1, len(likes))))  # dislikes that each like is held against
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
    """The pair of candidates, by their places in the sequence, whose answer is expected to tell most of the taste.

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
