"""The inception score, computed from class probabilities without a reference."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sfumato.checks import check_shape
from sfumato.errors import InputError, UsageError
from sfumato.quality.features import Estimate
from sfumato.quality.intervals import mean_interval


def inception_score(probabilities: npt.ArrayLike, backbone: str, splits: int = 10, seed: int = 0) -> Estimate:
    """Return the inception score ``exp(E KL(p(y|x) || p(y)))`` (Salimans et al. 2016): mean over splits, 95 % interval.

    It ranges from 1 to the number of classes, and is lower in smaller splits. It is nearly meaningless for art: the
    classes are photographed things, real paintings score low, and there is no reference. It is provided for comparison
    with articles that report it.

    Args:
        probabilities: ``(N, classes)``, each row with a sum of 1.
        backbone: Name of the classifier.
        splits: Number of random splits, 2 or more.
        seed: Seed of the splits, which are random because files are sorted by style.

    Raises:
        InputError: A row is not a probability distribution.
        UsageError: There are fewer than 2 splits, or fewer than 2 pictures in a split.
    """
    p = np.asarray(probabilities, np.float64)
    n = check_shape(p, "N C", "probabilities")["N"]
    if splits < 2 or n < 2 * splits:
        raise UsageError(f"the inception score needs 2 or more splits of 2 or more pictures, not {splits} of {n}")
    if not (p.min() >= 0 and np.abs(p.sum(1) - 1).max() < 1e-3):
        raise InputError("probabilities must be 0 or more and sum to 1 in each row; give the softmax of the logits")
    found = []
    for part in np.array_split(np.random.default_rng(seed).permutation(n), splits):
        mean = p[part].mean(0)
        # 0·log(0) is 0; where the mean is 0, so is every p.
        ratio = np.divide(p[part], mean, out=np.ones_like(p[part]), where=p[part] > 0)
        found.append(math.exp(float((p[part] * np.log(ratio)).sum(1).mean())))
    interval = mean_interval(found)
    note = "the inception score is nearly meaningless for art: its classes are photographed things"
    return Estimate("inception_score", interval.value, interval.low, interval.high, n, backbone, note)
