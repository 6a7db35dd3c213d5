"""Deletion of pictures and accounts, with every byte of them.

Files are removed within the transaction that removes their rows, while it holds the lock of the account. Killed in the
middle, it leaves rows whose files are gone, which are shown as gone and can be deleted again; never the other way.
"""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Engine, and_, delete, event, or_, select
from sqlalchemy.orm import Session, aliased

from sfumato.errors import OutputError, SfumatoError
from sfumato.inference.library import personal_in
from sfumato.personal import service, store
from sfumato.studio.database import Sessions, lock_account, writing
from sfumato.studio.files import FileStore
from sfumato.studio.settings import Settings
from sfumato.studio.storing import remove_unnamed
from sfumato.studio.tables import Account, Job, OwnStyle, Picture

_log = logging.getLogger(__name__)
#: Seconds for which a file without a row may belong to a job or an upload that is about to end.
YOUNG = 3600.0
_AT_ONCE = 500  # pictures that one statement names


def delete_pictures(
    session: Session, files: FileStore, settings: Settings, account: str, ids: Collection[str]
) -> list[str]:
    """Delete pictures of an account: rows, files, previews and explanations of them, and what tastes have of them.

    Args:
        session: of `database.writing`.
        files: the store.
        settings: name the folder of tastes.
        account: id of the account.
        ids: of the pictures; those of other accounts and unknown ones are passed over.

    Returns:
        The names of the tastes that had one of them, and are now to be learnt again (a job ``learn`` without
        pictures).

    Raises:
        OutputError: a file cannot be removed. The transaction must then be rolled back.
    """
    lock_account(session, account)
    _clear_log_after(session)
    several, tastes = list(ids), set()
    for start in range(0, len(several), _AT_ONCE):
        tastes |= _delete_some(session, files, settings.personal(account), account, several[start : start + _AT_ONCE])
    return sorted(tastes)


def _delete_some(session: Session, files: FileStore, personal: Path, account: str, ids: Collection[str]) -> set[str]:
    """Delete as many pictures as one statement can name; return the names of the tastes that had one of them."""
    mine = Picture.account == account
    rows = list(session.scalars(select(Picture).where(mine, Picture.id.in_(ids))))
    gone = {row.id for row in rows}
    # A preview shows the photo; the explanation of a picture shows it and its photo.
    result = aliased(Picture)
    painted = select(result.id).where(result.account == account, result.photo.in_(gone))
    shows = or_(Picture.photo.in_(gone), and_(Picture.kind == "sheet", Picture.photo.in_(painted)))
    derived = select(Picture).where(mine, Picture.kind.in_(("preview", "sheet")), shows)
    rows += [row for row in session.scalars(derived) if row.id not in gone]
    for row in rows:
        session.delete(row)
    _leave_styles(session, account, gone)
    _leave_errors(session, account, gone)
    session.flush()
    remove_unnamed(session, files, account, {hash_ for row in rows for hash_ in (row.sha256, row.thumb)})
    # Another row may show the same upload; a taste names the file, and keeps it then.
    left = select(Picture.sha256).where(mine, Picture.sha256.in_({row.sha256 for row in rows}))
    return forget(personal, {row.sha256 for row in rows} - set(session.scalars(left)))


def delete_account(session: Session, files: FileStore, settings: Settings, account: str) -> bool:
    """Delete an account with everything that belongs to it.

    Args:
        session: of `database.writing`.
        files: the store.
        settings: name the folder of tastes.
        account: id of the account.

    Returns:
        Whether there was one.

    Raises:
        OutputError: a file cannot be removed. The transaction must then be rolled back.
    """
    there = lock_account(session, account)
    _clear_log_after(session)
    delete_account_files(files, settings, account)
    for table in (Picture, OwnStyle, Job):  # the rest follows the account's row
        session.execute(delete(table).where(table.account == account))
    session.execute(delete(Account).where(Account.id == account))
    return there


def delete_account_files(files: FileStore, settings: Settings, account: str) -> None:
    """Remove the files and the tastes of an account.

    Raises:
        OutputError: a file cannot be removed.
    """
    files.delete_account(account)
    folder = settings.personal(account).parent
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as problem:
        raise OutputError(f"cannot remove all of {folder}: {problem.strerror or problem}") from problem


def clear_log(engine: Engine) -> bool:
    """Empty SQLite's write-ahead log, which still has what was deleted.

    Returns:
        False where another connection kept some of it; the next deletion or `sweep` tries again.
    """
    if engine.dialect.name != "sqlite":
        return True
    connection = engine.raw_connection()  # a checkpoint cannot run within a transaction
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (is_busy, *_) = cursor.fetchall()[0]
        return not is_busy
    except sqlite3.Error:
        return False
    finally:
        connection.close()


def _clear_log_after(session: Session) -> None:
    """Empty the log once the session's transaction is committed."""
    engine = session.get_bind()
    assert isinstance(engine, Engine), "sessions are made by open_database"

    @event.listens_for(session, "after_commit", once=True)
    def clear(_: Session) -> None:
        clear_log(engine)


def sweep(sessions: Sessions, files: FileStore, older_than: float = YOUNG) -> int:
    """Remove files that no picture names, which killed processes have left; return their number.

    Args:
        sessions: of the database.
        files: the store.
        older_than: leave younger files out.
    """
    removed = 0
    for account in files.accounts():
        with writing(sessions) as session:
            if not lock_account(session, account):
                files.delete_account(account)
                continue
            found = set(files.names(account, older_than))
            mine = Picture.account == account
            rows = session.execute(select(Picture.sha256, Picture.thumb).where(mine))
            named = {sha256 for row in rows for sha256 in row}
            for sha256 in found - named:
                files.delete(account, sha256)
                removed += 1
    clear_log(sessions.kw["bind"])
    return removed


def _leave_styles(session: Session, account: str, gone: Collection[str]) -> None:
    """Take deleted pictures out of the styles made from them; a style without pictures is deleted."""
    for style in session.scalars(select(OwnStyle).where(OwnStyle.account == account)):
        left = [each for each in style.pictures if each[0] not in gone]
        if not left:
            session.delete(style)
        elif len(left) < len(style.pictures):
            style.pictures = left


def _leave_errors(session: Session, account: str, gone: Collection[str]) -> None:
    """Remove the sentences of failed jobs about deleted pictures, which may quote their titles."""
    for job in session.scalars(select(Job).where(Job.account == account, Job.error.is_not(None))):
        if any(id_ in json.dumps(job.asked) for id_ in gone):
            job.error = "the picture has been deleted"


def forget(personal: Path, hashes: Collection[str]) -> set[str]:
    """Remove pictures from all tastes of a folder; return the names of those that had one."""
    changed: set[str] = set()
    with personal_in(personal):
        for name in store.names():
            try:
                if service.forget(name, hashes):
                    changed.add(name)
            except OutputError:
                raise
            except SfumatoError:  # a damaged record names no picture; its folder can still be deleted
                _log.warning("sfumato: a damaged taste was passed over by the deletion of pictures")
    return changed
