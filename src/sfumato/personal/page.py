"""A local web page that asks the questions, open to this machine only.

The server listens on 127.0.0.1 and a free port, for one person and one sitting. A random token in the address keeps
out other pages and programs on the machine. Requests under another host name (DNS rebinding) or from another origin are
refused. The server serves no file. It ends when enough is learnt, or with Ctrl-C.
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sfumato.html import render
from sfumato.image import as_jpeg_text
from sfumato.personal.ask import Choice, Question, Questions

_MAX_BODY = 200  # bytes of a request; an answer has about 40
_CHOICES: dict[str, Choice] = {"first": "first", "second": "second", "neither": "neither"}


class Page:
    """A server of questions that runs until enough is learnt, or the person stops.

    Args:
        questions: The questions.
        max_answers: Number of answers after which it ends.

    Attributes:
        ended: Why it ended, as a sentence; empty while it runs.
    """

    def __init__(self, questions: Questions, max_answers: int) -> None:
        self.questions, self.max_answers = questions, max_answers
        self.ended = ""
        self._token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._number = 0
        self._question: Question | None = None
        self._failure: Exception | None = None
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._host = f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def address(self) -> str:
        """The address to open in a browser, with the token."""
        return f"http://{self._host}/{self._token}/"

    def serve(self) -> None:
        """Answer requests until the end.

        Raises:
            SfumatoError: A question or an answer failed, for example because the store cannot be written.
        """
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._server.server_close()
        if self._failure is not None:
            raise self._failure

    def _state(self) -> dict[str, Any]:
        """Return the state of the page for its script: the question and its pictures, or the reason of the end."""
        if not self.ended and self._question is None:
            if self.questions.answered >= self.max_answers:
                self.ended = f"{self.max_answers} questions are enough for now."
            elif (found := self.questions.next()) is None:
                self.ended = "Enough is learnt: no question would teach much more."
            else:
                self._question, self._number = found, self._number + 1
        if self._question is None:
            return {"question": None, "status": f"{self.ended} You can close this page."}
        pictures = [as_jpeg_text(picture, 92, 0) for picture in self._question.pictures]
        return {"question": self._number, "status": f"Question {self._number}", "pictures": pictures}

    def _take_answer(self, found: dict[str, Any]) -> None:
        """Store an answer to the open question; ignore any other."""
        choice = found.get("choice")
        if self._question is None or found.get("question") != self._number or not isinstance(choice, str):
            return  # a second click, or a request that is not from the page's script
        if choice == "stop":
            self._question, self.ended = None, "Stopped."
        elif choice in _CHOICES:
            self.questions.answer(self._question, _CHOICES[choice])
            self._question = None


class _Server(ThreadingHTTPServer):
    """The HTTP server of the page, silent about broken connections."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that are reset or time out, which need no message; print other errors, which are bugs."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    """Make the class that handles the requests to a page."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds, because browsers open connections that they do not use

        def do_GET(self) -> None:
            if not self._is_allowed():
                return
            if self.path == f"/{page._token}/":
                nonce = secrets.token_urlsafe(16)
                policy = (
                    f"default-src 'none'; img-src data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
                    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                )
                self._send(render("ask.html", nonce=nonce).encode(), "text/html; charset=utf-8", policy)
            elif self.path == f"/{page._token}/question":
                self._state(None)
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def do_POST(self) -> None:
            if not self._is_allowed():
                return
            length = self.headers.get("Content-Length", "")
            fits = length.isdecimal() and len(length) < 9 and int(length) <= _MAX_BODY
            if self.path != f"/{page._token}/question" or not fits:
                self.send_error(HTTPStatus.BAD_REQUEST)
                return
            try:
                found = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, dict):
                self.send_error(HTTPStatus.BAD_REQUEST)
                return
            self._state(found)

        def _state(self, answered: dict[str, Any] | None) -> None:
            """Take an answer, if there is one, and send the new state of the page."""
            with page._lock:
                try:
                    if answered is not None:
                        page._take_answer(answered)
                    state = page._state()
                except Exception as problem:  # `serve` raises it in the main thread
                    page._failure, page.ended = problem, str(problem)
                    state = {"question": None, "status": f"{problem}."}
            try:
                self._send(json.dumps(state).encode(), "application/json")
            finally:  # also if the browser closed the page after "stop"
                if page.ended:
                    threading.Thread(target=page._server.shutdown, daemon=True).start()

        def _is_allowed(self) -> bool:
            """Return whether the request comes from our page; refuse it otherwise."""
            token = self.path.removeprefix("/").partition("/")[0]
            ours = secrets.compare_digest(token.encode(), page._token.encode())
            # Browsers send an Origin with every POST, but not with every GET.
            origins = {f"http://{page._host}", *([None] if self.command == "GET" else [])}
            if ours and self.headers.get("Host") == page._host and self.headers.get("Origin") in origins:
                return True
            self.send_error(HTTPStatus.FORBIDDEN)
            return False

        def _send(self, body: bytes, kind: str, policy: str = "default-src 'none'") -> None:
            self.send_response(HTTPStatus.OK)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Content-Security-Policy", policy),
                ("Cache-Control", "no-store"),
                ("Referrer-Policy", "same-origin"),
                ("X-Content-Type-Options", "nosniff"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Write no log, because the terminal shows the command's own output."""

    return Handler
