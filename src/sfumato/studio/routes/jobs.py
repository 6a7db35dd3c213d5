"""Jobs: ask, look, cancel, retry."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from sfumato.studio import queue
from sfumato.studio.access import Reader, Who, Writer
from sfumato.studio.asking import check_room, new_job
from sfumato.studio.database import writing
from sfumato.studio.once import IdempotencyKey, answer_once, digest
from sfumato.studio.problems import PRIVATE, RefusedError, documented, not_found
from sfumato.studio.schemas import CancelMany, Count, JobPage, JobRequest, JobView, State
from sfumato.studio.state import studio_of
from sfumato.studio.tables import Job
from sfumato.studio.views import cursor, job_view, job_views, read_cursor

router = APIRouter(prefix="/api/v1", tags=["jobs"])
JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
_KNOWN = PRIVATE | documented(404)


@router.post("/jobs", status_code=202, response_model=JobView, responses=_KNOWN | documented(409))
def create_job(asked: JobRequest, who: Writer, request: Request, key: IdempotencyKey = None) -> JSONResponse:
    """Ask for a job. The answer is the job in the queue; events and `GET /jobs/{job}` tell how far it is."""
    studio = studio_of(request)

    def make(session: Session) -> JobView:
        check_room(session, studio, who, 1)
        return job_view(session, queue.submit(session, new_job(session, studio, who, asked)))

    return answer_once(studio, who, key, digest("jobs", asked.model_dump_json()), 202, make)


@router.get("/jobs", responses=PRIVATE)
def list_jobs(
    who: Reader,
    request: Request,
    state: State | None = None,
    batch: Annotated[str | None, Query(pattern=r"^[0-9a-f]{32}$")] = None,
    before: Annotated[str | None, Query(max_length=80, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 60,
) -> JobPage:
    """List one's jobs, newest first."""
    which = Job.account == who.account
    if state is not None:
        which = and_(which, Job.state == state)
    if batch is not None:
        which = and_(which, Job.batch == batch)
    if before is not None:
        at, last = read_cursor(before)
        which = and_(which, or_(Job.created < at, and_(Job.created == at, Job.id < last)))
    order = (Job.created.desc(), Job.id.desc())
    with studio_of(request).sessions() as session:
        jobs = list(session.scalars(select(Job).where(which).order_by(*order).limit(limit + 1)))
        following = cursor(jobs[limit - 1]) if len(jobs) > limit else None
        return JobPage(items=job_views(session, jobs[:limit]), next=following)


@router.post("/jobs/cancel", responses=PRIVATE)
def cancel_jobs(asked: CancelMany, who: Writer, request: Request) -> Count:
    """Cancel all one's jobs, or only those that wait."""
    with writing(studio_of(request).sessions) as session:
        return Count(count=queue.cancel_all(session, who.account, running=not asked.except_running))


@router.get("/jobs/{job}", responses=_KNOWN)
def get_job(job: JobId, who: Reader, request: Request) -> JobView:
    """Return one job."""
    with studio_of(request).sessions() as session:
        return job_view(session, _find(session, who, job))


@router.post("/jobs/{job}/cancel", responses=_KNOWN)
def cancel_job(job: JobId, who: Writer, request: Request) -> JobView:
    """Cancel a job; a running one stops within a second. A job that has ended stays as it is."""
    with writing(studio_of(request).sessions) as session:
        _find(session, who, job)
        queue.cancel(session, who.account, job)
        session.expire_all()
        return job_view(session, _find(session, who, job))


@router.post("/jobs/{job}/retry", status_code=202, responses=_KNOWN | documented(409))
def retry_job(job: JobId, who: Writer, request: Request) -> JobView:
    """Queue a failed or cancelled job again, as a new job."""
    studio = studio_of(request)
    with writing(studio.sessions) as session:
        _find(session, who, job)
        check_room(session, studio, who, 1)
        again = queue.retry(session, who.account, job)
        if again is None:
            raise RefusedError(409, "only a failed or cancelled job can be tried again")
        return job_view(session, again)


def _find(session: Session, who: Who, job: str) -> Job:
    found = session.scalar(select(Job).where(Job.account == who.account, Job.id == job))
    return found or not_found("job")
