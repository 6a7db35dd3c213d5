"""Uploads of pictures and videos."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from sfumato.studio.access import Who, Writer, used_bytes
from sfumato.studio.database import lock_account, writing
from sfumato.studio.folders import work_folder
from sfumato.studio.intake import Taken
from sfumato.studio.once import IdempotencyKey, answer_once, before, digest
from sfumato.studio.problems import PRIVATE, RefusedError, documented
from sfumato.studio.schemas import PictureView
from sfumato.studio.settings import Settings
from sfumato.studio.state import Studio, studio_of
from sfumato.studio.storing import add_pictures, put_files, remove_unnamed
from sfumato.studio.views import picture_view
from sfumato.studio.work.parts import Made

_FULL = "the quota of {quota:.1f} GB is used up; delete pictures and empty the trash, or ask an admin for more"


async def _wait_turn(who: Writer, request: Request) -> AsyncIterator[None]:  # noqa: ARG001 - strangers wait for nothing
    """Let few uploads be decoded at a time; the others wait without a thread."""
    async with studio_of(request).uploads:
        yield


_Turn = Annotated[None, Depends(_wait_turn)]


def upload_picture(
    who: Writer,
    request: Request,
    file: Annotated[UploadFile, File(description="A picture: PNG, JPEG, WebP, TIFF, HEIC and others")],
    _turn: _Turn,
    kind: Annotated[Literal["photo", "style", "mask"], Form()] = "photo",
    key: IdempotencyKey = None,
) -> JSONResponse:
    """Upload a picture. It is decoded and stored as a new file: of its metadata only a recipe of Sfumato is kept."""
    studio = studio_of(request)
    return _upload(studio, who, file, kind, key, studio.settings.upload_bytes, studio.intake.take)


def upload_video(
    who: Writer,
    request: Request,
    file: Annotated[UploadFile, File(description="A video: MP4, MOV, WebM, MKV and others")],
    _turn: _Turn,
    key: IdempotencyKey = None,
) -> JSONResponse:
    """Upload a video. Its first frame is decoded as a check; the file is stored as it is."""
    studio = studio_of(request)
    return _upload(studio, who, file, "video", key, studio.settings.video_bytes, studio.intake.take_video)


def uploads(settings: Settings, form: int) -> list[APIRouter]:
    """Return the routes of uploads.

    Args:
        settings: have the largest sizes.
        form: bytes that a form may have besides its file.
    """
    answers = PRIVATE | documented(400, 408, 409, 413, 507)
    found = []
    for path, most, upload in (
        ("/pictures", settings.upload_bytes, upload_picture),
        ("/videos", settings.video_bytes, upload_video),
    ):
        router = APIRouter(prefix="/api/v1", tags=["pictures"], max_body_size=most + form)
        router.post(path, status_code=201, response_model=PictureView, responses=answers)(upload)
        found.append(router)
    return found


def _upload(
    studio: Studio,
    who: Who,
    file: UploadFile,
    kind: str,
    key: str | None,
    most: int,
    take: Callable[[Path, Path, str], Taken],
) -> JSONResponse:
    """Check and store an upload, and answer with its row.

    Args:
        studio: the service.
        who: the caller.
        file: the upload.
        kind: as in `tables.Picture`.
        key: an idempotency key.
        most: largest size in bytes.
        take: decodes it in a child process.
    """
    title = _plain(Path((file.filename or "").replace("\\", "/")).stem)[:200]
    with work_folder(studio.settings) as folder:
        source = folder / "upload"
        asked = _spool(file, source, most)
        asked = digest("pictures", kind, title, asked)
        if (earlier := before(studio, who, key, asked)) is not None:
            return earlier
        _check_quota(studio, who, source.stat().st_size)
        taken = take(source, folder, file.filename or "the upload")
        made = Made(
            kind=kind,
            file=taken.file,
            thumb=taken.thumb,
            small=taken.small,
            width=taken.width,
            height=taken.height,
            media_type=taken.media_type,
            title=title,
            recipe=taken.recipe,
            measures=taken.measures,
            original=taken.original,
        )
        put = put_files(studio.files, who.account, [made])

        def add(session: Session) -> PictureView:
            [picture] = add_pictures(session, studio.files, who.account, [made], put)
            _check_quota(studio, who, 0, session)
            return picture_view(picture)

        try:
            answer = answer_once(studio, who, key, asked, 201, add)
        except BaseException:
            with writing(studio.sessions) as session:
                lock_account(session, who.account)
                remove_unnamed(session, studio.files, who.account, put[0])
            raise
    studio.hub.touch(who.account)
    return answer


def _spool(file: UploadFile, target: Path, most: int) -> str:
    """Write an upload to a file, and return its SHA-256."""
    sha256, size = hashlib.sha256(), 0
    with target.open("wb") as out:
        while chunk := file.file.read(2**20):
            size += len(chunk)
            if size > most:
                raise RefusedError(413, f"the file has more than {most / 2**20:.0f} MiB; make it smaller")
            sha256.update(chunk)
            out.write(chunk)
    return sha256.hexdigest()


def _check_quota(studio: Studio, who: Who, size: int, session: Session | None = None) -> None:
    if who.quota is None:
        return
    if session is None:
        with studio.sessions() as reading:
            used = used_bytes(reading, who.account)
    else:
        used = used_bytes(session, who.account)
    if used + size > who.quota:
        raise RefusedError(507, _FULL.format(quota=who.quota / 1e9))


def _plain(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable())
