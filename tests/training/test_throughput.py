from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sfumato.training.loop import Trainer
from sfumato.training.throughput import ADVICE, StepTimer, throughput


def timer(**seconds: Any) -> Any:
    made = StepTimer()
    made.seconds.update(seconds)
    made.all_seconds.update(seconds)
    return made


def test_laps_add_up_and_shares_start_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 1.5, 3.0, 4.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    made = StepTimer(last=next(now))
    for name in ("data", "generator", "data"):
        made.record(name)
    assert made.shares() == {"data": pytest.approx(2.5 / 3, abs=1e-3), "generator": pytest.approx(0.5 / 3, abs=1e-3)}
    assert made.shares() == {}
    made.record("generator")
    assert made.all_seconds == {"data": 2.5, "generator": 1.5}


@pytest.mark.parametrize(
    ("seconds", "bottleneck"),
    [
        ({"generator": 6, "discriminator": 3, "data": 1}, "generator"),
        ({"generator": 3, "discriminator": 6, "data": 1}, "discriminator"),
        ({"generator": 6, "discriminator": 2, "data": 2}, "data"),  # a fifth is too much, though others take more
        ({"generator": 5, "targets": 2, "sharing": 3}, "sharing"),
        ({"validation": 1}, "validation"),
    ],
)
def test_what_holds_a_run_up_is_named(seconds: Any, bottleneck: str) -> None:
    found = throughput(timer(**seconds), 40)
    assert found.pictures_per_second == pytest.approx(40 / sum(seconds.values()))
    assert found.bottleneck == bottleneck
    first, second = found.lines()
    assert second == f"{ADVICE[bottleneck]}."
    named = re.findall(r"(\w+) \d+%", first)
    assert named == sorted(seconds, key=lambda name: -seconds[name])
    assert list(found.shares) == named


def test_without_steps_there_is_nothing_to_say() -> None:
    assert throughput(timer(), 4) is None
    assert throughput(timer(data=1), 0) is None


def test_a_run_says_where_its_time_went(trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    sizes = {"steps": 1, "batch": 2, "crop": 32, "thumbnails": [32]}
    made = trainer(tmp_path, phases=({**sizes, "adversarial": False}, sizes))
    assert made.throughput() is None
    made.estimate()
    assert made.throughput() is None  # trial steps are not the run
    made.run(lambda progress: None)
    found = made.throughput()
    assert {"generator", "discriminator", "data", "targets", "other"} <= found.shares.keys()
    assert found.shares.keys() <= ADVICE.keys()
    assert sum(found.shares.values()) == pytest.approx(1)
    assert "sharing" not in found.shares
