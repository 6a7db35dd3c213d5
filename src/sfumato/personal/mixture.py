"""A mixture of Student's t distributions (Peel & McLachlan 2000) in the style space; NumPy alone.

Its centres have the artists' distribution as their prior. How many there are is decided by the likelihood of likes that
were left out. The formulas are in docs/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfumato.personal.space import Array

#: Degrees of freedom of the t distributions: low, so that one odd picture among many moves no centre.
FREEDOM = 5.0
#: Centres at most.
MAX_CENTRES = 5
#: Of the likes, at least this many for each centre.
LIKES_TO_A_CENTRE = 3
#: A second centre must tell left-out likes better by this many standard errors, and any further one by the other: works
#: of one artist are often of two kinds (prints and paintings, say), and a style should not fall apart over them.
SURE, SURER = 1.5, 2.5
_STARTS = 10  # of the mixture; the best is kept


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
    best, best_value = None, -np.inf
    for start in range(1 if count == 1 else _STARTS):
        mixture = _climb(x, trust, between, _starts(x, count, np.random.default_rng([seed, count, start])))
        value = float(trust @ mixture.log_density(x))
        if value > best_value:
            best, best_value = mixture, value
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


def choose_mixture(x: Array, trust: Array, between: Array) -> Mixture:
    """The mixture with as many parts as tell left-out likes surely better (`SURE`, `SURER`)."""
    count = 1
    here = held_out(x, trust, between, 1) if len(x) > 1 else np.zeros(1)
    while count < min(MAX_CENTRES, len(x) // LIKES_TO_A_CENTRE):
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
