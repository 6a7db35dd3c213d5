"""A child process that works for its parent over a pipe, and can be ended at any time.

Pictures come from strangers, and decoders are written in C: what reads them runs in a child, so that a crash, a loop or
a flood of memory costs one job and not the service.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

_NICE = 5  # children leave the cores to the service, which answers quickly


class Child:
    """A running child process.

    Args:
        target: a function of a module, called in the child with its end of the pipe and ``arguments``.
        arguments: picklable.

    Attributes:
        pipe: the parent's end of the pipe. Reading raises EOFError where the child has ended.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        self.pipe: Connection
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(target, theirs, arguments), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None, "it was started"
        return self._process.pid

    @property
    def memory(self) -> int:
        """Bytes of memory that the process uses now; 0 where the system does not tell."""
        with suppress(OSError, ValueError, IndexError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        return 0

    def end(self) -> None:
        """End the process now, whatever it does."""
        with suppress(OSError, ValueError):
            self._process.kill()
            self._process.join(5)
        with suppress(OSError):
            self.pipe.close()


def limit_memory(bytes_: int) -> None:
    """Let this process allocate no more memory than that; an allocation beyond raises MemoryError."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (bytes_, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _run(target: Callable[..., None], pipe: Connection, arguments: tuple[Any, ...]) -> None:
    """Run ``target`` in the child until it returns, or the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its children
    threading.Thread(target=_follow_parent, daemon=True).start()
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(_NICE)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has ended
        target(pipe, *arguments)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "it runs in a child"
    wait([parent.sentinel])
    os._exit(1)
