"""For those who run the service: is it alive, is it ready, and its figures."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel
from sqlalchemy import select

from sfumato.errors import OutputError
from sfumato.studio.access import bearer_scheme, check_scope, cookie_scheme, identify
from sfumato.studio.heartbeat import workers
from sfumato.studio.problems import RefusedError, documented
from sfumato.studio.state import studio_of

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The service answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The service can do its work."""

    status: Literal["ready"] = "ready"
    workers: int


@router.get("/health")
async def get_health() -> Alive:
    """Return whether the service is alive."""
    return Alive()


@router.get("/ready", responses=documented(507))
def get_readiness(request: Request) -> Readiness:
    """Return whether database and store answer, and a worker was seen within the last seconds."""
    studio = studio_of(request)
    with studio.sessions() as session:
        session.execute(select(1))
    try:
        studio.files.check()
    except OutputError:
        raise RefusedError(503, "the store of the pictures cannot be written; see the disk", retry=10) from None
    count = len(workers(studio.settings))
    if not count:
        raise RefusedError(503, "no worker runs; start sfumato studio worker", retry=5)
    return Readiness(workers=count)


@router.get("/metrics", response_class=Response, responses=documented(401, 403))
def get_metrics(
    request: Request,
    cookie: Annotated[str | None, Depends(cookie_scheme)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)],
) -> Response:
    """Return the figures of the service for Prometheus; on a network, a key with the scope admin is needed."""
    studio = studio_of(request)
    if not studio.is_local:
        check_scope(identify(request, cookie, bearer), "admin")
    return Response(studio.metrics.text(studio.sessions), media_type="text/plain; version=0.0.4; charset=utf-8")
