"""Workers that each have one call at a time, and those of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from sfumato.batch.painter import install
from sfumato.batch.running import Engine

Worker = TypeVar("Worker")
#: Variables for the number of threads of numerical libraries.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def default_workers(threads: int, device: str) -> int:
    """Return the number of workers for this machine: one for each GPU, or as many as the cores allow."""
    if device == "cuda":
        return max(1, len(gpus()))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def gpus() -> list[str]:
    """Return the numbers of this machine's GPUs, those of ``CUDA_VISIBLE_DEVICES`` where it is set."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [each.strip() for each in chosen.split(",") if each.strip()]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


class OnePerWorker(Executor, Generic[Worker]):
    """An executor that gives each worker one call at a time, and replaces workers that were lost.

    So a lost worker loses one call only, and it is known which. `submit` waits until a worker is idle.
    """

    def __init__(self, count: int, lost: tuple[type[BaseException], ...]) -> None:
        self._lost = lost
        self._workers: dict[int, Worker] = {}
        self._idle: SimpleQueue[int] = SimpleQueue()
        for number in range(count):
            self._idle.put(number)

    @abstractmethod
    def start(self, number: int) -> Worker:
        """Return a new worker."""

    @abstractmethod
    def call(self, worker: Worker, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        """Call a function on a worker."""

    def end(self, worker: Worker) -> None:
        """Release a worker that was lost, or is not needed any more."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function on an idle worker; keywords are not supported."""
        assert not kwargs, "calls have no keywords"
        number = self._idle.get()
        try:
            future = self.call(self._worker(number), fn, args)
        except self._lost:  # it died while it was idle
            self._drop(number)
            future = self.call(self._worker(number), fn, args)
        future.add_done_callback(lambda ended: self._ended(number, ended))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End all workers."""
        for number in list(self._workers):
            self._drop(number)

    def _worker(self, number: int) -> Worker:
        if number not in self._workers:
            self._workers[number] = self.start(number)
        return self._workers[number]

    def _drop(self, number: int) -> None:
        worker = self._workers.pop(number, None)
        if worker is not None:
            self.end(worker)

    def _ended(self, number: int, future: Future[Any]) -> None:
        if not future.cancelled() and isinstance(future.exception(), self._lost):
            self._drop(number)
        self._idle.put(number)


class LocalWorkers(OnePerWorker[ProcessPoolExecutor]):
    """Processes of this machine, each a pool of its own: a pool is lost as a whole if one of its processes dies."""

    def __init__(self, count: int, start_with: tuple[Any, ...], device: str) -> None:
        super().__init__(count, (BrokenExecutor,))
        self._start_with = start_with
        self._gpus = gpus() if device == "cuda" else []

    def start(self, number: int) -> ProcessPoolExecutor:
        """Return a pool of one process, which has one of the GPUs if there are several."""
        gpu = self._gpus[number % len(self._gpus)] if self._gpus else None
        arguments = (*self._start_with, gpu)
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_start_worker, initargs=arguments)

    def call(
        self, worker: ProcessPoolExecutor, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Future[Any]:
        """Call a function in a worker's process."""
        return worker.submit(function, *arguments)

    def end(self, worker: ProcessPoolExecutor) -> None:
        """Let the process end when it has finished its call."""
        worker.shutdown(wait=False, cancel_futures=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End all workers, and wait for their ends: Python's own wait at its exit can meet a pool that is closing."""
        while self._workers:
            self._workers.popitem()[1].shutdown(wait=True, cancel_futures=True)


def _start_worker(run_id: str, content: bytes, gpu: str | None) -> None:
    """Prepare a worker's process: Ctrl-C is for its parent, and it ends when its parent has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before ONNX Runtime starts CUDA
    install(run_id, content)


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def local(
    _address: str, run_id: str, content: bytes, workers: int | None, threads: int, device: str
) -> Iterator[Engine]:
    """Yield processes of this machine."""
    count = workers or default_workers(threads, device)
    executor = LocalWorkers(count, (run_id, content), device)
    with _environment(dict.fromkeys(THREADS, str(threads))):
        try:
            yield Engine("local", executor, lambda: count)
        finally:
            executor.shutdown()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment, which new processes get, until the end of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
