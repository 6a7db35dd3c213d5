"""The queue of jobs in the database: submit, claim, renew, end, cancel.

A worker claims a job for a time, its lease, and renews it while it works. When a worker dies, the lease runs out and
the job is claimed again. A worker that comes back too late finds that it lost the lease, and its results are thrown
away, so every job ends once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from sqlalchemy import ColumnElement, CursorResult, and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from sfumato.studio.database import Sessions, writing
from sfumato.studio.tables import ENDED, Job, new_id, now

Verdict: TypeAlias = Literal["go", "cancel", "lost"]

#: Number of times that a job is begun before it fails, because its workers died or lost it.
ATTEMPTS = 3
#: Quick jobs first, then single ones, then those of batches; the oldest first.
ORDER = (Job.quick.desc(), Job.batch.is_not(None), Job.created, Job.id)
_TOO_OFTEN = (
    f"the job was begun {ATTEMPTS} times, and each time its worker stopped without an answer; try a smaller picture, "
    "and see the server's log"
)


def submit(session: Session, job: Job) -> Job:
    """Add a job to the queue. Waiting or running jobs of the same account and slot are cancelled."""
    if job.slot is not None:
        same = and_(Job.account == job.account, Job.slot == job.slot)
        _cancel_where(session, same)
    session.add(job)
    session.flush()
    return job


def claim(sessions: Sessions, worker: str, lease: float, quick_only: bool = False) -> Job | None:
    """Give the next job of the queue to a worker.

    Args:
        sessions: of the database.
        worker: name of the worker.
        lease: seconds for which it has the job.
        quick_only: whether it takes quick jobs only.

    Returns:
        The job, or None where none waits.
    """
    begun = now()
    free = or_(Job.state == "queued", and_(Job.state == "running", Job.lease < begun))
    if quick_only:
        free = and_(free, Job.quick)
    with sessions() as session:  # most looks find nothing, and need no lock
        if session.scalar(select(Job.id).where(free).limit(1)) is None:
            return None
    with writing(sessions) as session:
        given_up = and_(free, or_(Job.attempts >= ATTEMPTS, Job.cancel))
        for job in session.scalars(select(Job).where(given_up).with_for_update(skip_locked=True)):
            state, error = ("cancelled", None) if job.cancel else ("failed", _TOO_OFTEN)
            _end(job, state, error)
        session.flush()
        oldest = select(Job.id).where(free).order_by(*ORDER).limit(1).with_for_update(skip_locked=True)
        values = {
            "state": "running",
            "worker": worker,
            "lease": begun + timedelta(seconds=lease),
            "attempts": Job.attempts + 1,
            "started": func.coalesce(Job.started, begun),
            "progress": 0.0,
            "doing": "",
            "updated": begun,
        }
        taken = update(Job).where(Job.id == oldest.scalar_subquery(), free).values(values).returning(Job)
        return session.scalars(taken, execution_options={"synchronize_session": False}).one_or_none()


def renew(
    sessions: Sessions, job: str, worker: str, lease: float, progress: float | None = None, doing: str | None = None
) -> Verdict:
    """Renew a worker's lease and store the progress.

    Returns:
        ``"go"``; ``"cancel"`` where the job is to stop; ``"lost"`` where it is no longer this worker's.
    """
    at = now()
    values: dict[str, Any] = {"lease": at + timedelta(seconds=lease)}
    if progress is not None:
        values |= {"progress": progress, "doing": (doing or "")[:80], "updated": at}
    with writing(sessions) as session:
        mine = update(Job).where(*_held(job, worker)).values(values).returning(Job.cancel)
        cancel = session.execute(mine).scalar_one_or_none()
    return "lost" if cancel is None else "cancel" if cancel else "go"


def is_cancelled(sessions: Sessions, job: str) -> bool:
    """Return whether a running job is to stop."""
    with sessions() as session:
        return session.scalar(select(Job.cancel).where(Job.id == job)) is not False


def finish(
    session: Session,
    job: str,
    worker: str,
    state: Literal["done", "failed", "cancelled"],
    result: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """End a worker's job. The rows of its pictures belong into the same transaction.

    Returns:
        False where the job is no longer this worker's: its results must then be thrown away.
    """
    found = session.scalar(select(Job).where(*_held(job, worker)).with_for_update())
    if found is None:
        return False
    _end(found, state, error)
    if state == "done":
        found.progress, found.result = 1.0, dict(result or {})
    session.flush()
    return True


def release(sessions: Sessions, job: str, worker: str) -> None:
    """Give a job back that the worker has not finished, because the worker is stopping."""
    values = {"state": "queued", "worker": None, "lease": None, "progress": 0.0, "doing": "", "updated": now()}
    fewer = case((Job.attempts > 0, Job.attempts - 1), else_=0)  # this one was no failure
    with writing(sessions) as session:
        session.execute(update(Job).where(*_held(job, worker)).values(**values, attempts=fewer))


def cancel(session: Session, account: str, job: str) -> bool:
    """Cancel a waiting or running job of an account.

    Returns:
        Whether there was one; False also where it has ended.
    """
    return _cancel_where(session, and_(Job.account == account, Job.id == job)) > 0


def cancel_all(session: Session, account: str, batch: str | None = None, running: bool = True) -> int:
    """Cancel an account's jobs, or those of a batch; without ``running`` only the waiting ones.

    Returns:
        The number of jobs.
    """
    which = Job.account == account
    if batch is not None:
        which = and_(which, Job.batch == batch)
    if not running:
        which = and_(which, Job.state == "queued")
    return _cancel_where(session, which)


def retry(session: Session, account: str, job: str) -> Job | None:
    """Queue a failed or cancelled job again, as a new job.

    Returns:
        The new job; None where there is no such job.
    """
    found = session.scalar(
        select(Job).where(Job.account == account, Job.id == job, Job.state.in_(("failed", "cancelled")))
    )
    if found is None:
        return None
    again = Job(
        id=new_id(), account=account, kind=found.kind, quick=found.quick, batch=found.batch, asked=dict(found.asked)
    )
    found.batch = None  # the batch counts the new job in its place
    found.updated = now()
    return submit(session, again)


def places(session: Session, jobs: Collection[str]) -> dict[str, int]:
    """Return the places in the queue of those of some jobs that wait, by id; 1 is the next."""
    place = func.row_number().over(order_by=ORDER).label("place")
    numbered = select(Job.id, place).where(Job.state == "queued").subquery()
    rows = session.execute(select(numbered.c.id, numbered.c.place).where(numbered.c.id.in_(jobs)))
    return {row.id: row.place for row in rows}


def position(session: Session, job: Job) -> int | None:
    """Return a waiting job's place in the queue, of which 1 is the next; None where it does not wait."""
    return places(session, [job.id]).get(job.id)


def _held(job: str, worker: str) -> tuple[ColumnElement[bool], ...]:
    return Job.id == job, Job.worker == worker, Job.state == "running"


def _cancel_where(session: Session, which: ColumnElement[bool]) -> int:
    at = now()
    waiting = update(Job).where(which, Job.state == "queued").values(state="cancelled", ended=at, updated=at)
    running = update(Job).where(which, Job.state == "running", ~Job.cancel).values(cancel=True, updated=at)
    return sum(_count(session, each) for each in (waiting, running))


def _count(session: Session, statement: Any) -> int:
    found = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(found, CursorResult)
    return found.rowcount


def _end(job: Job, state: str, error: str | None) -> None:
    assert state in ENDED
    job.state, job.error, job.ended, job.updated = state, error, now(), now()
    job.doing, job.lease = "", None
