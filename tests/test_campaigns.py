"""Parts of benchmarks/campaigns: what they judge by must tell good from bad."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.errors import InputError

CAMPAIGNS = Path(__file__).parents[1] / "benchmarks" / "campaigns"


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts put folders into the path and import their neighbours."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in set(sys.modules) - before:
        if name in ("studio", "doors"):
            del sys.modules[name]


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"campaign_{name}", CAMPAIGNS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def refuse(said: str) -> Any:
    def read(_: bytes) -> None:
        raise InputError(said)

    return read


@pytest.mark.parametrize(
    ("reader", "outcome"),
    [
        (len, "read"),
        (refuse("it is damaged; choose another"), "refused"),
        (refuse("it is damaged;\nchoose another"), "failed"),
        (refuse("it is \x1b[31mdamaged"), "failed"),
        (refuse(""), "failed"),
        (int, "failed"),  # a ValueError
        (lambda _: sys.exit("bye"), "failed"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_reader_must_read_or_say_one_sentence(reader: Any, outcome: str) -> None:
    assert load("fuzz").judged([reader], b"x")["outcome"] == outcome


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_counted_for_each_input() -> None:
    fuzz = load("fuzz")
    assert fuzz.judged([lambda _: np.ones(25_000_000).sum()], b"")["mb"] >= 190
    assert fuzz.judged([len], b"")["mb"] < 20


def test_the_table_counts_by_reader() -> None:
    results = [{"reader": "a", "outcome": kind, "seconds": 1.5, "mb": 3} for kind in ("read", "refused", "failed")]
    lines = load("fuzz").table([*results, {**results[0], "reader": "b", "mb": 7}]).splitlines()
    assert lines[2:] == ["| a | 3 | 1 | 1 | 1 | 1.5 | 3 |", "| b | 1 | 1 | 0 | 0 | 1.5 | 7 |",
                         "| **all** | 4 | 2 | 1 | 1 | 1.5 | 7 |"]  # fmt: skip


@pytest.mark.slow
def test_a_fuzz_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    lines: list[str] = []
    for count in (2, 4):
        words = [sys.executable, str(CAMPAIGNS / "fuzz.py"), str(tmp_path), "--inputs", str(count), "--seed", "5"]
        told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        assert f"| **all** | {count} |" in told
        before, lines = lines, results.read_text().splitlines()
        assert lines[: len(before)] == before
        assert [json.loads(line)["index"] for line in lines] == list(range(count))


def test_memory_that_grows_is_seen() -> None:
    flatness = load("load").flatness
    assert flatness([{"server": 100.0}] * 40)["server"].endswith("(+0.0%)")
    assert flatness([{"server": 100.0 + number} for number in range(40)])["server"].endswith("(+21.9%)")


def test_lost_and_doubled_jobs_are_seen() -> None:
    lost = load("faults").lost
    good = {"accepted": 3, "ended": {"done": 3}, "done without a picture": 0, "done with more than one": 0}
    assert lost(good) == []
    assert lost({**good, "ended": {"done": 2, "failed": 1}}) != []
    assert lost({**good, "done with more than one": 1}) == ["1 done with more than one"]


def test_half_written_missing_and_left_over_files_are_seen(tmp_path: Path) -> None:
    work = load("faults").Work("stylize", [], "out", {"a.png": b"whole", "b.png": b"whole"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"whole")
    assert work.wrong(tmp_path, False) == []
    assert work.wrong(tmp_path, True) == ["b.png is missing"]
    (out / "b.png").write_bytes(b"who")
    (out / ".tmp-1").touch()
    assert work.wrong(tmp_path, True) == ["b.png differs", ".tmp-1 is left over"]


def test_pictures_that_differ_are_measured() -> None:
    compared = load("determinism").compared
    base = {"draft/a": np.full((4, 4, 3), 9, np.uint8), "draft/b": np.full((4, 4, 3), 9, np.uint8)}
    assert compared(base, base, "draft", True)["within"]
    other = {**base, "draft/b": base["draft/b"] + np.uint8(1)}
    found = compared(base, other, "draft", False)
    assert (found["equal"], found["most"], found["within"]) == ("1 of 2", 1, True)
    assert not compared(base, other, "draft", True)["within"]
    assert not compared(base, {**base, "draft/b": base["draft/b"] + np.uint8(3)}, "draft", False)["within"]
