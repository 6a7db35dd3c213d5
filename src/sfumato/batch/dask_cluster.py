"""The engine ``dask``: the workers of a Dask cluster, on this machine or on many."""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

from sfumato import __version__
from sfumato.batch.local_workers import THREADS, default_workers, gpus
from sfumato.batch.running import Engine
from sfumato.errors import InputError, UsageError, first_line, needs_extra

_PATIENCE = 6  # seconds for an answer of a cluster
#: Of Dask, for this process and the workers that it starts.
_SETTINGS: Mapping[str, Any] = {
    "distributed.scheduler.allowed-failures": 1,
    # The scheduler and each worker look at themselves many times a second, which takes 4 % of two cores.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.memory.monitor-interval": "1s",
    # Dask's value of this variable lets malloc map each array anew, which takes 16 % of the time of a draft.
    "distributed.nanny.pre-spawn-environ": {"MALLOC_TRIM_THRESHOLD_": None},
}


@contextmanager
def dask(address: str, run_id: str, content: bytes, workers: int | None, threads: int, device: str) -> Iterator[Engine]:
    """Yield the workers of a Dask cluster, or of one that is started on this machine where no address is given."""
    with needs_extra("scale", "The engine dask"):
        import distributed
        from dask import config
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        timeouts = {"distributed.comm.timeouts.connect": f"{_PATIENCE}s"}
        stack.enter_context(config.set({**_SETTINGS, **timeouts}))
        if address:
            scheme = "tls" if config.get("distributed.comm.tls.ca-file", None) else "tcp"
            where: Any = f"{scheme}://{address}"
        else:
            where = stack.enter_context(_local_cluster(workers or default_workers(threads, device), threads, device))
        try:
            with warnings.catch_warnings(action="ignore"):  # on versions, which are checked below
                client = stack.enter_context(distributed.Client(where, timeout=_PATIENCE, set_as_default=False))
        except (OSError, ValueError) as problem:  # TimeoutError is an OSError
            raise UsageError(
                f"no Dask scheduler answers at {address or 'this machine'} ({first_line(problem)}); start one with: "
                "dask scheduler"
            ) from problem
        _check_workers(client, address)
        client.register_plugin(_installer(run_id, content, bool(address)), name=f"sfumato-{run_id}")
        stack.callback(_forget, client, f"sfumato-{run_id}")
        slots = _Slots(client)
        yield Engine(
            f"dask://{address}" if address else "dask",
            client.get_executor(pure=False),
            slots,
            2,
            slots.notice,
            slots.is_idle,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence all logs in this process: Dask and Tornado log tracebacks of what the batch tells in a sentence."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _local_cluster(workers: int, threads: int, device: str) -> AbstractContextManager[Any]:
    import distributed

    if device == "cuda" and len(gpus()) > 1:
        raise UsageError(
            "a Dask cluster on this machine does not share its GPUs among workers; choose --engine local, or start one "
            "dask worker for each GPU (docs/batch.md)"
        )
    options = dict.fromkeys(THREADS, str(threads))
    cluster: AbstractContextManager[Any] = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
        env=options,
    )
    return cluster


def _check_workers(client: Any, address: str) -> None:
    """Wait for a first worker, and check that all have this Python and this Sfumato.

    Raises:
        UsageError: there is no worker.
        InputError: a worker differs.
    """
    deadline = time.monotonic() + _PATIENCE
    while not client.nthreads():
        if time.monotonic() > deadline:
            raise UsageError(
                f"the Dask scheduler at {address} has no worker; start some with: dask worker tcp://{address} "
                "--nthreads 1"
            )
        time.sleep(0.1)

    versions = client.get_versions()
    own = ".".join(versions["client"]["host"]["python"].split(".")[:2])
    for worker, found in versions["workers"].items():
        theirs = ".".join(found["host"]["python"].split(".")[:2])
        if theirs != own:
            raise InputError(f"the worker {worker} has Python {theirs}, and this is {own}; use the same everywhere")
        for package in ("distributed", "cloudpickle"):
            theirs, mine = found["packages"][package], versions["client"]["packages"][package]
            if theirs != mine:
                raise InputError(
                    f"the worker {worker} has {package} {theirs}, and this is {mine}; use the same everywhere"
                )

    def version() -> str:  # sent as code, since the worker may have no Sfumato
        import sfumato

        return sfumato.__version__

    for worker, found in client.run(version, on_error="return").items():
        if isinstance(found, BaseException):
            raise InputError(
                f"the worker {worker} cannot import Sfumato ({first_line(found)}); install Sfumato with the extra "
                "'scale' there"
            )
        if found != __version__:
            raise InputError(
                f"the worker {worker} has Sfumato {found}, and this is {__version__}; use the same everywhere"
            )


def _installer(run_id: str, content: bytes, is_remote: bool) -> Any:
    """Return the plug-in that gives every worker the spec, also those that come later."""
    import distributed

    class Installer(distributed.WorkerPlugin):  # within a function: sent as code
        def setup(self, worker: Any) -> None:  # noqa: ARG002
            from sfumato.batch.painter import install

            install(run_id, content)
            if not is_remote and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it

    return Installer()


def _forget(client: Any, name: str) -> None:
    with suppress(Exception):  # the cluster may be gone, with its plug-ins
        client.unregister_worker_plugin(name)


class _Slots:
    """How many calls a cluster takes: two for each worker's thread, so that none waits for the next call."""

    def __init__(self, client: Any) -> None:
        self._client, self._threads, self._until = client, 0, 0.0

    def __call__(self) -> int:
        if time.monotonic() > self._until:
            with suppress(Exception):  # the scheduler may be gone, which the calls under way will tell
                self._threads = sum(self._client.nthreads().values())
            self._until = time.monotonic() + 2
        return 2 * self._threads

    def notice(self) -> str:
        """Return a sentence if no worker is connected."""
        return "" if self._threads else "no worker is connected; waiting for one"

    def is_idle(self) -> bool:
        """Return whether there are workers, and none has anything to do."""
        with suppress(Exception):  # as above
            found = self._client.processing()
            return bool(found) and not any(found.values())
        return False
