"""Kernel inception distance (KID) of two sets of features: unbiased, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sfumato.errors import UsageError
from sfumato.quality.features import Array, Estimate, Features, check_pair, row_blocks
from sfumato.quality.intervals import normal_quantile


@dataclass(frozen=True)
class KernelDistance:
    """KID from all pictures, and as the mean over subsets.

    Attributes:
        estimate: The unbiased estimate from all pictures, with its 95 % interval.
        mean: Mean over subsets, as articles report it.
        sd: Standard deviation over subsets.
        subsets: Number of subsets.
        size: Pictures of each set in a subset.
    """

    estimate: Estimate
    mean: float
    sd: float
    subsets: int
    size: int


def kid(x: Features, y: Features, subsets: int = 100, size: int = 1000, seed: int = 0) -> KernelDistance:
    """Return the kernel inception distance (Bińkowski et al. 2018): unbiased MMD² with ``k(a, b) = (a·b/D + 1)³``.

    The interval of the full estimate comes from the jackknife over the pictures of both sets, in closed form. Where
    both sets come from one distribution, the estimate is degenerate, and the variance of the jackknife is up to twice
    too large, on the safe side: in simulations with 16 to 64 features and 140 to 800 pictures, normal, rectified and
    heavy-tailed, the interval contains 0 in 97 to 100 % of 200 or 300 repetitions.

    Args:
        x: The first set, 10 or more pictures.
        y: The second set, 10 or more pictures.
        subsets: Number of subsets, 2 or more.
        size: Pictures in a subset, 2 or more. It is lowered to half of the smaller set, and the note says so: larger
            subsets would overlap too much for a meaningful deviation.
        seed: Seed of the subsets; equal seeds and sets give equal subsets.

    Raises:
        UsageError: The backbones differ, a set has fewer than 10 pictures, or ``subsets`` or ``size`` is below 2.
    """
    a, b = check_pair(x, y, 10)
    if subsets < 2 or size < 2:
        raise UsageError(f"KID needs 2 or more subsets of 2 or more pictures, but has {subsets} of {size}")
    n, m = len(a), len(b)
    note = ""
    if size > min(n, m) // 2:
        note = f"subsets have {min(n, m) // 2} pictures and not {size}, half of the smaller set's {min(n, m)}"
        size = min(n, m) // 2
    found = []
    for subset in range(subsets):
        rng = np.random.default_rng([seed, subset])
        i, j = rng.choice(n, size, replace=False), rng.choice(m, size, replace=False)
        found.append(_mmd(*_kernel_sums(a[i], b[j])[:3]))
    own_a, own_b, cross_a, cross_b = _kernel_sums(a, b)
    value = _mmd(own_a, own_b, cross_a)
    # Leave-one-out estimates, up to a common constant.
    total_a, total_b, cross = own_a.sum(), own_b.sum(), cross_a.sum()
    without_a = (total_a - 2 * own_a) / ((n - 1) * (n - 2)) - 2 * (cross - cross_a) / ((n - 1) * m)
    without_b = (total_b - 2 * own_b) / ((m - 1) * (m - 2)) - 2 * (cross - cross_b) / (n * (m - 1))
    variance = float(without_a.var()) * (n - 1) + float(without_b.var()) * (m - 1)
    half = normal_quantile(0.95) * math.sqrt(variance)
    estimate = Estimate("kid", value, value - half, value + half, min(n, m), x.backbone, note)
    return KernelDistance(estimate, float(np.mean(found)), float(np.std(found, ddof=1)), subsets, size)


def _kernel_sums(a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    """Return the row sums of the kernel within each set, without the diagonal, and across the sets.

    ``own_a (N,)``, ``own_b (M,)``, ``cross_a (N,)`` and ``cross_b (M,)``.
    """
    own_a, cross_a, cross_b = np.empty(len(a)), np.empty(len(a)), np.zeros(len(b))
    own_b = np.empty(len(b))
    for rows in row_blocks(len(a), max(len(a), len(b))):
        own_a[rows] = _kernel(a[rows], a).sum(1) - _kernel_diagonal(a[rows])
        across = _kernel(a[rows], b)
        cross_a[rows] = across.sum(1)
        cross_b += across.sum(0)
    for rows in row_blocks(len(b), len(b)):
        own_b[rows] = _kernel(b[rows], b).sum(1) - _kernel_diagonal(b[rows])
    return own_a, own_b, cross_a, cross_b


def _kernel(a: Array, b: Array) -> Array:
    k = a @ b.T / a.shape[1] + 1.0
    return np.asarray(k * k * k, np.float64)


def _kernel_diagonal(a: Array) -> Array:
    return np.asarray((np.einsum("ij,ij->i", a, a) / a.shape[1] + 1.0) ** 3, np.float64)


def _mmd(own_a: Array, own_b: Array, cross_a: Array) -> float:
    """Return the unbiased MMD² (Gretton et al. 2012, eq. 3) from the row sums of the kernel."""
    n, m = len(own_a), len(own_b)
    within = float(own_a.sum()) / (n * (n - 1)) + float(own_b.sum()) / (m * (m - 1))
    return within - 2 * float(cross_a.sum()) / (n * m)
