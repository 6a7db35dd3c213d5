"""Videos in Studio: upload, painting by a worker, what is stored, and what is refused."""

from __future__ import annotations

import io
import multiprocessing
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from sfumato.studio.database import Sessions
from sfumato.studio.folders import sweep_parts
from studio_api import Service, drawn, service, upload, working
from studio_data import Desk, wait_for_job
from video_clips import write_clip

SIZE = 96, 64  # width, height
UNIT = Fraction(1, 12)


def clip(folder: Path, frames: int = 12) -> bytes:
    """A video of 12 frames a second, as MP4."""
    return write_clip(folder / f"{frames}.mp4", size=SIZE, times=range(frames), unit=UNIT).read_bytes()


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", database_url) as found:
        yield found


def send(studio: Service, content: bytes, name: str = "walk.mp4") -> dict[str, Any]:
    answer = studio.client.post("/api/v1/videos", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def frames_of(content: bytes) -> list[tuple[int, int]]:
    """Width and height of each frame of a video."""
    with av.open(io.BytesIO(content), "r") as container:
        return [(frame.width, frame.height) for frame in container.decode(video=0)]


def asked(video: object, **values: object) -> dict[str, object]:
    return {"kind": "video", "video": video, "styles": [{"style": "monet"}], **values}


def test_a_video_is_painted_and_shown_by_parts(studio: Service, tmp_path: Path) -> None:
    content = clip(tmp_path)
    video = send(studio, content)
    assert (video["kind"], video["title"], video["width"], video["height"]) == ("video", "walk", *SIZE)
    assert video["media_type"] == "video/mp4"
    measures = video["measures"]
    assert (measures["seconds"], measures["rate"]) == (pytest.approx(1, abs=0.1), pytest.approx(12, abs=1))
    assert studio.client.get("/api/v1/pictures").json()["items"] == []  # the gallery has pictures only
    assert studio.client.get(str(video["file"])).content == content
    job = studio.client.post("/api/v1/jobs", json=asked(video["id"], end=0.5))
    assert job.status_code == 202, job.text
    with working(studio):
        found = wait_for_job(studio.studio.sessions, job.json()["id"])
    assert (found.state, found.error) == ("done", None)
    [film] = studio.client.get("/api/v1/pictures", params={"kind": "film"}).json()["items"]
    assert film["photo"] == video["id"]
    assert film["recipe"]["styles"][0]["name"] == "monet"
    assert film["measures"]["seconds"] == pytest.approx(0.5, abs=0.01)
    painted = studio.client.get(film["file"])
    assert (painted.status_code, painted.headers["content-type"]) == (200, "video/webm")
    assert frames_of(painted.content) == [SIZE] * 6
    part = studio.client.get(film["file"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, painted.content[10:20])
    saved = studio.client.get(film["file"], params={"download": True}).headers["content-disposition"]
    assert "walk-monet.webm" in saved
    assert not list((studio.studio.settings.data / "parts").glob("*"))
    studio.client.delete(f"/api/v1/pictures/{film['id']}").raise_for_status()
    assert studio.client.get(film["file"]).status_code == 404


_REFUSED: list[tuple[dict[str, object], int, str]] = [
    ({"end": 1, "start": 2}, 422, "end must be later than start"),
    ({"styles": []}, 422, "styles"),
    ({"options": {"quality": "best"}}, 422, "options.quality must be draft or standard"),
    ({"steady": 2}, 422, "steady must be less than or equal to 1"),
    ({"max_size": 10}, 422, "max_size must be 0 or at least 64"),
    ({"video": "0" * 32}, 404, "there is no picture"),
    ({"styles": [{"style": "nobody"}]}, 404, "there is no style nobody"),
    ({"styles": [{"style": "monet", "mask": "0" * 32}]}, 422, "styles of a video take no mask"),
]


def test_what_is_wrong_is_refused_in_one_sentence(tmp_path: Path, sqlite_url: str) -> None:
    with service(tmp_path / "data", sqlite_url) as studio:
        video, photo = send(studio, clip(tmp_path, 2)), upload(studio.client)
        for change, status, sentence in _REFUSED:
            answer = studio.client.post("/api/v1/jobs", json={**asked(video["id"]), **change})
            assert (answer.status_code, answer.json()["detail"][: len(sentence)]) == (status, sentence)
        paint = {"kind": "paint", "photo": video["id"], "styles": [{"style": "monet"}]}
        for request in (paint, asked(photo["id"])):
            answer = studio.client.post("/api/v1/jobs", json=request)
            assert answer.status_code == 422
            assert "choose another" in answer.json()["detail"]
        style = {"name": "mine", "pictures": [{"picture": video["id"]}]}
        assert studio.client.post("/api/v1/styles", json=style).status_code == 422
        answer = studio.client.get(str(video["file"]), params={"format": "png"})
        assert (answer.status_code, answer.json()["detail"]) == (
            422,
            "a video has no other format here; leave format out",
        )
        for content in (b"", b"no video", drawn(1), clip(tmp_path)[:300]):
            answer = studio.client.post("/api/v1/videos", files={"file": ("holiday.mp4", content)})
            assert answer.status_code == 422
            assert "holiday.mp4" in answer.json()["detail"]
            assert str(studio.studio.settings.data) not in answer.json()["detail"]


@pytest.mark.slow
def test_a_killed_painter_goes_on_from_the_last_part(studio: Service, tmp_path: Path) -> None:
    video = send(studio, clip(tmp_path, 400))
    job = studio.client.post("/api/v1/jobs", json=asked(video["id"])).json()["id"]
    parts, sessions = studio.studio.settings.parts(job), studio.studio.sessions
    studio.studio.intake.close()  # its processes are children too
    with working(studio):
        wait_for_part(parts, "000001.npz")
        first = wait_for_part(parts, "000000.npz")
        written = first.stat().st_mtime_ns
        [painter] = multiprocessing.active_children()
        painter.kill()
        wait_for_part(parts, "000004.npz")
        assert first.stat().st_mtime_ns == written
        found = wait_for_job(sessions, job)
    assert (found.state, found.attempts) == ("done", 2)
    [film] = studio.client.get("/api/v1/pictures", params={"kind": "film"}).json()["items"]
    assert len(frames_of(studio.client.get(film["file"]).content)) == 400


def wait_for_part(parts: Path, name: str) -> Path:
    end = time.monotonic() + 90
    while not (found := list(parts.rglob(name))):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found[0]


def test_a_store_at_a_url_gives_parts_of_a_file(tmp_path: Path, sqlite_url: str) -> None:
    with service(tmp_path / "data", sqlite_url, files=f"memory://{tmp_path.name}") as studio:
        content = clip(tmp_path)
        file = str(send(studio, content)["file"])
        size = len(content)
        asks = {"bytes=10-19": (10, 20), "bytes=5-": (5, size), "bytes=-7": (size - 7, size)}
        for asked_for, (start, stop) in asks.items():
            answer = studio.client.get(file, headers={"Range": asked_for})
            assert (answer.status_code, answer.content) == (206, content[start:stop])
            assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        for strange in ("bytes=-", "bytes=1-2,5-6", "bytes=9-3", f"bytes={size}-", "lines=1-2"):
            answer = studio.client.get(file, headers={"Range": strange})
            assert (answer.status_code, answer.content) == (200, content)


def test_a_video_in_the_trash_is_listed_there(tmp_path: Path, sqlite_url: str) -> None:
    with service(tmp_path / "data", sqlite_url) as studio:
        video = send(studio, clip(tmp_path, 2))
        studio.client.patch(f"/api/v1/pictures/{video['id']}", json={"trashed": True}).raise_for_status()
        found = studio.client.get("/api/v1/pictures", params={"trash": True}).json()["items"]
        assert [each["id"] for each in found] == [video["id"]]


def test_parts_of_jobs_that_ended_are_removed(
    sessions: Sessions, account: str, database_url: str, tmp_path: Path
) -> None:
    desk = Desk(sessions, account, database_url, tmp_path / "data")
    waiting = desk.submit("video")
    for job in (waiting, "0" * 32):
        (desk.settings.parts(job) / "painted.webm.parts").mkdir(parents=True)
    sweep_parts(desk.settings, sessions)
    assert [each.name for each in (desk.settings.data / "parts").iterdir()] == [waiting]
