"""A run's folder: its lock, and clear errors if it cannot be written."""

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

LOCK = ".lock"  # file in a run's folder, locked by the training that writes there
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some cluster file systems have no locks


@contextmanager
def hold_run_lock(out: Path) -> Iterator[None]:
    """Hold a run's lock; file systems without locks are accepted.

    Raises:
        UsageError: another training holds the lock.
        OutputError: the folder cannot be written.
    """
    with ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(out / LOCK))
        except BlockingIOError as problem:
            raise UsageError(
                f"another training is writing into {out}; wait until it ends, or give another --out"
            ) from problem
        except OSError as problem:
            if problem.errno not in _NO_LOCKS:
                raise OutputError(f"cannot write into {out}: {problem.strerror or problem}") from problem
        yield


@contextmanager
def room_to_write(out: Path) -> Iterator[None]:
    """Convert the OSError of a full or failing disk to an OutputError."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in _NO_ROOM:
            raise
        message = f"cannot write into {out}: {problem.strerror}; make room, and continue with --resume"
        raise OutputError(message) from problem


def begin(out: Path, config: TrainConfig, newest: list[Path]) -> None:
    """Write a run's config, and remove unfinished files of a crashed run.

    Args:
        out: the run's folder.
        config: the run's config.
        newest: a list with the newest checkpoint that this training knows of, or an empty list.

    Raises:
        UsageError: the folder's newest checkpoint is another one.
    """
    if checkpoints(out)[-1:] != newest:
        raise UsageError(f"another training has written into {out} in the meantime; give another --out")
    with atomic_file(out / "config.json") as file:
        file.write(config.model_dump_json(indent=1).encode())
    remove_unfinished(out)


def check_out(out: Path, resume: bool) -> None:
    """Check that a training may begin in a folder, or resume there.

    Raises:
        UsageError: another training writes into the folder; it has a run and `resume` is False; or it has no run and
            `resume` is True.
    """
    if (out / LOCK).is_file() and os.environ.get("RANK", "0") == "0":  # only the first process holds the lock
        with suppress(OutputError), hold_run_lock(out):  # a read-only run is no error here
            pass
    if resume and not (out / "config.json").is_file():
        raise UsageError(f"{out} holds no run to resume; check the name, or leave --resume out to begin one")
    if not resume and checkpoints(out):
        raise UsageError(f"{out} already holds a run; add --resume to continue it, or give another --out")
