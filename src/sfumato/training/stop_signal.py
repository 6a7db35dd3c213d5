"""A handler of SIGINT and SIGTERM that lets a training run save before it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sfumato.parallel import ProcessLostError


@contextmanager
def stop_signal() -> Iterator[list[int]]:
    """Yield a list to which the first SIGINT or SIGTERM is added; a second signal has its usual effect."""
    got: list[int] = []
    before: dict[int, Any] = {}

    def handler(number: int, _frame: FrameType | None) -> None:
        got.append(number)
        for n, previous in before.items():
            signal.signal(n, previous)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handler)
    except ValueError:  # not in the main thread, which alone may set handlers
        before.clear()
    try:
        yield got
    except ProcessLostError:
        # The launcher now sends SIGTERM to the remaining processes; ignore it so that the error message is printed.
        if signal.SIGTERM in before:
            before[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        for n, previous in before.items():
            signal.signal(n, previous)
