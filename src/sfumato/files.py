"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sfumato.errors import OutputError


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary neighbour of ``path`` for writing and renames it to ``path`` when the block ends well.

    If the block raises, or the process dies, whatever stood at ``path`` before still stands there, whole. Missing
    folders are made.

    Raises:
        OutputError: the file or its folder cannot be written.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise OutputError(f"cannot write {path}: a folder has that name; name a file")
    # Not `tempfile`: its files are readable by their owner only, and the rename would keep it so.
    temporary = path.with_name(f".sfumato-{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as problem:
        raise OutputError(f"cannot write {path}: {problem.strerror or problem}") from problem
    finally:
        with suppress(OSError):
            temporary.unlink()
