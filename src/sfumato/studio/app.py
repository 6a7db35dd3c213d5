"""The service: the HTTP API, its events, and the page."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from sfumato import __version__
from sfumato.studio import access, retention
from sfumato.studio.access import OneTimeToken, Throttles
from sfumato.studio.database import open_database
from sfumato.studio.events import Hub
from sfumato.studio.files import FileStore
from sfumato.studio.intake import Intake
from sfumato.studio.operations import Metrics
from sfumato.studio.problems import handle_errors
from sfumato.studio.routes import (
    accounts,
    batches,
    events,
    jobs,
    keys,
    operations,
    pictures,
    session,
    styles,
    tastes,
    uploads,
    votes,
)
from sfumato.studio.security import Guard, Hosts
from sfumato.studio.settings import Settings
from sfumato.studio.state import Studio

PAGES = Path(__file__).parent / "pages"
_JSON = 2**20  # bytes of a request without a file
_FORM = 65_536  # bytes of a form beside its file
_THREADS = 60  # requests that are answered at a time
_UPLOADS = 4  # that are decoded or wait for it at a time
_TAGS = {
    "session": "Log in and out; the account that is logged in.",
    "pictures": "Upload, find, change, download and delete pictures and videos.",
    "styles": "Styles that ship, styles of your own pictures, and tastes.",
    "jobs": "Everything that takes time: paint, finish, explain, learn.",
    "batches": "Many paintings by one request.",
    "tastes": "Styles learnt from what you like.",
    "votes": "Blind comparisons of two results.",
    "keys": "Keys for programs.",
    "accounts": "Accounts and the audit log, for admins.",
    "events": "What changes, as it changes.",
    "operations": "Health and figures, for those who run the service.",
}


class _App(FastAPI):
    """The service with its guard as the outermost layer, around those of FastAPI too."""

    def build_middleware_stack(self) -> ASGIApp:
        studio: Studio = self.state.studio
        return Guard(
            super().build_middleware_stack(),
            studio.hosts,
            studio.metrics,
            lambda headers: access.may_upload(studio, headers),
        )


class _Pages(StaticFiles):
    """The page's files, which browsers ask for again each time: the answer is short where nothing changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def create_app(settings: Settings, hosts: Hosts | None = None) -> FastAPI:
    """Return the service; its database must have been migrated.

    Args:
        settings: of the Studio.
        hosts: names under which it may be called; None serves one person on their own machine.

    Raises:
        UsageError: the URL of the database is wrong.
        OutputError: the URL of the store is wrong.
    """
    for kind, suffix in (("text/javascript", ".js"), ("application/json", ".json"), ("image/svg+xml", ".svg")):
        mimetypes.add_type(kind, suffix)  # what the system believes does not count
    sessions = open_database(settings.database_url)
    app = _App(
        title="Sfumato Studio",
        description="Photos in the style of paintings. Errors are one sentence in `detail`, and a word in `code`.",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        openapi_tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_life,
        generate_unique_id_function=_operation,
        max_body_size=_JSON,
        form_limits={"max_files": 1, "max_fields": 4, "max_part_size": _FORM},
    )
    app.state.studio = Studio(
        settings=settings,
        sessions=sessions,
        files=FileStore(settings.files_root),
        intake=Intake(settings),
        hosts=hosts or Hosts(),
        hub=Hub(sessions),
        metrics=Metrics(),
        token=OneTimeToken(),
        throttles=Throttles(),
        uploads=asyncio.Semaphore(_UPLOADS),
    )
    handle_errors(app)
    for module in (session, pictures, styles, jobs, batches, tastes, votes, keys, accounts, events, operations):
        app.include_router(module.router)
    for router in uploads.uploads(settings, _FORM):
        app.include_router(router)
    app.mount("/", GZipMiddleware(_Pages(directory=PAGES, html=True, check_dir=False)))
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    studio: Studio = app.state.studio
    current_default_thread_limiter().total_tokens = _THREADS
    cleaning = asyncio.create_task(
        retention.keep_clean(studio.sessions, studio.files, studio.settings, studio.hub.touch)
    )
    try:
        yield
    finally:
        cleaning.cancel()
        with suppress(asyncio.CancelledError):
            await cleaning
        studio.intake.close()
        studio.sessions.kw["bind"].dispose()


def _operation(route: APIRoute) -> str:
    return route.name
