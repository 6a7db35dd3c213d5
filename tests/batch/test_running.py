"""Distribution of work: bounded, in any order, and complete although workers die."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from batch_work import die_at, die_once, double, page_faults, process_number, threads
from sfumato.batch.engines import open_engine
from sfumato.batch.local_workers import LocalWorkers
from sfumato.batch.outcomes import Outcome
from sfumato.batch.running import Engine, Lost, Stop, run
from sfumato.errors import OutputError


@pytest.fixture
def workers() -> Any:
    executor = LocalWorkers(2, ("", b""), "cpu")
    yield Engine("local", executor, lambda: 2)
    executor.shutdown()


def test_every_item_comes_back_once_with_its_value() -> None:
    with threads(3) as engine:
        assert sorted(run(range(1000), engine, double)) == [(i, 2 * i) for i in range(1000)]


def test_the_calls_under_way_are_bounded() -> None:
    under_way, most = 0, 0
    lock = threading.Lock()

    def work(items: Sequence[int]) -> list[Outcome]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002)
        with lock:
            under_way -= 1
        return [Outcome("", "", "painted", seconds=0.4) for _ in items]

    with ThreadPoolExecutor(16) as pool:
        assert len(list(run(range(100), Engine("t", pool, lambda: 4), work))) == 100
    assert 2 <= most <= 4


def test_chunks_grow_for_quick_items_and_shrink_at_the_end() -> None:
    sizes = []

    def work(items: Sequence[int]) -> list[Outcome]:
        sizes.append(len(items))
        return [Outcome("", "", "painted", seconds=0.02) for _ in items]

    with threads() as engine:
        assert len(list(run(range(400), engine, work))) == 400
    assert max(sizes) == 25
    assert sizes[-1] == 1


def test_two_processes_work_at_the_same_time_and_have_one_thread(workers: Engine) -> None:
    assert len({value for _, value in run(range(8), workers, process_number)}) == 2


def test_a_killed_process_is_replaced_and_its_items_are_done(workers: Engine, tmp_path: Path) -> None:
    flag = str(tmp_path / "flag")
    assert sorted(run(range(20), workers, die_once, 7, flag)) == [(i, i) for i in range(20)]


def test_an_item_that_kills_its_process_each_time_is_lost_and_no_other(workers: Engine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = dict(run(range(12), workers, die_at, (5,), str(log)))
    lost = {item: value for item, value in found.items() if isinstance(value, Lost)}
    assert list(lost) == [5]
    assert lost[5].times == 3
    assert {item: value for item, value in found.items() if item != 5} == {i: i for i in range(12) if i != 5}
    assert Counter(log.read_text().split())["5"] >= 3


def test_workers_that_can_do_nothing_end_the_run() -> None:
    def broken(_: Sequence[int]) -> list[int]:
        raise ModuleNotFoundError("No module named 'sfumato'")

    with threads() as engine, pytest.raises(OutputError, match="no worker of the engine threads can do any work"):
        list(run(range(100), engine, broken))


def test_an_engine_that_is_gone_ends_the_run_in_a_sentence() -> None:
    class Gone(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with pytest.raises(OutputError, match="cannot be reached any more"):
        list(run(range(3), Engine("gone", Gone(), lambda: 1), double))


def test_a_stopped_run_finishes_what_it_began() -> None:
    stop, began = Stop(), []

    def work(items: Sequence[int]) -> list[int]:
        began.extend(items)
        stop.is_set = len(began) >= 5
        return list(items)

    with threads() as engine:
        done = [item for item, _ in run(range(100), engine, work, stop=stop)]
    assert done == began
    assert 5 <= len(done) < 100


def test_a_run_waits_while_there_is_no_worker() -> None:
    times: list[float] = []

    def slots() -> int:
        times.append(time.monotonic())
        return int(len(times) > 2)

    with ThreadPoolExecutor(1) as pool:
        assert dict(run(range(3), Engine("late", pool, slots), double)) == {0: 0, 1: 2, 2: 4}


@pytest.mark.slow
def test_dask_loses_only_the_item_that_kills_its_worker_each_time(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with open_engine("dask", "0" * 32, b"", workers=2) as engine:
        found = dict(run(range(12), engine, die_at, (5,), str(tmp_path / "log")))
    lost = [item for item, value in found.items() if isinstance(value, Lost)]
    assert lost == [5]
    assert sorted(found) == list(range(12))


class Forgetful(ThreadPoolExecutor):
    """Forgets its third call."""

    calls = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        return Future() if self.calls == 3 else super().submit(fn, *args, **kwargs)


def test_a_call_that_is_lost_on_the_way_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.batch.running._IDLE", 0.1)
    with Forgetful(2) as pool:
        engine = Engine("forgetful", pool, lambda: 2, is_idle=lambda: True)
        assert sorted(item for item, _ in run(range(8), engine, double)) == list(range(8))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="malloc of glibc")
def test_a_worker_of_dask_keeps_freed_memory() -> None:
    pytest.importorskip("distributed")
    with open_engine("dask", "0" * 32, b"", workers=1) as engine:
        found = [value for _, value in run(range(3), engine, page_faults)]
    assert all(isinstance(value, float) and value < 50 for value in found), found
