"""RUN/health.html: the state of training, for people who have never trained a GAN, as one self-contained file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TypeAlias

from sfumato.files import atomic_file
from sfumato.text import as_utf8
from sfumato.training.findings import Decision, Finding, standing
from sfumato.training.rules import ACTION_SAYS, BY_NAME
from sfumato.training.signals import SIGNALS, Signal

#: Observations: step and signals, oldest first.
History: TypeAlias = Sequence[tuple[int, Mapping[str, float]]]

_GROUPS = {
    "pictures": ("The pictures", "The generator's outputs for the same few probe pictures, over training."),
    "discriminator": (
        "The discriminator",
        "Whether generator and discriminator are balanced: the discriminator should neither guess nor be certain.",
    ),
    "training": (
        "The steps",
        "The level of a loss means little in adversarial training. Losses should stay finite and steady.",
    ),
}
_WIDTH, _HEIGHT = 300, 96  # size of a chart's plot area, in pixels
_POINTS = 150  # number of sections of a long curve; the lowest and highest points of each are drawn
_STYLE = """
:root{--ink:#23282d;--soft:#68727c;--line:#dde2e6;--page:#fbfbfa;--card:#fff;--curve:#24619c;--good:#2e7d4f;
--watch:#a86a00;--bad:#b3362b}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7ea;--soft:#98a2ab;--line:#3a4148;--page:#181b1e;--card:#202428;
--curve:#7fb4e6;--good:#68b889;--watch:#dba548;--bad:#ea7a6f}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1060px;margin:2em auto;padding:0 1.2em;color:var(--ink);
background:var(--page)}
h1{font-size:1em;font-weight:600;color:var(--soft);margin:0 0 .6em}h2{font-size:1.25em;margin:2em 0 .4em}
h3{font-size:1.05em;margin:0 0 .3em}p{margin:.3em 0}.soft{color:var(--soft)}.small{font-size:13px}
.verdict{font-size:1.3em;line-height:1.4;padding:.8em 1em;border-radius:8px;border-left:6px solid;
background:var(--card)}
.good{border-color:var(--good)}.watch{border-color:var(--watch)}.bad{border-color:var(--bad)}
.card{background:var(--card);border:1px solid var(--line);border-left:5px solid;border-radius:8px;padding:.8em 1em;
margin:.8em 0}.card.watch{border-left-color:var(--watch)}.card.bad{border-left-color:var(--bad)}
ul{margin:.2em 0;padding-left:1.3em}table{border-collapse:collapse;width:100%}
th,td{padding:.35em .8em .35em 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--soft)}td:first-child{white-space:nowrap;width:7em}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:1em}
.chart{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7em .8em}
.chart header{display:flex;justify-content:space-between;gap:1em;font-weight:600}.out{color:var(--bad)}
svg{display:block;width:100%;margin:.4em 0}svg text{font-size:10px;fill:var(--soft)}
.curve{fill:none;stroke:var(--curve);stroke-width:1.6;stroke-linejoin:round}.dot{fill:var(--curve)}
.healthy{fill:var(--good);opacity:.1}.ill{fill:var(--bad);opacity:.13}.act{stroke:var(--watch);stroke-dasharray:3 3}
.frame{fill:none;stroke:var(--line)}
"""


def write_health(path: Path, history: History, findings: Sequence[Finding], actions: Sequence[Decision]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        history: all observations so far; signals that are not in `SIGNALS` are not shown.
        findings: current and ended findings (`Monitor.all_findings`).
        actions: decisions so far (`MonitorState.decisions`).
    """
    now, stopped = standing(findings), _stopped(actions)
    tone = "bad" if any(BY_NAME[f.rule].grave for f in now) or stopped else "watch" if now else "good"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Sfumato: training health</title><style>{_STYLE}</style>",
        f"<h1>Training health</h1><p class='verdict {tone}'>{escape(verdict(history, findings, actions))}</p>",
        f"<p>{escape(stopped.partition('. ')[2])}</p>" if stopped else "",
        _reach(history),
        *(_finding(finding, actions) for finding in now),
        _ended(findings),
        _done(actions),
        *(_group(group, history, findings, actions) for group in _GROUPS),
        "</html>\n",
    ]
    with atomic_file(path) as file:
        file.write(as_utf8("\n".join(part for part in parts if part)))


def verdict(history: History, findings: Sequence[Finding], actions: Sequence[Decision]) -> str:
    """Summarise the state of training in one sentence, for the top of the page and for the terminal."""
    if stopped := _stopped(actions):
        return f"{stopped.partition('. ')[0].rstrip('.')}."
    if now := standing(findings):
        rule = BY_NAME[now[0].rule]
        more = f" (and {len(now) - 1} more)" if len(now) > 1 else ""
        begin = "Problem" if rule.grave else "Warning"
        quiet = history and history[-1][0] > now[0].last
        last = f", last detected at step {now[0].last}" if quiet else ""
        return f"{begin}: {_lower(rule.title)}, since step {now[0].since}{last}{more}."
    if not history:
        return "There are no observations yet."
    ended = sum(finding.ended is not None for finding in findings)
    also = f"; {ended} earlier finding{'s have' if ended > 1 else ' has'} ended" if ended else ""
    return f"Training looks healthy at step {history[-1][0]}{also}."


def history_line(step: int, signals: Mapping[str, float]) -> str:
    """Return an observation as a line of RUN/log.jsonl, without its newline.

    Values that are not finite are left out, because JSON cannot represent them.
    """
    finite = {name: float(f"{value:.6g}") for name, value in signals.items() if math.isfinite(value)}
    return json.dumps({"step": step, "health": finite})


def read_history(log: Path) -> list[tuple[int, dict[str, float]]]:
    """Read the observations in RUN/log.jsonl: step and signals, oldest first.

    Other and incomplete lines are skipped; without a file the list is empty.
    """
    observations = []
    for line in log.read_text().splitlines() if log.is_file() else ():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if "health" in found:
            observations.append((int(found["step"]), dict(found["health"])))
    return observations


def _stopped(actions: Sequence[Decision]) -> str:
    return next((decision.reason for decision in reversed(actions) if "stop" in decision.actions), "")


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]


def _name(rule: str) -> str:
    """Return a rule's title, or the name of a rule that no longer exists."""
    return BY_NAME[rule].title if rule in BY_NAME else rule


def _reach(history: History) -> str:
    if not history:
        return ""
    return f"<p class='soft small'>{len(history)} observations, the last at step {history[-1][0]}.</p>"


def _finding(finding: Finding, actions: Sequence[Decision]) -> str:
    rule = BY_NAME[finding.rule]
    own = [decision for decision in actions if decision.rule == finding.rule and decision.step >= finding.detected]
    done = "".join(f"<li>Step {decision.step}: {escape(_deeds(decision))}." for decision in own)
    tries = "".join(f"<li>{escape(one)}" for one in rule.tries)
    numbers = f" <span class=soft>({escape(finding.signals)})</span>" if finding.signals else ""
    return (
        f"<section class='card {'bad' if rule.grave else 'watch'}'><h3>{escape(rule.title)}</h3>"
        f"<p>{escape(rule.sees)}{numbers}"
        f"<p><b>Since</b> step {finding.since}; last detected at step {finding.last}."
        f"<p><b>What was done</b>{f'<ul>{done}</ul>' if done else ': nothing so far.'}"
        f"<p><b>What you can try</b><ul>{tries}</ul></section>"
    )


def _deeds(decision: Decision) -> str:
    says = [ACTION_SAYS[action] for action in decision.actions]
    if decision.healthy_step is not None:
        says = [f"{one} (of step {decision.healthy_step} or before)" if "went back" in one else one for one in says]
    return " and ".join(says)


def _ended(findings: Sequence[Finding]) -> str:
    rows = [
        f"<tr><td>{finding.since} to {finding.ended}<td>{escape(_name(finding.rule))}<td>{escape(finding.signals)}"
        for finding in findings
        if finding.ended is not None
    ]
    if not rows:
        return ""
    return f"<h2>Ended</h2><table><tr><th>Steps<th>Finding<th>Signals{''.join(rows)}</table>"


def _done(actions: Sequence[Decision]) -> str:
    if not actions:
        return ""
    rows = [
        f"<tr><td>{one.step}<td>{escape(_deeds(one))}<td>{escape(_name(one.rule))}<td>{one.attempt}" for one in actions
    ]
    return (
        f"<h2>What was done</h2><table><tr><th>Step<th>Action<th>Because of<th>Attempt{''.join(rows)}</table>"
        "<p class='soft small'>Dashed lines in the charts.</p>"
    )


def _group(group: str, history: History, findings: Sequence[Finding], actions: Sequence[Decision]) -> str:
    charts = [
        _chart(name, signal, history, findings, actions)
        for name, signal in SIGNALS.items()
        if signal.group == group and any(name in signals for _, signals in history)
    ]
    if not charts:
        return ""
    title, says = _GROUPS[group]
    return f"<h2>{title}</h2><p class=soft>{says}</p><div class=charts>{''.join(charts)}</div>"


def _chart(
    name: str, signal: Signal, history: History, findings: Sequence[Finding], actions: Sequence[Decision]
) -> str:
    points = [(step, signals[name]) for step, signals in history if name in signals and math.isfinite(signals[name])]
    logarithmic = signal.logarithmic and all(value > 0 for _, value in points)
    if not points:
        return ""
    values = [value for _, value in points]
    limits = [limit for limit in (signal.low, signal.high) if limit is not None and (limit > 0 or not logarithmic)]
    bottom, top = min(*values, *limits, values[0]), max(*values, *limits, values[0])
    if not logarithmic:
        margin = 0.06 * (top - bottom) or 0.5
        bottom, top = (0.0 if 0 <= bottom <= 0.5 * top else bottom - margin), top + margin
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)

    def x(step: float) -> float:
        return min(max((step - first) / (last - first), 0.0), 1.0) * _WIDTH

    def y(value: float) -> float:
        if logarithmic:
            span = math.log(top / bottom) or 1.0
            return _HEIGHT * (0.95 - 0.9 * math.log(value / bottom) / span)
        return _HEIGHT * (1 - (value - bottom) / (top - bottom))

    upper = y(signal.high) if signal.high is not None and signal.high in limits else 0.0
    lower = y(signal.low) if signal.low is not None and signal.low in limits else float(_HEIGHT)
    drawn = [f"<rect class=frame width={_WIDTH} height={_HEIGHT} />"]
    if limits:
        drawn.append(f"<rect class=healthy y='{upper:.1f}' width={_WIDTH} height='{max(0.0, lower - upper):.1f}'/>")
    for finding in findings:
        if name in _judged_by(finding.rule):
            left, right = x(finding.since), x(finding.last if finding.ended is None else finding.ended)
            width = max(2.0, right - left)
            drawn.append(f"<rect class=ill x='{min(left, _WIDTH - 2.0):.1f}' width='{width:.1f}' height={_HEIGHT} />")
    for step in sorted({decision.step for decision in actions if first <= decision.step <= last}):
        drawn.append(f"<path class=act d='M{x(step):.1f} 0V{_HEIGHT}'/>")
    if len(points) > 1:
        joined = "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in _thinned(points))
        drawn.append(f"<path class=curve d='M{joined}'/>")
    drawn.append(f"<circle class=dot r=2.5 cx='{x(points[-1][0]):.1f}' cy='{y(values[-1]):.1f}'/>")
    ends = [f"<text x=-4 y=8 text-anchor=end>{_number(top)}</text>"]
    ends += [f"<text x=-4 y={_HEIGHT} text-anchor=end>{_number(bottom)}</text>"]
    ends += [f"<text y={_HEIGHT + 13}>step {first}</text>"]
    ends += [f"<text x={_WIDTH} y={_HEIGHT + 13} text-anchor=end>{points[-1][0]}</text>"]
    now = values[-1]
    out = (signal.low is not None and now < signal.low) or (signal.high is not None and now > signal.high)
    title, mark = escape(signal.title), " class=out" if out else ""
    return (
        f"<div class=chart><header><span>{title}</span><span{mark}>{_number(now)}</span></header>"
        f"<svg viewBox='-46 -4 {_WIDTH + 54} {_HEIGHT + 22}' role=img aria-label='{title}'>{''.join(drawn)}"
        f"{''.join(ends)}</svg><div class='soft small'>{escape(signal.says)} {_range(signal)}</div></div>"
    )


def _judged_by(rule: str) -> set[str]:
    """Return the measured signals that a rule's clauses use."""
    if rule not in BY_NAME:
        return set()
    used = {bound.signal for clause in BY_NAME[rule].when for bound in clause}
    used = {
        name.removesuffix("_rise").removesuffix("_left").removesuffix("_growth").removesuffix("_falls") for name in used
    }
    for name, made_of in (
        ("accuracy", {"real_accuracy", "fake_accuracy"}),
        ("variety", {"diversity", "style_sensitivity"}),
    ):
        used |= made_of if name in used else set()
    return used


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Reduce many points to the lowest and highest of each section, in order, so that peaks remain visible."""
    if len(points) <= 2 * _POINTS:
        return list(points)
    thinned = []
    for i in range(_POINTS):
        stretch = points[i * len(points) // _POINTS : (i + 1) * len(points) // _POINTS]
        thinned += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return thinned


def _range(signal: Signal) -> str:
    if signal.low is not None and signal.high is not None:
        return f"<b>Healthy: {_number(signal.low)} to {_number(signal.high)}.</b>"
    if signal.low is not None:
        return f"<b>Healthy: from {_number(signal.low)}.</b>"
    if signal.high is not None:
        return f"<b>Healthy: up to {_number(signal.high)}.</b>" if signal.high else "<b>Healthy: none.</b>"
    return "<b>Healthy: any steady level.</b>"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.0e}"
