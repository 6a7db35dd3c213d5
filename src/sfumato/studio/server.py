"""Running the service: the socket, the server, and the worker processes beside it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from sfumato.errors import OutputError, UsageError
from sfumato.studio.settings import DATABASE, Settings
from sfumato.studio.state import Studio

#: Port of Studio, and how many after it are tried where it is taken.
PORT, _NEXT = 7333, 30
_HEAD = 15.0  # seconds in which the head of a request must have come
_READ = 60.0  # seconds in which a client must have taken some of an answer, and all of the last one
_CONNECTIONS = 400
_STOP = 2.0  # seconds in which workers must have stopped
_LOOK, _PAUSE, _LONGEST = 0.3, 0.5, 30.0  # seconds between looks at the workers; before one is started again


def listen(host: str, port: int | None) -> socket.socket:
    """Return a listening socket.

    Args:
        host: address of the interface.
        port: 0 takes a free one; None takes `PORT`, or the next that is free.

    Raises:
        UsageError: the port is taken or not allowed.
    """
    for each in range(PORT, PORT + _NEXT) if port is None else (port,):
        # asyncio sends small packets at once only where the socket names its protocol; else an answer takes 40 ms more.
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform != "win32":  # where it would let two programs take one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, each))
            found.listen(256)
        except OSError as problem:
            found.close()
            if port is None and problem.errno == errno.EADDRINUSE:
                continue
            raise UsageError(
                f"cannot listen on port {each}: {problem.strerror}; choose another with --port, or 0 for a free one"
            ) from problem
        return found
    raise UsageError(f"the ports {PORT} to {PORT + _NEXT - 1} are taken; choose another with --port")


def serve(app: FastAPI, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        app: of `app.create_app`.
        listener: of `listen`.
        ready: is called once when requests are answered.

    Raises:
        OutputError: the service could not start.
    """
    studio: Studio = app.state.studio
    work = studio.settings.data / "work"
    work.mkdir(mode=0o700, exist_ok=True)
    tempfile.tempdir = str(work)  # large uploads are spooled beside the data
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=not studio.is_local,
        forwarded_allow_ips="127.0.0.1",
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config, studio.hub.stop, ready)
    before = {each: signal.signal(each, _quietly) for each in _signals()}
    try:
        server.run([listener])
    except KeyboardInterrupt:
        pass
    except SystemExit as problem:
        raise OutputError("the service could not start; see the messages above") from problem
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it is ready, and ends the streams of events before it stops."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None], ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await asyncio.to_thread(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)


class PatientProtocol(H11Protocol):
    """Closes connections on which the head of a request does not come, or on which nobody takes the answer.

    Uvicorn itself would wait for ever.
    """

    _timer: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self._stop_pressing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait until some of the answer is taken."""
        super().pause_writing()
        self._press()

    def resume_writing(self) -> None:
        """Stop waiting."""
        self._stop_pressing()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Begin to wait until the rest of the last answer is taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._press()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even where the rest of an answer is never taken."""
        super().timeout_keep_alive_handler()
        self._press()

    def data_received(self, data: bytes) -> None:
        """Stop waiting when the head is complete."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(_HEAD, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _press(self) -> None:
        if self._reader is None:
            self._reader = self.loop.call_later(_READ, self.transport.abort)

    def _stop_pressing(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None


class Crew:
    """The worker processes beside the service; one that dies is started again.

    Args:
        settings: of the Studio.
        workers: number of workers for all kinds of jobs. With any, one for quick jobs comes on top, so that previews
            never wait for a long painting.
    """

    def __init__(self, settings: Settings, workers: int) -> None:
        self._settings = settings
        quick = [("quick", ("--quick-only",))] if workers else []
        self._roles: Sequence[tuple[str, tuple[str, ...]]] = [
            *((f"worker-{i}", ()) for i in range(1, workers + 1)),
            *quick,
        ]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="crew", daemon=True)

    def start(self) -> None:
        """Start the workers."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the workers; one that does not is killed."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for process in self._running.values():
            with suppress(OSError):
                process.terminate()
        end = time.monotonic() + _STOP
        for process in self._running.values():
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _watch(self) -> None:
        pauses = dict.fromkeys((name for name, _ in self._roles), _PAUSE)
        due = dict.fromkeys(pauses, 0.0)
        while not self._ended.is_set():
            for name, options in self._roles:
                process = self._running.get(name)
                if process is not None and process.poll() is None:
                    continue
                if process is not None:
                    del self._running[name]
                    due[name] = time.monotonic() + pauses[name]
                    pauses[name] = min(_LONGEST, 2 * pauses[name])
                if time.monotonic() >= due[name]:
                    self._running[name] = self._begin(name, options)
            self._ended.wait(_LOOK)

    def _begin(self, name: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sfumato", "studio", "worker", "--data", str(self._settings.data)]
        command += [] if self._settings.provenance else ["--no-provenance"]
        environment = {**os.environ, DATABASE: self._settings.database}  # not in the arguments, which others can see
        return subprocess.Popen(
            [*command, "--name", name, "--with-parent", *options],
            stdin=subprocess.PIPE,  # its end tells the worker that we are gone, even if we are killed
            env=environment,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop the workers in order
        )


def _signals() -> tuple[signal.Signals, ...]:
    return (signal.SIGTERM,) if sys.platform == "win32" else (signal.SIGTERM, signal.SIGHUP)


def _quietly(number: int, _frame: object) -> None:
    """Stop the server where a terminal was closed; for the other signals, it does so itself."""
    if number != signal.SIGTERM:
        os.kill(os.getpid(), signal.SIGTERM)
