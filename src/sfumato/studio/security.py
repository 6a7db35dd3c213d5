"""What stands before every request: host and origin, headers, time limits, the log.

A page elsewhere must neither read nor change anything here. Its name in the address is not ours (DNS rebinding), its
origin is not ours (forged requests), and its scripts and frames are not allowed (content security policy).
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfumato.errors import UsageError
from sfumato.studio.operations import Metrics
from sfumato.studio.problems import answer

log = logging.getLogger("sfumato.studio")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
#: Headers of every answer.
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()",
}
_SAFE = ("GET", "HEAD", "OPTIONS")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"([a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_PROBES = ("/health", "/ready")  # called by address from load balancers; they tell nothing
_STRANGERS = 65_536  # bytes that are read of a body from somebody who is not logged in
_GRACE, _SLOWEST = 20.0, 16_384  # seconds for any request's body, and bytes a second beyond them


class _Name(NamedTuple):
    host: str
    port: str | None


def _split(text: str) -> _Name | None:
    found = _HOST.fullmatch(text.lower())
    return None if found is None else _Name(found[1].rstrip("."), found[2])


@dataclass(frozen=True)
class Hosts:
    """The names under which the service may be called.

    Attributes:
        names: besides those of loopback; a name without port stands for the default port of its scheme.
    """

    names: tuple[_Name, ...] = ()

    @classmethod
    def parse(cls, names: Sequence[str]) -> Hosts:
        """Return the hosts of texts such as ``studio.example.org`` or ``10.0.0.5:7333``.

        Raises:
            UsageError: a text is no host name.
        """
        found = []
        for text in names:
            name = _split(text)
            if name is None:
                raise UsageError(
                    f"{text[:60]!r} is no host name; write it as in --allow-network studio.example.org or 10.0.0.5:7333"
                )
            found.append(name)
        return cls(tuple(found))

    def allows(self, host: str) -> bool:
        """Return whether the ``Host`` header of a request is one of the names."""
        name = _split(host)
        if name is None:
            return False
        if name.host in _LOOPBACK:
            return True
        return any(name.host == each.host and each.port in (None, name.port) for each in self.names)

    def allows_origin(self, origin: str, host: str) -> bool:
        """Return whether the page that sends a request is our own.

        On one host, other ports belong to other programs, so the origin must be that of the request itself. Only a
        reverse proxy may call us by another name, and then the origin is one of `names`.
        """
        try:
            parts = urlsplit(origin)
        except ValueError:  # as of "http://["
            return False
        name = _split(parts.netloc)
        if parts.scheme not in ("http", "https") or name is None:
            return False
        if parts.netloc.lower() == host.lower():
            return True
        return name in self.names


class Guard:
    """The outermost layer of the service.

    Args:
        app: the service.
        hosts: names under which it may be called.
        metrics: count the requests.
        may_upload: whether the credentials in the headers are valid; it may read the database.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, metrics: Metrics, may_upload: Callable[[Headers], bool]) -> None:
        self.app = app
        self.may_upload = may_upload
        self.hosts = hosts
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # there are no WebSockets here
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, request = time.perf_counter(), secrets.token_hex(8)
        scope.setdefault("state", {})["request"] = request
        out = _Out(send, scope, request)
        try:
            refused = self._refuse(scope) or await self._refuse_upload(scope)
            if refused is not None:
                await refused(scope, receive, out)
            else:
                await self.app(scope, _Patient(receive), out)
        except Exception as problem:
            _log_bug(problem, request)
            if not out.status:
                await answer(500, _of_bug(request))(scope, receive, out)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", None) or "other"
            self.metrics.observe(route, scope["method"], out.status, seconds)
            fields = {
                "request": request,
                "account": scope["state"].get("account"),
                "method": scope["method"] if len(scope["method"]) < 10 else "other",
                "route": route,
                "status": out.status,
                "ms": round(seconds * 1000, 1),
            }
            log.info("request", extra={"fields": fields})

    def _refuse(self, scope: Scope) -> ASGIApp | None:
        """Return the answer to a request that is not to be answered by the service."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self.hosts.allows(host) and scope["path"] not in _PROBES:
            return answer(
                403, "this address is not served under that host name; start Studio with --allow-network and the name"
            )
        if "transfer-encoding" in headers and "content-length" in headers:
            # A proxy may believe the other one, and would take what follows for a request of somebody else.
            refused = answer(400, "the request tells its length in two ways, so where it ends is not known")
            refused.headers["Connection"] = "close"
            return refused
        if scope["method"] in _SAFE:
            return None
        origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
        is_own = all(self.hosts.allows_origin(each, host) for each in origins)
        if not is_own or not set(sites) <= {"same-origin", "none"}:
            return answer(403, "the request comes from a page of another origin, so it was refused")
        return None

    async def _refuse_upload(self, scope: Scope) -> ASGIApp | None:
        """Return the answer to a large body of a stranger, which would otherwise be read before they are known."""
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        is_large = (
            "transfer-encoding" in headers or not length.isdecimal() or len(length) > 12 or int(length) > _STRANGERS
        )
        if not is_large or await run_in_threadpool(self.may_upload, headers):
            return None
        return answer(401, "log in first")


class _Out:
    """Sends an answer with our headers. Plain-text errors of libraries become ours."""

    def __init__(self, send: Send, scope: Scope, request: str) -> None:
        self.send = send
        self.scope = scope
        self.request = request
        self.status = 0
        self.is_replaced = False

    async def __call__(self, message: Message) -> None:
        if self.is_replaced:  # what a library still sends
            return
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            status = message["status"]
            if status >= 400 and headers.get("content-type", "").startswith("text/plain"):
                text = _of_bug(self.request) if status == 500 else _OF_LIBRARIES.get(status, "the request was refused")
                await answer(status, text)(self.scope, _never, self)
                self.is_replaced = True
                return
            self.status = status
            for name, value in HEADERS.items():
                headers[name] = value
            headers["X-Request-Id"] = self.request
            if self.scope["path"].startswith("/api/"):
                headers.setdefault("Cache-Control", "no-store")
            if self.scope.get("scheme") == "https":
                headers["Strict-Transport-Security"] = "max-age=31536000"
        await self.send(message)


_OF_LIBRARIES = {413: "the upload is larger than this server takes; send a smaller file"}


def _of_bug(request: str) -> str:
    return f"an error of Sfumato, see the server's log (request {request})"


async def _never() -> Message:
    raise AssertionError("an answer reads nothing")


class _Patient:
    """Receives a request's body, but not for ever: slow senders are cut off."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.end = time.monotonic() + _GRACE
        self.is_complete = False

    async def __call__(self) -> Message:
        if self.is_complete:  # what follows is only the end of the connection, for which streams wait
            return await self.receive()
        try:
            async with asyncio.timeout(max(0.0, self.end - time.monotonic())):
                message = await self.receive()
        except TimeoutError:
            raise HTTPException(408, "the request's body came too slowly; try again on a better connection") from None
        self.end += len(message.get("body", b"")) / _SLOWEST
        self.is_complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message


def _log_bug(problem: Exception, request: str) -> None:
    """Log an unexpected error by its kind and place. Its text is left out, since it may hold what is private."""
    frames = traceback.extract_tb(problem.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
    fields: dict[str, Any] = {"request": request, "kind": type(problem).__name__, "where": where}
    log.error("bug", extra={"fields": fields})
