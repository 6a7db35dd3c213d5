"""Two hosts on one machine, made of network namespaces with a cable between them; needs root and iproute2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PORT = 8786


class NoNamespacesError(Exception):
    """Network namespaces are not allowed here."""


@dataclass
class Host:
    """A host: its own network, its own name, the files of the machine."""

    name: str
    address: str
    processes: list[subprocess.Popen[Any]] = field(default_factory=list)

    def command(self, *words: str) -> list[str]:
        """The command that runs other words on this host."""
        return [
            "ip",
            "netns",
            "exec",
            self.name,
            "unshare",
            "--uts",
            "sh",
            "-c",
            f'hostname {self.name}; exec "$@"',
            "sh",
            *words,
        ]

    def start(self, log: Path, *words: str) -> subprocess.Popen[Any]:
        with log.open("ab") as file:
            process = subprocess.Popen(self.command(*words), stdout=file, stderr=file)
        self.processes.append(process)
        return process

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=200)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach each other, and nothing else; their processes end with the block.

    Raises:
        NoNamespacesError: they cannot be made here.
    """
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"):
        raise NoNamespacesError("root and iproute2 are needed")
    mark = os.getpid() % 100_000
    hosts = Host(f"one{mark}", "10.77.0.1"), Host(f"two{mark}", "10.77.0.2")
    try:
        for host in hosts:
            _ip("netns", "add", host.name)
            if host.run("true").returncode != 0:
                raise NoNamespacesError("a host name cannot be set")
        _ip("link", "add", f"v{mark}a", "type", "veth", "peer", "name", f"v{mark}b")
        for host, end in zip(hosts, "ab", strict=True):
            _ip("link", "set", f"v{mark}{end}", "netns", host.name)
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", f"v{mark}{end}")
            for device in (f"v{mark}{end}", "lo"):
                _ip("-n", host.name, "link", "set", device, "up")
        yield hosts
    finally:
        for host in hosts:
            for process in host.processes:
                process.terminate()
            for process in host.processes:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)


def start_dask(hosts: Sequence[Host], log: Path) -> str:
    """Start a scheduler on the first host and a worker on each; return the address for ``--engine``."""
    address = f"{hosts[0].address}:{PORT}"
    python = [sys.executable, "-m"]
    scheduler = ["distributed.cli.dask_scheduler", "--host", hosts[0].address, "--port", str(PORT), "--no-dashboard"]
    hosts[0].start(log, *python, *scheduler)
    for host in hosts:
        worker = ["distributed.cli.dask_worker", f"tcp://{address}", "--nthreads", "1", "--no-dashboard"]
        host.start(log, *python, *worker, "--local-directory", str(log.parent), "--host", host.address)
    return f"dask://{address}"


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNamespacesError(f"ip {' '.join(words)}: {done.stderr.strip()}")
