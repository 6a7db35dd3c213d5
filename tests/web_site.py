"""A server like any for static files, and the commands of web/."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"


class _Handler(SimpleHTTPRequestHandler):
    """Serves files; with `isolated`, pages are isolated from other origins, so that they may use threads."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012
    isolated = False

    def end_headers(self) -> None:
        if self.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Isolating(_Handler):
    isolated = True


@contextmanager
def serving(folder: Path, isolated: bool = False) -> Iterator[str]:
    """Serve a folder, and give its address."""
    handler = functools.partial(_Isolating if isolated else _Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def run(*command: str | Path, cwd: Path = WEB) -> str:
    """Run a command of web/, and return what it wrote. The test fails with that where the command does."""
    environment: dict[str, Any] = {**os.environ, "PYTHON": sys.executable, "NO_UPDATE_NOTIFIER": "1"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
