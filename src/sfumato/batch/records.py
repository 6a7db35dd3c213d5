"""The records of a batch, in a folder: ``manifest.jsonl``, ``failures.csv`` and ``run.json``.

The manifest has one line for each result and grows over all runs into one target. It is a record only: whether a
picture must be painted is read from the picture itself.

Records are passed on together with the pictures, so they name no machine and no folder outside the batch: workers have
numbers, whose hosts only `Counts.workers` tells, and local folders have their last name only.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sfumato import __version__
from sfumato.batch.outcomes import Outcome
from sfumato.batch.places import is_url
from sfumato.errors import OutputError
from sfumato.files import atomic_file, told
from sfumato.locks import locked

MANIFEST, FAILURES, CARD = "manifest.jsonl", "failures.csv", "run.json"
_LOCK = ".lock"
_PACKAGES = ("onnxruntime", "numpy", "pillow", "distributed", "ray", "fsspec")
_MAX_TOLD = 1000  # failures that are kept in memory, to be printed


@dataclass
class Counts:
    """How many photos had which outcome, and the first failures.

    Attributes:
        painted, copied, present, result, failed: as `outcomes.Status`.
        replaced: how many of the painted and copied ones took the place of another file.
        remarked: how many results have remarks, such as that a small picture has no invisible mark.
        remark: the first of them.
        failures: photo, error and exit code.
        data: sum of hashes of the photos' names and contents, from which `data_sha256` is made.
        workers: number of each worker, by its host and process, in the order of their first outcomes.
    """

    painted: int = 0
    copied: int = 0
    present: int = 0
    result: int = 0
    failed: int = 0
    replaced: int = 0
    remarked: int = 0
    remark: str = ""
    failures: list[tuple[str, str, int]] = field(default_factory=list)
    data: int = 0
    workers: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All photos so far."""
        return self.painted + self.copied + self.present + self.result + self.failed

    @property
    def data_sha256(self) -> str:
        """A hash of the names and contents of all photos, which does not depend on their order."""
        return hashlib.sha256(self.data.to_bytes(32, "big")).hexdigest()

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        setattr(self, outcome.status, getattr(self, outcome.status) + 1)
        self.replaced += outcome.replaced
        if outcome.remarks:
            self.remarked, self.remark = self.remarked + 1, self.remark or outcome.remarks[0]
        if outcome.worker:
            self.workers.setdefault(outcome.worker, len(self.workers) + 1)
        if outcome.status == "failed" and len(self.failures) < _MAX_TOLD:
            self.failures.append((outcome.photo, outcome.error, outcome.exit_code))
        if outcome.photo_sha256:
            line = f"{outcome.photo}\0{outcome.photo_sha256}".encode("utf-8", "surrogateescape")
            self.data = (self.data + int.from_bytes(hashlib.sha256(line).digest(), "big")) % 2**256


class Records:
    """The open records of a run; use `open_records`.

    Args:
        folder: where they lie.
        manifest: open for appending.
        failures: a new file.
        known: hashes of the lines that the manifest has.
        places: the source and the target, whose folders are left out of the failures' sentences.
    """

    def __init__(
        self, folder: Path, manifest: BinaryIO, failures: BinaryIO, known: set[bytes], places: Sequence[str] = ()
    ) -> None:
        self.folder, self.counts = folder, Counts()
        self._places = [place.removeprefix("file://").rstrip("/") + "/" for place in places if not is_url(place)]
        self._manifest, self._known = manifest, known
        text = io.TextIOWrapper(failures, "utf-8", errors="backslashreplace", newline="", write_through=True)
        self._failures, self._rows = text, csv.writer(text)
        self._rows.writerow(["file", "error", "exit_code"])

    def add(self, outcome: Outcome) -> None:
        """Count an outcome, and write it: a failure to its table, a result to the manifest if it is not there yet.

        Raises:
            OutputError: they cannot be written; the disk is full, for example.
        """
        self.counts.add(outcome)
        with told(_doing(self.folder)):
            self._write(outcome)

    def _write(self, outcome: Outcome) -> None:
        if outcome.status == "failed":
            self._rows.writerow([outcome.photo, self._without_places(outcome), outcome.exit_code])
            return
        name = _identity(outcome.target, outcome.key, outcome.sha256)
        if outcome.status == "result" or name in self._known:
            return
        self._known.add(name)
        line = {
            "photo": outcome.photo,
            "target": outcome.target,
            "status": outcome.status,
            "photo_sha256": outcome.photo_sha256,
            "sha256": outcome.sha256,
            "key": outcome.key,
            "bytes": outcome.bytes,
            "seconds": round(outcome.seconds, 4),
            "worker": self.counts.workers.get(outcome.worker),
            "remarks": outcome.remarks,
        }
        self._manifest.write(json.dumps(line).encode() + b"\n")

    def _without_places(self, outcome: Outcome) -> str:
        """Return the error of an outcome without the folders of source and target, and without the host's name."""
        error = outcome.error
        for place in self._places:
            error = error.replace(place, "")
        return error.replace(outcome.worker, str(self.counts.workers[outcome.worker])) if outcome.worker else error

    def flush(self) -> None:
        """Write what is buffered to the disk."""
        with told(_doing(self.folder)):
            self._manifest.flush()

    def finish(self) -> None:
        """Let go of the table of failures, which its context writes."""
        self._failures.detach()


@contextmanager
def open_records(folder: Path, places: Sequence[str] = ()) -> Iterator[Records]:
    """Open the records of a run; at its end, also after an error, the table of failures is written.

    An error of the block is raised as it is. ``places`` are the source and the target, as `Records` takes them.

    Raises:
        OutputError: they cannot be written, or another batch writes them now.
    """
    problem: BaseException | None = None
    with told(_doing(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(folder / _LOCK))
            except BlockingIOError as taken:
                raise OutputError(
                    f"another batch writes its records into {folder} now; wait until it ends, or stop it"
                ) from taken
            path = folder / MANIFEST
            known = _read_known(path)
            manifest = stack.enter_context(path.open("ab"))
            with atomic_file(folder / FAILURES) as failures:
                records = Records(folder, manifest, failures, known, places)
                try:
                    yield records
                except BaseException as caught:
                    problem = caught  # until the table is written
                finally:
                    records.finish()
    if problem is not None:
        raise problem


def _doing(folder: Path) -> str:
    return f"cannot write the records in {folder}"


def _read_known(path: Path) -> set[bytes]:
    """Return what the manifest has; a last line that a killed process left unfinished is removed."""
    known: set[bytes] = set()
    if not path.exists():
        return known
    end = 0
    with path.open("r+b") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
            try:
                found = json.loads(line)
                known.add(_identity(found["target"], found["key"], found["sha256"]))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # a line of somebody else, which is left alone
        file.truncate(end)
    return known


def _identity(target: str, key: str, sha256: str) -> bytes:
    return hashlib.blake2b(f"{target}\0{key}\0{sha256}".encode("utf-8", "surrogateescape"), digest_size=12).digest()


def write_card(folder: Path, counts: Counts, values: Mapping[str, Any], seconds: float, is_whole: bool) -> None:
    """Write the card of a run: versions, options, data and result.

    Args:
        folder: of the records.
        counts: of the run.
        values: the source, the target, the options, the recipe.
        seconds: that the run took.
        is_whole: whether it came to its end.

    Raises:
        OutputError: it cannot be written.
    """
    versions = {"sfumato": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    card = {
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 2),
        "is_whole": is_whole,
        **values,
        "counts": {
            name: getattr(counts, name) for name in ("painted", "copied", "present", "result", "failed", "replaced")
        },
        "data_sha256": counts.data_sha256,
    }
    with atomic_file(folder / CARD) as file:
        file.write(json.dumps(card, indent=1).encode() + b"\n")
