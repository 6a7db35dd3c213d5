"""`sfumato studio`: starting, stopping, workers, accounts and keys."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from running_studio import Running, studio
from sfumato.studio.client import Client
from sfumato.studio.server import PORT, listen
from studio_api import drawn
from support import assert_one_sentence, run

PASSWORD = "a-long-pass-phrase"


def wait_for(is_true: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def is_there(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def ready(running: Running, workers: int) -> bool:
    answer = httpx2.get(f"{running.url}/ready")
    return answer.status_code == 200 and answer.json()["workers"] == workers


# ---- starting and stopping -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_studio_starts_works_and_stops_with_all_its_processes(number: signal.Signals, tmp_path: Path) -> None:
    with studio() as running:
        headers = running.log_in()
        wait_for(lambda: ready(running, 2))
        everyone = [process for group in running.processes().values() for process in group]
        with Client(running.url, headers["Authorization"].split()[1]) as client:
            path = tmp_path / "photo.png"
            path.write_bytes(drawn(1, 96, 64))
            painted = client.paint(client.upload(path).id, "monet", quality="draft")
            assert (painted.kind, painted.width) == ("result", 96)
        with httpx2.stream("GET", f"{running.url}/api/v1/events", headers=headers) as stream:
            assert stream.status_code == 200
            everyone += [process for group in running.processes().values() for process in group]
            began = time.monotonic()
            running.process.send_signal(number)
            running.process.wait(10)
            assert time.monotonic() - began < 4
        wait_for(lambda: not any(map(is_there, everyone)), 5)
        assert running.process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_worker_that_dies_is_started_again_and_none_outlives_the_service() -> None:
    with studio("", "--workers", "1") as running:
        wait_for(lambda: ready(running, 2))
        names = {process: Path(f"/proc/{process}/cmdline").read_bytes() for process in running.processes()["worker"]}
        workers = [process for process, name in names.items() if b"worker-1" in name]
        assert len(workers) == 1
        os.kill(workers[0], signal.SIGKILL)
        wait_for(lambda: set(running.processes()["worker"]) - set(names))
        wait_for(lambda: ready(running, 3))  # with the sign of life of the dead one
        everyone = [process for group in running.processes().values() for process in group]
        running.process.kill()
        running.process.wait()
        wait_for(lambda: not any(map(is_there, everyone)), 10)


def test_the_next_port_is_taken_where_one_is_taken() -> None:
    with listen("127.0.0.1", None) as one, listen("127.0.0.1", None) as two:
        assert PORT <= one.getsockname()[1] < two.getsockname()[1]
        with listen("127.0.0.1", 0) as free:
            assert free.getsockname()[1] > 0


def test_a_taken_port_that_was_asked_for_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("studio", "--port", port, "--data", tmp_path, "--no-browser")
    assert_one_sentence(result, 2, f"cannot listen on port {port}")


def test_a_network_without_a_password_is_refused(tmp_path: Path) -> None:
    result = run("studio", "--port", 0, "--data", tmp_path, "--allow-network", "studio.example.org")
    assert_one_sentence(result, 2, "make one with sfumato studio account add NAME --admin")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--allow-network", "http://x"], 2, "is no host name"),
        (["--keep", "soon"], 2, "a duration is a number with h, d or w"),
        (["--database", "mysql://x"], 2, "the database must be SQLite or PostgreSQL"),
        (["--database", "postgresql://nobody@127.0.0.1:1/none"], 4, "cannot use the database"),
        (["--port", "70000"], 2, "--port"),
        (["--workers", "1", "account", "list"], 2, "put the options behind the subcommand"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    port = [] if "--port" in arguments or "list" in arguments else ["--port", 0]
    result = run("studio", *port, *arguments, *([] if "list" in arguments else ["--data", tmp_path]))
    assert_one_sentence(result, code, sentence)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("studio", "account", "list", "--data", tmp_path / "file" / "data")
    assert_one_sentence(result, 2, "cannot write into")


def test_the_command_imports_no_torch_and_little_before_it_serves() -> None:
    script = (
        "import sys; import sfumato.studio.app, sfumato.studio.server, sfumato.studio.worker; "
        "print([name for name in ('torch', 'alembic', 'PIL.Image', 'onnxruntime', 'jinja2') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "torch" not in found


# ---- accounts and keys -----------------------------------------------------------------------------------------------


def add(data: Path, name: str, *options: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sfumato", "studio", "account", "add", name, "--data", str(data), *options]
    return subprocess.run(command, input=f"{password}\n", capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_accounts_are_added_listed_and_removed(tmp_path: Path) -> None:
    assert add(tmp_path, "anna").stdout == "anna may log in now (admin)\n"  # the first
    assert add(tmp_path, "ben").stdout == "ben may log in now (member)\n"
    assert run("studio", "account", "list", "--data", tmp_path).stdout == (
        "anna  admin  0 pictures  0.0 MB\nben  member  0 pictures  0.0 MB\n"
    )
    for name, password, sentence in (
        ("ben", PASSWORD, "there is an account ben already"),
        ("A b", PASSWORD, "a name has up to 64 small letters"),
        ("carl", "short", "a password has 12 to 200 characters, but this has 5"),
    ):
        refused = add(tmp_path, name, password=password)
        assert (refused.returncode, sentence in refused.stderr) == (2, True), refused.stderr
    assert_one_sentence(run("studio", "account", "remove", "anna", "-y", "--data", tmp_path), 2, "the only admin")
    assert_one_sentence(run("studio", "account", "remove", "ben", "--data", tmp_path), 2, "add --yes to confirm")
    assert (
        "ben and 0 pictures were deleted" in run("studio", "account", "remove", "ben", "-y", "--data", tmp_path).stdout
    )
    assert_one_sentence(run("studio", "account", "remove", "ben", "-y", "--data", tmp_path), 2, "there is no account")
    assert_one_sentence(run("studio", "account", "password", "ben", "--data", tmp_path), 2, "there is no account")


@pytest.mark.slow
def test_a_key_is_made_on_the_command_line(tmp_path: Path) -> None:
    result = run("studio", "key", "shop", "--data", tmp_path)
    assert result.stdout.startswith("sfu_")
    for arguments, sentence in (
        (["x", "--account", "nobody"], "there is no account 'nobody'"),
        (["x", "--scopes", "all"], "scopes are of read, write, admin"),
        ([" "], "a label has 1 to 64 printable characters"),
    ):
        assert_one_sentence(run("studio", "key", *arguments, "--data", tmp_path), 2, sentence)
    add(tmp_path, "anna")
    add(tmp_path, "ben")
    denied = run("studio", "key", "x", "--account", "ben", "--scopes", "admin", "--data", tmp_path)
    assert_one_sentence(denied, 2, "ben is no admin")


@pytest.mark.slow
def test_studio_serves_a_team_behind_a_proxy(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert add(data, "anna").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sfumato", "studio", "--data", str(data), "--port", str(port), "--workers", "0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--allow-network", "studio.example.org"], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == f"Studio serves studio.example.org on port {port}; Ctrl-C stops it.\n"
        host = {"Host": "studio.example.org"}
        proxied = {**host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            body = {"name": "anna", "password": PASSWORD}
            ours = {"Origin": "https://studio.example.org"}
            answer = client.post("/api/v1/session", json=body, headers={**proxied, **ours})
            assert answer.status_code == 200
            assert "Secure" in answer.headers["set-cookie"]
            assert client.post("/api/v1/session", json=body, headers=host).headers["set-cookie"].count("Secure") == 0
            client.cookies.clear()
            theirs = {"Origin": "https://evil.example"}
            assert client.post("/api/v1/session", json=body, headers={**proxied, **theirs}).status_code == 403
            assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
            assert client.get("/metrics", headers=host).status_code == 401
            assert client.get("/ready", headers=host).json()["detail"] == "no worker runs; start sfumato studio worker"
            token = client.post("/api/v1/session", json={"token": "x"}, headers=host)
            assert token.status_code == 401
    finally:
        process.terminate()
        process.communicate()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {line["event"] for line in lines} == {"request"}
    assert lines[0]["route"] == "/api/v1/session"
    assert lines[0]["status"] == 200
    assert PASSWORD not in str(lines)
    assert "anna" not in str(lines)
