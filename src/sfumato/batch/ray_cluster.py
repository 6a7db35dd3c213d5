"""The engine ``ray``: actors of a Ray cluster.

Ray Data is not used: its pools of actors wait for ever, in silence, where they hold all cores of the cluster (ray issue
44687). Actors alone do the same work, and are not started beyond the free cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from sfumato.batch.local_workers import OnePerWorker
from sfumato.batch.running import Engine
from sfumato.errors import UsageError, needs_extra


class RayWorkers(OnePerWorker[Any]):
    """Actors of a Ray cluster."""

    def __init__(self, count: int, make: Callable[[], Any], lost: tuple[type[BaseException], ...]) -> None:
        super().__init__(count, lost)
        self._make = make

    def start(self, _number: int) -> Any:
        """Return a new actor."""
        return self._make()

    def call(self, worker: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        """Call a function in an actor."""
        future: Future[Any] = worker.call.remote(function, arguments).future()
        return future


@contextmanager
def ray(_address: str, run_id: str, content: bytes, workers: int | None, threads: int, device: str) -> Iterator[Engine]:
    """Yield actors of the Ray cluster that ``RAY_ADDRESS`` names, or of one that is started on this machine.

    Their number never exceeds the free cores: an actor that finds none waits for ever, in silence.
    """
    with needs_extra("ray", "The engine ray"):
        import ray as library
    library.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        resources = library.cluster_resources()
        needed = {"num_gpus": 1, "num_cpus": 0} if device == "cuda" else {"num_cpus": threads}
        free = int(resources.get("GPU", 0)) if device == "cuda" else int(resources.get("CPU", 0)) // threads
        if not free:
            raise UsageError("the Ray cluster has no free core or GPU for a worker; start one with: ray start")
        count = min(workers or free, free)

        class Worker:
            def __init__(self) -> None:
                from sfumato.batch.painter import install

                install(run_id, content)

            def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
                return function(*arguments)

        actor = library.remote(**needed)(Worker)
        lost = (library.exceptions.RayActorError,)
        executor = RayWorkers(count, actor.remote, lost)
        yield Engine("ray", executor, lambda: count)
    finally:
        library.shutdown()
