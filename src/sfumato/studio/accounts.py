"""What is done to whole accounts, by the API and by ``sfumato studio account``."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from sfumato.studio.access import audit
from sfumato.studio.database import writing
from sfumato.studio.deletion import delete_account
from sfumato.studio.state import Studio
from sfumato.studio.tables import Account, ApiKey, Login


def credentials_of(session: Session, account: str) -> list[str]:
    """Return the hashes of an account's logins and keys, by which its streams of events are known."""
    logins = session.scalars(select(Login.id).where(Login.account == account)).all()
    return [*logins, *session.scalars(select(ApiKey.digest).where(ApiKey.account == account))]


def end_logins(session: Session, account: str) -> None:
    """End all logins of an account; its keys stay."""
    session.execute(delete(Login).where(Login.account == account))


def admins(session: Session) -> int:
    """Return the number of admins who may log in."""
    count = select(func.count()).select_from(Account).where(Account.role == "admin", ~Account.disabled)
    return session.scalar(count) or 0


def delete_account_data(studio: Studio, account: str, by: str, keep: str | None = None) -> None:
    """Delete an account and everything that it stored.

    Args:
        studio: the service.
        account: id of the account.
        by: id of the account that does it.
        keep: id of a login: the account stays, empty, and so does this login.

    Raises:
        OutputError: a file cannot be removed.
    """
    with writing(studio.sessions) as session:
        credentials = [each for each in credentials_of(session, account) if each != keep]
        old, login = session.get_one(Account, account), session.get(Login, keep or "")
        again = [Account(id=account, name=old.name, role=old.role, password=old.password, quota=old.quota)]
        kept = [] if login is None else [Login(id=login.id, account=account, expires=login.expires)]
        delete_account(session, studio.files, studio.settings, account)
        session.expunge_all()
        if keep is not None:
            for row in (*again, *kept):
                session.add(row)
                session.flush()
        audit(session, by, "account.clear" if keep else "account.delete", account)
    for credential in credentials:
        studio.hub.revoke(credential)
