"""The finished segments of a video on disk, from which an interrupted run goes on.

``OUT.parts/`` holds a lock, and a folder for each combination of source and recipe:

* ``000000.npz``, ...: the packets of each segment;
* ``state.npz``: the number of the next segment, and the state of the painter and the reader at its beginning. It is
  written after its segment; if the process is killed between the two, the segment is painted again.

All files are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError, OutputError, first_line
from sfumato.files import atomic_file, sweep
from sfumato.locks import try_lock
from sfumato.video.encoding import Packet

_LOCK, _CARD, _STATE = "lock", "card.json", "state.npz"
_KEY = re.compile("[0-9a-f]{16}")
_PAINTER = "painter."
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Place:
    """Where a run goes on.

    Attributes:
        segment: number of the next segment; those before it are finished.
        trail: ``pts`` and ``check`` of the last frames before it (`reading.Frame`).
        frames: how many frames were painted before it.
        painter: state of the painter.
    """

    segment: int
    trail: Sequence[tuple[int, int]]
    frames: int
    painter: Mapping[str, npt.NDArray[Any]]


def parts_folder(target: Path) -> Path:
    """Return the folder for the parts of a video."""
    return target.with_name(f"{target.name}.parts")


def cards(target: Path) -> dict[Path, int]:
    """Return the folders of parts of a video, each with the time in ns at which a run last began to write there."""
    return {path.parent: path.stat().st_mtime_ns for path in parts_folder(target).glob(f"*/{_CARD}")}


def kept_frames(target: Path, before: Mapping[Path, int]) -> int:
    """Return how many frames a run that has ended keeps for the next one.

    Args:
        target: of the run.
        before: `cards` before the run.
    """
    for folder, written in cards(target).items():
        if before.get(folder) != written:
            with suppress(*_DAMAGED), np.load(folder / _STATE, allow_pickle=False) as found:
                return int(found["frames"])
    return 0


@contextmanager
def claimed(target: Path) -> Iterator[Path]:
    """Create and lock the folder for the parts of a video; yield it.

    The folder stays after the block, for resuming, except where it is empty.

    Raises:
        OutputError: it cannot be written, or another process is painting to the same target.
    """
    folder = parts_folder(target)
    try:
        descriptor = _lock(folder, target)
    except OSError as problem:
        raise OutputError(f"cannot write {folder}: {problem.strerror or problem}") from problem
    try:
        sweep(folder)
        yield folder
    finally:
        with suppress(OSError):
            if os.path.isdir(folder) and set(os.listdir(folder)) <= {_LOCK}:
                remove(folder)
        os.close(descriptor)


def _lock(folder: Path, target: Path) -> int:
    """Create the folder and its lock file, and return the descriptor that holds the lock."""
    path = folder / _LOCK
    while True:
        folder.mkdir(0o700, parents=True, exist_ok=True)  # it holds frames
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # another process has just finished and removed the folder
            continue
        try:
            is_free = try_lock(descriptor)
        except OSError:  # a disk without locks
            return descriptor
        if not is_free:
            os.close(descriptor)
            raise OutputError(f"another sfumato is painting {target} now; wait for it, or name another file with -o")
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # the lock of a folder that another process has just removed


def remove(folder: Path) -> None:
    """Remove the parts of all recipes, and the lock last, while it is held. Files that are not ours stay."""
    for entry in os.listdir(folder):
        if _KEY.fullmatch(entry):
            shutil.rmtree(folder / entry, ignore_errors=True)
    with suppress(OSError):
        (folder / _LOCK).unlink()
    with suppress(OSError):
        folder.rmdir()


class Parts:
    """The segments of one source and recipe.

    Args:
        folder: a claimed folder (`claimed`).
        card: JSON values that identify the source, the recipe and all else that the segments depend on.
        resume: whether segments of an earlier run are used.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, card: Mapping[str, Any], resume: bool = True) -> None:
        text = json.dumps(card, sort_keys=True, indent=1)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        if not resume and self.folder.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
        with atomic_file(self.folder / _CARD) as file:
            file.write(text.encode())
        self.place = self._find()

    def close(self) -> None:
        """Remove the folder if it holds nothing to resume."""
        if self.place is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _find(self) -> Place | None:
        """Return where an earlier run goes on; None where there is none, or its files are damaged."""
        try:
            with (self.folder / _STATE).open("rb") as file, np.load(file, allow_pickle=False) as found:
                trail = [(int(pts), int(check)) for pts, check in found["trail"].tolist()]
                painter = {
                    name.removeprefix(_PAINTER): found[name] for name in found.files if name.startswith(_PAINTER)
                }
                place = Place(int(found["segment"]), trail, int(found["frames"]), painter)
            for number in range(place.segment):
                if not (self.folder / _name(number)).is_file():
                    return None
        except _DAMAGED:
            return None
        return place

    def save(self, packets: Sequence[Packet], place: Place) -> None:
        """Write the segment before ``place``, then the place itself.

        Raises:
            OutputError: they cannot be written, as on a full disk.
        """
        with atomic_file(self.folder / _name(place.segment - 1)) as file:
            np.savez(
                file,
                content=np.frombuffer(b"".join(packet.content for packet in packets), np.uint8),
                table=np.array(
                    [(len(each.content), each.pts, each.duration, each.is_keyframe) for each in packets], np.int64
                ),
            )
        state = {f"{_PAINTER}{name}": array for name, array in place.painter.items()}
        with atomic_file(self.folder / _STATE) as file:
            np.savez(
                file,
                segment=np.int64(place.segment),
                trail=np.array(place.trail, np.int64),
                frames=np.int64(place.frames),
                **state,  # type: ignore[arg-type]  # the only other keyword is allow_pickle
            )
        self.place = place

    def packets(self) -> Iterator[Packet]:
        """Yield the packets of all finished segments, reading one segment at a time.

        Raises:
            InputError: a segment is damaged.
        """
        for number in range(self.place.segment if self.place else 0):
            path = self.folder / _name(number)
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                    content, table = found["content"].tobytes(), found["table"].tolist()
            except _DAMAGED as problem:
                raise InputError(
                    f"{path} is damaged ({first_line(problem)}); delete {self.folder.parent} and paint the video again"
                ) from problem
            begin = 0
            for size, pts, duration, is_keyframe in table:
                yield Packet(content[begin : begin + size], pts, duration, bool(is_keyframe))
                begin += size


def _name(number: int) -> str:
    return f"{number:06d}.npz"
