"""What a person likes, learnt from a few pictures: centres of their taste, and a score over all styles.

Both live in the style space (`personal.space`), where works of one hand lie within a deviation of 1 of each other along
every direction and artists `between` apart. NumPy alone; the formulas are in docs/theory.md.

* `centres`: where the liked styles lie, as one centre or several. They are a mixture of Student's t distributions
  (Peel & McLachlan 2000) whose centres have the artists' distribution as their prior; how many there are is decided by
  the likelihood of likes that were left out.
* `PreferenceModel`: a utility over styles with its uncertainty, from likes, dislikes and answers "rather this than
  that" (Bradley & Terry 1952, with a normal prior and Laplace's approximation).
* `next_question`: the pair whose answer would tell most (Houlsby et al. 2011).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sfumato.errors import ModelError, UsageError
from sfumato.personal.space import Array, StyleSpace
from sfumato.style_code import StyleCode

__all__ = ["Centre", "PreferenceModel", "StyleSpace", "centres", "next_question"]

#: Degrees of freedom of the t distributions: low, so that one odd picture among many moves no centre.
FREEDOM = 30.0
#: Centres at most.
MOST_CENTRES = 5
#: Of the likes, at least this many for each centre.
FEWEST = 3
#: Answers that say nothing of the taste: slips, moods, pairs that are all the same to the person.
LAPSE = 0.1
#: Nats: a question that is expected to tell less is not asked.
ENOUGH = 0.02


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


def _fit(x: Array, trust: Array, between: Array, count: int, seed: int = 0) -> Mixture:
    """A mixture of ``count`` parts by expectation and maximisation, from the best of a few starts."""
    best, most = None, -np.inf
    for start in range(1 if count == 1 else 4):
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
    """The mixture with as many parts as tell likes best that were left out."""
    best, most = 1, -np.inf
    for count in range(1, min(MOST_CENTRES, max(1, len(x) // FEWEST)) + 1):
        value = held_out(x, trust, between, count)
        if value <= most:
            break
        best, most = count, value
    return _fit(x, trust, between, best)


def held_out(x: Array, trust: Array, between: Array, count: int) -> float:
    """Mean log density, but for a constant, of likes under the mixture of the others: a tenth is left out in turn."""
    n = len(x)
    if n < 2:
        return 0.0
    values = np.zeros(n)
    for fold in range(min(n, 10)):
        out = np.arange(n) % min(n, 10) == fold
        values[out] = _fit(x[~out], trust[~out], between, count).log_density(x[out])
    return float(trust @ values / trust.sum())


# ---- preferences -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PreferenceModel:
    """A utility over styles: ``u(style) = weights · features(style)`` with ``weights ~ N(mean, covariance)``.

    Features are the log odds of the style under the likes' mixture against any artist's, and the place itself.
    """

    space: StyleSpace
    mixture: Mixture | None
    mean: Array
    covariance: Array

    @classmethod
    def fit(
        cls,
        space: StyleSpace,
        liked: Sequence[StyleCode] = (),
        disliked: Sequence[StyleCode] = (),
        answers: Sequence[tuple[StyleCode, StyleCode]] = (),
    ) -> Self:
        """Learns from likes, dislikes and answers, each ``(preferred, other)``; without any it knows nothing, and
        says so in its deviations.

        Raises:
            ModelError: a style without a look.
        """
        between = space.between.astype(np.float64)
        x, y = space.places(liked), space.places(disliked)
        mixture = _choose(x, _trust(x, y), between) if len(x) else None
        first = space.places([a for a, _ in answers])
        second = space.places([b for _, b in answers])
        like, dislike = _features(x, mixture, between), _features(y, mixture, between)
        pairs = _features(first, mixture, between) - _features(second, mixture, between)
        p = pairs.shape[1]
        prior_mean = np.zeros(p)
        prior_mean[0] = 0.0 if mixture is None else 0.5
        precision = np.ones(p)
        rows = [pairs]
        if len(like) and len(dislike):  # every like is preferred to every dislike
            rows.append((like[:, None] - dislike[None]).reshape(-1, p))
        weights = np.concatenate([np.ones(len(pairs)), np.full(sum(map(len, rows[1:])), 1 / max(1, len(dislike)))])
        mean, covariance = laplace(np.concatenate(rows), weights, prior_mean, precision)
        return cls(space, mixture, mean, covariance)

    def score(self, code: StyleCode) -> tuple[float, float]:
        """The utility's mean and deviation; 0 is indifferent, and differences of utilities are log odds."""
        f = self._features([code])[0]
        return float(f @ self.mean), float(np.sqrt(f @ self.covariance @ f))

    def probability(self, a: StyleCode, b: StyleCode) -> float:
        """That the person prefers ``a`` to ``b``: exactly 0.5 for equal styles, ``1 -`` that of ``(b, a)``."""
        f = self._features([a, b])
        d = f[0] - f[1]
        return float(_chance(d @ self.mean, d @ self.covariance @ d))

    def _features(self, codes: Sequence[StyleCode]) -> Array:
        return _features(self.space.places(codes), self.mixture, self.space.between.astype(np.float64))

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """What a file holds of it, by name."""
        found = {"mean": self.mean, "covariance": self.covariance}
        if self.mixture is not None:
            found |= {f"mixture.{name}": value for name, value in vars(self.mixture).items()}
        return {name: value.astype(np.float32) for name, value in found.items()}

    @classmethod
    def of(cls, tensors: Mapping[str, npt.NDArray[np.float32]], space: StyleSpace) -> Self:
        """From what `tensors` gave.

        Raises:
            ModelError: the tensors are of another space, or damaged.
        """
        try:
            wide = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
            parts = {name.removeprefix("mixture."): value for name, value in wide.items() if "." in name}
            model = cls(space, Mixture(**parts) if parts else None, wide["mean"], wide["covariance"])
            size = len(space) + 1
            if model.mean.shape != (size,) or model.covariance.shape != (size, size):
                raise ValueError(f"its parts do not fit {len(space)} directions")
            return model
        except (KeyError, TypeError, ValueError) as problem:
            raise ModelError(f"this is no model of a preference here ({problem}); learn it again") from problem


def next_question(
    model: PreferenceModel, candidates: Sequence[StyleCode], asked: Collection[tuple[int, int]]
) -> tuple[int, int] | None:
    """The pair of candidates, by their places in the sequence, whose answer is expected to tell most of the taste.

    ``None`` where enough is learnt: no pair that was not asked yet is expected to tell `ENOUGH`.
    """
    if len(candidates) < 2:
        return None
    f = model._features(candidates)
    first, second = np.triu_indices(len(f), 1)
    d = f[first] - f[second]
    gains = gain(d @ model.mean, np.einsum("ij,jk,ik->i", d, model.covariance, d))
    done = {tuple(sorted(pair)) for pair in asked}
    for i in np.argsort(-gains, kind="stable"):
        if gains[i] < ENOUGH:
            return None
        if (pair := (int(first[i]), int(second[i]))) not in done:
            return pair
    return None


def _features(x: Array, mixture: Mixture | None, between: Array) -> Array:
    """``(N, 1 + d)`` of places ``(N, d)``."""
    place = x / np.sqrt(len(between) * (1 + between))  # of a length of about 1
    if mixture is None:
        return np.concatenate([np.zeros((len(x), 1)), place], 1)
    anyone = Mixture(np.zeros((1, len(between))), (1 + between)[None], np.ones(1))
    odds = (mixture.log_density(x) - anyone.log_density(x)) / np.sqrt(len(between))
    return np.concatenate([odds[:, None], place], 1)


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


def _chance(mean: Array, variance: Array) -> Array:
    """Expected logistic of normal utilities ``(...)``."""
    return np.asarray(_logistic(mean[..., None] + np.sqrt(variance)[..., None] * _NODES) @ _WEIGHTS)


def gain(mean: Array, variance: Array) -> Array:
    """Nats that an answer is expected to tell of the weights, by mean and variance ``(N,)`` of the difference."""
    p = _answer(mean[..., None] + np.sqrt(variance)[..., None] * _NODES)
    return np.asarray(_entropy(p @ _WEIGHTS) - _entropy(p) @ _WEIGHTS)


def _entropy(p: Array) -> Array:
    return np.asarray(-p * np.log(p) - (1 - p) * np.log1p(-p))
