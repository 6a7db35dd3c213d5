"""Adding of pictures: their files to the store and their rows to the database, so that both agree at any moment.

Files are put first. Their rows are added in a transaction that holds the lock of the account, as every deletion does,
and that puts again what a deletion of the same content has removed in between. Killed between the two, it leaves files
without rows, which `deletion.sweep` removes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from sfumato.errors import UsageError
from sfumato.studio.database import lock_account
from sfumato.studio.files import FileStore
from sfumato.studio.tables import Picture, new_id
from sfumato.studio.work.parts import Made

_MAX_TITLE = 200


def put_files(files: FileStore, account: str, made: Sequence[Made]) -> list[tuple[str, str]]:
    """Put the files of new pictures into the store; call it before the transaction of `add_pictures`.

    Returns:
        The SHA-256 of each picture and of its thumbnail.

    Raises:
        OutputError: one cannot be written, for example because the disk is full.
    """
    return [(files.put(account, each.file, each.small), files.put(account, each.thumb)) for each in made]


def add_pictures(
    session: Session,
    files: FileStore,
    account: str,
    made: Sequence[Made],
    put: Sequence[tuple[str, str]],
    job: str | None = None,
) -> list[Picture]:
    """Add the rows of new pictures, whose files `put_files` has put.

    Args:
        session: of `database.writing`.
        files: the store.
        account: id of the account, whose row is locked until the end of the transaction.
        made: the pictures.
        put: what `put_files` returned.
        job: id of the job that made them.

    Raises:
        UsageError: the account has been deleted.
        OutputError: a file cannot be written.
    """
    if not lock_account(session, account):
        raise UsageError("the account has been deleted")
    rows = []
    for each, (sha256, thumb) in zip(made, put, strict=True):
        files.put(account, each.file, each.small, sha256)
        files.put(account, each.thumb, sha256=thumb)
        paths = {path for path in (each.file, each.thumb, each.small) if path is not None}
        row = Picture(
            id=new_id(),
            account=account,
            kind=each.kind,
            sha256=sha256,
            thumb=thumb,
            bytes=sum(path.stat().st_size for path in paths),
            media_type=each.media_type,
            width=each.width,
            height=each.height,
            original=each.original,
            title=each.title[:_MAX_TITLE],
            recipe=each.recipe,
            measures=each.measures,
            photo=each.photo,
            job=job,
        )
        rows.append(row)
    session.add_all(rows)
    session.flush()
    return rows


def with_ids(result: Any, ids: Sequence[str]) -> Any:
    """Return the result of a job, in which ``{"$made": i}`` is replaced by id i."""
    if isinstance(result, dict):
        if result.keys() == {"$made"}:
            return ids[result["$made"]]
        return {key: with_ids(value, ids) for key, value in result.items()}
    return [with_ids(value, ids) for value in result] if isinstance(result, list) else result


def remove_unnamed(session: Session, files: FileStore, account: str, hashes: Collection[str]) -> None:
    """Remove those of some files that no picture names; the account's row must be locked (`lock_account`).

    Raises:
        OutputError: a file cannot be removed.
    """
    for sha256 in set(hashes):
        named = or_(Picture.sha256 == sha256, Picture.thumb == sha256)
        if session.scalar(select(Picture.id).where(Picture.account == account, named).limit(1)) is None:
            files.delete(account, sha256)
