"""RUN/log.jsonl: one JSON object on each line, for a logged step, a validation, an observation or a decision."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from sfumato.files import atomic_file
from sfumato.parallel import is_main
from sfumato.training.findings import Decision
from sfumato.training.health import history_line


class RunLog:
    """The open log of a run."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def report(
        self, step: int, report: Mapping[str, float], pictures_per_second: float, time_shares: Mapping[str, float]
    ) -> None:
        """Log the mean of each term since the last report."""
        extra = {"step": step, "pictures_per_second": round(pictures_per_second, 2), "time": time_shares}
        self._write(json.dumps({**extra, **{k: round(v, 5) for k, v in report.items()}}))

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a validation."""
        line = {name: round(value, 5) for name, value in values.items()}
        self._write(json.dumps({"step": step, "validation": line}))

    def observation(self, step: int, signals: Mapping[str, float]) -> None:
        """Log the signals of a monitor's observation."""
        self._write(history_line(step, signals))

    def decision(self, step: int, decision: Decision) -> None:
        """Log a decision of the monitor."""
        self._write(json.dumps({"step": step, "decision": decision.model_dump(mode="json")}))

    def _write(self, line: str) -> None:
        self._file.write(f"{line}\n")
        self._file.flush()


@contextmanager
def open_log(out: Path) -> Iterator[RunLog]:
    """Open the log of the run in `out` for appending; only the first of several processes writes a file."""
    with (out / "log.jsonl" if is_main() else Path(os.devnull)).open("a") as file:
        yield RunLog(file)


def cut_log(out: Path, step: int) -> None:
    """Remove lines after a step, which a crashed run wrote, and an incomplete last line."""
    log = out / "log.jsonl"
    if log.is_file():
        lines = [line for line in log.read_text().splitlines() if _step(line) <= step]
        with atomic_file(log) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())


def _step(line: str) -> float:
    """Return the step of a log line; infinity for an incomplete line."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")


class Means:
    """The mean of each term over the steps since the last report, and the mean time of a step."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget all terms, and restart the clock."""
        self._terms: dict[str, list[Tensor]] = {}
        self._steps, self._began = 0, time.perf_counter()

    def add(self, terms: Mapping[str, Tensor], used: bool) -> None:
        """Add a step; its terms are ignored unless its batch was `used`."""
        self._steps += 1
        for name, value in terms.items() if used else ():
            self._terms.setdefault(name, []).append(value)

    def __bool__(self) -> bool:
        return bool(self._terms)

    def means(self) -> dict[str, float]:
        """Return the mean of each term."""
        return {name: float(torch.stack(values).mean()) for name, values in self._terms.items()}

    @property
    def seconds(self) -> float:
        """The mean time of a step, in seconds."""
        return (time.perf_counter() - self._began) / self._steps
