"""Rows of the database as answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from sfumato.studio import queue
from sfumato.studio.problems import RefusedError
from sfumato.studio.schemas import JobView, PictureView
from sfumato.studio.tables import Job, Picture, now

PREFIX = "/api/v1"
_CODES = ("code", "channel_stats")
_SURE = 0.05  # progress from which the time left is estimated


def picture_view(picture: Picture, gone: bool = False, short: bool = False) -> PictureView:
    """Return a picture as it is answered.

    Args:
        picture: its row.
        gone: whether its file has vanished.
        short: whether to leave out the numbers of the style codes, which are nine tenths of a recipe.
    """
    own = PictureView.model_fields.keys() - {"file", "thumb", "gone"}
    columns = {name: getattr(picture, name) for name in own}
    if short and columns["recipe"]:
        columns["recipe"] = {**columns["recipe"], "styles": _without_codes(columns["recipe"].get("styles"))}
    address = f"{PREFIX}/pictures/{picture.id}"
    return PictureView(**columns, file=f"{address}/file", thumb=f"{address}/thumb", gone=gone)


def _without_codes(styles: Any) -> Any:
    if not isinstance(styles, list) or not all(isinstance(style, dict) for style in styles):
        return styles
    return [{key: value for key, value in style.items() if key not in _CODES} for style in styles]


def job_views(session: Session, jobs: Sequence[Job]) -> list[JobView]:
    """Return jobs as they are answered, with their places in the queue."""
    waiting = [job.id for job in jobs if job.state == "queued"]
    places = queue.places(session, waiting) if waiting else {}
    return [_job_view(job, places.get(job.id)) for job in jobs]


def job_view(session: Session, job: Job) -> JobView:
    """Return one job as it is answered."""
    return job_views(session, [job])[0]


def _job_view(job: Job, position: int | None) -> JobView:
    left = None
    if job.state == "running" and job.started is not None and _SURE <= job.progress < 1:
        left = round((now() - job.started).total_seconds() * (1 - job.progress) / job.progress, 1)
    columns = {name: getattr(job, name) for name in JobView.model_fields.keys() - {"position", "seconds_left"}}
    return JobView(**columns, position=position, seconds_left=left)


def cursor(row: Picture | Job) -> str:
    """Return the text by which the page after a row is asked for."""
    return f"{row.created.isoformat()}~{row.id}"


def read_cursor(text: str) -> tuple[datetime, str]:
    """Return the time and the id of a cursor.

    Raises:
        RefusedError: the text is no cursor.
    """
    at, _, row = text.partition("~")
    time = None
    with suppress(ValueError):
        time = datetime.fromisoformat(at)
    if time is None or time.tzinfo is None or len(row) != 32:
        raise RefusedError(422, "before has a form that is not allowed; give the value of next of the page before")
    return time, row


def style_names_in(recipe: Mapping[str, Any] | None) -> list[str]:
    """Return the names of the styles in a recipe, which may come from a stranger's file."""
    styles = (recipe or {}).get("styles")
    return [str(each.get("name", "")) for each in styles if isinstance(each, dict)] if isinstance(styles, list) else []
