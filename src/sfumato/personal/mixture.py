"""A mixture of Student's t distributions (Peel & McLachlan 2000) in the style space; needs NumPy only.

The prior of the means is the distribution of artists. Cross-validated likelihood chooses the number of components. The
formulas are in docs/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfumato.personal.space import Array

#: Degrees of freedom of the t distributions: low, so that one odd picture among many hardly moves a centre.
FREEDOM = 5.0
#: Maximum number of centres.
MAX_CENTRES = 5
#: Minimum number of likes per centre.
LIKES_TO_A_CENTRE = 3
#: Standard errors by which the held-out likelihood must rise for a second centre, and for any further one. Works of one
#: artist are often of two kinds, such as prints and paintings, and a style should not split because of that.
SURE, SURER = 1.5, 2.5
_STARTS = 10  # random initialisations, of which the best is used


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K t distributions in the style space.

    Attributes:
        means: ``(K, d)``.
        variances: ``(K, d)``, sum of the variance of members around the mean and of the variance of the mean.
        weights: ``(K,)``, with sum 1.
    """

    means: Array
    variances: Array
    weights: Array

    def densities(self, x: Array) -> Array:
        """Return the log density of each component times its weight, ``(N, K)``, up to a constant."""
        delta = ((x[:, None] - self.means) ** 2 / self.variances).sum(2)
        d = x.shape[1]
        kernel = -(FREEDOM + d) / 2 * np.log1p(delta / FREEDOM) - 0.5 * np.log(self.variances).sum(1)
        # The normalisation of the t distribution is left out, since it is the same for every mixture.
        return np.asarray(kernel + np.log(self.weights))

    def log_density(self, x: Array) -> Array:
        """Return the log density of the mixture, ``(N,)``, up to a constant."""
        return np.asarray(np.logaddexp.reduce(self.densities(x), axis=1))

    def shares_of(self, x: Array) -> tuple[Array, Array]:
        """Return the responsibilities ``(N, K)``, with sum 1 over K, and the weights ``(N, K)``, low for outliers."""
        logs = self.densities(x)
        shares = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
        delta = ((x[:, None] - self.means) ** 2 / self.variances).sum(2)
        return shares, np.asarray((FREEDOM + x.shape[1]) / (FREEDOM + delta))


def fit_mixture(x: Array, trust: Array, between: Array, count: int, seed: int = 0) -> Mixture:
    """Fit a mixture of ``count`` components by expectation-maximisation, from the best of several initialisations.

    Args:
        x: ``(N, d)``, places of liked pictures.
        trust: ``(N,)``, their weights.
        between: ``(d,)``, prior variance of the means.
        count: Number of components.
        seed: Seed of the initialisations.
    """
    best, best_value = None, -np.inf
    for start in range(1 if count == 1 else _STARTS):
        mixture = _maximise(x, trust, between, _initial_means(x, count, np.random.default_rng([seed, count, start])))
        value = float(trust @ mixture.log_density(x))
        if value > best_value:
            best, best_value = mixture, value
    assert best is not None
    return best


def _initial_means(x: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw initial means far from each other (k-means++; Arthur & Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(x)))]
    while len(chosen) < count:
        far = ((x[:, None] - x[chosen]) ** 2).sum(2).min(1)
        chosen.append(int(rng.choice(len(x), p=far / far.sum())) if far.sum() > 0 else chosen[0])
    return x[chosen]


def _maximise(x: Array, trust: Array, between: Array, means: Array, steps: int = 40) -> Mixture:
    """Run expectation-maximisation from initial means ``(K, d)``."""
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
    """Fit a mixture, and add components while each raises the held-out likelihood significantly (`SURE`, `SURER`).

    It has at most `MAX_CENTRES` components, and one for every `LIKES_TO_A_CENTRE` rows. The arguments are those of
    `fit_mixture`.
    """
    count = 1
    here = held_out(x, trust, between, 1) if len(x) > 1 else np.zeros(1)
    while count < min(MAX_CENTRES, len(x) // LIKES_TO_A_CENTRE):
        more = held_out(x, trust, between, count + 1)
        if not _is_significant(more - here, trust, SURE if count == 1 else SURER):
            break
        count, here = count + 1, more
    return fit_mixture(x, trust, between, count)


def _is_significant(gains: Array, trust: Array, errors: float) -> bool:
    """Return whether the weighted mean of the gains exceeds 0 by more than ``errors`` standard errors."""
    weights = trust / trust.sum()
    mean = float(weights @ gains)
    error = float(np.sqrt(weights**2 @ (gains - mean) ** 2 * len(gains) / (len(gains) - 1)))
    return mean > errors * error and mean > 0


def held_out(x: Array, trust: Array, between: Array, count: int) -> Array:
    """Return the held-out log density of each like, ``(N,)``, up to a constant, by ten-fold cross-validation.

    ``N`` must be 2 or more.
    """
    values, folds = np.zeros(len(x)), min(len(x), 10)
    for fold in range(folds):
        out = np.arange(len(x)) % folds == fold
        values[out] = fit_mixture(x[~out], trust[~out], between, count).log_density(x[out])
    return values
