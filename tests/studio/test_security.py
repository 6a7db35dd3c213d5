"""Other hosts, other origins, headers, slow and large requests: what the guard refuses, one by one."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message

from sfumato.errors import UsageError
from sfumato.studio import security
from sfumato.studio.database import open_database
from sfumato.studio.logs import JsonFormatter
from sfumato.studio.operations import Metrics
from sfumato.studio.security import HEADERS, Hosts
from studio_api import URL, Service, drawn, listening, paint, service, upload

HOME = "studio.example.org"


@pytest.fixture
def studio(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", sqlite_url) as found:
        yield found


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "", "10.0.0.5", "0"],
)
def test_another_host_name_is_refused(studio: Service, host: str) -> None:
    for path in ("/api/v1/me", "/", "/api/v1/openapi.json", "/metrics"):
        answer = studio.client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert studio.client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:7333", "localhost", "LOCALHOST:8080", "[::1]:7333"])
def test_loopback_names_are_served(studio: Service, host: str) -> None:
    assert studio.client.get("/api/v1/me", headers={"Host": host}).status_code == 200


def test_two_host_headers_are_refused(studio: Service) -> None:
    answer = studio.client.get("/api/v1/me", headers=[("Host", "127.0.0.1"), ("Host", "evil.example")])
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": URL}, 422),
        ({"Origin": URL, "Sec-Fetch-Site": "same-origin"}, 422),
        ({}, 422),
        ({"Origin": "http://127.0.0.1:8888"}, 403),  # another program on this machine
        ({"Origin": "http://localhost:7333"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": "http://127.0.0.1:7333.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": URL, "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_requests_of_other_pages_are_refused(studio: Service, headers: dict[str, str], status: int) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        path = {"PUT": "/api/v1/me/password", "DELETE": "/api/v1/pictures/x"}.get(method, "/api/v1/jobs")
        answer = studio.client.request(method, path, headers=headers)
        expected = {"DELETE": 404, "PATCH": 405}.get(method, 422) if status == 422 else 403
        assert answer.status_code == expected, method
    assert studio.client.get("/api/v1/me", headers=headers).status_code == 200


def test_names_of_a_network_are_parsed_and_matched() -> None:
    hosts = Hosts.parse([HOME, "10.0.0.5:7333"])
    assert hosts.allows(HOME)
    assert hosts.allows(f"{HOME}:8443")
    assert hosts.allows(f"{HOME.upper()}.")
    assert hosts.allows("10.0.0.5:7333")
    assert not hosts.allows("10.0.0.5:80")
    assert not hosts.allows("example.org")
    assert hosts.allows_origin(f"https://{HOME}", "127.0.0.1:7333")  # a proxy calls us by another name
    assert not hosts.allows_origin(f"https://{HOME}:8443", "127.0.0.1:7333")
    assert not hosts.allows_origin("https://evil.example", HOME)
    for text in ("http://x", "a b", "x:y", "", "x/y"):
        with pytest.raises(UsageError, match="is no host name"):
            Hosts.parse([text])


def test_every_answer_has_the_headers(studio: Service) -> None:
    photo = upload(studio.client)
    paths = ("/", "/api/v1/me", photo["file"], "/api/v1/nothing", "/no-page", "/health", "/metrics")
    answers = [studio.client.get(path) for path in paths]
    answers.append(studio.client.post("/api/v1/jobs", content="{"))
    answers.append(studio.client.get("/api/v1/me", headers={"Host": "evil.example"}))
    answers.append(studio.client.post("/api/v1/jobs", content=b"x" * 2**21))
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, answer.url
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.startswith("default-src 'none'")
    assert studio.client.get("/api/v1/me").headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in studio.client.get("/api/v1/me").headers


def test_the_page_and_its_files_are_served_and_nothing_above_them(studio: Service) -> None:
    page = studio.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" in page.text
    assert "style=" not in page.text
    script = studio.client.get("/app.js")
    assert script.headers["content-type"].startswith("text/javascript")
    again = studio.client.get("/app.js", headers={"If-None-Match": script.headers["etag"]})
    assert again.status_code == 304
    assert script.headers["content-encoding"] == "gzip"
    for path in ("/../app.py", "/..%2fapp.py", "/%2e%2e/app.py", "/..\\app.py", "//etc/passwd", "/texts/../../app.py"):
        assert studio.client.get(path).status_code == 404, path
    assert studio.client.get("/docs").status_code == 404


def test_paths_of_the_api_take_ids_only(studio: Service) -> None:
    for path in ("pictures/../../x/file", "pictures/%2e%2e%2fx/file", "jobs/' OR 1=1", "batches/%00", "tastes/..%2f.."):
        answer = studio.client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def test_bodies_beyond_the_limit_are_refused(studio: Service) -> None:
    for content in (b"x" * (2**20 + 1), iter([b"x" * 2**19] * 4)):
        answer = studio.client.post("/api/v1/jobs", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_stranger_cannot_send_a_large_body(studio: Service) -> None:
    visitor = studio.visitor()
    answer = visitor.post("/api/v1/pictures", files={"file": ("x.png", bytes(100_000))})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
    chunked = visitor.post("/api/v1/pictures", content=iter([bytes(10)]))
    assert chunked.status_code == 401
    visitor.headers["Authorization"] = "Bearer sfu_guess"
    assert visitor.post("/api/v1/pictures", content=iter([bytes(10)])).status_code == 401


def test_too_many_fields_are_refused(studio: Service) -> None:
    answer = studio.client.post(
        "/api/v1/pictures", files={"file": ("x.png", drawn())}, data={str(i): "x" for i in range(50)}
    )
    assert answer.status_code == 400


def test_a_slow_body_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_GRACE", 0.2)

    async def drip() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read() -> None:
        receive = security._Patient(drip)
        for _ in range(100):
            await receive()

    began = time.monotonic()
    with pytest.raises(HTTPException) as caught:
        asyncio.run(read())
    assert caught.value.status_code == 408
    assert 0.2 <= time.monotonic() - began < 2


def test_an_unexpected_error_tells_nothing(studio: Service, caplog: pytest.LogCaptureFixture) -> None:
    (studio.studio.settings.data / "work").mkdir(exist_ok=True)
    studio.studio.files._root = "\0secret"  # a bug: a path that the system does not take
    with caplog.at_level(logging.ERROR, "sfumato.studio"):
        answer = studio.client.post("/api/v1/pictures", files={"file": ("my-name.png", drawn())})
    assert answer.status_code == 500
    assert answer.json()["code"] == "error"
    request = answer.headers["x-request-id"]
    assert answer.json()["detail"] == f"an error of Sfumato, see the server's log (request {request})"
    lines = [JsonFormatter().format(record) for record in caplog.records]
    bug = next(line for line in lines if json.loads(line)["event"] == "bug")
    assert json.loads(bug)["request"] == request
    assert not any("secret" in line or "my-name" in line for line in lines)


def test_a_lost_database_is_told_and_recovered_from(studio: Service, tmp_path: Path) -> None:
    engine = studio.studio.sessions.kw["bind"]
    path = tmp_path / "studio.db"
    engine.dispose()
    aside = path.rename(tmp_path / "aside.db")
    path.mkdir()
    lost = studio.client.get("/api/v1/me")
    assert (lost.status_code, lost.json()["code"]) == (503, "unavailable")
    assert lost.headers["retry-after"] == "5"
    assert studio.client.get("/ready").status_code == 503
    assert studio.client.get("/health").status_code == 200
    path.rmdir()
    aside.rename(path)
    assert studio.client.get("/api/v1/me").status_code == 200


def test_a_store_that_cannot_be_written_is_told(studio: Service) -> None:
    folder = studio.studio.settings.data / "files"
    folder.write_text("this is no folder")
    full = studio.client.post("/api/v1/pictures", files={"file": ("x.png", drawn())})
    assert (full.status_code, full.json()["code"]) == (507, "full")
    assert studio.client.get("/ready").status_code == 503
    folder.unlink()
    upload(studio.client)


def test_the_log_names_routes_and_no_contents(studio: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sfumato.studio"):
        photo = upload(studio.client, name="secret-name.png")
        studio.client.get("/api/v1/pictures", params={"query": "secret-word"})
        studio.client.get(photo["file"], params={"download": True})
        studio.client.post("/api/v1/session", json={"token": "secret-token"})
        studio.client.post("/api/v1/jobs", json=paint(photo["id"]))
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records if record.name == "sfumato.studio"]
    assert [line["route"] for line in lines] == [
        "/api/v1/pictures",
        "/api/v1/pictures",
        "/api/v1/pictures/{picture}/file",
        "/api/v1/session",
        "/api/v1/jobs",
    ]
    assert [line["status"] for line in lines] == [201, 200, 200, 401, 202]
    assert all(line["ms"] >= 0 and line["request"] and line["level"] == "info" for line in lines)
    assert len({line["account"] for line in lines} - {None}) == 1
    assert "secret" not in json.dumps(lines)
    assert photo["id"] not in json.dumps(lines)


def test_figures_count_routes_jobs_and_bytes(studio: Service) -> None:
    photo = upload(studio.client)
    studio.client.post("/api/v1/jobs", json=paint(photo["id"]))
    text = studio.client.get("/metrics").text
    assert 'sfumato_requests_total{method="POST",route="/api/v1/jobs",status="202"} 1.0' in text
    assert "sfumato_queue_length 1.0" in text
    assert f"sfumato_stored_bytes {float(photo['bytes'])}" in text
    assert photo["id"] not in text


def test_figures_of_a_network_need_an_admin(tmp_path: Path, sqlite_url: str) -> None:
    with service(tmp_path / "data", sqlite_url, HOME) as studio:
        assert studio.visitor().get("/metrics").status_code == 401
        member, admin = studio.person("anna"), studio.person("root", "admin")
        assert member.get("/metrics").status_code == 403
        assert admin.get("/metrics").status_code == 200
        assert studio.program(admin, "admin").get("/metrics").status_code == 200


def test_a_connection_without_a_request_is_closed(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.studio.server._HEAD", 0.3)
    with listening(tmp_path / "data", sqlite_url) as (address, _):
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: 127"):
            with socket.create_connection(address, timeout=5) as connection:
                connection.sendall(sent)
                with suppress(ConnectionResetError):
                    assert connection.recv(100) == b""
        with socket.create_connection(address, timeout=5) as connection:
            for pause in (0.5, 0):  # an idle connection is kept
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                found = b""
                while not found.endswith(b"}"):
                    found += connection.recv(1000)
                assert found.startswith(b"HTTP/1.1 200")
                time.sleep(pause)


def test_metrics_can_be_scraped_twice(sqlite_url: str) -> None:
    metrics, sessions = Metrics(), open_database(sqlite_url)
    metrics.observe("/x", "BREW", 200, 0.1)
    assert b'method="other"' in metrics.text(sessions)
    assert metrics.text(sessions).count(b'method="other"') == 2  # the count and its time of creation
    sessions.kw["bind"].dispose()
