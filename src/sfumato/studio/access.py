"""Who calls, and what they may do: logins by cookie, keys for programs, and the accounts."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from sfumato.studio.buckets import Buckets
from sfumato.studio.database import writing
from sfumato.studio.problems import RefusedError
from sfumato.studio.state import Studio, studio_of
from sfumato.studio.tables import Account, ApiKey, Audit, Login, Picture, now

COOKIE = "sfumato"
#: Name of the only account of a Studio on one's own machine.
LOCAL = "local"
_LASTS = timedelta(days=30)  # of a login
_PREFIX = "sfu_"
_USED = timedelta(minutes=1)  # how exactly the last use of a key is stored

cookie_scheme = APIKeyCookie(name=COOKIE, auto_error=False, description="A browser's login, from `POST /session`")
bearer_scheme = HTTPBearer(auto_error=False, description="A key for programs, from `POST /keys`")


@dataclass(frozen=True)
class Who:
    """The caller of a request.

    Attributes:
        account: its id.
        credential: SHA-256 of the cookie or the key, by which events end when it is revoked.
        scopes: of ``"read"``, ``"write"`` and ``"admin"``.
        is_key: whether it is a program with a key.
    """

    account: str
    name: str
    role: str
    quota: int | None
    credential: str
    scopes: frozenset[str]
    is_key: bool


class OneTimeToken:
    """The token of the link that `sfumato studio` prints: good for one login, and stored as a hash only."""

    def __init__(self) -> None:
        self._digest: str | None = None
        self._lock = threading.Lock()

    def renew(self) -> str:
        """Return a new token; the one before is no longer valid."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._digest = digest_of(token)
        return token

    def use(self, token: str) -> bool:
        """Return whether the token is valid, and make it invalid if so."""
        with self._lock:
            is_valid = self._digest is not None and hmac.compare_digest(self._digest, digest_of(token))
            if is_valid:
                self._digest = None
            return is_valid


class Throttles:
    """How often an account may call, and how often somebody may try to log in."""

    def __init__(self) -> None:
        self.calls = Buckets(burst=600, rate=200)
        self.addresses = Buckets(burst=20, rate=0.3)
        self.names = Buckets(burst=10, rate=0.1)


def digest_of(secret: str) -> str:
    """Return the hash under which a secret is stored; it needs no salt, since our secrets are long and random."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_key() -> str:
    """Return a new key for a program."""
    return _PREFIX + secrets.token_urlsafe(32)


def identify(
    request: Request,
    cookie: Annotated[str | None, Depends(cookie_scheme)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)],
) -> Who:
    """Return the caller; this reads the database, so it runs in a thread.

    Raises:
        RefusedError: nobody is logged in, or the key is not valid.
    """
    studio = studio_of(request)
    secret = cookie if bearer is None else bearer.credentials
    who = None if not secret or len(secret) > 200 else _find(studio, digest_of(secret), bearer is not None)
    if who is None:
        what = "log in first" if bearer is None else "the key is not valid; make another one under Account"
        raise RefusedError(401, what)
    request.scope["state"]["account"] = who.account
    return who


def may_upload(studio: Studio, headers: Headers) -> bool:
    """Return whether a request's cookie or key is valid, before its body is read.

    Without a database it returns True: then the answer is that of the route, which tells so.
    """
    with suppress(SQLAlchemyError):
        return _has_login(studio, headers)
    return True


def _has_login(studio: Studio, headers: Headers) -> bool:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _find(studio, digest_of(key.strip()), True) is not None
    cookies = cookie_parser(headers.get("cookie", ""))
    return COOKIE in cookies and _find(studio, digest_of(cookies[COOKIE]), False) is not None


def _find(studio: Studio, digest: str, is_key: bool) -> Who | None:
    if is_key:
        return _find_key(studio, digest)
    with studio.sessions() as session:
        account = session.scalar(
            select(Account)
            .join(Login, Login.account == Account.id)
            .where(Login.id == digest, Login.expires > now(), ~Account.disabled)
        )
    if account is None:
        return None
    scopes = {"read", "write"} | ({"admin"} if account.role == "admin" else set())
    return _who(studio, account, digest, scopes, False)


def _find_key(studio: Studio, digest: str) -> Who | None:
    with studio.sessions() as session:
        found = session.execute(
            select(Account, ApiKey)
            .join(ApiKey, ApiKey.account == Account.id)
            .where(ApiKey.digest == digest, ~Account.disabled)
        ).one_or_none()
    if found is None:
        return None
    account, key = found
    if key.used is None or key.used < now() - _USED:
        with suppress(SQLAlchemyError), writing(studio.sessions) as session:  # on a full disk one may still read
            session.execute(update(ApiKey).where(ApiKey.id == key.id).values(used=now()))
    scopes = set(key.scopes) - (set() if account.role == "admin" else {"admin"})
    return _who(studio, account, digest, scopes, True)


def _who(studio: Studio, account: Account, digest: str, scopes: set[str], is_key: bool) -> Who:
    quota = account.quota if account.quota is not None else None if studio.is_local else studio.settings.quota
    return Who(account.id, account.name, account.role, quota, digest, frozenset(scopes), is_key)


async def _may_read(request: Request, who: Annotated[Who, Depends(identify)]) -> Who:
    _take(request, who)
    return check_scope(who, "read")


async def _may_write(request: Request, who: Annotated[Who, Depends(identify)]) -> Who:
    _take(request, who)
    return check_scope(who, "write")


async def _may_manage(request: Request, who: Annotated[Who, Depends(identify)]) -> Who:
    _take(request, who)
    return check_scope(who, "admin")


async def _is_person(request: Request, who: Annotated[Who, Depends(identify)]) -> Who:
    _take(request, who)
    if who.is_key and "admin" not in who.scopes:
        raise RefusedError(403, "a key may not do this; log in on the page")
    return who


def _take(request: Request, who: Who) -> None:
    studio_of(request).throttles.calls.take(who.account, "too many requests; slow down and try again")


def check_scope(who: Who, scope: str) -> Who:
    """Return the caller, who must have a scope.

    Raises:
        RefusedError: they lack it.
    """
    if scope not in who.scopes:
        what = (
            f"the key lacks the scope {scope}; make one with it under Account"
            if who.is_key
            else "only an admin may do this"
        )
        raise RefusedError(403, what)
    return who


#: The caller of a route that reads, one that changes, one of admins, and one that is closed to keys of programs.
Reader = Annotated[Who, Depends(_may_read)]
Writer = Annotated[Who, Depends(_may_write)]
Admin = Annotated[Who, Depends(_may_manage)]
Person = Annotated[Who, Depends(_is_person)]


def audit(session: Session, account: str | None, action: str, what: str | None = None) -> None:
    """Add a line to the audit log."""
    session.add(Audit(account=account, action=action, object=what))


def begin_login(session: Session, account: Account, request: Request, response: Response) -> str:
    """Log an account in: store the login, and set the cookie. Returns the login's id."""
    secret = secrets.token_urlsafe(32)
    session.add(Login(id=digest_of(secret), account=account.id, expires=now() + _LASTS))
    audit(session, account.id, "login")
    options: dict[str, Any] = {"httponly": True, "samesite": "strict", "secure": request.url.scheme == "https"}
    response.set_cookie(COOKIE, secret, max_age=int(_LASTS.total_seconds()), path="/", **options)
    return digest_of(secret)


def local_account(session: Session) -> Account:
    """Return the account of a Studio on one's own machine; it is made at its first start."""
    account = session.scalar(select(Account).where(Account.name == LOCAL))
    if account is None:
        account = Account(name=LOCAL, role="admin")
        session.add(account)
        session.flush()
    return account


def used_bytes(session: Session, account: str) -> int:
    """Return how many bytes an account stores."""
    return int(session.scalar(select(func.coalesce(func.sum(Picture.bytes), 0)).where(Picture.account == account)) or 0)
