"""What a method's pictures are as a *set*, beside references: figures, or plain refusals where there are too few.

A set is seen through one backbone's pooled features. References are the style pictures, or any folder of art.
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
    """Features ``(N, D)`` of pictures, and class probabilities ``(N, K)`` where the backbone has classes."""
    probabilities = [one.probabilities for one in members if one.probabilities is not None]
    features = Features(backbone, np.stack([one.features for one in members]))
    return features, np.stack(probabilities) if probabilities else None


def set_estimates(
    outputs: Features, references: Features, probabilities: npt.NDArray[np.float32] | None = None
) -> list[Estimate]:
    """KID, FID, FID∞, precision, recall, density, coverage, the nearest-neighbour test and IS, as far as N allows.

    A measure that N is too small for has the value NaN, and says in its note what it needs.
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
    """Mean cosine distance ``1 - cos`` between two pictures of one group, over groups; NaN without such a pair.

    With the style as group it is the diversity over photos under one style, and falls when a generator collapses; with
    the photo as group, the diversity over styles of one photo. To be read beside the same of the photos, or of the
    style pictures, themselves.
    """
    x = np.asarray(features.arrays, np.float64)
    if len(x) != len(groups):
        raise UsageError(f"{len(x)} pictures need as many groups, and {len(groups)} were given")
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
