"""SIGINT and SIGTERM of a training run: noted, so that the run can save before it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sfumato.parallel import ProcessLostError


@contextmanager
def stop_signal() -> Iterator[list[int]]:
    """A list that holds the first SIGINT or SIGTERM; a second one ends the process at once, as it would have."""
    got: list[int] = []
    before: dict[int, Any] = {}

    def handler(number: int, frame: FrameType | None) -> None:
        got.append(number)
        for n, previous in before.items():
            signal.signal(n, previous)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread: signals are somebody else's business
        before.clear()
    try:
        yield got
    except ProcessLostError:
        # The launcher now ends all processes that are left. The message is to be said before.
        if signal.SIGTERM in before:
            before[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        for n, previous in before.items():
            signal.signal(n, previous)
