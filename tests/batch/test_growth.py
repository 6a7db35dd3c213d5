"""The simulation of many workers, and its table in the documentation."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("batch_simulation", ROOT / "benchmarks" / "batch_simulation.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["batch_simulation"] = module
    spec.loader.exec_module(module)
    return module


def test_workers_that_share_nothing_grow_linearly(simulation: ModuleType) -> None:
    work, store = simulation.Work("w", 10**5, 10**5, 0.5), simulation.Store("s", 1e12, 0.0)
    rates = [simulation.simulate(work, store, workers, 1e-6, 1e-9, 1.0).rate for workers in (1, 10)]
    assert rates[0] == pytest.approx(2.0, rel=0.1)
    assert rates[1] == pytest.approx(20.0, rel=0.1)


def test_the_bandwidth_of_the_store_is_the_end(simulation: ModuleType) -> None:
    work, store = simulation.Work("w", 10**6, 10**6, 0.5), simulation.Store("s", 2e7, 0.0)
    found = simulation.simulate(work, store, 50, 1e-6, 1e-9, 1.0)
    assert found.rate == pytest.approx(10.0, rel=0.1)  # 20 MB/s for 2 MB a picture
    assert found.limit == "the store"


def test_one_process_is_the_end_where_calls_are_dear(simulation: ModuleType) -> None:
    work, store = simulation.Work("w", 1, 1, 10.0), simulation.Store("s", 1e12, 0.0)  # one picture a call
    found = simulation.simulate(work, store, 100, 0.5, 0.0, 1.0)
    assert found.rate == pytest.approx(2.0, rel=0.1)
    assert found.limit == "the process"


@pytest.mark.slow
def test_the_documentation_has_the_table_and_the_plot_of_the_committed_parts(simulation: ModuleType) -> None:
    parts = json.loads(simulation.PARTS.read_text())
    found = list(simulation.cases(parts))
    assert simulation.markdown(found, parts) in (ROOT / "docs" / "batch.md").read_text("utf-8")
    assert simulation.plot(found) == (ROOT / "docs" / "batch-growth.svg").read_text("utf-8")
