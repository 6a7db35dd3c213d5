"""A run's folder: who may write into it, and what is said where it cannot be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sfumato.errors import OutputError, UsageError
from sfumato.files import atomic_file
from sfumato.locks import locked
from sfumato.training.config import TrainConfig
from sfumato.training.state import checkpoints, remove_unfinished

LOCK = ".lock"  # in a run: held by the training that writes into it
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some disks of clusters: there nobody is kept out


@contextmanager
def hold_run_lock(out: Path) -> Iterator[None]:
    """Hold a run's lock.

    Raises:
        UsageError: another training holds it.
        OutputError: the folder cannot be written.
    """
    with ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(out / LOCK))
        except BlockingIOError as problem:
            raise UsageError(
                f"another training writes into {out}; wait for its end, or give another --out"
            ) from problem
        except OSError as problem:
            if problem.errno not in _NO_LOCKS:
                raise OutputError(f"cannot write into {out}: {problem.strerror or problem}") from problem
        yield


@contextmanager
def room_to_write(out: Path) -> Iterator[None]:
    """Turn the error of a full or failing disk into an OutputError of one sentence."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in _NO_ROOM:
            raise
        message = f"cannot write into {out}: {problem.strerror}; make room, and go on with --resume"
        raise OutputError(message) from problem


def begin(out: Path, config: TrainConfig, newest: list[Path]) -> None:
    """Write a run's config, and remove what a crash left unfinished.

    Args:
        newest: the newest checkpoint that this training knows of, or none.

    Raises:
        UsageError: there is another one.
    """
    if checkpoints(out)[-1:] != newest:
        raise UsageError(f"another training has written into {out} meanwhile; give another --out")
    with atomic_file(out / "config.json") as file:
        file.write(config.model_dump_json(indent=1).encode())
    remove_unfinished(out)


def check_out(out: Path, resume: bool) -> None:
    """Check that a training may begin in a folder, or go on there.

    Raises:
        UsageError: a training writes into it; a run is there and `resume` is not given; or it is, and there is no run.
    """
    if (out / LOCK).is_file() and os.environ.get("RANK", "0") == "0":  # of several processes the first holds the lock
        with suppress(OutputError), hold_run_lock(out):  # a run that is only read is not written
            pass
    if resume and not (out / "config.json").is_file():
        raise UsageError(f"{out} holds no run to go on with; check the name, or leave --resume out to begin one")
    if not resume and checkpoints(out):
        raise UsageError(f"{out} already holds a run; add --resume to go on with it, or give another --out")
