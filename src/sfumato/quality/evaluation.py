"""The result of judging a method on pairs: every pair's figures, and what they say together.

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
    """A pair's figures under one method."""

    pair: Pair
    values: dict[str, float]
    artefacts: dict[str, float]
    resized: bool  # the photo had another size than the picture


@dataclass(frozen=True)
class Evaluation:
    """One method on all pairs."""

    method: str
    rows: list[Row]
    missing: int = 0
    about: dict[str, str] = field(default_factory=dict)
    sets: list[Estimate] = field(default_factory=list)
    strength: float | None = None  # of a point of a model's curve
    failed: tuple[str, ...] = ()  # why pairs that could not be judged are left out, a sentence each
    absolute: tuple[str, ...] = ()  # figures of `RELATIVE`, where one style picture alone leaves them no unit

    def interval(self, name: str) -> Interval:
        """Mean and 95 % interval over styles and contents (both are samples of what might have been judged); NaN for
        its ends where styles do not share contents enough to tell the two apart."""
        values = [row.values[name] for row in self.rows]
        styles = [row.pair.style.name for row in self.rows]
        try:
            found = crossed_interval_of(values, styles, [row.pair.content.name for row in self.rows])
            if name in ("top1", "top5"):  # shares
                found = Interval(found.value, max(0.0, found.low), min(1.0, found.high))
            return found
        except InputError:
            return Interval(float(np.mean(values)), float("nan"), float("nan"))

    @property
    def why_no_intervals(self) -> str | None:
        """Why `interval` has no ends, in words; None where it has."""
        styles, contents = ([getattr(row.pair, of).name for row in self.rows] for of in ("style", "content"))
        try:
            crossed_interval_of(list(map(float, range(len(self.rows)))), styles, contents)
        except InputError as problem:
            return str(problem)
        return None

    @property
    def why_absolute(self) -> str | None:
        """Why figures are not relative, in words; None where all are that should be."""
        if not self.absolute:
            return None
        return (
            f"not relative: {', '.join(self.absolute)}. Their unit is how far style pictures are from each other, and "
            "there is one; judge 2 or more, and --json has the bare numbers"
        )

    def estimate_like(self, like: Estimate) -> Estimate | None:
        """The set figure of that name and backbone, where there is one."""
        return next((f for f in self.sets if (f.name, f.backbone) == (like.name, like.backbone)), None)

    def by_style(self, name: str) -> dict[str, float]:
        """Mean of each style's pairs."""
        values: dict[str, list[float]] = {}
        for row in self.rows:
            values.setdefault(row.pair.style.stem, []).append(row.values[name])
        return {style: float(np.mean(some)) for style, some in sorted(values.items())}


def compare(one: Evaluation, other: Evaluation, name: str) -> tuple[float, float]:
    """Mean difference ``one - other`` of a figure over the pairs that both have, and its p: a paired sign-flip test in
    which all pairs of a style flip together.

    Raises:
        UsageError: they share no pair.
    """
    second = {row.pair.name: row for row in other.rows}
    shared = [(row, second[row.pair.name]) for row in one.rows if row.pair.name in second]
    if not shared:
        raise UsageError(f"{one.method} and {other.method} have no pair in common")
    differences = [a.values[name] - b.values[name] for a, b in shared]
    return float(np.mean(differences)), sign_flip_test(differences, [a.pair.style.name for a, _ in shared])


def curve(evaluations: Sequence[Evaluation]) -> list[tuple[float, float]]:
    """Mean content and style distance at each strength of a model, by content distance."""
    return sorted(
        (each.interval("content").value, each.interval("style").value)
        for each in evaluations
        if each.strength is not None
    )


def curve_area(evaluations: Sequence[Evaluation]) -> float | None:
    """Area under a model's curve of style distance over content distance, from its least to its largest strength, over
    the width of content distance: the mean style distance along the curve. None without a curve.

    One point can be moved by its strength; the curve cannot.
    """
    points = curve(evaluations)
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    x, y = np.array(points).T
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


def to_json(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """All figures, for other programs: by method the means with intervals, and every pair."""
    result: dict[str, Any] = {}
    for each in evaluations:
        means: dict[str, list[float | None]] = {}
        for name in each.rows[0].values:
            interval = each.interval(name)
            means[name] = [None if v != v else round(v, 6) for v in (interval.value, interval.low, interval.high)]
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
    """`compare` of each method with the first, by method and figure."""
    first, *others = evaluations
    return {each.method: {name: compare(each, first, name) for name in first.rows[0].values} for each in others}


def _plain(estimate: Estimate) -> dict[str, Any]:
    """JSON has no NaN."""
    return {
        key: None if isinstance(value, float) and np.isnan(value) else value for key, value in vars(estimate).items()
    }
