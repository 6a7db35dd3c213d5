"""Folders of files that are not stored yet: uploads, and what jobs are making.

They lie in ``<data>/work``, so that nothing of a picture is left in the system's folder for temporary files. The folder
of a killed process is removed by the next `sweep_folders`, which finds that its lock is free.

A long job keeps what the next attempt goes on from in ``<data>/parts/<job>``, until the job has ended.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import select

from sfumato.errors import OutputError
from sfumato.locks import locked
from sfumato.studio.database import Sessions
from sfumato.studio.settings import Settings
from sfumato.studio.tables import ENDED, Job

_YOUNG = 60.0  # seconds in which the maker of a folder has certainly locked it
_LOCK = ".lock"


@contextmanager
def work_folder(settings: Settings) -> Iterator[Path]:
    """Provide an empty folder, which is removed at the end of the block.

    Raises:
        OutputError: it cannot be created.
    """
    folder = settings.data / "work" / secrets.token_hex(16)
    files = folder / "files"
    try:
        folder.mkdir(0o700, parents=True)
        files.mkdir()
        with locked(folder / _LOCK):
            yield files
    except OSError as problem:
        if problem.filename is None or not str(problem.filename).startswith(str(folder)):
            raise
        raise OutputError(f"cannot write into {folder}: {problem.strerror or problem}") from problem
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_parts(settings: Settings, job: str) -> None:
    """Remove what a job kept for a later attempt."""
    shutil.rmtree(settings.parts(job), ignore_errors=True)


def sweep_parts(settings: Settings, sessions: Sessions) -> None:
    """Remove the parts of jobs that have ended or were deleted, which killed workers have left."""
    for folder in (settings.data / "parts").glob("*"):
        with sessions() as session:
            state = session.scalar(select(Job.state).where(Job.id == folder.name))
        if state is None or state in ENDED:
            remove_parts(settings, folder.name)


def sweep_folders(settings: Settings) -> None:
    """Remove the folders of processes that were killed."""
    for folder in (settings.data / "work").glob("*"):
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - _YOUNG:
                with locked(folder / _LOCK):  # BlockingIOError: its process runs
                    shutil.rmtree(folder)
