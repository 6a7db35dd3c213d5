"""Accounts and keys, as the command line manages them: without a running service."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import func, select

from sfumato.errors import UsageError
from sfumato.studio.access import LOCAL, audit, digest_of, local_account, new_key
from sfumato.studio.accounts import admins, end_logins
from sfumato.studio.database import Sessions, writing
from sfumato.studio.deletion import delete_account
from sfumato.studio.files import FileStore
from sfumato.studio.passwords import hash_password
from sfumato.studio.settings import Settings
from sfumato.studio.tables import Account, ApiKey, Picture

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_SCOPES = ("read", "write", "admin")
_SHORTEST, _LONGEST = 12, 200  # characters of a password


def find(sessions: Sessions, name: str) -> Account:
    """Return an account.

    Raises:
        UsageError: there is none of that name.
    """
    with sessions() as session:
        found = session.scalar(select(Account).where(Account.name == name))
    if found is None:
        raise UsageError(f"there is no account {name!r:.70}; sfumato studio account list shows them")
    return found


def has_login(sessions: Sessions) -> bool:
    """Return whether somebody may log in by a password."""
    able = select(Account.id).where(Account.password.is_not(None), ~Account.disabled).limit(1)
    with sessions() as session:
        return session.scalar(able) is not None


def check_name(sessions: Sessions, name: str) -> None:
    """Check the name of a new account.

    Raises:
        UsageError: it is taken or not allowed.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"a name has up to 64 small letters, digits and . _ @ -, but is {name!r:.70}")
    with sessions() as session:
        if session.scalar(select(Account.id).where(Account.name == name)) is not None:
            raise UsageError(f"there is an account {name} already; sfumato studio account password {name} changes it")


def add_account(sessions: Sessions, name: str, password: str, admin: bool) -> str:
    """Add an account, and return its role. Without an admin who can log in, the new one is an admin.

    Raises:
        UsageError: name or password are not allowed.
    """
    check_name(sessions, name)
    digest = _hash(password)
    with writing(sessions) as session:
        able = select(Account.id).where(Account.role == "admin", Account.password.is_not(None)).limit(1)
        role = "admin" if admin or session.scalar(able) is None else "member"
        account = Account(name=name, role=role, password=digest)
        session.add(account)
        session.flush()
        audit(session, None, "account.make", account.id)
    return role


def change_password(sessions: Sessions, name: str, password: str) -> None:
    """Change the password of an account, and end its logins.

    Raises:
        UsageError: there is no such account, or the password is not allowed.
    """
    account, digest = find(sessions, name), _hash(password)
    with writing(sessions) as session:
        session.get_one(Account, account.id).password = digest
        end_logins(session, account.id)
        audit(session, None, "account.password", account.id)


def list_accounts(sessions: Sessions) -> list[str]:
    """Return a line for each account: name, role, number of pictures, megabytes."""
    counted = select(Account, func.count(Picture.id), func.coalesce(func.sum(Picture.bytes), 0))
    counted = counted.outerjoin(Picture, Picture.account == Account.id).group_by(Account.id).order_by(Account.name)
    with sessions() as session:
        rows = session.execute(counted).all()
    lines = []
    for account, count, size in rows:
        state = "disabled" if account.disabled else account.role
        lines.append(f"{account.name}  {state}  {count} pictures  {int(size) / 1e6:.1f} MB")
    return lines


def count_pictures(sessions: Sessions, name: str) -> int:
    """Return the number of pictures of an account.

    Raises:
        UsageError: there is no such account.
    """
    account = find(sessions, name)
    with sessions() as session:
        return session.scalar(select(func.count()).where(Picture.account == account.id)) or 0


def remove_account(sessions: Sessions, settings: Settings, name: str) -> None:
    """Remove an account with everything that it stored.

    Raises:
        UsageError: there is no such account, or it is the only admin among several accounts.
        OutputError: a file cannot be removed.
    """
    account = find(sessions, name)
    with writing(sessions) as session:
        others = session.scalar(select(func.count()).where(Account.id != account.id)) or 0
        if others and account.role == "admin" and not account.disabled and admins(session) == 1:
            raise UsageError(f"{name} is the only admin; add another one first")
        delete_account(session, FileStore(settings.files_root), settings, account.id)
        audit(session, None, "account.delete", account.id)


def make_key(sessions: Sessions, name: str, label: str, scopes: Sequence[str]) -> str:
    """Make a key of an account, and return it.

    Raises:
        UsageError: there is no such account, or a scope is unknown or not allowed.
    """
    if name == LOCAL:
        with writing(sessions) as session:
            local_account(session)
    account = find(sessions, name)
    if not scopes or not set(scopes) <= set(_SCOPES):
        raise UsageError(f"scopes are of {', '.join(_SCOPES)}, but are {','.join(scopes)!r:.60}")
    if "admin" in scopes and account.role != "admin":
        raise UsageError(f"{name} is no admin, so its key cannot have the scope admin")
    if not label.strip() or len(label) > 64 or not label.isprintable():
        raise UsageError("a label has 1 to 64 printable characters; say what the key is for")
    secret = new_key()
    with writing(sessions) as session:
        key = ApiKey(account=account.id, label=label.strip(), digest=digest_of(secret), scopes=sorted(set(scopes)))
        session.add(key)
        session.flush()
        audit(session, None, "key.make", key.id)
    return secret


def _hash(password: str) -> str:
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise UsageError(f"a password has {_SHORTEST} to {_LONGEST} characters, but this has {len(password)}")
    return hash_password(password)
