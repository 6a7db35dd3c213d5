"""Balanced accuracy of classifiers that separate outputs from real art: a given discriminator, or a new classifier.

0.5 is ideal: outputs cannot be distinguished from paintings. The accuracy of a discriminator is biased, because its
generator was trained against it. A classifier that is trained afterwards and tested on held-out pictures is fair to
every method (Lopez-Paz & Oquab 2017, section 3).
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
_PENALTIES = 10.0 ** np.arange(-3, 4)  # multiples of the kernel's mean eigenvalue


def balanced_accuracy(
    name: str,
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    fake_groups: Sequence[Hashable],
    judge: str,
    real_groups: Sequence[Hashable] | None = None,
    note: str = "",
) -> Estimate:
    """Return the balanced accuracy of scores: the mean share of correct ones among real pictures and outputs.

    A score above 0 means "real". The 95 % interval counts a group (the outputs in one style) as one trial, because its
    members tend to be right or wrong together.

    Args:
        name: Name of the measure.
        real: Scores of real pictures, ``(N,)``.
        fake: Scores of outputs, ``(M,)``.
        fake_groups: The group of each output.
        judge: Name of the classifier.
        real_groups: The group of each real picture; None makes each picture a group.
        note: Note of the estimate.

    Raises:
        UsageError: There are no scores of one kind, or the number of groups differs from the number of scores.
    """
    right_real, right_fake = np.asarray(real, np.float64) > 0, np.asarray(fake, np.float64) <= 0
    groups = list(range(len(right_real))) if real_groups is None else list(real_groups)
    if not len(right_real) or not len(right_fake):
        raise UsageError("accuracy needs scores of real pictures and of outputs, but one of them has none")
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
    """Return the held-out balanced accuracy of a linear classifier trained on features of real pictures and outputs.

    The classifier is a ridge regression on ±1 with equal weight of both classes. Five-fold cross-validation splits by
    group: a style picture and the outputs in its style are in the same fold, so test styles are new to the classifier.
    Leave-one-out inside the training folds chooses the penalty.

    Args:
        real: Features of real pictures, 10 or more.
        fake: Features of outputs, 10 or more.
        real_groups: The group of each real picture.
        fake_groups: The group of each output.
        seed: Seed of the assignment to folds.

    Raises:
        UsageError: The backbones differ, there are too few pictures or fewer than 5 groups, or the training folds hold
            only one class.
    """
    if real.backbone != fake.backbone:
        raise UsageError(
            f"features of the backbones {real.backbone!r} and {fake.backbone!r} cannot be compared; compute both with "
            "the same"
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
                raise UsageError("a fold holds only outputs or only real pictures; give references for more styles")
            scores[test] = _ridge(x[train], y[train], x[test])
    count = len(real.arrays)
    return balanced_accuracy(
        "classifier_accuracy", scores[:count], scores[count:], fake_groups, real.backbone, real_groups
    )


def _ridge(x: _Float, y: _Float, test: _Float) -> _Float:
    """Return the scores of the rows of ``test`` by a ridge classifier, in which both classes have the same weight."""
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x, test = (x - mean) / deviation, (test - mean) / deviation
    weight = np.sqrt(np.where(y > 0, 0.5 / (y > 0).sum(), 0.5 / (y < 0).sum()) * len(y))
    # Rows scaled by the roots of the weights, sqrt(w)·[x, 1], turn the weighted problem into a plain dual one.
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
    result: _Float = np.concatenate([test, np.ones((len(test), 1))], 1) @ (rows.T @ chosen)
    return result
