"""Signs of life of the workers: a file each, in the folder that all parts of a Studio share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sfumato.studio.settings import Settings

_EVERY, _DEAD = 5.0, 20.0  # seconds between two signs, and after which a worker counts as gone
_FORGET = 86_400.0


def workers(settings: Settings) -> list[str]:
    """Return the names of the workers that gave a sign of life within the last seconds."""
    return sorted(path.name for path in _files(settings) if time.time() - _last_sign(path) < _DEAD)


@contextmanager
def beating(settings: Settings, name: str) -> Iterator[None]:
    """Give signs of life in the block."""
    path = _folder(settings) / name
    ended = threading.Event()

    def beat() -> None:
        while True:
            with suppress(OSError):  # a full disk ends no worker
                path.touch(0o600)
            if ended.wait(_EVERY):
                return

    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in _files(settings):
            if time.time() - _last_sign(other) > _FORGET:
                other.unlink(missing_ok=True)
    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        path.unlink(missing_ok=True)


def _folder(settings: Settings) -> Path:
    return settings.data / "workers"


def _files(settings: Settings) -> list[Path]:
    with suppress(OSError), os.scandir(_folder(settings)) as found:
        return [Path(entry.path) for entry in found]
    return []


def _last_sign(path: Path) -> float:
    """Return the time of a worker's last sign; 0 where it has just ended."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
