"""Tastes: what was learnt, export, import, deletion. Learning and questions are jobs."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, File, Form, Path, Request, Response, UploadFile
from fastapi.responses import FileResponse
from pydantic import StringConstraints
from sqlalchemy import select
from sqlalchemy.orm import Session

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.inference.library import PERSONAL_SUFFIX, personal_in
from sfumato.inference.style import PersonalStyle
from sfumato.personal import service
from sfumato.personal.records import RatedPicture
from sfumato.studio import tastes
from sfumato.studio.access import Reader, Who, Writer, audit
from sfumato.studio.database import writing
from sfumato.studio.folders import work_folder
from sfumato.studio.problems import PRIVATE, RefusedError, documented, not_found
from sfumato.studio.schemas import Centre, Rated, TasteView
from sfumato.studio.serving import disposition, send_stored
from sfumato.studio.state import Studio, studio_of
from sfumato.studio.tables import Picture

router = APIRouter(prefix="/api/v1", tags=["tastes"])
_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
TasteKey = Annotated[str, Path(pattern=_NAME)]
_KNOWN = PRIVATE | documented(404)
_MOST_BYTES = 16 * 2**20  # of an imported file; typical ones have some hundred kilobytes
_MOST = 100  # tastes of an account


@router.get("/tastes/{name}", responses=_KNOWN)
def get_taste(name: TasteKey, who: Reader, request: Request) -> TasteView:
    """Return what a taste was learnt from, and the styles that it consists of."""
    studio = studio_of(request)
    taste = _find(studio, who, name)
    record = taste.record
    weights = [] if taste.style is None else [float(weight) for weight in taste.style.weights]
    with studio.sessions() as session:
        stored = _stored(session, who, [picture.sha256 for picture in record.pictures])
    return TasteView(
        name=name,
        learnt=taste.is_learnt,
        liked=[_rated(picture, stored) for picture in record.liked],
        disliked=[_rated(picture, stored) for picture in record.disliked],
        answers=len(record.answers),
        centres=[Centre(ref=f"taste:{name}/{i}", weight=weight) for i, weight in enumerate(weights, 1)],
        imported=record.imported,
    )


@router.get("/tastes/{name}/pictures/{sha}", response_class=Response, responses=_KNOWN)
def get_taste_picture(
    name: TasteKey, sha: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")], who: Reader, request: Request
) -> Response:
    """Return the thumbnail of a rated picture."""
    studio = studio_of(request)
    if sha not in {picture.sha256 for picture in _find(studio, who, name).record.pictures}:
        not_found("picture")
    with studio.sessions() as session:
        found = _stored(session, who, [sha]).get(sha) or not_found("picture")
    return send_stored(request, studio.files, who.account, found.thumb, "image/webp")


@router.get("/tastes/{name}/file", response_class=FileResponse, responses=_KNOWN)
def export_taste(name: TasteKey, who: Reader, request: Request) -> FileResponse:
    """Return the learnt style as a file, which any Sfumato can paint with. It holds no picture."""
    studio = studio_of(request)
    if not _find(studio, who, name).is_learnt:
        raise RefusedError(422, f"{name} is not learnt yet; like some pictures, and learn it first")
    with writing(studio.sessions) as session:
        audit(session, who.account, "export", None)
    path = tastes.style_file(studio.settings.personal(who.account), name)
    headers = {"Content-Disposition": disposition(path.name)}
    return FileResponse(path, media_type="application/octet-stream", headers=headers)


@router.post("/tastes", status_code=201, responses=PRIVATE | documented(400, 413), max_body_size=_MOST_BYTES + 65_536)
def import_taste(
    who: Writer,
    request: Request,
    file: Annotated[UploadFile, File(description="A file of `GET /tastes/{name}/file`")],
    name: Annotated[
        Annotated[str, StringConstraints(pattern=_NAME)] | None, Form(description="Of the taste; else of the file")
    ] = None,
) -> TasteView:
    """Import a taste from a file. It can be painted with, but not be taught further."""
    chosen = name or FilePath((file.filename or "").replace("\\", "/")).stem.lower()
    content = file.file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise RefusedError(413, f"the file has more than {_MOST_BYTES // 2**20} MiB, so it is no taste; choose another")
    with work_folder(studio_of(request).settings) as folder:
        path = folder / f"taste{PERSONAL_SUFFIX}"
        path.write_bytes(content)
        try:
            style = PersonalStyle.load(path)
        except (ModelError, InputError) as problem:
            raise RefusedError(422, str(problem).replace(str(path), "the file")) from problem
    personal = studio_of(request).settings.personal(who.account)
    personal.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (count := len(tastes.names(personal))) >= _MOST:
        raise RefusedError(422, f"there are {count} tastes already; delete one first")
    with personal_in(personal):
        service.install(style, chosen)
    return get_taste(chosen, who, request)


@router.delete("/tastes/{name}", status_code=204, responses=_KNOWN | documented(507))
def delete_taste(name: TasteKey, who: Writer, request: Request) -> None:
    """Delete a taste and everything that was learnt; the pictures stay."""
    studio = studio_of(request)
    folder = studio.settings.personal(who.account)
    if not tastes.exists(folder, name):
        not_found("taste")
    with personal_in(folder):
        try:
            service.delete(name)
        except UsageError:
            not_found("taste")
    with writing(studio.sessions) as session:
        audit(session, who.account, "taste.delete", None)


def _find(studio: Studio, who: Who, name: str) -> tastes.Taste:
    return tastes.load(studio.settings.personal(who.account), name) or not_found("taste")


def _stored(session: Session, who: Who, hashes: list[str]) -> dict[str, Picture]:
    mine = select(Picture).where(Picture.account == who.account, Picture.sha256.in_(hashes))
    return {picture.sha256: picture for picture in session.scalars(mine)}


def _rated(picture: RatedPicture, stored: dict[str, Picture]) -> Rated:
    found = stored.get(picture.sha256)
    name = picture.name if found is None else found.title
    return Rated(sha256=picture.sha256, picture=None if found is None else found.id, name=name)
