"""Pictures and videos: find, change, download, delete."""

from __future__ import annotations

import re
from json import dumps
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from sfumato import assets
from sfumato.image import has_credentials
from sfumato.studio import queue
from sfumato.studio.access import Reader, Who, Writer, audit
from sfumato.studio.asking import new_job
from sfumato.studio.database import writing
from sfumato.studio.deletion import delete_pictures
from sfumato.studio.folders import work_folder
from sfumato.studio.job_requests import Learn
from sfumato.studio.problems import PRIVATE, RefusedError, documented, not_found
from sfumato.studio.schemas import Collection, Count, PictureChange, PictureKind, PicturePage, PictureView
from sfumato.studio.serving import SUFFIXES, disposition, file_name, send_stored
from sfumato.studio.state import Studio, studio_of
from sfumato.studio.tables import VIDEOS, Picture, now
from sfumato.studio.views import cursor, picture_view, read_cursor, style_names_in

router = APIRouter(prefix="/api/v1", tags=["pictures"])
PictureKey = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
_KNOWN = PRIVATE | documented(404)
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}, "video/*": {}}}
}
_PASSING = ("preview", "sheet", "mask")


@router.get("/pictures", responses=PRIVATE)
def list_pictures(
    who: Reader,
    request: Request,
    kind: PictureKind | None = None,
    query: Annotated[str | None, Query(max_length=100, description="In title, style or collection")] = None,
    star: bool | None = None,
    collection: Annotated[str | None, Query(max_length=64)] = None,
    trash: bool = False,
    before: Annotated[str | None, Query(max_length=80, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 60,
) -> PicturePage:
    """List one's pictures, newest first. Without `kind`: photos, styles and results, and in the trash videos too.

    The recipes lack the numbers of the style codes here; `GET /pictures/{picture}` has them.
    """
    which = [Picture.account == who.account, Picture.trashed.is_not(None) if trash else Picture.trashed.is_(None)]
    which.append(
        Picture.kind == kind if kind is not None else Picture.kind.not_in(_PASSING if trash else (*_PASSING, *VIDEOS))
    )
    if star is not None:
        which.append(Picture.star.is_(star))
    if collection is not None:
        which.append(Picture.collection == collection)
    if query is not None and (text := query.strip()):
        which.append(_matches(text))
    if before is not None:
        at, last = read_cursor(before)
        which.append(or_(Picture.created < at, and_(Picture.created == at, Picture.id < last)))
    order = (Picture.created.desc(), Picture.id.desc())
    studio = studio_of(request)
    with studio.sessions() as session:
        found = list(session.scalars(select(Picture).where(*which).order_by(*order).limit(limit + 1)))
    following = cursor(found[limit - 1]) if len(found) > limit else None
    return PicturePage(items=[_seen(studio, each, short=True) for each in found[:limit]], next=following)


@router.get("/pictures/{picture}", responses=_KNOWN)
def get_picture(picture: PictureKey, who: Reader, request: Request) -> PictureView:
    """Return one picture with its recipe and measures."""
    studio = studio_of(request)
    with studio.sessions() as session:
        return _seen(studio, find(session, who, picture))


@router.patch("/pictures/{picture}", responses=_KNOWN)
def change_picture(picture: PictureKey, asked: PictureChange, who: Writer, request: Request) -> PictureView:
    """Change star, rating, collection or title, or put a picture into the trash or back."""
    studio = studio_of(request)
    with writing(studio.sessions) as session:
        found = find(session, who, picture)
        for name in asked.model_fields_set - {"trashed"}:
            value = getattr(asked, name)
            if value is None and name in ("star", "title"):
                raise RefusedError(422, f"{name} must not be null; leave it out to keep it")
            setattr(found, name, value or None if name == "collection" else value)
        if asked.trashed is not None:
            found.trashed = (found.trashed or now()) if asked.trashed else None
        session.flush()
        view = _seen(studio, found)
    studio.hub.touch(who.account)
    return view


@router.delete("/pictures/{picture}", status_code=204, responses=_KNOWN | documented(507))
def delete_picture(picture: PictureKey, who: Writer, request: Request) -> None:
    """Delete a picture and its bytes at once, also from styles and tastes."""
    studio = studio_of(request)
    with writing(studio.sessions) as session:
        found = find(session, who, picture)
        forget(studio, session, who, [found.id])
    studio.hub.touch(who.account)


@router.get("/pictures/{picture}/file", response_class=Response, responses=_BYTES | _KNOWN)
def get_picture_file(
    picture: PictureKey,
    who: Reader,
    request: Request,
    download: bool = False,
    format: Annotated[
        Literal["png", "jpeg", "webp"] | None, Query(description="Of a picture; by default as it is stored")
    ] = None,
) -> Response:
    """Return the file of a picture or a video; with `download`, browsers save it.

    A picture is returned in another format, with its recipe, if `format` asks for one. That file is not sealed; if the
    stored one is, the header `Sfumato-Remark` says so.
    """
    studio = studio_of(request)
    with studio.sessions() as session:
        found = find(session, who, picture)
    if format is not None and f"image/{format}" != found.media_type:
        if found.kind in VIDEOS:
            raise RefusedError(422, "a video has no other format here; leave format out")
        return _converted(studio, found, f"image/{format}")
    name = file_name(_full_title(found), SUFFIXES.get(found.media_type, "")) if download else None
    return send_stored(request, studio.files, who.account, found.sha256, found.media_type, name)


@router.get("/pictures/{picture}/thumb", response_class=Response, responses=_BYTES | _KNOWN)
def get_picture_thumb(picture: PictureKey, who: Reader, request: Request) -> Response:
    """Return the thumbnail: WebP, longest side 512."""
    studio = studio_of(request)
    with studio.sessions() as session:
        found = find(session, who, picture)
    return send_stored(request, studio.files, who.account, found.thumb, "image/webp")


@router.get("/collections", responses=PRIVATE)
def list_collections(who: Reader, request: Request) -> list[Collection]:
    """List one's collections and how many pictures each has."""
    mine = (Picture.account == who.account, Picture.collection.is_not(None), Picture.trashed.is_(None))
    counted = select(Picture.collection, func.count()).where(*mine).group_by(Picture.collection)
    with studio_of(request).sessions() as session:
        rows = session.execute(counted.order_by(Picture.collection)).all()
    return [Collection(name=str(name), count=count) for name, count in rows]


@router.delete("/trash", responses=PRIVATE | documented(507))
def empty_trash(who: Writer, request: Request) -> Count:
    """Delete all pictures in the trash, with their bytes."""
    studio = studio_of(request)
    with writing(studio.sessions) as session:
        mine = select(Picture.id).where(Picture.account == who.account, Picture.trashed.is_not(None))
        gone = list(session.scalars(mine))
        forget(studio, session, who, gone)
    studio.hub.touch(who.account)
    return Count(count=len(gone))


def find(session: Session, who: Who, picture: str) -> Picture:
    """Return a picture of the caller; one of somebody else does not exist for them.

    Raises:
        RefusedError: there is none.
    """
    found = session.scalar(select(Picture).where(Picture.account == who.account, Picture.id == picture))
    return found or not_found("picture")


def forget(studio: Studio, session: Session, who: Who, pictures: list[str]) -> None:
    """Delete pictures with their bytes, and have the tastes that were learnt from them learn again.

    Raises:
        OutputError: a file cannot be removed.
    """
    for picture in pictures:
        audit(session, who.account, "picture.delete", picture)
    for taste in delete_pictures(session, studio.files, studio.settings, who.account, pictures):
        queue.submit(session, new_job(session, studio, who, Learn(kind="learn", taste=taste)))


def _seen(studio: Studio, picture: Picture, short: bool = False) -> PictureView:
    """Return a picture as it is answered. A store at a URL is not asked for each: that would take a second a page."""
    path = studio.files.path(picture.account, picture.sha256)
    return picture_view(picture, gone=path is not None and not path.is_file(), short=short)


def _full_title(picture: Picture) -> str:
    """Return a title under which a result does not replace its photo: with the names of the styles."""
    names = style_names_in(picture.recipe) if picture.kind in ("result", "film") else []
    return "-".join([picture.title, *names]) if picture.title else "-".join(names)


def _converted(studio: Studio, picture: Picture, media_type: str) -> Response:
    name = file_name(_full_title(picture), SUFFIXES[media_type])
    with work_folder(studio.settings) as folder:
        source = studio.files.fetch(picture.account, picture.sha256, folder)
        target = folder / f"converted{SUFFIXES[media_type]}"
        studio.intake.convert(source, target, picture.title or "the picture")
        content, had_credentials = target.read_bytes(), has_credentials(source.read_bytes())
    headers = {"Content-Disposition": disposition(name), "Cache-Control": "private, no-store"}
    if had_credentials:
        headers["Sfumato-Remark"] = "this file has no content credentials; the file in its stored format has"
    return Response(content, media_type=media_type, headers=headers)


def _matches(text: str) -> ColumnElement[bool]:
    """Return whether a title, a collection or a style in the recipe contains a text."""
    low = text.lower()
    shown = func.lower(cast(Picture.recipe, Text))
    names = [re.escape(dumps(low)[1:-1]), *(f'{re.escape(name)}"' for name in _built_in_like(low))]
    return or_(
        func.lower(Picture.title).contains(low, autoescape=True),
        func.lower(Picture.collection).contains(low, autoescape=True),
        *(shown.regexp_match(f'"name": *"[^"]*{name}') for name in names),
    )


def _built_in_like(text: str) -> set[str]:
    """Return the built-in styles whose artist or title, as the page shows them, has all words of a text."""
    words = text.split()
    return {
        entry.style
        for entry in assets.ledger()
        if all(word in f"{entry.artist} {entry.title} {entry.style}".lower() for word in words)
    }
