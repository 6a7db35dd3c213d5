"""What is removed by itself: previews, the trash, old pictures where that is asked for, and what has run out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Delete, and_, delete, or_, select
from sqlalchemy.exc import SQLAlchemyError

from sfumato.errors import SfumatoError
from sfumato.studio import queue
from sfumato.studio.database import Sessions, writing
from sfumato.studio.deletion import delete_pictures, sweep
from sfumato.studio.files import FileStore
from sfumato.studio.folders import sweep_parts
from sfumato.studio.settings import Settings
from sfumato.studio.tables import ENDED, Audit, Idempotency, Job, Login, OwnStyle, Picture, new_id, now

log = logging.getLogger("sfumato.studio")

PREVIEWS, SHEETS, TRASH = timedelta(days=1), timedelta(days=30), timedelta(days=30)
_JOBS, _AUDIT, _REPEATS = timedelta(days=90), timedelta(days=365), timedelta(days=2)
_AT_ONCE = 200  # pictures that one transaction deletes
_FIRST, _EVERY = 30.0, 3600.0  # seconds after the start, and between two rounds


async def keep_clean(sessions: Sessions, files: FileStore, settings: Settings, touch: Callable[[str], None]) -> None:
    """Remove what is due every hour, for as long as the service runs.

    Args:
        sessions: of the database.
        files: the store.
        settings: say how long pictures are kept.
        touch: is called with the id of each account that lost pictures.
    """
    await asyncio.sleep(_FIRST)
    while True:
        try:
            for account in await asyncio.to_thread(purge, sessions, files, settings):
                touch(account)
        except (SQLAlchemyError, SfumatoError, OSError) as problem:
            log.warning("retention.failed", extra={"fields": {"kind": type(problem).__name__}})
        await asyncio.sleep(_EVERY)


def purge(sessions: Sessions, files: FileStore, settings: Settings, at: datetime | None = None) -> set[str]:
    """Remove everything that is due.

    Args:
        sessions: of the database.
        files: the store.
        settings: say how long pictures are kept.
        at: the present time.

    Returns:
        The ids of the accounts that lost pictures.

    Raises:
        OutputError: a file cannot be removed.
    """
    at = at or now()
    accounts: set[str] = set()
    with sessions() as session:
        due = select(Picture.account, Picture.id).where(_is_due(settings, at)).order_by(Picture.account)
        rows = session.execute(due).all()
        in_styles = {picture for style in session.scalars(select(OwnStyle)) for picture, _ in style.pictures}
        trashed = set(session.scalars(select(Picture.id).where(Picture.trashed.is_not(None))))
    by_account: dict[str, list[str]] = {}
    for account, picture in rows:
        if picture not in in_styles or picture in trashed:
            by_account.setdefault(account, []).append(picture)
    for account, pictures in by_account.items():
        for start in range(0, len(pictures), _AT_ONCE):
            with writing(sessions) as session:
                changed = delete_pictures(session, files, settings, account, pictures[start : start + _AT_ONCE])
                for taste in changed:
                    asked = {"kind": "learn", "taste": taste, "liked": [], "disliked": [], "removed": []}
                    queue.submit(session, Job(id=new_id(), account=account, kind="learn", asked=asked))
        accounts.add(account)
    with writing(sessions) as session:
        for statement in _run_out(at):
            session.execute(statement)
    sweep(sessions, files)
    sweep_parts(settings, sessions)
    return accounts


def _is_due(settings: Settings, at: datetime) -> ColumnElement[bool]:
    due = or_(
        and_(Picture.kind == "preview", Picture.created < at - PREVIEWS),
        and_(Picture.kind == "sheet", Picture.created < at - SHEETS),
        Picture.trashed < at - TRASH,
    )
    if settings.keep:
        due = or_(due, and_(~Picture.star, Picture.created < at - timedelta(days=settings.keep)))
    return due


def _run_out(at: datetime) -> list[Delete]:
    """Return the deletions of rows that nobody needs any more."""
    return [
        delete(Login).where(Login.expires < at),
        delete(Idempotency).where(Idempotency.created < at - _REPEATS),
        delete(Job).where(Job.state.in_(ENDED), Job.updated < at - _JOBS),
        delete(Audit).where(Audit.at < at - _AUDIT),
    ]
