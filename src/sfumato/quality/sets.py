"""Measures of a method's outputs as a *set*, compared with references: the style pictures, or any folder of art.

A set is an array of pooled features of one backbone. A measure that has too few pictures is NaN, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

from sfumato.errors import UsageError
from sfumato.quality.backbones import Pooled
from sfumato.quality.features import Estimate, Features
from sfumato.quality.frechet import Moments, fid, fid_infinity
from sfumato.quality.inception_score import inception_score
from sfumato.quality.kernel import kid
from sfumato.quality.neighbours import nearest_neighbour_accuracy, precision_recall


def as_set(backbone: str, members: Sequence[Pooled]) -> tuple[Features, npt.NDArray[np.float32] | None]:
    """Return the features ``(N, D)`` of pictures, and their class probabilities ``(N, K)`` if the backbone has any."""
    probabilities = [one.probabilities for one in members if one.probabilities is not None]
    features = Features(backbone, np.stack([one.features for one in members]))
    return features, np.stack(probabilities) if probabilities else None


def set_estimates(
    outputs: Features, references: Features, probabilities: npt.NDArray[np.float32] | None = None
) -> list[Estimate]:
    """Return KID, FID, FID∞, precision, recall, density, coverage, the nearest-neighbour test and the inception score.

    A measure that needs more pictures has the value NaN, and its note states the requirement. The inception score is
    left out without ``probabilities``.
    """
    n = min(len(outputs.arrays), len(references.arrays))
    estimates: list[Estimate] = []

    def add(names: Sequence[str], measure: Callable[[], Sequence[Estimate]]) -> None:
        try:
            estimates.extend(measure())
        except UsageError as problem:
            estimates.extend(
                Estimate(name, float("nan"), None, None, n, outputs.backbone, f"refused: {problem}") for name in names
            )

    add(["kid"], lambda: [kid(outputs, references).estimate])
    add(["fid"], lambda: [fid(Moments.of(outputs), Moments.of(references))])
    add(["fid_infinity"], lambda: [fid_infinity(outputs, references)])
    add(["precision", "recall", "density", "coverage"], lambda: precision_recall(references, outputs))
    add(["nearest_neighbour_accuracy"], lambda: [nearest_neighbour_accuracy(outputs, references)])
    if probabilities is not None:
        splits = min(10, len(probabilities) // 20)
        add(["inception_score"], lambda: [inception_score(probabilities, outputs.backbone, splits)])
    return estimates


def diversity(features: Features, groups: Sequence[Hashable]) -> float:
    """Return the mean cosine distance ``1 - cos`` between two pictures of one group, averaged over groups.

    With the style as group, it is the diversity over photos under one style, and falls when a generator collapses. With
    the photo as group, it is the diversity over styles of one photo. Compare it with the diversity of the photos or the
    style pictures themselves.

    Args:
        features: Features of the pictures, ``(N, D)``.
        groups: The group of each picture.

    Returns:
        The diversity in ``[0, 2]``; NaN where no group has two pictures.

    Raises:
        UsageError: The number of groups differs from the number of pictures.
    """
    x = np.asarray(features.arrays, np.float64)
    if len(x) != len(groups):
        raise UsageError(f"{len(x)} pictures need as many groups, but {len(groups)} were given")
    x = x / np.maximum(np.sqrt((x * x).sum(1, keepdims=True)), 1e-12)
    means = []
    places: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    for some in (x[place] for place in places.values()):
        if (count := len(some)) > 1:
            total = some.sum(0)
            means.append(1 - (total @ total - count) / (count * (count - 1)))
    return float(np.mean(means)) if means else float("nan")
