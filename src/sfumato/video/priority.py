"""Encoders that run as root must not take the machine for themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def usual_priority() -> Iterator[None]:
    """Take real-time priority from the threads of this process that get it within the block.

    As root, SVT-AV1 gives it to its threads and to the thread that opens it (SCHED_FIFO, 99), and every process that is
    started later inherits it. Nothing else on the machine then gets more than a twentieth of the processor.
    """
    if sys.platform != "linux":
        yield
        return
    real_time = {os.SCHED_FIFO, os.SCHED_RR}
    before = {thread for thread, policy in _policies() if policy in real_time}
    try:
        yield
    finally:
        for thread, policy in _policies():
            if policy in real_time and thread not in before:
                with suppress(OSError):  # it has ended
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _policies() -> Iterator[tuple[int, int]]:
    for name in os.listdir("/proc/self/task"):
        with suppress(OSError):
            yield int(name), os.sched_getscheduler(int(name))
