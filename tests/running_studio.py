"""A Studio as people start it: the command in a process of its own, with its workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx2

_LINK = re.compile(r"http://([0-9.]+):(\d+)/#token=(\S+)")


def _drain(output: IO[str]) -> None:
    """Read what the process writes until it ends, so that it never waits for us."""
    with output:
        output.read()


class Running:
    """A running `sfumato studio` and a session with it.

    Args:
        python: of an environment of its own, which imports nothing from this repository.
    """

    def __init__(
        self, data: Path, port: int = 0, database: str = "", *options: str, python: str | Path = sys.executable
    ) -> None:
        self.data, self.database, self.options, self.python = data, database, options, str(python)
        self.port = port
        self.start()

    def start(self) -> None:
        """Start the server, and wait for its link."""
        kept = dict(os.environ)
        if self.python != sys.executable:
            kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment = {**kept, "PYTHONUNBUFFERED": "1"}
        database = ["--database", self.database] if self.database else []
        command = [self.python, "-m", "sfumato", "studio", "--no-browser", "--port", str(self.port)]
        self.began = time.perf_counter()
        with (self.data.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data), *database, *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := _LINK.search(line):
                self.port, self.token = int(found[2]), found[3]
                break
        else:
            raise SystemExit(f"studio did not start: {(self.data.parent / 'log').read_text()[-2000:]}")
        threading.Thread(target=_drain, args=(self.process.stdout,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.port}"

    def log_in(self) -> dict[str, str]:
        """Use the one-time link, make a key, and return the headers that carry it."""
        with httpx2.Client(base_url=f"{self.url}/api/v1", headers={"Origin": self.url}) as http:
            http.post("/session", json={"token": self.token}).raise_for_status()
            made = http.post("/keys", json={"label": "test", "scopes": ["read", "write", "admin"]})
            made.raise_for_status()
        return {"Authorization": f"Bearer {made.json()['key']}"}

    def processes(self) -> dict[str, list[int]]:
        """Return the ids of its processes: server, workers and painters."""
        parents: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        workers = parents.get(self.process.pid, [])
        return {
            "server": [self.process.pid],
            "worker": workers,
            "painter": [child for worker in workers for child in parents.get(worker, [])],
        }

    def stop(self) -> None:
        """Stop it, and kill what is left after ten seconds."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def studio(database: str = "", *options: str) -> Iterator[Running]:
    """Run a Studio in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        running = Running(Path(folder) / "data", 0, database, *options)
        try:
            yield running
        finally:
            running.stop()
