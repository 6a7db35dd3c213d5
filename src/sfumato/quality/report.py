"""The report of an evaluation as one HTML file: tables, the content-style plane, and the best and worst pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.files import atomic_file
from sfumato.html import render
from sfumato.image import Picture, as_jpeg_text, read_image, resize, thumbnail_size
from sfumato.quality.artefacts import artefacts, worst
from sfumato.quality.evaluation import Evaluation, Row, curve, curve_area, differences
from sfumato.quality.evaluator import OutputProvider
from sfumato.quality.measures import MEASURES
from sfumato.text import as_utf8

_CELL = 240  # pixels, longer side of a picture in the report
_COLOURS = ("#1f5fa8", "#c1502e", "#2f8f4e", "#8a4fa3", "#b58900", "#555555", "#0f8b8d", "#a23b72")


def write_report(
    path: Path, evaluations: Sequence[Evaluation], sources: Sequence[OutputProvider], shown: int = 3
) -> None:
    """Write the report, whole or not at all.

    Args:
        path: The HTML file; an existing one is replaced.
        evaluations: One evaluation per method; the others are compared with the first.
        sources: The source of each method's pictures, as given to `Evaluator.evaluate`.
        shown: Number of best, middle and worst pairs to show of each method.
    """
    html = render(
        "report.html",
        about=_about(evaluations),
        figures=_table(evaluations),
        notes=_notes(evaluations),
        measures=[(name, MEASURES[name]) for name in evaluations[0].rows[0].values],
        sets=_sets(evaluations),
        set_notes=_set_notes(evaluations),
        plane=_plane(evaluations),
        by_style=_by_style(evaluations),
        pairs=[(each.method, _pairs(each, source, shown)) for each, source in zip(evaluations, sources, strict=True)],
    )
    with atomic_file(path) as file:
        file.write(as_utf8(html))


@dataclass(frozen=True)
class _Table:
    """A table of the report.

    Attributes:
        head: Headings of all columns but the first, which has none.
        rows: Their cells; a cell is a list of lines, of which the page shows all but the first small.
    """

    head: list[str]
    rows: list[list[list[str]]]


def _about(evaluations: Sequence[Evaluation]) -> list[str]:
    first = evaluations[0]
    facts = [f"{key}: {value}" for key, value in first.about.items()]
    styles, photos = ({getattr(row.pair, kind) for row in first.rows} for kind in ("style", "content"))
    lines = [f"{len(first.rows)} pairs of {len(photos)} photos and {len(styles)} style pictures. {'; '.join(facts)}."]
    for each in evaluations:
        if each.missing:
            lines.append(f"{each.method}: {each.missing} pairs have no picture and are left out.")
        lines += [f"{each.method}: left out: {why}." for why in each.failed]
        if resized := sum(row.resized for row in each.rows):
            lines.append(f"{each.method}: in {resized} pairs the photo was resized to the picture's size.")
    return lines


def _table(evaluations: Sequence[Evaluation]) -> _Table:
    names = list(evaluations[0].rows[0].values)
    against = differences(evaluations)
    rows = []
    for each in evaluations:
        row = [[each.method]]
        for name in names:
            interval = each.interval(name)
            cell = ["not relative" if name in each.absolute else _number(interval.value)]
            if interval.low == interval.low and name not in each.absolute:
                cell.append(f"{_number(interval.low)} to {_number(interval.high)}")
            if each.method in against:
                cell.append(f"p {against[each.method][name][1]:.3f}")
            row.append(cell)
        rows.append(row)
    return _Table([f"{name} {MEASURES[name].arrow}" for name in names], rows)


def _notes(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the sentences below the table of figures."""
    first = evaluations[0]
    note = "Means with 95 % intervals over styles and photos, both taken as samples."
    if len(evaluations) > 1:
        note += f" p: paired sign-flip test against {first.method}, style by style."
    return [note, *(f"{why[:1].upper()}{why[1:]}." for why in (first.why_absolute, first.why_no_intervals) if why)]


def _sets(evaluations: Sequence[Evaluation]) -> _Table:
    rows = []
    for estimate in evaluations[0].sets:
        row = [[estimate.name.replace("_", " "), estimate.backbone]]
        for each in evaluations:
            found = each.estimate_like(estimate)
            if found is None or np.isnan(found.value):
                row.append(["–"])
            else:
                span = [] if found.low is None else [f"{found.low:.3g} to {found.high:.3g}"]
                row.append([_number(found.value), *span])
        rows.append(row)
    return _Table([each.method for each in evaluations], rows)


def _set_notes(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Return the notes on the measures of sets, as pairs of the measure's name and the note, without duplicates."""
    notes: dict[tuple[str, str], None] = {}
    for estimate in evaluations[0].sets:
        found = [each.estimate_like(estimate) for each in evaluations]
        name = f"{estimate.name.replace('_', ' ')} ({estimate.backbone})"
        notes |= dict.fromkeys((name, one.note) for one in found if one is not None and one.note)
    return list(notes)


def _plane(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Plot each method at its content and style distances, with intervals; lower left is better."""
    points = [(each.method, each.interval("content"), each.interval("style")) for each in evaluations]
    right = 1.1 * float(np.nanmax([0.2, *(end for _, c, _ in points for end in (c.value, c.high))]))
    top = 1.1 * float(np.nanmax([0.2, *(end for _, _, s in points for end in (s.value, s.high))]))

    def x(value: float) -> str:
        return f"{60 + 560 * max(value, 0.0) / right:.1f}"

    def y(value: float) -> str:
        return f"{340 - 320 * max(value, 0.0) / top:.1f}"

    ticks = [
        {"x": 60 + 140 * i, "content": f"{right * i / 4:.2f}", "y": 344 - 80 * i, "style": f"{top * i / 4:.2f}"}
        for i in range(5)
    ]
    drawn = []
    for i, (method, content, style) in enumerate(points):
        intervals = None
        if content.low == content.low and style.low == style.low:
            intervals = f"M{x(content.low)} {y(style.value)}H{x(content.high)}"
            intervals += f"M{x(content.value)} {y(style.low)}V{y(style.high)}"
        at = {"x": x(content.value), "y": y(style.value), "intervals": intervals}
        drawn.append({"method": method, "colour": _COLOURS[i % len(_COLOURS)], **at})
    area = curve_area(evaluations)
    joined = "L".join(f"{x(c)} {y(s)}" for c, s in curve(evaluations))
    return {"ticks": ticks, "points": drawn, "curve": f"M{joined}", "area": area}


def _by_style(evaluations: Sequence[Evaluation]) -> _Table:
    columns = [(each, name) for each in evaluations for name in ("content", "style")]
    values = [each.by_style(name) for each, name in columns]
    rows = []
    for style in sorted(set().union(*values)):
        row = [[style]]
        for v, (each, name) in zip(values, columns, strict=True):
            row.append([("not relative" if name in each.absolute else _number(v[style])) if style in v else ""])
        rows.append(row)
    return _Table([f"{each.method}: {name}" for each, name in columns], rows)


def _pairs(evaluation: Evaluation, source: OutputProvider, shown: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the best, middle and worst pairs by the sum of content and style distance."""
    ranked = sorted(evaluation.rows, key=lambda row: row.values["content"] + row.values["style"])
    count = min(shown, max(1, len(ranked) // 3))
    middle = (len(ranked) - count) // 2
    groups = {"best": ranked[:count], "middle": ranked[middle : middle + count], "worst": ranked[-count:]}
    if len(ranked) < 3:
        groups = {"all": ranked}
    return [
        (name, [each for row in rows for each in _shown(row, source, evaluation.absolute)])
        for name, rows in groups.items()
    ]


def _shown(row: Row, source: OutputProvider, absolute: Sequence[str]) -> list[tuple[str, str]]:
    """Return the four pictures of a pair, each a JPEG in base64 with its caption."""
    output = source.picture(row.pair)
    photo = read_image(row.pair.content)
    if photo.shape != output.shape:
        photo = resize(photo, *output.shape[2:])
    found = worst(artefacts(output, photo))
    heat = np.repeat(found.map[None, None].astype(np.float32), 3, 1)
    labels = {name: f"{name} {row.values[name]:.2f}" for name in ("content", "style", "ssim") if name not in absolute}
    return [
        (_picture(photo), row.pair.content.name),
        (_picture(read_image(row.pair.style)), row.pair.style.name),
        (_picture(output), ", ".join(labels.values())),
        (_picture(np.clip(0.35 * output + 0.65 * heat, 0, 1)), f"{found.name} {found.value:.2f}"),
    ]


def _picture(x: Picture) -> str:
    return as_jpeg_text(resize(x, *thumbnail_size(x.shape[2], x.shape[3], _CELL, _CELL)))


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"
