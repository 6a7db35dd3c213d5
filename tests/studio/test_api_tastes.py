"""Tastes over HTTP: learn, look, export, import, delete, and forget deleted pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sfumato.inference.style import PersonalStyle
from sfumato.studio import queue
from sfumato.studio.database import writing
from sfumato.studio.inputs import collect
from sfumato.studio.work import KINDS, warm
from studio_api import Service, drawn, service, upload
from support import save_works


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    warm.set_threads(1)


@pytest.fixture
def studio(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", sqlite_url) as found:
        yield found


def do(studio: Service, tmp_path: Path) -> str:
    """Do the next job in this process, as a painter does it; return its kind."""
    desk = studio.studio
    job = queue.claim(desk.sessions, "test", 600)
    assert job is not None
    with desk.sessions() as session:
        inputs = collect(session, desk.files, desk.settings, job, tmp_path)
    folder = tmp_path / job.id
    folder.mkdir()
    result, _ = KINDS[job.kind](job.asked, inputs, folder, lambda share, doing: None)
    with writing(desk.sessions) as session:
        assert queue.finish(session, job.id, "test", "done", result)
    return job.kind


def send_works(client: httpx2.Client, folder: Path, hand: int, count: int) -> list[str]:
    found = []
    for path in save_works(folder, hand, count):
        answer = client.post("/api/v1/pictures", files={"file": (path.name, path.read_bytes())}, data={"kind": "style"})
        found.append(str(answer.json()["id"]))
    return found


def learn(studio: Service, tmp_path: Path, **asked: Any) -> None:
    answer = studio.client.post("/api/v1/jobs", json={"kind": "learn", "taste": "me", **asked})
    assert answer.status_code == 202, answer.text
    assert do(studio, tmp_path) == "learn"


def test_a_taste_is_learnt_shown_shared_and_deleted(studio: Service, tmp_path: Path) -> None:
    client = studio.client
    liked, disliked = send_works(client, tmp_path / "a", 0, 3), send_works(client, tmp_path / "b", 1, 1)
    learn(studio, tmp_path, liked=liked, disliked=disliked)
    taste = client.get("/api/v1/tastes/me").json()
    assert (taste["learnt"], taste["imported"], taste["answers"]) == (True, False, 0)
    assert [each["picture"] for each in taste["liked"]] == liked
    assert [each["picture"] for each in taste["disliked"]] == disliked
    assert [each["ref"] for each in taste["centres"]] == [f"taste:me/{i + 1}" for i in range(len(taste["centres"]))]
    assert sum(each["weight"] for each in taste["centres"]) == pytest.approx(1)
    line = {"ref": "taste:me", "name": "me", "learnt": True, "liked": 3, "disliked": 1, "answers": 0}
    assert client.get("/api/v1/styles").json()["tastes"] == [line]
    sha = taste["liked"][0]["sha256"]
    assert client.get(f"/api/v1/tastes/me/pictures/{sha}").headers["content-type"] == "image/webp"
    assert client.get(f"/api/v1/tastes/me/pictures/{'0' * 64}").status_code == 404

    exported = client.get("/api/v1/tastes/me/file")
    assert exported.headers["content-disposition"].startswith('attachment; filename="me.sfumato"')
    (tmp_path / "shared.sfumato").write_bytes(exported.content)
    assert len(PersonalStyle.load(tmp_path / "shared.sfumato").styles) == len(taste["centres"])

    def send(file: str, content: bytes, **form: str) -> httpx2.Response:
        return client.post("/api/v1/tastes", files={"file": (file, content)}, data=form)

    copied = send("Annas.sfumato", exported.content)
    assert (copied.status_code, copied.json()["name"], copied.json()["imported"]) == (201, "annas", True)
    assert send("annas.sfumato", exported.content).status_code == 422
    assert send("x.sfumato", exported.content, name="ben").json()["name"] == "ben"
    assert send("monet.sfumato", exported.content).status_code == 422
    assert send("../../x y.sfumato", exported.content).status_code == 422
    for content in (b"", drawn(), exported.content[:100]):
        refused = send("carl.sfumato", content)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
        assert str(tmp_path) not in refused.text
    assert send("big.sfumato", bytes(17 * 2**20)).status_code == 413

    assert client.delete("/api/v1/tastes/me").status_code == 204
    assert client.get("/api/v1/tastes/me").status_code == 404
    assert client.delete("/api/v1/tastes/me").status_code == 404
    assert not (studio.studio.settings.personal(client.get("/api/v1/me").json()["id"]) / "me").exists()


def test_a_deleted_picture_leaves_the_taste_which_is_learnt_again(studio: Service, tmp_path: Path) -> None:
    liked = send_works(studio.client, tmp_path / "a", 0, 2)
    learn(studio, tmp_path, liked=liked)
    sha = studio.client.get("/api/v1/tastes/me").json()["liked"][0]["sha256"]
    assert studio.client.delete(f"/api/v1/pictures/{liked[0]}").status_code == 204
    assert [path for path in (tmp_path / "data").rglob("*") if sha in path.name] == []
    taste = studio.client.get("/api/v1/tastes/me").json()
    assert ([each["picture"] for each in taste["liked"]], taste["learnt"]) == ([liked[1]], False)
    assert studio.client.get("/api/v1/tastes/me/file").status_code == 422
    assert do(studio, tmp_path) == "learn"
    assert studio.client.get("/api/v1/tastes/me").json()["learnt"] is True


def test_a_question_needs_its_taste(studio: Service) -> None:
    for kind in ("question", "taste_sheet"):
        asked = studio.client.post("/api/v1/jobs", json={"kind": kind, "taste": "me"})
        assert (asked.status_code, asked.json()["code"]) == (404, "not_found")
    both = upload(studio.client)["id"]
    mixed = studio.client.post(
        "/api/v1/jobs", json={"kind": "learn", "taste": "me", "liked": [both], "disliked": [both]}
    )
    assert (mixed.status_code, "both liked and disliked" in mixed.json()["detail"]) == (422, True)


def test_a_damaged_taste_does_not_hide_the_others(studio: Service) -> None:
    folder = studio.studio.settings.personal(studio.client.get("/api/v1/me").json()["id"]) / "broken"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("[")
    assert studio.client.get("/api/v1/styles").json()["tastes"] == []
    assert studio.client.get("/api/v1/tastes/broken").status_code == 404
    assert studio.client.delete("/api/v1/tastes/broken").status_code == 204
    assert not folder.exists()
