"""The worker: claims jobs, has a painter do them, and stores what it made.

Worker and painter are two processes. The painter may crash, hang, or use too much memory: the worker watches it, tells
the user, and starts another one. A worker that is killed ends its painter, and its job goes to another worker when the
lease has run out.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from sfumato.errors import InputError, SfumatoError
from sfumato.provenance.keys import is_installed
from sfumato.studio import queue
from sfumato.studio.child import Child
from sfumato.studio.database import lock_account, open_database, writing
from sfumato.studio.deletion import delete_account_files, forget
from sfumato.studio.files import FileStore
from sfumato.studio.folders import remove_parts, sweep_folders, work_folder
from sfumato.studio.inputs import collect
from sfumato.studio.painter import NO_MEMORY, Ended, Ready, Step, Stop, Task, serve
from sfumato.studio.settings import Settings
from sfumato.studio.storing import add_pictures, put_files, remove_unnamed, with_ids
from sfumato.studio.tables import Job, Picture

_log = logging.getLogger(__name__)

#: Seconds between two looks at the queue; between two looks at a running job; for which a painter may take to stop.
LOOK, WATCH, PATIENCE = 0.1, 0.2, 0.6
_START = 120.0  # seconds in which a painter must have loaded its graphs
_AGAIN = 1.0  # seconds until the database is tried again
_CRASHED = "the painter crashed on this job each time; try another picture or a smaller size, and see the server's log"

State = Literal["done", "failed", "cancelled"]


class Worker:
    """Works until it is stopped.

    Args:
        settings: of the Studio.
        name: of the worker, for the log; it need not be unique.
        quick_only: whether it takes only jobs of about a second, so that these need not wait for long ones.

    Raises:
        UsageError: the database's URL is wrong.
        OutputError: the store's URL is wrong.
    """

    def __init__(self, settings: Settings, name: str = "worker", quick_only: bool = False) -> None:
        self.settings = settings
        self.name = f"{name[:48]}-{secrets.token_hex(4)}"
        self.quick_only = quick_only
        self.sessions = open_database(settings.database_url)
        self.files = FileStore(settings.files_root)
        self._stopping = threading.Event()
        self._painter: Child | None = None

    def run(self) -> None:
        """Do jobs until `stop` is called from another thread or a signal handler."""
        try:
            sweep_folders(self.settings)
            while not self._stopping.is_set():
                try:
                    painter = self._ready_painter()
                    job = None if painter is None else self._claim()
                    if painter is None or job is None:
                        self._stopping.wait(LOOK)
                    else:
                        _Running(self, job, painter).work()
                except SQLAlchemyError as problem:
                    _log.warning("sfumato: the database does not answer (%s); trying again", type(problem).__name__)
                    self._stopping.wait(_AGAIN)
                except Exception:  # a mistake of Sfumato: the job's lease runs out, and it is begun again
                    _log.exception("sfumato: the worker could not do a job")
                    self.end_painter()
                    self._stopping.wait(_AGAIN)
        finally:
            self.end_painter()
            self.sessions.kw["bind"].dispose()

    def stop(self) -> None:
        """Stop after giving the running job back."""
        self._stopping.set()

    def is_stopping(self, wait: float = 0) -> bool:
        """Return whether `stop` was called, or is within so many seconds."""
        return self._stopping.wait(wait)

    def end_painter(self) -> None:
        """End the painter now; the next job gets another one."""
        if self._painter is not None:
            self._painter.end()
            self._painter = None

    def _claim(self) -> Job | None:
        return queue.claim(self.sessions, self.name, self.settings.lease, self.quick_only)

    def _ready_painter(self) -> Child | None:
        """Return a painter that has loaded its graphs; None where it could not start, which is tried again."""
        if self._painter is not None and self._painter.is_alive:
            return self._painter
        self.end_painter()
        self._painter = Child(
            serve, self.settings.threads or None, self.settings.job_bytes, self.settings.provenance and is_installed()
        )
        end = time.monotonic() + _START
        with suppress(EOFError, OSError):
            while time.monotonic() < end and not self._stopping.is_set():
                if self._painter.pipe.poll(WATCH):
                    assert isinstance(self._painter.pipe.recv(), Ready), "it says so first"
                    return self._painter
        if not self._stopping.is_set():
            _log.error("sfumato: the painter did not start; see the messages above, and the memory limit")
            self._stopping.wait(_AGAIN)
        self.end_painter()
        return None


class _Running:
    """One job of a worker, from its claim to its end."""

    def __init__(self, worker: Worker, job: Job, painter: Child) -> None:
        self.worker, self.job, self.painter = worker, job, painter
        self.settings = worker.settings
        self.began = self.renewed = self.looked = time.monotonic()
        self.told: Step | None = None  # progress that is not in the database yet
        self.asked_to_stop: float | None = None
        self.pictures: dict[str, str] = {}  # hashes of the pictures that the job reads, by id

    def work(self) -> None:
        """Have the job done, and store its end."""
        _log.info("job %s of the kind %s begins", self.job.id, self.job.kind)
        try:
            with work_folder(self.settings) as folder:
                ended = self._do(folder)
                if ended is not None:
                    self._end(ended)
        except SfumatoError as problem:  # a picture was deleted, or the disk is full
            self._end(Ended(self.job.id, "failed", error=str(problem)))
            return
        except BaseException:
            self.worker.end_painter()  # it may still be at work
            raise
        if self.painter.memory > self.settings.job_bytes / 2 or (ended is not None and ended.error == NO_MEMORY):
            self.worker.end_painter()  # what it keeps would not leave enough to the next job

    def _do(self, folder: Path) -> Ended | None:
        """Have the painter do the job; return None where the job is no longer this worker's."""
        with self.worker.sessions() as session:
            files = collect(session, self.worker.files, self.settings, self.job, folder)
        self.pictures = {stored.id: stored.sha256 for stored in files.pictures.values()}
        made = folder / "made"
        made.mkdir()
        try:
            self.painter.pipe.send(Task(self.job.id, self.job.kind, self.job.asked, files, made))
            return self._watch()
        except (EOFError, OSError):  # the painter has ended
            return self._crashed()

    def _watch(self) -> Ended | None:
        """Wait for the painter's answer; return None where the job is no longer this worker's.

        Raises:
            EOFError, OSError: the painter has ended.
        """
        while True:
            if self.painter.pipe.poll(WATCH / 4):
                message = self.painter.pipe.recv()
                if isinstance(message, Step) and message.id == self.job.id:
                    self.told = message
                if isinstance(message, Ended) and message.id == self.job.id:
                    return message if self.asked_to_stop is None else Ended(self.job.id, "cancelled")
            now = time.monotonic()
            if self.asked_to_stop is not None:
                if now - self.asked_to_stop > PATIENCE:
                    self.worker.end_painter()
                    return Ended(self.job.id, "cancelled")
                continue
            if now - self.looked < WATCH:
                continue
            self.looked = now
            if (found := self._look(now)) is not None:
                return found if isinstance(found, Ended) else None

    def _look(self, now: float) -> Ended | Literal["lost"] | None:
        """Renew the lease and check the limits; ask the painter to stop where the job is to."""
        if self.painter.memory > self.settings.job_bytes:
            self.worker.end_painter()
            return Ended(self.job.id, "failed", error=NO_MEMORY)
        most = self.settings.video_seconds if self.job.kind == "video" else self.settings.job_seconds
        if now - self.began > most:
            self.worker.end_painter()
            sentence = f"the job took longer than the limit of {most:g} s; choose a smaller size or a lower quality"
            return Ended(self.job.id, "failed", error=sentence)
        if self.worker.is_stopping():
            self._give_back()
            return "lost"
        try:
            verdict = self._renew(now)
        except SQLAlchemyError as problem:
            if now - self.renewed < self.settings.lease:
                _log.warning("sfumato: the database does not answer (%s); the job goes on", type(problem).__name__)
                return None
            verdict = "lost"
        if verdict == "lost":
            self.worker.end_painter()
            self._take_back(set())
            return "lost"
        if verdict == "cancel":
            self.asked_to_stop = now
            self.painter.pipe.send(Stop(self.job.id))
        return None

    def _renew(self, now: float) -> queue.Verdict:
        """Store new progress with the lease; without, only look whether the job is to stop, while the lease is long."""
        if self.told is None and now - self.renewed < self.settings.lease / 4:
            return "cancel" if queue.is_cancelled(self.worker.sessions, self.job.id) else "go"
        share, doing = (None, None) if self.told is None else (self.told.share, self.told.doing)
        verdict = queue.renew(self.worker.sessions, self.job.id, self.worker.name, self.settings.lease, share, doing)
        self.told, self.renewed = None, now
        return verdict

    def _give_back(self) -> None:
        """Leave the job to another worker, because this one is stopping."""
        self.worker.end_painter()
        self._take_back(set())
        queue.release(self.worker.sessions, self.job.id, self.worker.name)

    def _crashed(self) -> Ended | None:
        """Have the job begun again, unless it has crashed too often."""
        self.worker.end_painter()
        if self.asked_to_stop is not None:
            return Ended(self.job.id, "cancelled")
        if self.worker.is_stopping(WATCH):  # a system that stops a service signals all of its processes
            self._give_back()
            return None
        _log.error("sfumato: the painter crashed on job %s", self.job.id)
        if self.job.attempts >= queue.ATTEMPTS:
            return Ended(self.job.id, "failed", error=_CRASHED)
        self._take_back(set())
        queue.renew(self.worker.sessions, self.job.id, self.worker.name, lease=-1)  # run out: it is claimed again
        return None

    def _end(self, ended: Ended) -> None:
        """Store the end of the job and its pictures; an answer that the database does not take is tried again."""
        until = self.renewed + self.settings.lease
        while True:
            try:
                self._store(ended)
                return
            except SfumatoError as problem:  # the disk is full, or the account was deleted
                ended = Ended(self.job.id, "failed", error=str(problem))
            except SQLAlchemyError as problem:
                if time.monotonic() > until:
                    raise
                _log.warning("sfumato: the database does not answer (%s); trying again", type(problem).__name__)
                time.sleep(_AGAIN)

    def _store(self, ended: Ended) -> None:
        account, files = self.job.account, self.worker.files
        put = put_files(files, account, ended.made)
        try:
            with writing(self.worker.sessions) as session:
                rows = add_pictures(session, files, account, ended.made, put, self.job.id) if ended.made else []
                if self._forget_deleted(session) and ended.state == "done":
                    raise InputError("a picture that the job needs has been deleted; choose another one")
                result = with_ids(ended.result, [row.id for row in rows])
                if not queue.finish(session, self.job.id, self.worker.name, ended.state, result, ended.error):
                    raise _LostError
        except BaseException as problem:
            self._take_back({sha256 for pair in put for sha256 in pair})
            if not isinstance(problem, _LostError):
                raise
        else:
            remove_parts(self.settings, self.job.id)
            _log.info("job %s ends: %s", self.job.id, ended.state)

    def _forget_deleted(self, session: Session) -> bool:
        """Remove what the job has learnt of pictures that were deleted while it ran; return whether some were."""
        lock_account(session, self.job.account)
        mine = Picture.account == self.job.account
        ids = set(session.scalars(select(Picture.id).where(mine, Picture.id.in_(self.pictures))))
        hashes = {sha256 for id_, sha256 in self.pictures.items() if id_ not in ids}
        if hashes:
            hashes -= set(session.scalars(select(Picture.sha256).where(mine, Picture.sha256.in_(hashes))))
            forget(self.settings.personal(self.job.account), hashes)
        return len(ids) < len(self.pictures)

    def _take_back(self, hashes: set[str]) -> None:
        """Remove files that no row will name, and what belongs to pictures or an account deleted while the job ran.

        What cannot be removed now is left to `deletion.sweep`.
        """
        _log.info("the results of job %s are not kept", self.job.id)
        with suppress(SQLAlchemyError, SfumatoError), writing(self.worker.sessions) as session:
            if not lock_account(session, self.job.account):
                delete_account_files(self.worker.files, self.settings, self.job.account)
            self._forget_deleted(session)
            remove_unnamed(session, self.worker.files, self.job.account, hashes)
            if session.get(Job, self.job.id) is None:  # deleted with its account
                remove_parts(self.settings, self.job.id)


class _LostError(Exception):
    """The job is no longer this worker's; rolls the transaction back."""
