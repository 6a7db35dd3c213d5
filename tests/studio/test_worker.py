"""The worker: every job ends once, whatever becomes of its painter, of the worker, and of the database's rows."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from sfumato.image import read_recipe
from sfumato.studio import queue
from sfumato.studio.database import Sessions, writing
from sfumato.studio.deletion import delete_account, delete_pictures
from sfumato.studio.files import FileStore
from sfumato.studio.settings import Settings
from sfumato.studio.tables import Job, Picture
from sfumato.studio.worker import Worker
from studio_data import Desk
from support import files

Started = Callable[..., Worker]


@pytest.fixture
def desk(sessions: Sessions, account: str, database_url: str, tmp_path: Path) -> Desk:
    return Desk(sessions, account, database_url, tmp_path / "data")


@pytest.fixture
def start(desk: Desk) -> Iterator[Started]:
    """Starts workers in threads, which end with the test."""
    running: list[tuple[Worker, threading.Thread]] = []

    def begin(settings: Settings | None = None, **options: bool) -> Worker:
        worker = Worker(settings or desk.settings, "test", **options)
        thread = threading.Thread(target=worker.run)
        thread.start()
        running.append((worker, thread))
        return worker

    yield begin
    for worker, _ in running:
        worker.stop()
    for _, thread in running:
        thread.join(30)
        assert not thread.is_alive()


def painters() -> list[multiprocessing.process.BaseProcess]:
    return [each for each in multiprocessing.active_children() if each.is_alive()]


def wait_for(done: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def pictures(desk: Desk) -> list[Picture]:
    with desk.sessions() as session:
        return list(session.scalars(select(Picture).where(Picture.kind != "photo")))


def named(desk: Desk) -> set[str]:
    """The hashes of all files that rows name."""
    with desk.sessions() as session:
        return {each for row in session.scalars(select(Picture)) for each in (row.sha256, row.thumb)}


def test_a_job_from_the_queue_to_the_gallery(desk: Desk, start: Started) -> None:
    photo = desk.upload()
    start()
    job = desk.wait(desk.paint(photo, finish=[{"contrast": 0.3}]))
    assert (job.state, job.error, job.progress) == ("done", None, 1.0)
    [made] = pictures(desk)
    assert job.result is not None
    assert job.result["picture"] == made.id
    assert (made.kind, made.job, made.photo, made.title) == ("result", job.id, photo, "photo 0")
    assert (made.width, made.height, made.media_type) == (96, 72, "image/png")
    path = desk.files.path(desk.account, made.sha256)
    assert path is not None
    assert read_recipe(path) == made.recipe
    assert made.recipe is not None
    assert made.recipe["photo_sha256"] == "0" * 64  # of the upload, not of its copy in the store
    assert made.measures is not None
    assert made.bytes == sum(len(desk.files.read(desk.account, each)) for each in (made.sha256, made.thumb))
    assert set(desk.files.names(desk.account)) == named(desk)
    assert files(desk.settings.data / "work") == []
    job = desk.wait(desk.paint("0" * 32))
    assert (job.state, job.error) == (
        "failed",
        "a picture that the job needs has been deleted; choose another one",
    )
    job = desk.wait(desk.submit("paint", photo=photo, styles=[{"style": "nobody"}]))
    assert job.state == "failed"
    assert (job.error or "").startswith("there is no style 'nobody'")
    job = desk.wait(desk.submit("unknown"))
    assert (job.state, job.error) == ("failed", "Sfumato made a mistake (KeyError); please report it")


def test_a_cancelled_job_stops_within_a_second(desk: Desk, start: Started) -> None:
    photo = desk.upload(1, 900, 1200)
    start()
    for wait in (0.3, 1.0):
        job = desk.paint(photo, "best")
        desk.wait(job, ("running",))
        time.sleep(wait)
        began = time.monotonic()
        with writing(desk.sessions) as session:
            assert queue.cancel(session, desk.account, job)
        assert desk.wait(job).state == "cancelled"
        assert time.monotonic() - began < 2  # a second, and as much for a busy machine
        time.sleep(0.1)
        assert pictures(desk) == []
    assert desk.wait(desk.paint(photo, max_size=96)).state == "done"


@pytest.mark.slow
def test_a_painter_that_crashes_costs_an_attempt(desk: Desk, start: Started) -> None:
    photo = desk.upload(1, 900, 1200)
    start()
    job = desk.paint(photo, "best")
    crashes = 0
    while (found := desk.job(job)).state not in ("done", "failed"):
        if found.state == "running" and found.attempts == crashes + 1 and found.doing:
            for painter in painters():
                painter.kill()
            crashes += 1
        time.sleep(0.02)
    assert (crashes, found.state) == (queue.ATTEMPTS, "failed")
    assert (found.error or "").startswith("the painter crashed on this job each time; try another picture")
    assert desk.wait(desk.paint(photo, max_size=96)).state == "done"  # the worker lives on


@pytest.mark.slow
def test_limits_of_time_and_memory(desk: Desk, start: Started) -> None:
    photo = desk.upload(1, 1500, 2000)
    start(desk.with_limits(job_seconds=1.5))
    job = desk.wait(desk.paint(photo, "best"))
    assert (job.state, job.error) == (
        "failed",
        "the job took longer than the limit of 1.5 s; choose a smaller size or a lower quality",
    )
    assert desk.wait(desk.paint(photo, max_size=96)).state == "done"


@pytest.mark.slow
def test_a_job_beyond_the_memory_limit(desk: Desk, start: Started) -> None:
    photo = desk.upload(1, 900, 1200)
    start(desk.with_limits(job_bytes=2**28))
    job = desk.wait(desk.paint(photo, "best"))
    assert job.state == "failed"
    assert "memory" in (job.error or "")
    assert desk.wait(desk.paint(photo, max_size=96)).state == "done"


def test_a_worker_that_stops_gives_its_job_back(desk: Desk, start: Started) -> None:
    photo = desk.upload(1, 900, 1200)
    worker = start()
    job = desk.paint(photo, "best")
    desk.wait(job, ("running",))
    time.sleep(0.5)
    began = time.monotonic()
    worker.stop()
    found = desk.wait(job, ("queued",))
    assert time.monotonic() - began < 2
    assert (found.worker, found.attempts, found.progress) == (None, 0, 0.0)


@pytest.mark.slow
def test_a_signal_to_worker_and_painter_costs_no_attempt(desk: Desk, start: Started) -> None:
    """As a system stops a service; the painter may end first."""
    photo = desk.upload(1, 900, 1200)
    worker = start()
    job = desk.paint(photo, "best")
    desk.wait(job, ("running",))
    for painter in painters():
        painter.terminate()
    worker.stop()
    found = desk.wait(job, ("queued",))
    assert (found.worker, found.attempts) == (None, 0)


def test_a_store_at_a_url(desk: Desk, start: Started, tmp_path: Path) -> None:
    settings = desk.with_limits(files=f"memory://{tmp_path.name}")
    desk.files = FileStore(settings.files_root)
    photo = desk.upload()
    start(settings)
    job = desk.wait(desk.paint(photo))
    assert (job.state, job.error) == ("done", None)
    assert set(desk.files.names(desk.account)) == named(desk)
    assert len(named(desk)) == 3


def test_a_lost_job_leaves_nothing(desk: Desk, start: Started) -> None:
    photo = desk.upload(1, 300, 400)
    start()
    job = desk.paint(photo, "best")
    desk.wait(job, ("running",))
    before = painters()
    with writing(desk.sessions) as session:
        session.execute(update(Job).where(Job.id == job).values(worker="another"))
    wait_for(lambda: painters() != before)
    found = desk.job(job)
    assert (found.state, found.worker) == ("running", "another")
    assert pictures(desk) == []
    assert set(desk.files.names(desk.account)) == named(desk)


@pytest.mark.slow
def test_a_photo_that_is_deleted_while_it_is_painted_leaves_nothing(desk: Desk, start: Started) -> None:
    photo = desk.upload(1, 300, 400)
    start()
    job = desk.paint(photo, "standard")
    desk.wait(job, ("running",))
    with writing(desk.sessions) as session:
        delete_pictures(session, desk.files, desk.settings, desk.account, [photo])
    found = desk.wait(job)
    assert (found.state, found.error) == (
        "failed",
        "a picture that the job needs has been deleted; choose another one",
    )
    assert list(desk.files.names(desk.account)) == []


def test_a_picture_that_is_deleted_while_a_taste_learns_it_leaves_nothing(desk: Desk, start: Started) -> None:
    photo, other = desk.upload(1, 300, 400), desk.upload(2, 300, 400)
    sha256 = next(iter(desk.files.names(desk.account)))
    start()
    for name in ("one", "two"):  # the first is known before the deletion, the second is not
        job = desk.submit("learn", taste=name, liked=[photo, other])
        if name == "one":
            assert desk.wait(job).state == "done"
    desk.wait(job, ("running", "done"))
    with writing(desk.sessions) as session:
        delete_pictures(session, desk.files, desk.settings, desk.account, [photo, other])
    desk.wait(job)
    wait_for(lambda: not list((desk.settings.data / "work").iterdir()))
    assert not any(sha256 in name for name in files(desk.settings.data))


def test_an_account_that_is_deleted_while_it_works_leaves_nothing(desk: Desk, start: Started) -> None:
    photos = [desk.upload(seed, 300, 400) for seed in range(3)]
    start()
    job = desk.submit("learn", taste="me", liked=photos)
    desk.wait(job, ("running",))
    with writing(desk.sessions) as session:
        assert delete_account(session, desk.files, desk.settings, desk.account)
    wait_for(lambda: not list((desk.settings.data / "work").iterdir()))
    time.sleep(0.3)
    assert not any(desk.account in name for name in files(desk.settings.data) if not name.startswith("studio.db"))


@pytest.mark.slow
def test_lost_connections_cost_no_job(desk: Desk, start: Started) -> None:
    """PostgreSQL ends all connections, as when it restarts: while the worker waits, and while it works."""
    if "sqlite" in desk.settings.database:
        pytest.skip("SQLite has no connections to lose")
    photo = desk.upload(1, 300, 400)
    start()
    time.sleep(1.5)
    for _ in range(2):
        drop_connections(desk)
        job = desk.paint(photo, "standard", max_size=128)
        desk.wait(job, ("running", "done"))
        drop_connections(desk)
        assert desk.wait(job).state == "done"
    assert len(pictures(desk)) == 2


def drop_connections(desk: Desk) -> None:
    with desk.sessions() as session:
        mine = "datname = current_database() AND pid <> pg_backend_pid()"
        session.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))


def test_quick_jobs_have_a_worker_of_their_own(desk: Desk, start: Started) -> None:
    photo = desk.upload()
    start(quick_only=True)
    slow = desk.paint(photo)
    quick = desk.submit("paint", quick=True, photo=photo, styles=[{"style": "monet"}], preview=True)
    assert desk.wait(quick).state == "done"
    assert desk.job(slow).state == "queued"
    [made] = pictures(desk)
    assert (made.kind, made.media_type, made.sha256) == ("preview", "image/webp", made.thumb)


@pytest.mark.slow
def test_a_killed_worker_ends_its_painter_and_frees_its_job(desk: Desk, start: Started) -> None:
    photo = desk.upload(1, 900, 1200)
    code = (
        "import sys; from pathlib import Path; from sfumato.studio.settings import Settings\n"
        "from sfumato.studio.worker import Worker\n"
        "Worker(Settings(data=Path(sys.argv[1]), database=sys.argv[2], threads=1, lease=2)).run()\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(desk.settings.data), desk.settings.database])
    try:
        job = desk.paint(photo, "best")
        while not desk.job(job).doing:
            time.sleep(0.05)
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text("ascii").split()
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert children
    wait_for(lambda: not any(is_running(int(child)) for child in children), 5)
    start(desk.with_limits(lease=2))
    wait_for(lambda: desk.job(job).attempts == 2)
    with writing(desk.sessions) as session:
        queue.cancel(session, desk.account, job)
    assert desk.wait(job).state == "cancelled"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
