"""What became of the photos of a batch."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from sfumato.errors import InputError, OutputError, SfumatoError, first_line, is_out_of_memory

#: ``painted`` now; ``copied`` from an equal photo; ``present`` before; ``result``: the photo is one of Sfumato's own
#: results, which a folder's batch passes over; ``failed``.
Status: TypeAlias = Literal["painted", "copied", "present", "result", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo.

    Attributes:
        photo: its name in the source; in a shard ``SHARD::MEMBER``.
        target: the name of its result in the target.
        status: see `Status`.
        photo_sha256: of the photo's bytes, in hex; empty where it could not be read.
        sha256: of the result's bytes.
        key: SHA-256 of the photo's hash and the recipe (`Painter.key`).
        bytes: size of the result.
        seconds: that the photo took.
        worker: host and process.
        error: one sentence, where it failed.
        exit_code: of the error's class.
        replaced: whether the target had another file of that name, such as a result of other options.
        remarks: sentences on what could not be done, such as an invisible mark in a small picture.
    """

    photo: str
    target: str
    status: Status
    photo_sha256: str = ""
    sha256: str = ""
    key: str = ""
    bytes: int = 0
    seconds: float = 0.0
    worker: str = ""
    error: str = ""
    exit_code: int = 0
    replaced: bool = False
    remarks: tuple[str, ...] = ()


def failed(photo: str, target: str, error: str, code: int, seconds: float = 0.0, sha256: str = "") -> Outcome:
    """Return the outcome of a photo that failed."""
    return Outcome(photo, target, "failed", sha256, seconds=seconds, worker=worker_name(), error=error, exit_code=code)


def explain(problem: Exception, name: str) -> tuple[str, int]:
    """Return the sentence and the exit code of an error."""
    if isinstance(problem, SfumatoError):
        return str(problem), problem.exit_code
    if is_out_of_memory(problem):
        return f"{name} does not fit into memory; make it smaller, or start fewer workers", InputError.exit_code
    if isinstance(problem, OSError):
        return f"the system says about {name}: {problem.strerror or first_line(problem)}", OutputError.exit_code
    return f"{name}: unexpected {type(problem).__name__}: {first_line(problem)}; please report it", 1


@lru_cache(maxsize=1)
def worker_name() -> str:
    """Return the host's name and the number of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"
