"""Logging in and out, and the account that is logged in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Cookie, Request, Response
from sqlalchemy import delete, select

from sfumato import __version__
from sfumato.studio.access import (
    COOKIE,
    Person,
    Reader,
    Who,
    audit,
    begin_login,
    digest_of,
    local_account,
    used_bytes,
)
from sfumato.studio.accounts import admins, delete_account_data
from sfumato.studio.database import writing
from sfumato.studio.passwords import check_password, hash_password
from sfumato.studio.problems import PRIVATE, RefusedError, documented
from sfumato.studio.schemas import Limits, LogIn, Me, NewPassword
from sfumato.studio.state import Studio, studio_of
from sfumato.studio.tables import Account, Login

router = APIRouter(prefix="/api/v1", tags=["session"])
_WRONG = "the name or the password is wrong; check both, or ask an admin for a new password"
_USED = "the link is not valid: it works once, and until Studio is restarted; start sfumato studio again for a new one"


@router.post("/session", responses=documented(401, 403))
def log_in(asked: LogIn, request: Request, response: Response) -> Me:
    """Log in by the one-time token of the link, or by name and password; the answer sets a cookie."""
    studio = studio_of(request)
    address = request.client.host if request.client else "unknown"
    studio.throttles.addresses.take(address, "too many attempts to log in; wait a little and try again")
    if asked.token is not None and asked.name is None and asked.password is None:
        account = _by_token(studio, asked.token)
    elif asked.name is not None and asked.password is not None and asked.token is None:
        account = _by_password(studio, asked.name.lower(), asked.password)
    else:
        raise RefusedError(422, "give either token, or name and password")
    with writing(studio.sessions) as session:
        begin_login(session, account, request, response)
    return _me(studio, account.id, account.name, account.role, _quota(studio, account))


def _by_token(studio: Studio, token: str) -> Account:
    if not studio.is_local or not studio.token.use(token):
        _note_failure(studio, None)
        raise RefusedError(401, _USED)
    with writing(studio.sessions) as session:
        return local_account(session)


def _by_password(studio: Studio, name: str, password: str) -> Account:
    studio.throttles.names.take(name, "too many attempts to log in; wait a little and try again")
    with studio.sessions() as session:
        account = session.scalar(select(Account).where(Account.name == name))
    is_right = check_password(password, None if account is None else account.password)
    if account is None or account.disabled or not is_right:
        _note_failure(studio, None if account is None else account.id)
        raise RefusedError(401, _WRONG)
    return account


def _note_failure(studio: Studio, account: str | None) -> None:
    with writing(studio.sessions) as session:
        audit(session, account, "login.failed")


@router.delete("/session", status_code=204, responses=PRIVATE)
def log_out(
    who: Reader, request: Request, response: Response, sfumato: Annotated[str | None, Cookie(max_length=200)] = None
) -> None:
    """Log out: the cookie is no longer valid."""
    if sfumato is None or who.is_key:
        raise RefusedError(422, "there is no cookie to log out; a key is revoked by DELETE /keys")
    studio = studio_of(request)
    with writing(studio.sessions) as session:
        session.execute(delete(Login).where(Login.id == digest_of(sfumato)))
    studio.hub.revoke(digest_of(sfumato))
    response.delete_cookie(COOKIE, path="/")


@router.get("/me", responses=PRIVATE)
def get_me(who: Reader, request: Request) -> Me:
    """Return the account that is logged in, and its limits."""
    return _me(studio_of(request), who.account, who.name, who.role, who.quota)


@router.put("/me/password", status_code=204, responses=PRIVATE)
def change_password(asked: NewPassword, who: Person, request: Request) -> None:
    """Change one's own password; all other logins end."""
    studio = studio_of(request)
    studio.throttles.names.take(who.name, "too many attempts; wait a little and try again")
    with studio.sessions() as session:
        account = session.get_one(Account, who.account)
    if account.password is None:
        raise RefusedError(422, "this account has no password: it logs in by the link that sfumato studio prints")
    if not check_password(asked.old, account.password):
        raise RefusedError(422, "the password so far is wrong; check it")
    digest = hash_password(asked.new)
    with writing(studio.sessions) as session:
        session.get_one(Account, who.account).password = digest
        others = list(session.scalars(select(Login.id).where(Login.account == who.account, Login.id != who.credential)))
        session.execute(delete(Login).where(Login.id.in_(others)))
        audit(session, who.account, "account.password", who.account)
    for other in others:
        studio.hub.revoke(other)


@router.delete("/me", status_code=204, responses=PRIVATE)
def delete_me(who: Person, request: Request) -> None:
    """Delete everything that one stored, and one's account; on one's own machine the empty account stays."""
    studio = studio_of(request)
    _check_not_last(studio, who)
    delete_account_data(studio, who.account, by=who.account, keep=who.credential if studio.is_local else None)


def _check_not_last(studio: Studio, who: Who) -> None:
    if studio.is_local or who.role != "admin":
        return
    with studio.sessions() as session:
        count = admins(session)
    if count < 2:
        raise RefusedError(409, "this is the only admin; make another account an admin first")


def _quota(studio: Studio, account: Account) -> int | None:
    return account.quota if account.quota is not None else None if studio.is_local else studio.settings.quota


def _me(studio: Studio, account: str, name: str, role: str, quota: int | None) -> Me:
    with studio.sessions() as session:
        used = used_bytes(session, account)
    limits = Limits(**{name: getattr(studio.settings, name) for name in Limits.model_fields})
    return Me(
        id=account,
        name=name,
        role="admin" if role == "admin" else "member",
        quota=quota,
        used=used,
        local=studio.is_local,
        version=__version__,
        limits=limits,
    )
