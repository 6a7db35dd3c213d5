"""Styles: those that ship, those made of one's own pictures, and tastes."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse
from sqlalchemy import func, select

from sfumato import assets
from sfumato.studio import tastes
from sfumato.studio.access import Reader, Writer, audit
from sfumato.studio.asking import check_pictures
from sfumato.studio.database import writing
from sfumato.studio.problems import PRIVATE, RefusedError, documented, not_found
from sfumato.studio.schemas import BuiltInStyle, NewStyle, OwnStyleView, Styles, TasteLine
from sfumato.studio.state import Studio, studio_of
from sfumato.studio.tables import OwnStyle
from sfumato.studio.views import PREFIX

router = APIRouter(prefix=PREFIX, tags=["styles"])
_MOST = 500  # own styles of an account


@router.get("/styles", responses=PRIVATE)
def list_styles(who: Reader, request: Request) -> Styles:
    """List all styles that one can paint with."""
    studio = studio_of(request)
    with studio.sessions() as session:
        mine = select(OwnStyle).where(OwnStyle.account == who.account).order_by(OwnStyle.created, OwnStyle.id)
        own = [own_view(style) for style in session.scalars(mine)]
    return Styles(built_in=list(_built_in()), own=own, tastes=_tastes(studio, who.account))


@router.get("/styles/{name}/picture", response_class=FileResponse, responses=PRIVATE | documented(404))
def get_style_picture(name: Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")], who: Reader) -> FileResponse:  # noqa: ARG001
    """Return the first picture of a built-in style."""
    if name not in assets.style_names():
        not_found("style")
    path = assets.style_pictures(name)[0]
    return FileResponse(path, media_type="image/webp", headers={"Cache-Control": "private, max-age=604800"})


@router.get("/works/{sha256}", response_class=FileResponse, responses=PRIVATE | documented(404))
def get_work(sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")], who: Reader) -> FileResponse:  # noqa: ARG001
    """Return a picture of a built-in style by its SHA-256, which explanations name as `work`."""
    for entry in assets.ledger():
        if entry.sha256 == sha256:
            headers = {"Cache-Control": "private, max-age=31536000, immutable"}
            return FileResponse(assets.picture_path(entry), media_type="image/webp", headers=headers)
    not_found("work")


@router.post("/styles", status_code=201, responses=PRIVATE | documented(404))
def create_style(asked: NewStyle, who: Writer, request: Request) -> OwnStyleView:
    """Make a style of uploaded pictures."""
    pictures = [each.picture for each in asked.pictures]
    if len(set(pictures)) < len(pictures):
        raise RefusedError(422, "pictures names one twice; give it a larger weight instead")
    with writing(studio_of(request).sessions) as session:
        check_pictures(session, who, pictures)
        count = session.scalar(select(func.count()).where(OwnStyle.account == who.account)) or 0
        if count >= _MOST:
            raise RefusedError(422, f"there are {count} styles of your own already; delete some first")
        weighted = [[each.picture, each.weight] for each in asked.pictures]
        style = OwnStyle(account=who.account, name=asked.name, pictures=weighted)
        session.add(style)
        session.flush()
        return own_view(style)


@router.delete("/styles/{style}", status_code=204, responses=PRIVATE | documented(404))
def delete_style(style: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")], who: Writer, request: Request) -> None:
    """Delete a style of one's own; its pictures stay."""
    with writing(studio_of(request).sessions) as session:
        mine = (OwnStyle.account == who.account, OwnStyle.id == style)
        found = session.scalar(select(OwnStyle).where(*mine)) or not_found("style")
        session.delete(found)
        audit(session, who.account, "style.delete", style)


def own_view(style: OwnStyle) -> OwnStyleView:
    """Return an own style as it is answered."""
    pictures = [picture for picture, _ in style.pictures]
    return OwnStyleView(ref=f"own:{style.id}", id=style.id, name=style.name, pictures=pictures)


@cache
def _built_in() -> tuple[BuiltInStyle, ...]:
    found = []
    entries = sorted(assets.ledger(), key=lambda entry: entry.style)  # stable: the first picture stays the first
    for name, group in groupby(entries, key=lambda entry: entry.style):
        several = list(group)
        first = several[0]
        is_work = len(several) == 1
        found.append(
            BuiltInStyle(
                ref=name,
                name=name,
                title=first.title if is_work else first.artist,
                artist=first.artist,
                year=first.year if is_work else "",
                licence=first.licence,
                picture=f"{PREFIX}/styles/{name}/picture",
            )
        )
    return tuple(found)


def _tastes(studio: Studio, account: str) -> list[TasteLine]:
    folder = studio.settings.personal(account)
    lines = []
    for name in tastes.names(folder):
        taste = tastes.load(folder, name)
        if taste is None:
            continue
        record = taste.record
        lines.append(
            TasteLine(
                ref=f"taste:{name}",
                name=name,
                learnt=taste.is_learnt,
                liked=len(record.liked),
                disliked=len(record.disliked),
                answers=len(record.answers),
            )
        )
    return lines
