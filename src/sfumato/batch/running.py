"""Running of many small pieces of work on an executor whose workers may be lost."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from sfumato.errors import OutputError, first_line

Item = TypeVar("Item")
Value = TypeVar("Value")

_CHUNK_SECONDS = 0.5  # that a call should take: short for a smooth end, long against the cost of a call
_SECONDS_PER_WORKER = 0.005  # more of it for many workers, which otherwise finish more calls than one process can serve
_MAX_CHUNK = 256
_MAX_IN_VAIN = 12  # calls that may fail before any succeeds
_IDLE = 6.0  # seconds after which calls count as lost, if no worker has anything to do
_POLL = 0.5  # seconds between looks at the number of workers and at `stop`


@dataclass(frozen=True)
class Engine:
    """Workers.

    Attributes:
        name: of the engine, with its address.
        executor: runs calls on them.
        slots: returns how many calls may be under way now.
        tries: how often an item may lose its worker before it counts as failed.
        notice: returns a sentence on the state of the workers that the user should know; empty if there is none.
        is_idle: returns whether no worker has anything to do. If calls are under way, they were lost on the way: with
            Dask, this was seen about once in fifty runs in which workers were killed.
    """

    name: str
    executor: Executor
    slots: Callable[[], int]
    tries: int = 3
    notice: Callable[[], str] = field(default=lambda: "")
    is_idle: Callable[[], bool] = field(default=lambda: False)


class Stop:
    """Whether a run should stop: no new work is begun, and what was begun is finished."""

    is_set = False


@dataclass(frozen=True)
class Lost(Generic[Item]):
    """An item whose worker died, or could not begin its work, each time; and the last error."""

    item: Item
    times: int
    error: Exception


def run(
    items: Sequence[Item],
    engine: Engine,
    work: Callable[..., Sequence[Value]],
    *arguments: Any,
    stop: Stop | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Item, Value | Lost[Item]]]:
    """Call ``work(*arguments, chunk)`` for chunks of the items, and yield each item with its value as it is done.

    A bounded number of calls is under way at any time. The size of chunks follows the time that items take. Where a
    worker is lost, the items of its chunk are tried again one by one.

    Args:
        items: what there is to do.
        engine: where it is done.
        work: a function at the top of a module; it returns one value for each item and catches errors of items itself.
        arguments: of every call, before the chunk.
        stop: ends the run early when it is set.
        tick: is called at least twice a second.

    Raises:
        OutputError: the workers cannot be reached any more, or none can do any work.
    """
    stop = stop or Stop()
    waiting, left = iter(items), len(items)
    again: deque[Item] = deque()
    suspects: deque[Item] = deque()  # that lost a worker alone: one at a time, since it takes calls that wait with it
    tried: Future[Sequence[Value]] | None = None
    losses: Counter[Item] = Counter()
    flying: dict[Future[Sequence[Value]], tuple[Item, ...]] = {}
    done: SimpleQueue[Future[Sequence[Value]]] = SimpleQueue()
    pace, in_vain, forgotten, idle_since = _Pace(), 0, 0, float("inf")
    while True:
        slots = engine.slots()
        while not stop.is_set and len(flying) < slots:
            size = pace.size(left, slots)
            is_suspect = bool(suspects) and tried is None
            if is_suspect or again:
                chunk: tuple[Item, ...] = ((suspects if is_suspect else again).popleft(),)
            else:
                chunk = tuple(islice(waiting, size))
            if not chunk:
                break
            left -= len(chunk)
            call = engine.executor.submit(work, *arguments, chunk)
            flying[call] = chunk
            tried = call if is_suspect else tried
            call.add_done_callback(done.put)
        if not flying and (stop.is_set or left <= 0):
            return
        tick()
        future = _next(done)
        if future is None:
            now = time.monotonic()
            idle_since = min(idle_since, now) if flying and engine.is_idle() else float("inf")
            if now - idle_since > _IDLE:
                if (forgotten := forgotten + 1) > engine.tries:
                    raise OutputError(
                        f"the engine {engine.name} loses calls; start it again, then run the same command"
                    )
                again.extend(item for lost in flying.values() for item in lost)
                left += sum(map(len, flying.values()))
                flying.clear()
                tried, idle_since = None, float("inf")
            continue
        idle_since = float("inf")
        if future not in flying:  # it counted as lost
            continue
        chunk = flying.pop(future)
        tried = None if future is tried else tried
        try:
            values = future.result()
        except CancelledError as problem:
            raise OutputError(
                f"the engine {engine.name} cannot be reached any more; start it again, then run the same command"
            ) from problem
        except Exception as problem:  # the worker died or cannot run this batch: the errors of items are values
            if not pace.has_begun and (in_vain := in_vain + 1) >= _MAX_IN_VAIN:
                raise OutputError(
                    f"no worker of the engine {engine.name} can do any work: the last error was {first_line(problem)}"
                ) from problem
            for item in chunk:
                losses[item] += len(chunk) == 1  # in a longer chunk, another item may have killed the worker
                if losses[item] >= engine.tries:
                    yield item, Lost(item, losses[item], problem)
                else:
                    (suspects if losses[item] else again).append(item)
                    left += 1
            continue
        forgotten = 0  # in a row: a long batch may lose a call now and then
        pace.took(len(chunk), values)
        yield from zip(chunk, values, strict=True)


def _next(done: SimpleQueue[Future[Value]]) -> Future[Value] | None:
    """Return the next call that is done, or None after a while."""
    try:
        return done.get(timeout=_POLL)
    except Empty:
        return None


class _Pace:
    """Chooses the number of items of a chunk by the seconds that items take."""

    def __init__(self) -> None:
        self._seconds: float | None = None  # of an item, lately

    @property
    def has_begun(self) -> bool:
        """Whether any item is done."""
        return self._seconds is not None

    def took(self, count: int, values: Sequence[Any]) -> None:
        """Learn from the seconds that the workers state; those of waiting are not in them."""
        seconds = sum(_seconds(value) for value in values) / count
        self._seconds = seconds if self._seconds is None else 0.8 * self._seconds + 0.2 * seconds

    def size(self, left: int, slots: int) -> int:
        """Return the size of the next chunk; near the end it falls, so that all workers finish together."""
        if self._seconds is None:
            return 1
        wanted = max(_CHUNK_SECONDS, _SECONDS_PER_WORKER * slots) / max(self._seconds, 1e-4)
        return max(1, min(round(wanted), _MAX_CHUNK, left // (2 * max(slots, 1))))


def _seconds(value: Any) -> float:
    outcomes = value if isinstance(value, list) else [value]
    return sum(getattr(outcome, "seconds", 0.0) for outcome in outcomes)
