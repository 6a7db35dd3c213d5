"""Batches: many paintings by one request."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from sfumato.studio import queue
from sfumato.studio.access import Reader, Who, Writer, audit
from sfumato.studio.asking import check_room, new_batch
from sfumato.studio.database import writing
from sfumato.studio.files import FileStore
from sfumato.studio.job_requests import Paint
from sfumato.studio.once import IdempotencyKey, answer_once, digest
from sfumato.studio.problems import PRIVATE, RefusedError, documented, not_found
from sfumato.studio.schemas import BatchRequest, BatchView, CancelMany, Count, NewBatch
from sfumato.studio.serving import SUFFIXES, file_name
from sfumato.studio.state import studio_of
from sfumato.studio.tables import ENDED, STATES, Job, Picture
from sfumato.studio.views import job_views

router = APIRouter(prefix="/api/v1", tags=["batches"])
BatchId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
_KNOWN = PRIVATE | documented(404)
_MOST = 2000  # jobs of a batch
_CHUNK = 2**18


@router.post("/batches", status_code=202, response_model=NewBatch, responses=_KNOWN | documented(409))
def create_batch(asked: BatchRequest, who: Writer, request: Request, key: IdempotencyKey = None) -> JSONResponse:
    """Paint each photo in each list of styles with each strength."""
    studio = studio_of(request)
    count = len(asked.photos) * len(asked.styles) * max(1, len(asked.strengths))
    if count > _MOST:
        raise RefusedError(422, f"this batch would have {count} jobs, but at most {_MOST} are allowed; ask for fewer")
    wanted = _jobs(asked)

    def make(session: Session) -> NewBatch:
        check_room(session, studio, who, count)
        jobs = new_batch(session, studio, who, wanted)
        session.add_all(jobs)
        session.flush()
        return NewBatch(batch=str(jobs[0].batch), jobs=job_views(session, jobs))

    return answer_once(studio, who, key, digest("batches", asked.model_dump_json()), 202, make)


@router.get("/batches/{batch}", responses=_KNOWN)
def get_batch(batch: BatchId, who: Reader, request: Request) -> BatchView:
    """Return how far a batch is, and its jobs in the order of the request."""
    with studio_of(request).sessions() as session:
        jobs = _find(session, who, batch)
        counts = Counter(job.state for job in jobs)
        progress = sum(1.0 if job.state in ENDED else job.progress for job in jobs) / len(jobs)
        views = job_views(session, jobs)
    counted = {state: counts[state] for state in STATES}
    return BatchView.model_validate({"batch": batch, "counts": counted, "progress": progress, "jobs": views})


@router.post("/batches/{batch}/cancel", responses=_KNOWN)
def cancel_batch(batch: BatchId, who: Writer, request: Request, asked: CancelMany | None = None) -> Count:
    """Cancel the jobs of a batch that have not ended, or only those that wait."""
    with writing(studio_of(request).sessions) as session:
        _find(session, who, batch)
        return Count(
            count=queue.cancel_all(session, who.account, batch, running=asked is None or not asked.except_running)
        )


@router.post("/batches/{batch}/retry", status_code=202, responses=_KNOWN)
def retry_batch(batch: BatchId, who: Writer, request: Request) -> NewBatch:
    """Queue the failed jobs of a batch again; the new jobs take their places."""
    studio = studio_of(request)
    with writing(studio.sessions) as session:
        failed = [job.id for job in _find(session, who, batch) if job.state == "failed"]
        check_room(session, studio, who, len(failed))
        again = [queue.retry(session, who.account, job) for job in failed]
        return NewBatch(batch=batch, jobs=job_views(session, [job for job in again if job is not None]))


@router.get("/batches/{batch}/zip", response_class=StreamingResponse, responses=_KNOWN)
def download_batch(batch: BatchId, who: Reader, request: Request) -> StreamingResponse:
    """Return the results of a batch as one ZIP file."""
    studio = studio_of(request)
    with writing(studio.sessions) as session:
        ids = [(job.result or {}).get("picture") for job in _find(session, who, batch) if job.state == "done"]
        mine = select(Picture).where(Picture.account == who.account, Picture.id.in_([each for each in ids if each]))
        pictures = list(session.scalars(mine.order_by(Picture.created, Picture.id)))
        audit(session, who.account, "export", batch)
    headers = {"Content-Disposition": 'attachment; filename="sfumato.zip"'}
    return StreamingResponse(_zipped(studio.files, who.account, pictures), 200, headers, "application/zip")


def _jobs(asked: BatchRequest) -> list[Paint]:
    try:
        return asked.jobs()
    except ValidationError as problem:
        raise RefusedError(422, str(problem.errors()[0]["msg"]).removeprefix("Value error, ")) from None


def _find(session: Session, who: Who, batch: str) -> list[Job]:
    mine = select(Job).where(Job.account == who.account, Job.batch == batch)
    return list(session.scalars(mine.order_by(Job.created, Job.id))) or not_found("batch")


class _Buffer(io.RawIOBase):
    """What `zipfile` has written and nobody has taken yet; it cannot go back, so the ZIP file is written in one go."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken


def _zipped(files: FileStore, account: str, pictures: list[Picture]) -> Iterator[bytes]:
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        for number, picture in enumerate(pictures, 1):
            if not files.exists(account, picture.sha256):
                continue
            name = f"{number:04} {file_name(picture.title, SUFFIXES.get(picture.media_type, ''))}"
            info = zipfile.ZipInfo(name, picture.created.timetuple()[:6])
            with files.open(account, picture.sha256) as source, archive.open(info, "w", force_zip64=True) as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                    yield buffer.take()
    yield buffer.take()
