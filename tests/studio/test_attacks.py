"""Attacks on the service that came from a review: those that once succeeded, and the most telling refused ones."""

from __future__ import annotations

import errno
import io
import json
import re
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from sqlalchemy import update

from sfumato.metadata import PNG_KEYWORD
from sfumato.studio import queue
from sfumato.studio.database import writing
from sfumato.studio.files import FileStore
from sfumato.studio.inputs import collect
from sfumato.studio.server import listen
from sfumato.studio.tables import Account
from studio_api import Service, drawn, listening, paint, service, upload


@pytest.fixture
def studio(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", sqlite_url) as found:
        yield found


def with_recipe(text: str) -> bytes:
    """A picture with a text where Sfumato writes its recipe."""
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text(PNG_KEYWORD, text)
    Image.open(io.BytesIO(drawn())).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def send(studio: Service, content: bytes, name: str = "x.png") -> dict[str, Any]:
    answer = studio.client.post("/api/v1/pictures", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


# ---- recipes in uploads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ['{"a": "\\ud800"}', '{"\\udfff": 1}', '{"a": [["\\ud800\\ud800"]]}'])
def test_a_recipe_that_is_no_text_does_not_close_the_gallery(studio: Service, recipe: str) -> None:
    sent = send(studio, with_recipe(recipe))
    assert sent["recipe"] is None
    for path in ("/api/v1/pictures", f"/api/v1/pictures/{sent['id']}"):
        assert studio.client.get(path).status_code == 200


@pytest.mark.parametrize("styles", [5, [1, None], "abc", {"name": 1}, [{"name": {"a": [1]}}], [[{"name": "x"}]], None])
def test_a_recipe_of_another_form_does_not_end_the_worker(studio: Service, tmp_path: Path, styles: Any) -> None:
    studio.client.post(
        "/api/v1/styles", json={"name": "x", "pictures": [{"picture": upload(studio.client)["id"]}]}
    ).raise_for_status()
    sent = send(studio, with_recipe(json.dumps({"styles": styles})))
    asked = {"kind": "finish", "picture": sent["id"], "contrast": 0.2}
    assert studio.client.post("/api/v1/jobs", json=asked).status_code == 202
    desk = studio.studio
    job = queue.claim(desk.sessions, "test", 60)
    assert job is not None
    with desk.sessions() as session:
        assert sent["id"] in collect(session, desk.files, desk.settings, job, tmp_path).pictures
    assert studio.client.get("/api/v1/pictures", params={"query": "monet"}).status_code == 200


def test_a_recipe_with_a_bomb_is_left_out(studio: Service) -> None:
    for recipe in (
        '{"a":' * 900 + "1" + "}" * 900,
        "[" * 50_000,
        '{"a": NaN}',
        '{"a": 1e999}',
        f'{{"a": {"9" * 5000}}}',
    ):
        assert send(studio, with_recipe(recipe))["recipe"] is None


# ---- requests --------------------------------------------------------------------------------------------------------


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    found = b""
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(request)
        while chunk := connection.recv(65_536):
            found += chunk
    return found


def test_a_request_with_two_lengths_ends_the_connection(tmp_path: Path, sqlite_url: str) -> None:
    hidden = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    lengths = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(hidden))
    with listening(tmp_path / "data", sqlite_url) as (address, _):
        for head in (b"POST /api/v1/session HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\n"):
            found = exchange(address, head + b"Host: 127.0.0.1\r\n" + lengths + hidden)
            assert found.startswith(b"HTTP/1.1 400 ")
            assert found.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("path", "closing"),
    [
        (b"/api/v1/openapi.json", b""),  # larger than what the server buffers
        (b"/ui.js", b"Connection: close\r\n"),  # what it buffers when it closes the connection
    ],
)
def test_a_client_that_takes_no_answer_is_cut_off(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, path: bytes, closing: bytes
) -> None:
    monkeypatch.setattr("sfumato.studio.server._READ", 0.1)
    monkeypatch.setattr("studio_api.listen", _listen_narrowly)
    with listening(tmp_path / "data", sqlite_url) as (address, _), socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(5)
        connection.connect(address)
        connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + closing + b"\r\n")
        assert connection.recv(1, socket.MSG_PEEK)  # the answer has begun
        time.sleep(0.4)
        found = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                found += chunk
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(body) < int(re.findall(rb"content-length: ([0-9]+)", head)[0])


def _listen_narrowly(host: str, port: int) -> socket.socket:
    """A listening socket whose connections buffer little in the system."""
    found = listen(host, port)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    return found


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "https://[x]", "//127.0.0.1:7333", "", "http://\u00bd"])
def test_a_broken_origin_is_refused(studio: Service, origin: str) -> None:
    headers = [(b"Origin", origin.encode("latin-1")), (b"Content-Type", b"application/json")]
    answer = studio.client.post("/api/v1/jobs", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_one_good_header_does_not_excuse_a_bad_one(studio: Service) -> None:
    for name, good, bad in (
        ("Sec-Fetch-Site", "same-origin", "cross-site"),
        ("Origin", "http://127.0.0.1:7333", "https://evil.example"),
    ):
        answer = studio.client.post("/api/v1/jobs", json={}, headers=[(name, good), (name, bad)])
        assert answer.status_code == 403


def test_zeros_do_not_hide_the_length_of_a_strangers_body(tmp_path: Path, sqlite_url: str) -> None:
    with listening(tmp_path / "data", sqlite_url) as (address, _):
        for length in (b"100000", b"00000000000000100000"):
            with socket.create_connection(address, timeout=5) as connection:
                head = b"POST /api/v1/pictures HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                kind = b"Content-Type: multipart/form-data; boundary=x\r\n"
                connection.sendall(head + kind + b"Content-Length: " + length + b"\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 401 ")  # before any of the body has come


def test_simple_content_types_are_no_json(studio: Service) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        body = b'{"kind": "learn", "taste": "forged"}'
        assert studio.client.post("/api/v1/jobs", content=body, headers={"Content-Type": kind}).status_code in (
            400,
            422,
        )
    assert studio.client.get("/api/v1/jobs").json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"a":' * 150_000,
        b'{"kind": "learn", "taste": "x", "liked": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"kind": "learn", "taste": "\\ud800"}',
        b'{"kind": "learn", "taste": "x\\n"}',
        b'{"kind": "\xff"}',
        b'{"kind": "finish", "picture": "' + b"0" * 32 + b'", "contrast": NaN}',
        b'{"kind": "finish", "picture": "' + b"0" * 32 + b'", "contrast": 1e999}',
        b'{"kind": "finish", "picture": "' + b"0" * 32 + b'", "upscale": ' + b"9" * 5000 + b"}",
        b'{"kind": "finish", "kind": "learn", "picture": "x"}',
    ],
)
def test_json_bombs_are_refused(studio: Service, body: bytes) -> None:
    answer = studio.client.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert len(answer.text) < 300


def test_a_search_is_no_pattern_and_no_sql(studio: Service) -> None:
    upload(studio.client, name="garden.png")
    for query in ("' OR 1=1 --", "%", "_", "\\", "((", "[a-", "a{99999}", "(a+)+$" * 9, ".*", '"name": "', "\\u0000"):
        answer = studio.client.get("/api/v1/pictures", params={"query": query})
        assert (answer.status_code, answer.json()["items"]) == (200, []), query
    for before in ("~", "x", f"2026-01-01T00:00:00~{'0' * 32}", f"2026-01-01T00:00:00+00:00~{'0' * 31}' OR 1=1"):
        assert studio.client.get("/api/v1/pictures", params={"before": before}).status_code == 422


# ---- names and uploads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title", ["../../x", "..\\x", 'a"; filename="y.html', "\u202egnp.exe", "\u2028Set-Cookie: x", "<b>", "\u0085"]
)
def test_a_title_puts_nothing_into_the_name_of_a_file(studio: Service, title: str) -> None:
    path = f"/api/v1/pictures/{upload(studio.client)['id']}"
    assert studio.client.patch(path, json={"title": title}).status_code == 200
    header = studio.client.get(f"{path}/file", params={"download": True}).headers["content-disposition"]
    plain, _, encoded = header.removeprefix('attachment; filename="').partition("\"; filename*=UTF-8''")
    for name in (plain, encoded):
        assert name.endswith(".png")
        assert not set(name) & set('/\\"<>:;\r\n')


def test_nothing_but_pixels_comes_out_of_a_polyglot(studio: Service) -> None:
    page = b"<script>alert(1)</script>"
    for content, name in ((drawn() + page, "page.html"), (drawn() + b"PK\x03\x04" + page, "x.zip")):
        answer = studio.client.get(send(studio, content, name)["file"])
        assert answer.headers["content-type"] == "image/png"
        assert page not in answer.content
        assert b"PK\x03\x04" not in answer.content
    for content in (page, b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        refused = studio.client.post("/api/v1/pictures", files={"file": ("x.jpg", content, "image/jpeg")})
        assert refused.status_code == 422


@pytest.mark.parametrize(
    "content",
    [
        b"",
        (2**63).to_bytes(8, "little"),
        (25_000).to_bytes(8, "little") + b'{"a":' * 5000,
        (62).to_bytes(8, "little") + b'{"codes":{"dtype":"F32","shape":[-1],"data_offsets":[4,0]}}   ',
        b"PK\x03\x04",
        b'\x80\x04cos\nsystem\n(S"true"\ntR.',
    ],
)
def test_a_damaged_taste_is_refused(studio: Service, content: bytes) -> None:
    answer = studio.client.post("/api/v1/tastes", files={"file": ("me.sfumato", content)})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert str(studio.studio.settings.data) not in answer.text


# ---- at the same time ------------------------------------------------------------------------------------------------


def test_one_key_at_once_makes_one_job(studio: Service) -> None:
    asked, headers = paint(upload(studio.client)["id"]), {"Idempotency-Key": "same"}
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(studio.client.post, "/api/v1/jobs", json=asked, headers=headers) for _ in range(20)]
    assert len({each.result().json()["id"] for each in answers}) == 1
    assert len(studio.client.get("/api/v1/jobs").json()["items"]) == 1


def test_two_deletions_at_once_are_one(studio: Service) -> None:
    path = f"/api/v1/pictures/{upload(studio.client)['id']}"
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(studio.client.delete, path) for _ in range(8)]
    assert Counter(each.result().status_code for each in answers) == {204: 1, 404: 7}


def test_uploads_at_once_do_not_pass_the_quota(studio: Service) -> None:
    with writing(studio.studio.sessions) as session:
        session.execute(update(Account).values(quota=20_000))

    def put(seed: int) -> int:
        return int(studio.client.post("/api/v1/pictures", files={"file": ("x.png", drawn(seed))}).status_code)

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(put, range(12)))
    assert statuses == {201: 2, 507: 10}
    stored = [path for path in studio.studio.settings.data.glob("files/*/*/*") if path.is_file()]
    assert sum(path.stat().st_size for path in stored) == studio.client.get("/api/v1/me").json()["used"] <= 20_000


def test_votes_without_end_are_refused(studio: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.studio.routes.votes._MOST", 2)
    left, right = (upload(studio.client, seed)["id"] for seed in (1, 2))
    asked = {"left": left, "right": right, "choice": "left", "seconds": 1}
    statuses = [studio.client.post("/api/v1/votes", json=asked).status_code for _ in range(4)]
    assert statuses == [201, 201, 422, 422]
    assert studio.client.get("/api/v1/votes").json()["count"] == 2


@pytest.mark.parametrize("problem", [errno.ENOENT, errno.ENOTEMPTY])
def test_an_account_is_deleted_while_an_upload_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    store, account = FileStore(tmp_path / "files"), "0" * 32
    store.put(account, b"first")
    remove, tried = shutil.rmtree, threading.Event()

    def disturbed(folder: str) -> None:
        if not tried.is_set():  # an upload adds a file to a folder that is nearly removed, or takes one back
            tried.set()
            raise OSError(problem, "disturbed")
        remove(folder)

    monkeypatch.setattr("sfumato.studio.files.shutil.rmtree", disturbed)
    store.delete_account(account)
    assert tried.is_set()
    assert store.accounts() == []
    store.delete_account(account)  # there is none
