"""Events: what changed in an account, told to its open pages.

One task a process looks into the database for jobs that changed, only while a page listens, and hands them to the
streams. A stream keeps the newest state of each job only, so a slow page costs no memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from sfumato.studio import queue
from sfumato.studio.access import Who
from sfumato.studio.database import Sessions
from sfumato.studio.problems import RefusedError
from sfumato.studio.schemas import JobView
from sfumato.studio.tables import Account, ApiKey, Job, Login, now
from sfumato.studio.views import job_views

log = logging.getLogger("sfumato.studio")

_POLL = 0.2  # seconds
_WINDOW = timedelta(seconds=10)  # more than the clocks of workers differ, and than a transaction takes
_CHECK = 15  # looks between two checks that the listeners are still logged in
_FIRST = 100  # jobs whose place in the queue is told when it changes
_MOST_STREAMS = 12  # of an account; each tab has one


class Stream:
    """The events of one listener."""

    def __init__(self, who: Who) -> None:
        self.account = who.account
        self.credential = who.credential
        self.is_key = who.is_key
        self._jobs: dict[str, JobView] = {}
        self._pictures = False
        self._ended = False
        self._wake = asyncio.Event()

    def put(self, job: JobView | None) -> None:
        """Add the state of a job; None says that the gallery changed."""
        if job is None:
            self._pictures = True
        else:
            self._jobs[job.id] = job
            self._pictures |= job.state == "done"
        self._wake.set()

    def end(self) -> None:
        """Let the stream end."""
        self._ended = True
        self._wake.set()

    async def events(self) -> AsyncIterator[tuple[str, Any]]:
        """Yield the names and contents of events until the stream ends."""
        yield "ready", {}
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            jobs, self._jobs = self._jobs, {}
            pictures, self._pictures = self._pictures, False
            for job in jobs.values():
                yield "job", job
            if pictures:
                yield "pictures", {}


class Hub:
    """All streams of this process.

    Args:
        sessions: of the database.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._streams: set[Stream] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._seen: dict[str, datetime] = {}
        self._places: dict[str, int] = {}

    def open(self, who: Who) -> Stream:
        """Begin a stream; call this in the event loop.

        Raises:
            RefusedError: the account has too many.
        """
        if sum(each.account == who.account for each in self._streams) >= _MOST_STREAMS:
            raise RefusedError(429, f"{_MOST_STREAMS} pages of this account listen already; close some", retry=10)
        self._loop = asyncio.get_running_loop()
        stream = Stream(who)
        self._streams.add(stream)
        if self._task is None or self._task.done():
            self._seen = {}
            self._task = asyncio.create_task(self._watch())
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream whose listener has left."""
        self._streams.discard(stream)

    def touch(self, account: str) -> None:
        """Say that an account's gallery changed; from any thread."""
        self._call(self._put, account, None)

    def revoke(self, credential: str) -> None:
        """End the streams of a login or key that is no longer valid; from any thread."""
        self._call(self._end, credential)

    def stop(self) -> None:
        """End all streams, so that the server can stop; from any thread."""
        self._call(self._end, None)

    def _call(self, function: Any, *arguments: Any) -> None:
        if self._loop is not None and self._streams:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(function, *arguments)

    def _put(self, account: str, job: JobView | None) -> None:
        for stream in self._streams:
            if stream.account == account:
                stream.put(job)

    def _end(self, credential: str | None) -> None:
        for stream in self._streams:
            if credential is None or stream.credential == credential:
                stream.end()

    async def _watch(self) -> None:
        looks = 0
        begun = now()
        while self._streams:
            try:
                for account, job in await asyncio.to_thread(self._changes, begun):
                    self._put(account, job)
                looks += 1
                if looks % _CHECK == 0:
                    for credential in await asyncio.to_thread(self._revoked, list(self._streams)):
                        self._end(credential)
            except SQLAlchemyError as problem:
                log.warning("events.database", extra={"fields": {"kind": type(problem).__name__}})
                await asyncio.sleep(1)
            await asyncio.sleep(_POLL)

    def _changes(self, begun: datetime) -> list[tuple[str, JobView]]:
        """Return the jobs that changed since the last look, with their accounts."""
        since = max(begun - timedelta(seconds=1), now() - _WINDOW)
        accounts = {stream.account for stream in list(self._streams)}
        with self._sessions() as session:
            rows = session.execute(select(Job.id, Job.account, Job.updated).where(Job.updated >= since)).all()
            changed = [row.id for row in rows if self._seen.get(row.id) != row.updated and row.account in accounts]
            self._seen = {row.id: row.updated for row in rows}
            if not changed:
                return []
            jobs = list(session.scalars(select(Job).where(Job.id.in_(changed)).order_by(Job.updated)))
            if any(job.state != "running" or not job.progress for job in jobs):
                jobs += self._moved(session, accounts, changed)
            return [(job.account, view) for job, view in zip(jobs, job_views(session, jobs), strict=True)]

    def _moved(self, session: Session, accounts: set[str], changed: list[str]) -> list[Job]:
        """Return the first waiting jobs whose place in the queue changed, since another one left it."""
        first = select(Job).where(Job.state == "queued").order_by(*queue.ORDER).limit(_FIRST)
        before, waiting = self._places, list(session.scalars(first))
        self._places = {job.id: place for place, job in enumerate(waiting, 1)}
        moved = [job for job in waiting if job.account in accounts and before.get(job.id) != self._places[job.id]]
        return [job for job in moved if job.id not in changed]

    def _revoked(self, streams: list[Stream]) -> set[str]:
        """Return the credentials that are no longer valid."""
        logins = {stream.credential for stream in streams if not stream.is_key}
        keys = {stream.credential for stream in streams if stream.is_key}
        active = ~Account.disabled
        with self._sessions() as session:
            valid = set(
                session.scalars(
                    select(Login.id).join(Account).where(Login.id.in_(logins), Login.expires > now(), active)
                )
            ) | set(session.scalars(select(ApiKey.digest).join(Account).where(ApiKey.digest.in_(keys), active)))
        return (logins | keys) - valid
