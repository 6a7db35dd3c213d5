"""What tests of Studio's workers and deletion share: settings, uploads, and jobs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from PIL import Image

from sfumato.image import to_uint8
from sfumato.studio import queue
from sfumato.studio.database import Sessions, writing
from sfumato.studio.files import FileStore
from sfumato.studio.settings import Settings
from sfumato.studio.storing import add_pictures, put_files
from sfumato.studio.tables import ENDED, Job
from sfumato.studio.work import Made
from support import scene


class Desk:
    """The parts of a Studio without its service."""

    def __init__(self, sessions: Sessions, account: str, url: str, data: Path) -> None:
        self.sessions, self.account = sessions, account
        self.settings = Settings(data=data, database=url, threads=1, lease=5)
        self.files = FileStore(self.settings.files_root)

    def with_limits(self, **limits: Any) -> Settings:
        return self.settings.model_copy(update=limits)

    def upload(self, seed: int = 0, height: int = 72, width: int = 96, kind: str = "photo") -> str:
        """Store a scene as a picture; its id."""
        path = self.settings.data / f"upload-{seed}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(to_uint8(scene(height, width, seed))).save(path)
        made = [Made(kind, path, path, width, height, "image/png", title=f"photo {seed}", original=f"{seed:064x}")]
        put = put_files(self.files, self.account, made)
        with writing(self.sessions) as session:
            [row] = add_pictures(session, self.files, self.account, made, put)
        path.unlink()
        return row.id

    def submit(self, kind: str, quick: bool = False, **asked: Any) -> str:
        """Queue a job; its id."""
        job = Job(account=self.account, kind=kind, quick=quick, asked={"kind": kind, **asked})
        with writing(self.sessions) as session:
            return queue.submit(session, job).id

    def paint(self, photo: str, quality: str = "draft", **asked: Any) -> str:
        return self.submit("paint", photo=photo, styles=[{"style": "monet"}], options={"quality": quality}, **asked)

    def job(self, id_: str) -> Job:
        with self.sessions() as session:
            found = session.get(Job, id_)
            assert found is not None
            return found

    def wait(self, id_: str, states: tuple[str, ...] = ENDED, seconds: float = 60) -> Job:
        """Wait until a job is in one of some states."""
        return wait_for_job(self.sessions, id_, states, seconds)


def wait_for_job(sessions: Sessions, id_: str, states: tuple[str, ...] = ENDED, seconds: float = 60) -> Job:
    """Wait until a job is in one of some states."""
    end = time.monotonic() + seconds
    while True:
        with sessions() as session:
            job = session.get_one(Job, id_)
        if job.state in states:
            return job
        assert time.monotonic() < end, f"the job is still {job.state}"
        time.sleep(0.02)
