"""Threads of an evaluation: one job per picture, and a one-sentence error where memory does not suffice."""

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
    """Run ``work`` on every job in threads, and return the results in the order of the jobs.

    The first error, or Ctrl-C, cancels the jobs that have not begun.

    Args:
        work: Takes one job and returns its result.
        jobs: The jobs.
        workers: Number of threads.
        tick: Called after each job.

    Raises:
        InputError: A job does not fit into memory.
    """
    with needs_extra("quality", "An evaluation"):
        from threadpoolctl import threadpool_limits

    def within_memory(job: _T) -> _R:
        try:
            return work(job)
        except (MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
            raise too_large(str(job) if isinstance(job, Path) else "the evaluation") from problem

    # One thread of BLAS is faster for small products; more would compete with the workers.
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
    """Return the error for something that does not fit into memory."""
    return InputError(
        f"{name} does not fit into memory; make it smaller, give a lower --workers, or close other programs"
    )
