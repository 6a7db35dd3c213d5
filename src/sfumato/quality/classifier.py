"""Can a classifier tell outputs from real art? Balanced accuracy of a given discriminator, and of one trained afresh.

50 % is ideal: outputs that cannot be told from paintings. A discriminator judges the generator that it was trained
against, and so flatters or starves it; a classifier that is trained afterwards, and judged on what it has not seen, is
fair to every method (Lopez-Paz & Oquab 2017, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from sfumato.errors import UsageError
from sfumato.quality.features import Estimate, Features
from sfumato.quality.intervals import share_interval

_Float = npt.NDArray[np.float64]
_FOLDS = 5
_PENALTIES = 10.0 ** np.arange(-3, 4)  # in units of the mean eigenvalue of the kernel


def balanced_accuracy(
    name: str,
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    fake_groups: Sequence[Hashable],
    judge: str,
    real_groups: Sequence[Hashable] | None = None,
    note: str = "",
) -> Estimate:
    """The mean of the shares of real pictures with a score above 0, and of outputs with one of 0 or less.

    The interval takes a group (a style's outputs) as one trial: they are right or wrong together.

    Args:
        real: ``(N,)`` scores; above 0 is "real".
        fake: ``(M,)`` scores of outputs.
        fake_groups: each output's group.
        judge: who gave the scores.
        real_groups: each real picture's group; each its own by default.

    Raises:
        UsageError: no scores, or as many groups as scores were not given.
    """
    right_real, right_fake = np.asarray(real, np.float64) > 0, np.asarray(fake, np.float64) <= 0
    groups = list(range(len(right_real))) if real_groups is None else list(real_groups)
    if not len(right_real) or not len(right_fake):
        raise UsageError("accuracy needs scores of real pictures and of outputs, and one of them has none")
    if len(groups) != len(right_real) or len(fake_groups) != len(right_fake):
        raise UsageError("accuracy needs the group of every picture; give as many groups as scores")
    sides = [
        share_interval(float(right.mean()), len(set(those)))
        for right, those in ((right_real, groups), (right_fake, fake_groups))
    ]
    value = (sides[0].value + sides[1].value) / 2
    low = value - math.hypot(*(side.value - side.low for side in sides)) / 2
    high = value + math.hypot(*(side.high - side.value for side in sides)) / 2
    n = min(len(right_real), len(right_fake))
    return Estimate(name, value, max(0.0, low), min(1.0, high), n, judge, note)


def fresh_classifier_accuracy(
    real: Features, fake: Features, real_groups: Sequence[Hashable], fake_groups: Sequence[Hashable], seed: int = 0
) -> Estimate:
    """Held-out balanced accuracy of a linear classifier (ridge regression on ±1, classes weighted alike) that is
    trained on the features of real pictures and of outputs.

    Five folds over groups: a style picture and the outputs in its style are in the same fold, so a style that it is
    asked about is one that it has not seen. Its penalty is chosen inside the training folds, by leave-one-out.

    Raises:
        UsageError: other backbones, or fewer than 10 real pictures, 10 outputs or 5 groups.
    """
    if real.backbone != fake.backbone:
        raise UsageError(
            f"features of the backbones {real.backbone!r} and {fake.backbone!r} cannot be compared; make both with one"
        )
    names = sorted({*real_groups, *fake_groups}, key=repr)
    if len(real.arrays) < 10 or len(fake.arrays) < 10 or len(names) < _FOLDS:
        raise UsageError(f"a classifier needs 10 or more pictures on either side, and {_FOLDS} or more styles")
    x = np.concatenate([real.arrays, fake.arrays]).astype(np.float64)
    y = np.repeat([1.0, -1.0], [len(real.arrays), len(fake.arrays)])
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[place]: i % _FOLDS for i, place in enumerate(order)}
    fold = np.array([fold_of[group] for group in (*real_groups, *fake_groups)])
    scores = np.zeros(len(x))
    for held_out in range(_FOLDS):
        train, test = fold != held_out, fold == held_out
        if test.any():
            if len(set(y[train])) < 2:
                raise UsageError("a fold has outputs or real pictures alone; give references for more styles")
            scores[test] = _ridge(x[train], y[train], x[test])
    count = len(real.arrays)
    return balanced_accuracy(
        "classifier_accuracy", scores[:count], scores[count:], fake_groups, real.backbone, real_groups
    )


def _ridge(x: _Float, y: _Float, asked: _Float) -> _Float:
    """Scores of a ridge classifier; both classes weigh the same however many they are."""
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x, asked = (x - mean) / deviation, (asked - mean) / deviation
    weight = np.sqrt(np.where(y > 0, 0.5 / (y > 0).sum(), 0.5 / (y < 0).sum()) * len(y))
    # With the weights' roots on the rows, sqrt(w)·[x, 1], the plain dual form holds.
    rows = weight[:, None] * np.concatenate([x, np.ones((len(x), 1))], 1)
    targets = weight * y
    values, vectors = np.linalg.eigh(rows @ rows.T)
    values, projected = np.maximum(values, 0), vectors.T @ targets
    best, chosen = np.inf, np.zeros(len(y))
    for penalty in _PENALTIES * float(values.mean()):
        alpha = vectors @ (projected / (values + penalty))
        inverse = ((vectors**2) / (values + penalty)).sum(1)  # diagonal of (K + λI)⁻¹
        left_out = float(((alpha / inverse) ** 2).mean())  # squared leave-one-out residuals, in closed form
        if left_out < best:
            best, chosen = left_out, alpha
    result: _Float = np.concatenate([asked, np.ones((len(asked), 1))], 1) @ (rows.T @ chosen)
    return result
