"""A throw-away PostgreSQL server, also for root and without systemd."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from pathlib import Path


def find_programs() -> Path | None:
    """Return the folder of the newest server's programs, or None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


class Postgresql:
    """A server in a folder, on a free port of the loopback interface. Its programs refuse root, so root lends them the
    user `postgres`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self) -> None:
        self.folder.mkdir(0o700, parents=True, exist_ok=True)
        if os.getuid() == 0:
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, -1)
        if not (self.folder / "data").exists():
            self._run("initdb", "-D", self.folder / "data", "-U", "sfumato", "-A", "trust", "--no-sync", "--locale=C")
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "-o", options, "start")
        if not self.has("template"):
            self.create("template")

    def stop(self, mode: str = "immediate") -> None:
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def url(self, name: str) -> str:
        return f"postgresql://sfumato@127.0.0.1:{self.port}/{name}"

    def create(self, name: str, template: str = "template0") -> None:
        self._sql(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")

    def drop(self, name: str) -> None:
        self._sql(f"DROP DATABASE {name} WITH (FORCE)")

    def has(self, name: str) -> bool:
        return bool(self._sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))

    def _sql(self, statement: str) -> str:
        where = ("-h", "127.0.0.1", "-p", self.port, "-U", "sfumato", "-d", "postgres")
        return self._run("psql", "-XtAq", *where, "-c", statement)

    def _run(self, program: str, *arguments: object) -> str:
        folder = find_programs()
        assert folder is not None
        as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.getuid() == 0 else ()
        command = [*as_user, str(folder / program), *map(str, arguments)]
        # pg_ctl leaves its server with our pipes open: read files instead of waiting for their end.
        with (self.folder / "out").open("w+") as out:
            done = subprocess.run(
                command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "HOME": "/tmp"}, cwd="/", check=False
            )
            out.seek(0)
            told = out.read()
        if done.returncode:
            raise RuntimeError(f"{program} failed: {told}")
        return told.strip()
