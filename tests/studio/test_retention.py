"""What is removed by itself, and repeated requests that arrive at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from sfumato.studio.database import writing
from sfumato.studio.retention import PREVIEWS, SHEETS, TRASH, purge
from sfumato.studio.tables import Audit, Idempotency, Job, Login, Picture, now
from studio_api import Service, do_job, drawn, jobs, paint, service, upload


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", database_url, keep=10) as found:
        yield found


def change(studio: Service, picture: str, **values: object) -> None:
    with writing(studio.studio.sessions) as session:
        row = session.get_one(Picture, picture)
        for name, value in values.items():
            setattr(row, name, value)


def left(studio: Service) -> set[str]:
    with studio.studio.sessions() as session:
        return set(session.scalars(select(Picture.id)))


def test_what_is_due_is_removed_and_nothing_else(studio: Service, tmp_path: Path) -> None:
    ids = [upload(studio.client, i)["id"] for i in range(10)]
    new, old, starred, preview, fresh, sheet, trashed, in_trash, of_style, of_style_in_trash = ids
    at, second = now(), timedelta(seconds=1)
    change(studio, old, created=at - timedelta(days=10) - second)
    change(studio, starred, created=at - timedelta(days=99), star=True)
    change(studio, preview, kind="preview", created=at - PREVIEWS - second)
    change(studio, fresh, kind="preview", created=at - PREVIEWS + timedelta(minutes=1))
    change(studio, sheet, kind="sheet", created=at - SHEETS - second)
    change(studio, trashed, trashed=at - TRASH - second)
    change(studio, in_trash, trashed=at - TRASH + timedelta(minutes=1))
    pictures = [{"picture": of_style}, {"picture": of_style_in_trash}]
    made = studio.client.post("/api/v1/styles", json={"name": "mine", "pictures": pictures}).json()
    change(studio, of_style, created=at - timedelta(days=99))
    change(studio, of_style_in_trash, trashed=at - TRASH - second)
    account = studio.client.get("/api/v1/me").json()["id"]
    desk = studio.studio
    assert purge(desk.sessions, desk.files, desk.settings, at) == {account}
    assert left(studio) == {new, starred, fresh, in_trash, of_style}
    assert studio.client.get("/api/v1/styles").json()["own"] == [{**made, "pictures": [of_style]}]
    stored = sum(path.is_file() for path in (tmp_path / "data" / "files").rglob("*"))
    assert stored == 2 * 5
    assert purge(desk.sessions, desk.files, desk.settings, at) == set()


def test_without_keep_pictures_stay(tmp_path: Path, sqlite_url: str) -> None:
    with service(tmp_path / "data", sqlite_url) as studio:
        picture = upload(studio.client)["id"]
        change(studio, picture, created=now() - timedelta(days=9999))
        desk = studio.studio
        assert purge(desk.sessions, desk.files, desk.settings) == set()
        assert left(studio) == {picture}


def test_rows_that_nobody_needs_are_removed(studio: Service) -> None:
    photo = upload(studio.client)["id"]
    studio.client.post("/api/v1/jobs", json=paint(photo), headers={"Idempotency-Key": "a"})
    do_job(studio.studio, drawn(3))
    studio.client.post("/api/v1/jobs", json=paint(photo))
    desk = studio.studio
    purge(desk.sessions, desk.files, desk.settings)
    assert len(jobs(desk)) == 2
    purge(desk.sessions, desk.files, desk.settings, now() + timedelta(days=400))
    with desk.sessions() as session:
        assert [session.scalars(select(table)).all() for table in (Idempotency, Login, Audit)] == [[], [], []]
        assert [job.state for job in session.scalars(select(Job))] == ["queued"]


def test_the_same_request_twice_at_once_is_one_job(studio: Service) -> None:
    photo = upload(studio.client)["id"]
    found = []

    def send() -> None:
        client = studio.visitor()
        client.cookies = studio.client.cookies
        answer = client.post("/api/v1/jobs", json=paint(photo), headers={"Idempotency-Key": "a"})
        found.append((answer.status_code, answer.json()["id"]))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert found[0][0] == 202
    assert len(jobs(studio.studio)) == 1
