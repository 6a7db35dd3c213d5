"""The report of an evaluation as one HTML file: tables, the content-style plane, and the best and worst pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from sfumato.files import atomic_file
from sfumato.image import Picture, as_jpeg_text, read_image, resize, thumbnail_size
from sfumato.quality.artefacts import artefacts, worst
from sfumato.quality.evaluation import Evaluation, Row, curve, curve_area, differences
from sfumato.quality.evaluator import OutputProvider
from sfumato.quality.measures import MEASURES
from sfumato.text import as_utf8

_CELL = 240  # pixels, longer side of a picture in the report
_COLOURS = ("#1f5fa8", "#c1502e", "#2f8f4e", "#8a4fa3", "#b58900", "#555555", "#0f8b8d", "#a23b72")
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1280px;margin:2em auto;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;margin:1em 0}th,td{padding:.25em .7em;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}td small{color:#777;white-space:nowrap}h2{margin-top:2em}
.pairs{display:grid;grid-template-columns:repeat(4,max-content);gap:.5em 1em;align-items:end}figure{margin:0}
figcaption{font-size:12px;color:#555}.note{color:#555}.wide{overflow-x:auto}
.notes{font-size:12px;color:#555}p,li{overflow-wrap:anywhere}
"""


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
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sfumato: evaluation</title>",
        f"<style>{_STYLE}</style><h1>Evaluation</h1>",
        _about(evaluations),
        "<h2>Measures of pairs</h2>",
        _table(evaluations),
        _meanings(evaluations),
        "<h2>Measures of sets</h2>",
        _sets(evaluations),
        "<h2>Content against style</h2>",
        _plane(evaluations),
        "<h2>By style</h2>",
        _by_style(evaluations),
        "<h2>Pairs</h2>",
        *(_pairs(each, source, shown) for each, source in zip(evaluations, sources, strict=True)),
        "</html>\n",
    ]
    with atomic_file(path) as file:
        file.write(as_utf8("\n".join(parts)))


def _about(evaluations: Sequence[Evaluation]) -> str:
    first = evaluations[0]
    facts = [f"{escape(key)}: {escape(value)}" for key, value in first.about.items()]
    styles, photos = ({getattr(row.pair, kind) for row in first.rows} for kind in ("style", "content"))
    lines = [f"{len(first.rows)} pairs of {len(photos)} photos and {len(styles)} style pictures. {'; '.join(facts)}."]
    for each in evaluations:
        if each.missing:
            lines.append(f"{escape(each.method)}: {each.missing} pairs have no picture and are left out.")
        lines += [f"{escape(each.method)}: left out: {escape(why)}." for why in each.failed]
        if resized := sum(row.resized for row in each.rows):
            lines.append(f"{escape(each.method)}: in {resized} pairs the photo was resized to the picture's size.")
    return f"<p>{'<br>'.join(lines)}</p>"


def _table(evaluations: Sequence[Evaluation]) -> str:
    names = list(evaluations[0].rows[0].values)
    against = differences(evaluations)
    head = "".join(f"<th>{escape(name)} {MEASURES[name].arrow}" for name in names)
    rows = []
    for each in evaluations:
        cells = []
        for name in names:
            interval = each.interval(name)
            cell = "not relative" if name in each.absolute else _number(interval.value)
            if not np.isnan(interval.low) and name not in each.absolute:
                cell += f"<br><small>{_number(interval.low)} to {_number(interval.high)}</small>"
            if each.method in against:
                _, p = against[each.method][name]
                cell += f"<br><small>p {p:.3f}</small>"
            cells.append(f"<td>{cell}")
        rows.append(f"<tr><td>{escape(each.method)}{''.join(cells)}")
    note = "Means with 95 % intervals over styles and photos, both taken as samples." + (
        f" p: paired sign-flip test against {escape(evaluations[0].method)}, style by style." if against else ""
    )
    for why in (evaluations[0].why_absolute, evaluations[0].why_no_intervals):
        note += "" if why is None else f"<br>{escape(why[:1].upper() + why[1:])}."
    return f"<div class=wide><table><tr><th>{head}{''.join(rows)}</table></div><p class=note>{note}</p>"


def _sets(evaluations: Sequence[Evaluation]) -> str:
    rows, notes_html = [], []
    for estimate in evaluations[0].sets:
        cells, notes = [], []
        for each in evaluations:
            found = each.estimate_like(estimate)
            if found is None or np.isnan(found.value):
                cells.append("<td>–")
            else:
                span = "" if found.low is None else f"<br><small>{found.low:.3g} to {found.high:.3g}</small>"
                cells.append(f"<td>{_number(found.value)}{span}")
            if found is not None and found.note:
                notes.append(found.note)
        title = f"{escape(estimate.name.replace('_', ' '))}<br><small>{escape(estimate.backbone)}</small>"
        rows.append(f"<tr><td>{title}{''.join(cells)}")
        name = f"{escape(estimate.name.replace('_', ' '))} ({escape(estimate.backbone)})"
        notes_html += [f"<li><b>{name}</b>: {escape(note)}." for note in dict.fromkeys(notes)]
    head = "".join(f"<th>{escape(each.method)}" for each in evaluations)
    note = "Each with the backbone of its features; do not compare values of different backbones."
    # Below the table, because a table of many methods is wider than the page and would hide them.
    notes_below = f"<ul class=notes>{''.join(notes_html)}</ul>" if notes_html else ""
    return f"<div class=wide><table><tr><th>{head}{''.join(rows)}</table></div><p class=note>{note}</p>{notes_below}"


def _meanings(evaluations: Sequence[Evaluation]) -> str:
    lines = []
    for name in evaluations[0].rows[0].values:
        measure = MEASURES[name]
        backbone = f" ({measure.backbone})" if measure.backbone else ""
        lines.append(f"<li><b>{escape(name)}</b>{backbone}: {escape(measure.description)}.")
    return f"<ul>{''.join(lines)}</ul>"


def _plane(evaluations: Sequence[Evaluation]) -> str:
    """Plot each method at its content and style distances, with intervals; lower left is better."""
    points = [(each.method, each.interval("content"), each.interval("style")) for each in evaluations]
    right = 1.1 * float(np.nanmax([0.2, *(end for _, c, _ in points for end in (c.value, c.high))]))
    top = 1.1 * float(np.nanmax([0.2, *(end for _, _, s in points for end in (s.value, s.high))]))

    def x(value: float) -> float:
        return 60 + 560 * max(value, 0.0) / right

    def y(value: float) -> float:
        return 340 - 320 * max(value, 0.0) / top

    parts = ["<svg viewBox='0 0 820 390' width=820 role=img aria-label='content against style'>"]
    parts += ["<path d='M60 20V340H620' fill=none stroke=#999 /><text x=340 y=380>content distance</text>"]
    parts += ["<text transform='rotate(-90)' x=-240 y=18>style distance</text>"]
    for i in range(5):
        value_x, value_y = right * i / 4, top * i / 4
        parts.append(f"<text x={x(value_x):.0f} y=358 font-size=11 text-anchor=middle>{value_x:.2f}</text>")
        parts.append(f"<text x=54 y={y(value_y) + 4:.0f} font-size=11 text-anchor=end>{value_y:.2f}</text>")
    for i, (method, content, style) in enumerate(points):
        colour = _COLOURS[i % len(_COLOURS)]
        if not np.isnan(content.low) and not np.isnan(style.low):
            parts.append(
                f"<path stroke='{colour}' d='M{x(content.low):.1f} {y(style.value):.1f}H{x(content.high):.1f}"
                f"M{x(content.value):.1f} {y(style.low):.1f}V{y(style.high):.1f}'/>"
            )
        parts.append(
            f"<circle cx={x(content.value):.1f} cy={y(style.value):.1f} r=5 fill='{colour}'/>"
            f"<circle cx=650 cy={36 + 22 * i} r=5 fill='{colour}'/><text x=662 y={41 + 22 * i}>{escape(method)}</text>"
        )
    area_note = ""
    if (area := curve_area(evaluations)) is not None:
        joined = "L".join(f"{x(c):.1f} {y(s):.1f}" for c, s in curve(evaluations))
        parts.append(f"<path stroke='{_COLOURS[0]}' fill=none stroke-dasharray='4 3' d='M{joined}'/>")
        area_note = f"<p class=note>Mean style distance along the model's curve of strengths: {area:.3f}.</p>"
    return "".join([*parts, "</svg>", area_note])


def _by_style(evaluations: Sequence[Evaluation]) -> str:
    columns = [(each, name) for each in evaluations for name in ("content", "style")]
    head = "".join(f"<th>{escape(each.method)}: {name}" for each, name in columns)
    values = [each.by_style(name) for each, name in columns]
    styles = sorted(set().union(*values))
    rows = [
        f"<tr><td>{escape(style)}"
        + "".join(
            f"<td>{'not relative' if name in each.absolute else _number(v[style])}" if style in v else "<td>"
            for v, (each, name) in zip(values, columns, strict=True)
        )
        for style in styles
    ]
    return f"<div class=wide><table><tr><th>{head}{''.join(rows)}</table></div>"


def _pairs(evaluation: Evaluation, source: OutputProvider, shown: int) -> str:
    """Show the best, middle and worst pairs by the sum of content and style distance."""
    ranked = sorted(evaluation.rows, key=lambda row: row.values["content"] + row.values["style"])
    count = min(shown, max(1, len(ranked) // 3))
    middle = (len(ranked) - count) // 2
    groups = {"best": ranked[:count], "middle": ranked[middle : middle + count], "worst": ranked[-count:]}
    if len(ranked) < 3:
        groups = {"all": ranked}
    parts = [f"<h3>{escape(evaluation.method)}</h3>"]
    for name, rows in groups.items():
        parts.append(f"<h4>{name}</h4><div class=pairs>")
        parts += [_shown(row, source, evaluation.absolute) for row in rows]
        parts.append("</div>")
    return "".join(parts)


def _shown(row: Row, source: OutputProvider, absolute: Sequence[str]) -> str:
    """Show a pair as photo, style picture, output, and output with the map of its worst artefact."""
    output = source.picture(row.pair)
    photo = read_image(row.pair.content)
    if photo.shape != output.shape:
        photo = resize(photo, *output.shape[2:])
    found = worst(artefacts(output, photo))
    heat = np.repeat(found.map[None, None].astype(np.float32), 3, 1)
    labels = {name: f"{name} {row.values[name]:.2f}" for name in ("content", "style", "ssim") if name not in absolute}
    caption = ", ".join(labels.values())
    cells = [
        (photo, row.pair.content.name),
        (read_image(row.pair.style), row.pair.style.name),
        (output, caption),
        (np.clip(0.35 * output + 0.65 * heat, 0, 1), f"{found.name} {found.value:.2f}"),
    ]
    return "".join(f"<figure>{_picture(x)}<figcaption>{escape(text)}</figcaption></figure>" for x, text in cells)


def _picture(x: Picture) -> str:
    small = resize(x, *thumbnail_size(x.shape[2], x.shape[3], _CELL, _CELL))
    return f"<img alt='' src='data:image/jpeg;base64,{as_jpeg_text(small)}'>"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"
