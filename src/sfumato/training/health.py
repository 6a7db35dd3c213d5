"""RUN/health.html: the state of training, for people who have never trained a GAN, as one self-contained file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sfumato.files import atomic_file
from sfumato.html import render
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
    html = render(
        "health.html",
        tone=tone,
        verdict=verdict(history, findings, actions),
        why_stopped=stopped.partition(". ")[2],
        history=history,
        cards=[_finding(finding, actions) for finding in now],
        healed=[(finding, _name(finding.rule)) for finding in findings if finding.ended is not None],
        done=[(decision, _deeds(decision), _name(decision.rule)) for decision in actions],
        groups=[group for name in _GROUPS if (group := _group(name, history, findings, actions))],
        width=_WIDTH,
        height=_HEIGHT,
    )
    with atomic_file(path) as file:
        file.write(as_utf8(html))


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


def _finding(finding: Finding, actions: Sequence[Decision]) -> dict[str, Any]:
    own = [decision for decision in actions if decision.rule == finding.rule and decision.step >= finding.detected]
    done = [(decision.step, _deeds(decision)) for decision in own]
    return {"finding": finding, "rule": BY_NAME[finding.rule], "done": done}


def _deeds(decision: Decision) -> str:
    says = [ACTION_SAYS[action] for action in decision.actions]
    if decision.healthy_step is not None:
        says = [f"{one} (of step {decision.healthy_step} or before)" if "went back" in one else one for one in says]
    return " and ".join(says)


def _group(
    group: str, history: History, findings: Sequence[Finding], actions: Sequence[Decision]
) -> dict[str, Any] | None:
    charts = [
        _chart(name, signal, history, findings, actions)
        for name, signal in SIGNALS.items()
        if signal.group == group and any(name in signals for _, signals in history)
    ]
    title, says = _GROUPS[group]
    return {"title": title, "says": says, "charts": [chart for chart in charts if chart]} if charts else None


def _chart(
    name: str, signal: Signal, history: History, findings: Sequence[Finding], actions: Sequence[Decision]
) -> dict[str, Any] | None:
    """Return what the page shows of a signal, or None where no value of it is finite."""
    points = [(step, signals[name]) for step, signals in history if name in signals and math.isfinite(signals[name])]
    logarithmic = signal.logarithmic and all(value > 0 for _, value in points)
    if not points:
        return None
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
    bars = []
    for finding in findings:
        if name in _judged_by(finding.rule):
            left, right = x(finding.since), x(finding.last if finding.ended is None else finding.ended)
            bars.append((round(min(left, _WIDTH - 2.0), 1), round(max(2.0, right - left), 1)))
    steps = sorted({decision.step for decision in actions if first <= decision.step <= last})
    joined = "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in _thinned(points))
    now = values[-1]
    return {
        "title": signal.title,
        "now": _number(now),
        "out": (signal.low is not None and now < signal.low) or (signal.high is not None and now > signal.high),
        "healthy_band": (round(upper, 1), round(max(0.0, lower - upper), 1)) if limits else None,
        "findings": bars,
        "actions": [round(x(step), 1) for step in steps],
        "curve": f"M{joined}" if len(points) > 1 else None,
        "dot": (round(x(points[-1][0]), 1), round(y(now), 1)),
        "top": _number(top),
        "bottom": _number(bottom),
        "first": first,
        "last": points[-1][0],
        "says": signal.says,
        "healthy": _range(signal),
    }


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
        return f"Healthy: {_number(signal.low)} to {_number(signal.high)}."
    if signal.low is not None:
        return f"Healthy: from {_number(signal.low)}."
    if signal.high is not None:
        return f"Healthy: up to {_number(signal.high)}." if signal.high else "Healthy: none."
    return "Healthy: any steady level."


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.0e}"
