"""Videos in Studio: upload, painting by a worker, what is stored, and what is refused."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sfumato.studio.database import Sessions
from sfumato.studio.folders import sweep_parts
from sfumato.studio.worker import Worker
from studio_api import Service, drawn, service, upload
from studio_data import Desk, wait_for_job

SIZE = 96, 64  # width, height


def clip(frames: int = 12, seed: int = 0) -> bytes:
    """A video of a moving pattern, as WebM."""
    width, height = SIZE
    pattern = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8 + frames, 3), np.uint8)
    big = pattern.repeat(8, 0).repeat(8, 1)
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(big[:, 2 * number : 2 * number + width]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", database_url) as found:
        yield found


def send(studio: Service, content: bytes, name: str = "walk.webm") -> dict[str, object]:
    answer = studio.client.post("/api/v1/videos", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json()
    return found


def asked(video: object, **values: object) -> dict[str, object]:
    return {"kind": "video", "video": video, "styles": [{"style": "monet"}], **values}


def test_a_video_is_painted_and_shown_by_parts(studio: Service) -> None:
    content = clip()
    video = send(studio, content)
    assert (video["kind"], video["title"], video["width"], video["height"]) == ("video", "walk", *SIZE)
    assert video["media_type"] == "video/webm"
    assert video["measures"] == {"seconds": 1.0, "rate": 12.0}
    assert studio.client.get("/api/v1/pictures").json()["items"] == []  # the gallery has pictures only
    assert studio.client.get(str(video["file"])).content == content
    job = studio.client.post("/api/v1/jobs", json=asked(video["id"], end=0.5))
    assert job.status_code == 202, job.text
    worker = Worker(studio.studio.settings, "test")
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        found = wait_for_job(studio.studio.sessions, job.json()["id"])
    finally:
        worker.stop()
        thread.join(30)
    assert (found.state, found.error) == ("done", None)
    [film] = studio.client.get("/api/v1/pictures", params={"kind": "film"}).json()["items"]
    assert film["photo"] == video["id"]
    assert film["recipe"]["styles"][0]["name"] == "monet"
    assert film["measures"]["seconds"] == pytest.approx(0.5, abs=0.01)
    painted = studio.client.get(film["file"])
    assert (painted.status_code, painted.headers["content-type"]) == (200, "video/webm")
    with av.open(io.BytesIO(painted.content)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 6
    assert frames[0].shape == (SIZE[1], SIZE[0], 3)
    part = studio.client.get(film["file"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, painted.content[10:20])
    saved = studio.client.get(film["file"], params={"download": True}).headers["content-disposition"]
    assert "walk-monet.webm" in saved
    assert not list((studio.studio.settings.data / "parts").glob("*"))
    studio.client.delete(f"/api/v1/pictures/{film['id']}").raise_for_status()
    assert studio.client.get(film["file"]).status_code == 404


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"end": 1, "start": 2}, 422, "end must be later than start"),
        ({"styles": []}, 422, "styles"),
        ({"options": {"quality": "best"}}, 422, "options.quality must be draft or standard"),
        ({"steady": 2}, 422, "steady must be less than or equal to 1"),
        ({"max_size": 10}, 422, "max_size must be 0 or at least 64"),
        ({"video": "0" * 32}, 404, "there is no picture"),
        ({"styles": [{"style": "nobody"}]}, 404, "there is no style nobody"),
        ({"styles": [{"style": "monet", "mask": "0" * 32}]}, 422, "styles of a video take no mask"),
    ],
)
def test_a_wrong_request_is_refused(studio: Service, change: dict[str, object], status: int, sentence: str) -> None:
    video = send(studio, clip(2))
    answer = studio.client.post("/api/v1/jobs", json={**asked(video["id"]), **change})
    assert (answer.status_code, answer.json()["detail"][: len(sentence)]) == (status, sentence)


def test_videos_and_pictures_are_not_taken_for_each_other(studio: Service) -> None:
    video, photo = send(studio, clip(2)), upload(studio.client)
    paint = {"kind": "paint", "photo": video["id"], "styles": [{"style": "monet"}]}
    for request in (paint, asked(photo["id"])):
        answer = studio.client.post("/api/v1/jobs", json=request)
        assert answer.status_code == 422
        assert "choose another" in answer.json()["detail"]
    style = {"name": "mine", "pictures": [{"picture": video["id"]}]}
    assert studio.client.post("/api/v1/styles", json=style).status_code == 422
    answer = studio.client.get(str(video["file"]), params={"format": "png"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "a video has no other format here; leave format out")


@pytest.mark.parametrize("content", [b"", b"no video", drawn(1), clip()[:300]])
def test_what_is_no_video_is_refused_by_its_name(studio: Service, content: bytes) -> None:
    answer = studio.client.post("/api/v1/videos", files={"file": ("holiday.mp4", content)})
    assert answer.status_code == 422
    assert "holiday.mp4" in answer.json()["detail"]
    assert str(studio.studio.settings.data) not in answer.json()["detail"]


def test_parts_of_jobs_that_ended_are_removed(
    sessions: Sessions, account: str, database_url: str, tmp_path: Path
) -> None:
    desk = Desk(sessions, account, database_url, tmp_path / "data")
    waiting = desk.submit("video")
    for job in (waiting, "0" * 32):
        (desk.settings.parts(job) / "painted.webm.parts").mkdir(parents=True)
    sweep_parts(desk.settings, sessions)
    assert [each.name for each in (desk.settings.data / "parts").iterdir()] == [waiting]
