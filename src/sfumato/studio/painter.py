"""The painter: the child process of a worker, which does one piece of work at a time.

It receives `Task` by its pipe and answers with `Ready`, `Step` and `Ended`. It keeps its graphs, styles and photos
loaded between tasks (`work.warm`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from sfumato.errors import SfumatoError, is_out_of_memory
from sfumato.inference.progress import Progress
from sfumato.studio.child import limit_memory
from sfumato.studio.work.parts import Inputs, Made

_log = logging.getLogger(__name__)
_EVERY = 0.1  # seconds between two reports of progress, at least
NO_MEMORY = "the job needs more memory than it may take; choose a smaller size, or ask for a higher limit"


@dataclass(frozen=True)
class Task:
    """A piece of work: a kind of `work.KINDS`, and its arguments."""

    id: str
    kind: str
    asked: Mapping[str, Any]
    files: Inputs
    folder: Path


@dataclass(frozen=True)
class Stop:
    """Asks the painter to stop a task."""

    id: str


@dataclass(frozen=True)
class Ready:
    """The painter has loaded its graphs."""


@dataclass(frozen=True)
class Step:
    """The progress of a task."""

    id: str
    share: float
    doing: str


@dataclass(frozen=True)
class Ended:
    """The end of a task, with its result, or with a sentence where it failed."""

    id: str
    state: Literal["done", "failed", "cancelled"]
    result: dict[str, Any] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    error: str | None = None


class _CancelledError(Exception):
    """Ends a task from within its progress."""


def serve(pipe: Connection, threads: int | None, job_bytes: int, seals: bool = False) -> None:
    """Do the tasks that come through a pipe, until its other end is closed; ``seals``: results are sealed."""
    from sfumato.studio.work import warm  # only in the child, since it loads the graphs

    limit_memory(job_bytes)
    warm.set_threads(threads)
    warm.set_seals(seals)
    warm.warm_up()
    pipe.send(Ready())
    while True:
        task = pipe.recv()
        if isinstance(task, Task):  # a Stop that came too late is passed over
            pipe.send(_do(task, pipe))


def _do(task: Task, pipe: Connection) -> Ended:
    from sfumato.studio.work import KINDS

    try:
        result, made = KINDS[task.kind](task.asked, task.files, task.folder, _reporter(task, pipe))
        return Ended(task.id, "done", result, made)
    except _CancelledError:
        return Ended(task.id, "cancelled")
    except Exception as problem:
        if is_out_of_memory(problem):
            return Ended(task.id, "failed", error=NO_MEMORY)
        if isinstance(problem, SfumatoError):
            return Ended(task.id, "failed", error=_named(str(problem), task))
        _log.exception("sfumato: a job of the kind %s failed in a way that is a mistake of Sfumato", task.kind)
        return Ended(task.id, "failed", error=f"Sfumato made a mistake ({type(problem).__name__}); please report it")


def _reporter(task: Task, pipe: Connection) -> Progress:
    """Return the function that reports progress, and ends the task when the worker asks for it."""
    last = 0.0

    def report(share: float, doing: str) -> None:
        nonlocal last
        while pipe.poll():
            message = pipe.recv()
            if message == Stop(task.id):
                raise _CancelledError
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            pipe.send(Step(task.id, min(1.0, max(0.0, share)), doing))

    return report


def _named(sentence: str, task: Task) -> str:
    """Return a sentence in which pictures have their titles in place of the paths of their files."""
    for stored in task.files.pictures.values():
        for path in (stored.path, stored.small):
            if path is not None:
                sentence = sentence.replace(str(path), stored.name)
    return sentence.replace(f"{task.folder}/", "")
