from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.training.findings import Decision, Finding
from sfumato.training.health import history_line, read_history, verdict, write_health
from sfumato.training.monitor import Monitor
from sfumato.training.rules import RULES
from sfumato.training.signals import SIGNALS

VOID = {"meta", "br", "rect", "path", "circle"}


class Page(HTMLParser):
    """Checks that what is opened is closed, and keeps what a reader sees and what was used."""

    def __init__(self, path: Any) -> None:
        super().__init__()
        self.text, self.tags, self.attributes, self.open = "", set(), set(), []
        self.feed(path.read_text("utf-8"))
        assert not self.open

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: Any, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: Any) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: Any) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def course(observations: int = 60, ill: Any = (), **changes: Any) -> Any:
    """Looks of every signal about the middle of its healthy range, and the monitor that saw them."""
    rng, monitor, history = np.random.default_rng(0), Monitor(), []
    for i in range(observations):
        signals = {}
        for name, signal in SIGNALS.items():
            low = signal.low if signal.low is not None else 0.0
            high = signal.high if signal.high is not None else 2 * low + 1
            signals[name] = (low + high) / 2 * rng.uniform(0.9, 1.1)
        history.append((10 * i, signals | (changes if i in ill else {})))
        monitor.see(*history[-1])
        monitor.decide()
    return history, monitor


def page(tmp_path: Path, history: Any, findings: Any, actions: Any = ()) -> Page:
    write_health(tmp_path / "health.html", history, findings, actions)
    return Page(tmp_path / "health.html")


def test_a_healthy_run_is_called_so_and_every_signal_has_a_chart_that_says_what_it_means(tmp_path: Path) -> None:
    history, monitor = course()
    got = page(tmp_path, history, monitor.all_findings, monitor.state.decisions)
    assert "Training looks healthy at step 590." in got.text
    for signal in SIGNALS.values():
        assert signal.title in got.text
        assert signal.says in got.text
    source = (tmp_path / "health.html").read_text()
    assert source.count("<svg") == len(SIGNALS)
    assert 'class="ill"' not in source
    assert 'class="card' not in source


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_finding_is_on_the_page_with_since_when_and_what_to_try(tmp_path: Path, rule: Any) -> None:
    finding = Finding(rule=rule.name, since=120, detected=140, last=190, signals="Blobs 3.1")
    done = Decision(
        step=150, rule=rule.name, actions=("roll_back", "raise_gamma"), attempt=1, healthy_step=110, reason=""
    )
    got = page(tmp_path, course()[0], [finding], [done])
    for part in (
        rule.title,
        rule.sees,
        *rule.tries,
        "step 120",
        "step 190",
        "Blobs 3.1",
        "Step 150",
        "of step 110 or before",
    ):
        assert part in got.text
    message = verdict(course()[0], [finding], [done])
    assert f"{rule.title[1:]}, since step 120, last detected at step 190." in message
    assert message in got.text
    assert message.startswith("Problem: ") == rule.grave


def test_a_stop_s_verdict_is_on_top_and_what_has_healed_is_told(tmp_path: Path) -> None:
    history, monitor = course(160, range(40, 160), diversity=0.01, style_sensitivity=0.01)
    healed = Finding(rule="blobs", since=20, detected=40, last=60, ended=90)
    got = page(tmp_path, history, [healed, *monitor.findings], monitor.state.decisions)
    assert monitor.state.verdict.startswith("Stopped at step")
    first, _, rest = monitor.state.verdict.partition(". ")
    assert re.fullmatch(r"Stopped at step \d+: one picture for everything", first)
    assert got.text.index(first) < got.text.index(rest) < got.text.index("One picture for everything")
    assert verdict(history, [healed], monitor.state.decisions) == f"{first}."
    assert "20 to 90" in got.text
    assert "Ended" in got.text
    assert "training was stopped" in got.text
    assert verdict(history, [healed], []) == "Training looks healthy at step 1590; 1 earlier finding has ended."


def test_other_sides_of_a_finding_are_not_told_apart() -> None:
    both = [Finding(rule=name, since=1, detected=1, last=1) for name in ("one_style", "constant_output", "blobs")]
    assert verdict([], both, []) == "Problem: one picture for everything, since step 1 (and 1 more)."
    assert verdict([], [], []) == "There are no observations yet."
    mild = Finding(rule="low_diversity", since=50, detected=60, last=300)
    assert verdict([(400, {})], [mild], []).startswith("Warning: ")
    assert verdict([(400, {})], [mild], []).endswith(", since step 50, last detected at step 300.")
    assert verdict([(300, {})], [mild], []).endswith(", since step 50.")


def test_no_text_from_outside_is_markup(tmp_path: Path) -> None:
    bad = "<script>alert('1')</script><img src=x onerror='y'>&amp;\"'"
    history = [(step, {bad: 1.0, "loss": 2.0 + step}) for step in range(4)]
    ended = Finding(rule=bad, since=0, detected=1, last=1, ended=3, signals=bad)
    now = Finding(rule="blobs", since=0, detected=1, last=1, signals=bad)
    done = [
        Decision(step=1, rule=bad, actions=("raise_gamma",), attempt=1, reason=bad),
        Decision(step=2, rule="blobs", actions=("stop",), attempt=1, reason=bad),
    ]
    got = page(tmp_path, history, [ended, now], done)
    assert not got.tags & {"script", "img"}
    assert not any(name.startswith("on") for name in got.attributes)
    assert got.text.count("<script>alert('1')</script>") >= 4  # shown as it is


def test_the_page_is_whole_by_itself(tmp_path: Path) -> None:
    history, monitor = course()
    page(tmp_path, history, monitor.all_findings)
    source = (tmp_path / "health.html").read_text("utf-8")
    assert not re.search(r"https?:|src=|url\(|@import|<link", source)
    assert [path.name for path in tmp_path.iterdir()] == ["health.html"]


def test_charts_show_ranges_findings_and_actions_within_their_plane(tmp_path: Path) -> None:
    history, monitor = course(80, range(40, 80), blobs=4.0)
    page(tmp_path, history, monitor.all_findings, monitor.state.decisions)
    source = (tmp_path / "health.html").read_text()
    assert source.count('class="ill"') == 1  # its own chart only
    assert source.count('class="act"') == len(SIGNALS) * len(monitor.state.decisions)
    chart = re.search(r'aria-label="Blobs">(.*?)</svg>', source, re.DOTALL).group(1)
    left, width = (float(x) for x in re.search(r'class="ill" x="([\d.]+)" width="([\d.]+)"', chart).groups())
    assert left == pytest.approx(300 * 400 / 790, abs=0.1)
    assert left + width == pytest.approx(300, abs=0.1)
    curve = re.search(r'class="curve" d="M(.*?)"', chart).group(1)
    points = np.array([[float(x) for x in point.split()] for point in curve.split("L")])
    assert len(points) == 80
    assert points.min() >= 0
    assert points[:, 0].max() <= 300
    assert points[:, 1].max() <= 96
    assert points[50:, 1].max() < points[:40, 1].min()  # higher is up
    assert 'class="out">4<' in source


@pytest.mark.parametrize("values", [[3.0] * 5, [0.0] * 5, [1e-12, 1e9], [2.0], [math.nan, 1.0, 2.0], [-5.0, 5.0]])
def test_any_series_can_be_drawn(tmp_path: Path, values: Any) -> None:
    history = [(7 * i, {"loss": v, "blobs": v, "rank": v}) for i, v in enumerate(values)]
    page(tmp_path, history, [])
    source = (tmp_path / "health.html").read_text()
    assert source.count("<svg") == 3
    numbers = [float(x) for path in re.findall(r'class="curve" d="M(.*?)"', source) for x in re.split("[L ]", path)]
    assert all(-0.1 <= x <= 300.1 for x in numbers)


def test_of_a_long_history_no_peak_is_lost(tmp_path: Path) -> None:
    history = [(i, {"loss": 2.0 + math.sin(i)}) for i in range(20_000)]
    history[12_345] = (12_345, {"loss": 50.0})
    page(tmp_path, history, [])
    source = (tmp_path / "health.html").read_text()
    curve = re.search(r'class="curve" d="M(.*?)"', source).group(1)
    points = [tuple(float(x) for x in point.split()) for point in curve.split("L")]
    assert len(points) <= 300
    assert all(a[0] <= b[0] for a, b in pairwise(points))
    assert min(points, key=lambda p: p[1])[0] == pytest.approx(300 * 12_345 / 19_999, abs=0.1)


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    assert "There are no observations yet." in page(tmp_path, [], []).text


def test_history_goes_through_the_log_among_its_other_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert read_history(log) == []
    lines = ['{"step": 10, "loss": 3.0}', history_line(10, {"diversity": 1 / 3, "loss": math.nan})]
    lines += ['{"step": 20, "validation": {}}', history_line(20, {"blobs": 0.0}), '{"step": 30, "hea']
    log.write_text("\n".join(lines))
    assert read_history(log) == [(10, {"diversity": 0.333333}), (20, {"blobs": 0.0})]
