"""From a request to a job: what it names must be there, and belong to the caller."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sfumato import assets
from sfumato.studio import tastes
from sfumato.studio.access import Who, used_bytes
from sfumato.studio.job_requests import QUICK, Explain, Paint, PaintVideo, pictures_of, styles_of
from sfumato.studio.problems import RefusedError
from sfumato.studio.state import Studio
from sfumato.studio.tables import STILLS, Job, OwnStyle, Picture, new_id, now

_PREVIEW = 1024  # longest side in pixels


def check_room(session: Session, studio: Studio, who: Who, count: int) -> None:
    """Check that an account may queue ``count`` more jobs.

    Raises:
        RefusedError: too many wait already, or there is no room for what they make.
    """
    if who.quota is not None and used_bytes(session, who.account) >= who.quota:
        raise RefusedError(507, "your quota of bytes is used up; delete pictures and empty the trash first")
    waiting = session.scalar(select(func.count()).where(Job.account == who.account, Job.state == "queued")) or 0
    most = studio.settings.most_queued
    if waiting + count > most:
        raise RefusedError(
            429, f"at most {most} jobs may wait, and {waiting} do; wait for some, or cancel some", retry=30
        )


def new_job(session: Session, studio: Studio, who: Who, asked: Any) -> Job:
    """Return the job of a request, after a check of everything that it names.

    Raises:
        RefusedError: a picture, a style or a taste does not exist, or has no recipe where one is needed.
    """
    if isinstance(asked, PaintVideo):
        check_pictures(session, who, [asked.video], ("video",))
    else:
        check_pictures(session, who, pictures_of(asked))
    check_styles(session, studio, who, styles_of(asked))
    if isinstance(asked, Paint | Explain):
        _check_recipe(session, asked.recipe_of if isinstance(asked, Paint) else asked.picture)
    return _job(who, asked)


def new_batch(session: Session, studio: Studio, who: Who, asked: Sequence[Paint]) -> list[Job]:
    """Return the jobs of a batch, after one check of everything that they name.

    Raises:
        RefusedError: a picture or a style does not exist.
    """
    check_pictures(session, who, [picture for each in asked for picture in pictures_of(each)])
    check_styles(session, studio, who, [style for each in asked for style in styles_of(each)])
    jobs, batch, begun = [_job(who, each) for each in asked], new_id(), now()
    for place, job in enumerate(jobs):
        job.batch, job.created = batch, begun + timedelta(microseconds=place)  # the order in which they are painted
    return jobs


def _job(who: Who, asked: Any) -> Job:
    is_preview = isinstance(asked, Paint) and asked.preview
    values = asked.model_dump(mode="json")
    if is_preview:
        values["format"] = "webp"
        values["max_size"] = min(values["max_size"] or _PREVIEW, _PREVIEW)
        values["options"]["quality"] = values["options"]["quality"] or "draft"
    return Job(
        id=new_id(),
        account=who.account,
        kind=asked.kind,
        quick=is_preview or asked.kind in QUICK,
        slot=values.pop("slot", None),
        asked=values,
    )


def check_pictures(session: Session, who: Who, pictures: list[str], kinds: Sequence[str] = STILLS) -> None:
    """Check that pictures exist, belong to an account, and are of a kind.

    Raises:
        RefusedError: one does not, or is not.
    """
    wanted = set(pictures)
    if not wanted:
        return
    mine = select(Picture.id, Picture.kind).where(Picture.account == who.account, Picture.id.in_(wanted))
    found = {row.id: row.kind for row in session.execute(mine)}
    if missing := wanted - found.keys():
        raise RefusedError(404, f"there is no picture {min(missing)}; it may have been deleted")
    for id_, kind in found.items():
        if kind not in kinds:
            is_, needed = ("a video", "a picture") if kinds is STILLS else ("no uploaded video", "one")
            raise RefusedError(422, f"{id_} is {is_}, and {needed} is needed here; choose another")


def check_styles(session: Session, studio: Studio, who: Who, styles: list[str]) -> None:
    """Check that styles exist and may be used by an account.

    Raises:
        RefusedError: one does not.
    """
    for style in set(styles):
        kind, _, name = style.partition(":")
        if kind == "own":
            mine = select(OwnStyle.id).where(OwnStyle.account == who.account, OwnStyle.id == name)
            is_there = session.scalar(mine) is not None
        elif kind == "taste":
            is_there = tastes.exists(studio.settings.personal(who.account), name.partition("/")[0])
        else:
            is_there = style in assets.style_names()
        if not is_there:
            raise RefusedError(404, f"there is no style {style}; GET /styles lists them")


def _check_recipe(session: Session, picture: str | None) -> None:
    if picture is None:
        return
    if session.get_one(Picture, picture).recipe is None:
        raise RefusedError(422, "this picture holds no recipe: it was not painted by Sfumato, or lost it on its way")
