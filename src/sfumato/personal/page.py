"""The questions on a small page that only this machine can open.

A server on 127.0.0.1 and a free port, for one person and one sitting. It is told apart from what any other page or
program on the machine may ask of it by a random token in the address; requests under another host name (DNS rebinding)
or from another page's origin are refused; no file is read. It ends when enough is learnt, or with Ctrl-C.
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

_MAX_BODY = 200  # bytes; an answer has some 40
_CHOICES: dict[str, Choice] = {"first": "first", "second": "second", "neither": "neither"}


class Page:
    """Serves questions until enough is learnt, or the person stops.

    Args:
        questions: what is asked.
        max_answers: after so many answers it ends.

    Attributes:
        address: what to open in a browser; it has the token.
        ended: why it ended; empty while it goes on.
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
        return f"http://{self._host}/{self._token}/"

    def serve(self) -> None:
        """Answers requests until the end; what went wrong in the store is raised here."""
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._server.server_close()
        if self._failure is not None:
            raise self._failure

    def _state(self) -> dict[str, Any]:
        """What the page is to show."""
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

    def _answered(self, found: dict[str, Any]) -> None:
        choice = found.get("choice")
        if self._question is None or found.get("question") != self._number or not isinstance(choice, str):
            return  # a second click, or no click of ours
        if choice == "stop":
            self._question, self.ended = None, "Stopped."
        elif choice in _CHOICES:
            self.questions.answer(self._question, _CHOICES[choice])
            self._question = None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing of clients that reset or fall silent: the terminal is for the person. Anything else is a bug."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds: browsers open connections that they do not use

        def do_GET(self) -> None:
            if not self._may():
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
            if not self._may():
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
            with page._lock:
                try:
                    if answered is not None:
                        page._answered(answered)
                    state = page._state()
                except Exception as problem:  # it is told to whoever waits for the page to end
                    page._failure, page.ended = problem, str(problem)
                    state = {"question": None, "status": f"{problem}."}
            try:
                self._send(json.dumps(state).encode(), "application/json")
            finally:  # also where the page is gone that said "stop"
                if page.ended:
                    threading.Thread(target=page._server.shutdown, daemon=True).start()

        def _may(self) -> bool:
            """Whether it is our page that asks, under our name."""
            token = self.path.removeprefix("/").partition("/")[0]
            ours = secrets.compare_digest(token.encode(), page._token.encode())
            origins = {f"http://{page._host}", *([None] if self.command == "GET" else [])}  # every POST names one
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
            """Nothing: the terminal is for the person."""

    return Handler
