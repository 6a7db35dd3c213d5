"""Measures by nearest neighbours: precision, recall, density and coverage of manifolds, and the two-sample test."""

from __future__ import annotations

import numpy as np

from sfumato.errors import UsageError
from sfumato.quality.features import Array, Estimate, Features, check_pair, row_blocks
from sfumato.quality.intervals import share_interval


def _squared_distances(a: Array, b: Array) -> Array:
    """Return squared distances ``(N, M)``; values that are only rounding errors become 0, as for equal pictures."""
    scale = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)
    d = scale - 2 * (a @ b.T)
    d[d <= 1e-12 * scale] = 0.0
    return np.asarray(d, np.float64)


def precision_recall(real: Features, fake: Features, k: int = 3) -> tuple[Estimate, Estimate, Estimate, Estimate]:
    """Return precision, recall, density and coverage, in this order.

    The manifold of a set is the union of closed balls around its pictures, each with the distance of the picture's k-th
    neighbour in the set as its radius. Precision is the share of fakes in the manifold of the real pictures, recall the
    share of real pictures in the manifold of the fakes (Kynkäänniemi et al. 2019, eq. 1-3). Recall falls when a
    generator collapses. Density is the mean number of real balls that contain a fake, divided by k, and may exceed 1.
    Coverage is the share of real balls that contain a fake, and is robust to outliers among the fakes (Naeem et al.
    2020, eq. 7-8).

    The values depend on N and have no interval here: compare at equal N only.

    Raises:
        UsageError: The backbones differ, or k is outside 1 to N - 1.
    """
    if k < 1:
        raise UsageError(f"k must be 1 or more, but is {k}")
    a, b = check_pair(real, fake, k + 1)
    centre = a.mean(0)  # distances computed from products lose precision with a large mean
    a, b = a - centre, b - centre
    reach_a, reach_b = _kth_neighbour_distances(a, k), _kth_neighbour_distances(b, k)
    density, precise = 0, 0
    recalled, covered = np.zeros(len(a), bool), np.zeros(len(a), bool)
    for rows in row_blocks(len(b), len(a)):
        d = _squared_distances(b[rows], a)
        inside = d <= reach_a
        density += int(inside.sum())
        precise += int(inside.any(1).sum())
        covered |= inside.any(0)
        recalled |= (d <= reach_b[rows, None]).any(0)
    n = min(len(a), len(b))
    notes = []
    if len(a) != len(b):
        notes.append(f"the sets have {len(a)} and {len(b)} pictures, and the values depend on both")
    if n < 1000:
        notes.append(f"with {n} pictures, fewer than 1000, manifolds are coarse; compare at equal N only")
    estimates = (
        ("precision", precise / len(b)),
        ("recall", float(recalled.mean())),
        ("density", density / (k * len(b))),
        ("coverage", float(covered.mean())),
    )
    first, second, third, fourth = (
        Estimate(name, value, None, None, n, real.backbone, "; ".join(notes)) for name, value in estimates
    )
    return first, second, third, fourth


def _kth_neighbour_distances(x: Array, k: int) -> Array:
    """Return the squared distance of each row to its k-th neighbour, ``(N,)``."""
    reach = np.empty(len(x))
    for rows in row_blocks(len(x), len(x)):
        d = _squared_distances(x[rows], x)
        d[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = np.inf
        reach[rows] = np.partition(d, k - 1, axis=1)[:, k - 1]
    return reach


def nearest_neighbour_accuracy(x: Features, y: Features, seed: int = 0) -> Estimate:
    """Return the leave-one-out accuracy of a nearest-neighbour classifier of the two sets (Lopez-Paz & Oquab 2017).

    It is the share of pictures whose nearest neighbour in the union belongs to their own set. 0.5 is ideal; near 1 the
    sets are easily separated; below 0.5 pictures of one set are copies of the other's. Of the larger set, a random
    sample of the smaller one's size is used. Of several equally near neighbours, the share in the own set counts.

    The interval is Wilson's for fewer trials than pictures: two mutual nearest neighbours are right or wrong together,
    so with a share q of such pictures, n trials count as ``n / (1 + q)``. In simulations with two samples of one
    distribution (16 to 64 features, 140 to 400 pictures a set), it contains 0.5 in 94 to 97 % of 200 or 300
    repetitions.

    Args:
        x: The first set, 10 or more pictures.
        y: The second set, 10 or more pictures.
        seed: Seed of the sample from the larger set.

    Raises:
        UsageError: The backbones differ, or a set has fewer than 10 pictures.
    """
    a, b = check_pair(x, y, 10)
    n = min(len(a), len(b))
    note = ""
    if len(a) != len(b):
        note = f"of the larger set's {max(len(a), len(b))} pictures {n} were drawn"
        rng = np.random.default_rng(seed)
        a, b = (s if len(s) == n else s[np.sort(rng.choice(len(s), n, replace=False))] for s in (a, b))
    z = np.concatenate([a, b])
    z -= z.mean(0)
    own = np.arange(2 * n) < n
    right, nearest = 0.0, np.empty(2 * n, np.intp)
    for rows in row_blocks(2 * n, 2 * n):
        d = _squared_distances(z[rows], z)
        d[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = np.inf
        nearest[rows] = d.argmin(1)
        ties = d == d.min(1, keepdims=True)
        right += float(((ties & (own[rows, None] == own)).sum(1) / ties.sum(1)).sum())
    mutual = float((nearest[nearest] == np.arange(2 * n)).mean())
    interval = share_interval(right / (2 * n), 2 * n / (1 + mutual))
    return Estimate("nearest_neighbour_accuracy", interval.value, interval.low, interval.high, n, x.backbone, note)
