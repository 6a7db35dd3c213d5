"""A running service for tests, in this process: its real routes, guard, database, store and intake."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image

from sfumato.studio import queue
from sfumato.studio.app import create_app
from sfumato.studio.database import writing
from sfumato.studio.passwords import hash_password
from sfumato.studio.security import Hosts
from sfumato.studio.server import PatientProtocol, listen
from sfumato.studio.settings import Settings
from sfumato.studio.state import Studio
from sfumato.studio.tables import Account, Job, Picture, new_id
from sfumato.studio.worker import Worker

URL = "http://127.0.0.1:7333"
PASSWORD = "a-long-pass-phrase"
RECIPE = {"version": "0.1.0", "styles": [{"name": "great-wave"}], "strength": 0.8, "quality": "draft", "seed": 0}


class Service:
    """A service and clients that are logged in."""

    def __init__(self, client: TestClient, studio: Studio) -> None:
        self.client = client
        self.studio = studio

    def visitor(self) -> TestClient:
        """A client without a login; its server stays that of `client`."""
        return TestClient(self.client.app, base_url=URL, client=("127.0.0.1", 50000))

    def person(self, name: str, role: str = "member", quota: int | None = None) -> TestClient:
        """A client that is logged in as a new account, by its password."""
        add_account(self.studio, name, role, quota)
        client = self.visitor()
        client.post("/api/v1/session", json={"name": name, "password": PASSWORD}).raise_for_status()
        return client

    def program(self, client: httpx2.Client, *scopes: str) -> TestClient:
        """A client with a key of the account that another client is logged in as."""
        made = client.post("/api/v1/keys", json={"label": "test", "scopes": list(scopes)})
        assert made.status_code == 201, made.text
        found = self.visitor()
        found.headers["Authorization"] = f"Bearer {made.json()['key']}"
        return found


@contextmanager
def service(data: Path, database: str, *hosts: str, **values: Any) -> Iterator[Service]:
    """Run a service on a migrated database; its client is logged in by the one-time link."""
    settings = Settings.parse({"data": data, "database": database, **values})
    settings.make_folder()
    app = create_app(settings, Hosts.parse(hosts))
    studio: Studio = app.state.studio
    with TestClient(app, base_url=URL, client=("127.0.0.1", 50000)) as client:
        if studio.is_local:
            client.post("/api/v1/session", json={"token": studio.token.renew()}).raise_for_status()
        yield Service(client, studio)


@contextmanager
def listening(data: Path, database: str) -> Iterator[tuple[tuple[str, int], Studio]]:
    """Run a service behind a real socket, in a thread; provide its address."""
    settings = Settings.parse({"data": data, "database": database})
    settings.make_folder()
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, http=PatientProtocol, ws="none", log_config=None, lifespan="on"))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield listener.getsockname(), app.state.studio
        finally:
            app.state.studio.hub.stop()
            server.should_exit = True
            thread.join()


@contextmanager
def working(studio: Service) -> Iterator[None]:
    """Run a worker in a thread."""
    worker = Worker(studio.studio.settings, "test")
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(30)


@cache
def _hashed() -> str:
    return hash_password(PASSWORD)


def add_account(studio: Studio, name: str, role: str = "member", quota: int | None = None) -> str:
    with writing(studio.sessions) as session:
        account = Account(name=name, role=role, password=_hashed(), quota=quota)
        session.add(account)
        session.flush()
        return account.id


def drawn(seed: int = 0, width: int = 48, height: int = 32) -> bytes:
    """A PNG of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def upload(client: httpx2.Client, seed: int = 0, kind: str = "photo", name: str = "garden.png") -> dict[str, Any]:
    """Upload a drawn picture, and return the answer."""
    answer = client.post("/api/v1/pictures", files={"file": (name, drawn(seed))}, data={"kind": kind})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def paint(photo: str, **values: Any) -> dict[str, Any]:
    """The request of a painting."""
    return {"kind": "paint", "photo": photo, "styles": [{"style": "monet"}], **values}


def do_job(studio: Studio, content: bytes, state: str = "done", recipe: dict[str, Any] | None = None) -> Picture | None:
    """Do the next job as a worker would, with `content` as its picture; return the picture."""
    job = queue.claim(studio.sessions, "test", 60)
    assert job is not None
    with writing(studio.sessions) as session:
        if state != "done":
            assert queue.finish(session, job.id, "test", state, error="it was too hard")  # type: ignore[arg-type]
            return None
        sha = studio.files.put(job.account, content)
        picture = Picture(
            id=new_id(),
            account=job.account,
            kind="result",
            sha256=sha,
            thumb=sha,
            bytes=len(content),
            media_type="image/png",
            width=48,
            height=32,
            title="garden",
            recipe=recipe or RECIPE,
            photo=job.asked.get("photo"),
            job=job.id,
        )
        session.add(picture)
        session.flush()
        assert queue.finish(session, job.id, "test", "done", {"picture": picture.id})
    return picture


def jobs(studio: Studio) -> list[Job]:
    """All jobs, oldest first."""
    with studio.sessions() as session:
        return sorted(session.query(Job), key=lambda job: (job.created, job.id))
