"""A whole Studio in processes of its own, as people start it: server, workers, client, and what the docs say."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from postgresql import Postgresql, find_programs
from running_studio import Running
from sfumato.errors import SfumatoError, UsageError
from sfumato.image import read_recipe, write_image
from sfumato.studio.client import Client
from support import scene

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture
def running(tmp_path: Path, database_url: str) -> Iterator[Running]:
    """A Studio on each database."""
    found = Running(tmp_path / "data", 0, database_url)
    yield found
    found.stop()


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    key = running.log_in()["Authorization"].removeprefix("Bearer ")
    with Client(running.url, key) as found:
        yield found


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_image(scene(96, 128), tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_the_client_paints_and_cleans_up(client: Client, photo: Path, tmp_path: Path) -> None:
    told: list[float] = []
    uploaded = client.upload(photo)
    picture = client.paint(uploaded.id, "great-wave", strength=0.8, progress=lambda share, _: told.append(share))
    assert (picture.width, picture.height, picture.photo) == (128, 96, uploaded.id)
    assert told == sorted(told)
    assert told[-1] == 1.0
    client.download(picture.id, tmp_path / "wave.png")
    recipe: Any = read_recipe(tmp_path / "wave.png")
    assert (recipe["strength"], recipe["styles"][0]["name"]) == (0.8, "great-wave")
    assert picture.measures is not None

    style = client.make_style("mine", [uploaded.id])
    blend = client.paint(uploaded.id, {style: 1.0, "monet": 2.0}, quality="draft", format="jpeg")
    assert blend.media_type == "image/jpeg"
    assert {each.id for each in client.pictures(kind="result")} == {picture.id, blend.id}
    assert style in {each.ref for each in client.styles().own}
    client.delete(picture.id)
    with pytest.raises(UsageError, match="no such picture"):
        client.picture(picture.id)
    with pytest.raises(SfumatoError, match="there is no style"):
        client.paint(uploaded.id, "no-such-style")


def test_a_key_is_needed_and_a_wrong_one_is_told(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFUMATO_STUDIO_KEY", raising=False)
    with pytest.raises(UsageError, match="a key is needed"):
        Client(running.url)
    with Client(running.url, "sfu_wrong") as stranger, pytest.raises(UsageError, match="key is not valid"):
        stranger.styles()


def test_a_cancel_stops_the_work_within_a_second(client: Client, photo: Path, tmp_path: Path) -> None:
    write_image(scene(1200, 1600), tmp_path / "large.jpg")
    large = client.upload(tmp_path / "large.jpg")
    seconds = []
    for wait in (0.5, 2.0, 4.0):
        job = client.submit({"kind": "paint", "photo": large.id, "styles": [{"style": "monet"}]})
        while client.job(job.id).state == "queued":
            time.sleep(0.02)
        time.sleep(wait)
        assert client.job(job.id).state == "running"
        began = time.perf_counter()
        client.cancel(job.id)
        while client.job(job.id).state == "running":
            time.sleep(0.02)
        seconds.append(time.perf_counter() - began)
        assert client.job(job.id).state == "cancelled"
    assert max(seconds) < 1.5, seconds  # a second, and some for a busy machine
    assert client.paint(client.upload(photo).id, "monet", quality="draft").width == 128  # the workers live on


def test_jobs_survive_kill_9_of_server_and_workers(running: Running, client: Client, photo: Path) -> None:
    uploaded = client.upload(photo)
    request = {"kind": "paint", "photo": uploaded.id, "styles": [{"style": "monet"}], "options": {"quality": "draft"}}
    jobs = [client.submit({**request, "options": {"quality": "draft", "seed": seed}}).id for seed in range(6)]
    os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait()
    running.start()
    ended = [client.wait(job) for job in jobs]
    assert all(job.state == "done" for job in ended)
    made = [picture.job for picture in client.pictures(kind="result")]
    assert sorted(made, key=str) == sorted(jobs)  # one picture each


def test_sigterm_stops_everything_within_three_seconds(running: Running, client: Client) -> None:
    with (
        httpx2.Client(headers=client._http.headers) as http,
        http.stream("GET", f"{running.url}/api/v1/events") as events,
    ):
        assert next(events.iter_lines()) != ""  # a listener, which must not hold the server
        ids = [one for each in running.processes().values() for one in each]
        began = time.perf_counter()
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(10)
        assert time.perf_counter() - began < 5
    deadline = time.monotonic() + 3
    while left := [one for one in ids if Path(f"/proc/{one}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_the_lines_of_the_docs_work(running: Running, client: Client, photo: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "studio.md").read_text("utf-8")
    key = client._http.headers["Authorization"].removeprefix("Bearer ")
    (python,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = python.replace("http://127.0.0.1:7333", running.url).replace("sfu_...", key)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "wave.png").exists()

    (lines,) = re.findall(r"```sh\n(url=.*?)```", page, re.DOTALL)
    job = client.submit({"kind": "paint", "photo": client.upload(photo).id, "styles": [{"style": "monet"}]})
    picture = (client.wait(job.id).result or {})["picture"]
    code = lines.replace("http://127.0.0.1:7333", running.url).replace("sfu_...", key)
    for name, value in (("PHOTO-ID", client.upload(photo).id), ("JOB-ID", job.id), ("PICTURE-ID", picture)):
        code = code.replace(name, value)
    code = (
        re.sub(r"curl (?=.*events)", "timeout 2 curl ", code)
        .replace("/events\n", "/events || true\n")
        .replace("curl ", "curl -sS --fail ")
    )
    done = subprocess.run(["bash", "-euxc", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"state":"queued"' in done.stdout
    assert "event: ready" in done.stdout
    with pytest.raises(UsageError, match="no such picture"):
        client.picture(picture)


def test_a_log_line_holds_no_name_and_no_secret(running: Running, client: Client, photo: Path) -> None:
    secret = photo.rename(photo.with_name("aunt-mathilda.jpg"))
    client.paint(client.upload(secret).id, "monet", quality="draft")
    running.stop()
    log = (running.data.parent / "log").read_text()
    assert "aunt-mathilda" not in log
    assert client._http.headers["Authorization"].removeprefix("Bearer ") not in log
    assert running.token not in log
    for line in filter(None, log.splitlines()):
        json.loads(line)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(client: Client, uploaded: str, photo: Path) -> None:
    """Store pictures until that fails."""
    for _ in range(20):
        client.upload(photo)
        client.paint(uploaded, "monet", quality="draft")


def test_a_full_disk_is_told_and_recovered_from(small_disk: Path, photo: Path, sqlite_url: str) -> None:
    running = Running(small_disk / "data")
    key = running.log_in()["Authorization"].removeprefix("Bearer ")
    try:
        with Client(running.url, key) as client:
            uploaded = client.upload(photo)
            free = os.statvfs(small_disk)
            ballast = small_disk / "ballast"
            ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 40_000))
            with pytest.raises(SfumatoError, match="No space left"):
                fill(client, uploaded.id, photo)
            ballast.unlink()
            time.sleep(1)
            assert client.paint(client.upload(photo).id, "monet", quality="draft").width == 128
            for picture in client.pictures():
                client.download(picture.id, photo.with_name("whole.png"))  # no row without its file
    finally:
        running.stop()


def test_a_lost_database_is_told_and_recovered_from(photo: Path, tmp_path: Path) -> None:
    if find_programs() is None:
        pytest.skip("PostgreSQL's server is not installed")
    server = Postgresql(Path(f"/tmp/sfumato-pg-{os.getpid()}"))
    server.start()
    running = Running(tmp_path / "data", 0, server.url("template"))
    key = running.log_in()["Authorization"].removeprefix("Bearer ")
    try:
        with Client(running.url, key) as client:
            uploaded = client.upload(photo)
            request = {"kind": "paint", "photo": uploaded.id, "styles": [{"style": "monet"}]}
            job = client.submit(request)
            server.stop("immediate")
            lost = httpx2.get(f"{running.url}/api/v1/me", headers=client._http.headers)
            assert (lost.status_code, lost.json()["code"]) == (503, "unavailable")
            assert lost.headers["Retry-After"].isdecimal()
            assert httpx2.get(f"{running.url}/health").status_code == 200
            assert httpx2.get(f"{running.url}/ready").status_code == 503
            server.start()
            assert client.wait(job.id).state == "done"  # the client tries again by itself
    finally:
        running.stop()
        server.stop()
        shutil.rmtree(server.folder)
