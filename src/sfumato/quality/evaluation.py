"""The result of evaluating a method: the measures of every pair, and their summary over all pairs.

``evaluator.py`` makes evaluations, ``report.py`` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sfumato.errors import InputError, UsageError
from sfumato.quality.features import Estimate
from sfumato.quality.intervals import Interval, crossed_interval_of, sign_flip_test
from sfumato.quality.pairs import Pair


@dataclass(frozen=True)
class Row:
    """The measures of one pair under one method."""

    pair: Pair
    values: dict[str, float]
    artefacts: dict[str, float]
    resized: bool  # whether the photo was resized to the stylised picture


@dataclass(frozen=True)
class Evaluation:
    """One method evaluated on all pairs.

    Attributes:
        method: Name of the method.
        rows: The measures of each pair.
        missing: Number of pairs that have no stylised picture.
        about: Conditions of the evaluation, by name, for the report.
        sets: Measures of the outputs as a set, such as KID.
        strength: Stylisation strength, for a point of a model's content-style curve.
        failed: One sentence on each pair that could not be evaluated and is left out.
        absolute: Measures of `RELATIVE` that have no unit here, because there is only one style picture.
    """

    method: str
    rows: list[Row]
    missing: int = 0
    about: dict[str, str] = field(default_factory=dict)
    sets: list[Estimate] = field(default_factory=list)
    strength: float | None = None
    failed: tuple[str, ...] = ()
    absolute: tuple[str, ...] = ()

    def interval(self, name: str) -> Interval:
        """Return the mean of a measure with its 95 % interval over styles and contents, both taken as samples.

        The ends of the interval are NaN where styles share too few contents to separate the two effects.
        """
        values = [row.values[name] for row in self.rows]
        styles = [row.pair.style.name for row in self.rows]
        try:
            found = crossed_interval_of(values, styles, [row.pair.content.name for row in self.rows])
            if name in ("top1", "top5"):  # shares lie in [0, 1]
                found = Interval(found.value, max(0.0, found.low), min(1.0, found.high))
            return found
        except InputError:
            return Interval(float(np.mean(values)), float("nan"), float("nan"))

    @property
    def why_no_intervals(self) -> str | None:
        """The reason why `interval` has no ends, as a sentence; None where it has."""
        styles, contents = ([getattr(row.pair, of).name for row in self.rows] for of in ("style", "content"))
        try:
            crossed_interval_of(list(map(float, range(len(self.rows)))), styles, contents)
        except InputError as problem:
            return str(problem)
        return None

    @property
    def why_absolute(self) -> str | None:
        """The reason why the measures of `absolute` are not relative, as a sentence; None if all are relative."""
        if not self.absolute:
            return None
        return (
            f"not relative: {', '.join(self.absolute)}. Their unit is the mean distance between style pictures, and "
            "there is only one; evaluate 2 or more, or read the absolute values with --json"
        )

    def estimate_like(self, like: Estimate) -> Estimate | None:
        """Return the set measure of the same name and backbone as ``like``; None if there is no such measure."""
        return next((f for f in self.sets if (f.name, f.backbone) == (like.name, like.backbone)), None)

    def by_style(self, name: str) -> dict[str, float]:
        """Return the mean of a measure over the pairs of each style, by the style's name."""
        values: dict[str, list[float]] = {}
        for row in self.rows:
            values.setdefault(row.pair.style.stem, []).append(row.values[name])
        return {style: float(np.mean(some)) for style, some in sorted(values.items())}


def compare(one: Evaluation, other: Evaluation, name: str) -> tuple[float, float]:
    """Return the mean difference ``one - other`` of a measure over their common pairs, and its p-value.

    The test is a paired sign-flip test in which all pairs of a style flip together.

    Raises:
        UsageError: The two evaluations have no pair in common.
    """
    second = {row.pair.name: row for row in other.rows}
    shared = [(row, second[row.pair.name]) for row in one.rows if row.pair.name in second]
    if not shared:
        raise UsageError(f"cannot compare {one.method} and {other.method}: they have no pair in common")
    differences = [a.values[name] - b.values[name] for a, b in shared]
    return float(np.mean(differences)), sign_flip_test(differences, [a.pair.style.name for a, _ in shared])


def curve(evaluations: Sequence[Evaluation]) -> list[tuple[float, float]]:
    """Return the mean content and style distance at each strength of a model, sorted by content distance."""
    return sorted(
        (each.interval("content").value, each.interval("style").value)
        for each in evaluations
        if each.strength is not None
    )


def curve_area(evaluations: Sequence[Evaluation]) -> float | None:
    """Return the mean style distance along a model's content-style curve; None without a curve.

    It is the area under style distance over content distance, from the lowest to the highest strength, divided by the
    range of content distance. A single point depends on the chosen strength, the curve does not.
    """
    points = curve(evaluations)
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    x, y = np.array(points).T
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


def to_json(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return all results in a form that JSON can hold: by method, the means with intervals and every pair."""
    result: dict[str, Any] = {}
    for each in evaluations:
        means: dict[str, list[float | None]] = {}
        for name in each.rows[0].values:
            interval = each.interval(name)
            means[name] = [None if np.isnan(v) else round(v, 6) for v in (interval.value, interval.low, interval.high)]
        rows = [
            {"content": row.pair.content.name, "style": row.pair.style.name, **row.values, "artefact": row.artefacts}
            for row in each.rows
        ]
        result[each.method] = {
            "strength": each.strength, "pairs": len(rows), "missing": each.missing, "failed": list(each.failed),
            "resized": sum(row.resized for row in each.rows),
            "about": each.about, "values": means, "absolute": list(each.absolute),
            "sets": [_plain(estimate) for estimate in each.sets], "rows": rows,
        }  # fmt: skip
    return result


def differences(evaluations: Sequence[Evaluation]) -> dict[str, Mapping[str, tuple[float, float]]]:
    """Return `compare` of each method with the first, by method and measure."""
    first, *others = evaluations
    return {each.method: {name: compare(each, first, name) for name in first.rows[0].values} for each in others}


def _plain(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as a dictionary, with None for NaN, which JSON lacks."""
    return {
        key: None if isinstance(value, float) and np.isnan(value) else value for key, value in vars(estimate).items()
    }
