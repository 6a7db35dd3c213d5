"""Working ahead in a thread, with a bounded number of items in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
_END: Any = object()


def ahead(items: Generator[T, None, None], count: int) -> Generator[T, None, None]:
    """Yield the items of a generator, which runs in a thread and is up to ``count`` items ahead."""
    with ThreadPoolExecutor(1, "sfumato-read") as pool, closing(items):
        waiting = deque(pool.submit(next, items, _END) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # before the generator is closed, which must not be running


class Behind:
    """Runs calls one after the other in a thread; `call` waits while ``count`` of them are unfinished.

    An exception of a call is raised by the next `call`, or at the end of the ``with`` block. If the block itself
    raises, the calls that have not begun are dropped.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(1, "sfumato-write")
        self._waiting: deque[Future[object]] = deque()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Run a function after those before it."""
        while self._waiting and (len(self._waiting) >= self._count or self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(function, *arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for future in self._waiting:
                future.result()
