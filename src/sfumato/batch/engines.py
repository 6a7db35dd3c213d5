"""The engines of a batch: processes of this machine, Dask, Ray.

Each opens as a context that yields an `Engine`. Its workers hold the batch's spec and have one thread each, if not told
otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from sfumato.batch.dask_cluster import dask
from sfumato.batch.local_workers import local
from sfumato.batch.ray_cluster import ray
from sfumato.batch.running import Engine
from sfumato.errors import UsageError

#: The engines by name.
ENGINES: Mapping[str, Callable[..., AbstractContextManager[Engine]]] = {"local": local, "dask": dask, "ray": ray}


@contextmanager
def open_engine(
    text: str, run_id: str, content: bytes, workers: int | None = None, threads: int = 1, device: str = "auto"
) -> Iterator[Engine]:
    """Start or find the workers of an engine; they end with the block if it started them.

    Args:
        text: a name in `ENGINES`, or an address such as ``dask://10.0.0.1:8786``.
        run_id: of the spec (`Spec.packed`).
        content: the spec.
        workers: how many are started; None: one for each core, or GPU where ``device`` is ``"cuda"``. A cluster has
            those that it has.
        threads: of a worker.
        device: as `Stylizer` takes it.

    Raises:
        UsageError: there is no such engine or cluster.
        MissingExtraError: a library is missing.
        InputError: the workers of a cluster do not fit this process.
    """
    check_engine(text, workers)
    name, _, address = text.partition("://")
    with ENGINES[name](address, run_id, content, workers, threads, device) as engine:
        yield engine


def check_engine(text: str, workers: int | None) -> None:
    """Raise UsageError where there is no such engine, or it does not take a number of workers."""
    name, _, address = text.partition("://")
    if name not in ENGINES or (address and name != "dask") or ("://" in text and not re.fullmatch(r"\S+:\d+", address)):
        raise UsageError(f"there is no engine {text!r}; choose local, dask, dask://HOST:PORT or ray")
    if address and workers is not None:
        raise UsageError(f"the cluster {text} has its own workers; leave --workers out")
