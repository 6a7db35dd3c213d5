"""Threads of judging: one job a picture, and an error of one sentence where memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from sfumato.errors import InputError, is_out_of_memory, needs_extra

_T = TypeVar("_T")
_R = TypeVar("_R")


def each(
    work: Callable[[_T], _R], jobs: Sequence[_T], workers: int, tick: Callable[[], None] = lambda: None
) -> list[_R]:
    """``work`` on every job, in ``workers`` threads; the first error, or Ctrl-C, drops the jobs that have not begun.

    Args:
        tick: called after each job.

    Raises:
        InputError: a job does not fit into memory.
    """
    with needs_extra("quality", "Judging"):
        from threadpoolctl import threadpool_limits

    def within_memory(job: _T) -> _R:
        try:
            return work(job)
        except (MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
            raise too_large(str(job) if isinstance(job, Path) else "what is judged") from problem

    # Small products are done sooner by one thread of BLAS than by all: these would spin beside the workers.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(within_memory, job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                tick()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def too_large(name: str) -> InputError:
    """The error for something that does not fit into memory."""
    return InputError(
        f"{name} does not fit into memory; make it smaller, give a lower --workers, or close other programs"
    )
