"""Accounts and the audit log, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sfumato.studio.access import Admin, audit, used_bytes
from sfumato.studio.accounts import admins, credentials_of, delete_account_data, end_logins
from sfumato.studio.database import writing
from sfumato.studio.passwords import hash_password
from sfumato.studio.problems import PRIVATE, RefusedError, documented, not_found
from sfumato.studio.schemas import AccountChange, AccountView, AuditLine, AuditPage, NewAccount
from sfumato.studio.state import studio_of
from sfumato.studio.tables import Account, Audit, Picture

router = APIRouter(prefix="/api/v1", tags=["accounts"])
AccountId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
_KNOWN = PRIVATE | documented(404)
_PAGE = 100


@router.get("/accounts", responses=PRIVATE)
def list_accounts(who: Admin, request: Request) -> list[AccountView]:  # noqa: ARG001
    """List all accounts."""
    with studio_of(request).sessions() as session:
        used = dict(session.execute(select(Picture.account, func.sum(Picture.bytes)).group_by(Picture.account)).all())
        found = session.scalars(select(Account).order_by(Account.name))
        return [_view(account, int(used.get(account.id, 0))) for account in found]


@router.post("/accounts", status_code=201, responses=PRIVATE | documented(409))
def create_account(asked: NewAccount, who: Admin, request: Request) -> AccountView:
    """Make an account."""
    password = hash_password(asked.password)
    try:
        with writing(studio_of(request).sessions) as session:
            account = Account(name=asked.name, role=asked.role, quota=asked.quota, password=password)
            session.add(account)
            session.flush()
            audit(session, who.account, "account.make", account.id)
    except IntegrityError:
        raise RefusedError(409, f"there is an account {asked.name} already; choose another name") from None
    return _view(account, 0)


@router.get("/accounts/{account}", responses=_KNOWN)
def get_account(account: AccountId, who: Admin, request: Request) -> AccountView:  # noqa: ARG001
    """Return one account."""
    with studio_of(request).sessions() as session:
        return _view(_find(session, account), used_bytes(session, account))


@router.patch("/accounts/{account}", responses=_KNOWN | documented(409))
def change_account(account: AccountId, asked: AccountChange, who: Admin, request: Request) -> AccountView:
    """Change password, role or quota of an account, or disable it; its logins end where that is needed."""
    studio = studio_of(request)
    values = asked.model_dump(exclude_unset=True)
    if any(values.get(name, 0) is None for name in ("password", "role", "disabled")):
        raise RefusedError(422, "only quota may be null; leave the other fields out to keep them")
    if "password" in values:
        values["password"] = hash_password(values["password"])
    ended: list[str] = []
    with writing(studio.sessions) as session:
        found = _find(session, account)
        for name, value in values.items():
            setattr(found, name, value)
        session.flush()
        if not admins(session):
            raise RefusedError(409, "then there would be no admin; make another account an admin first")
        if "password" in values or values.get("disabled"):
            ended = credentials_of(session, account)
            end_logins(session, account)
        audit(session, who.account, "account.change", account)
        view = _view(found, used_bytes(session, account))
    for credential in ended:
        studio.hub.revoke(credential)
    return view


@router.delete("/accounts/{account}", status_code=204, responses=_KNOWN | documented(409, 507))
def delete_account(account: AccountId, who: Admin, request: Request) -> None:
    """Delete an account and everything that it stored."""
    if account == who.account:
        raise RefusedError(409, "this is your own account; delete it by DELETE /me")
    studio = studio_of(request)
    with studio.sessions() as session:
        _find(session, account)
    delete_account_data(studio, account, by=who.account)


@router.get("/audit", responses=PRIVATE)
def list_audit(
    who: Admin,  # noqa: ARG001
    request: Request,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="`next` of the page before")] = None,
) -> AuditPage:
    """List who did what, newest first. The log holds ids only, no names and no contents."""
    which = select(Audit).order_by(Audit.id.desc()).limit(_PAGE + 1)
    if before is not None:
        which = which.where(Audit.id < before)
    with studio_of(request).sessions() as session:
        lines = [AuditLine.model_validate(line, from_attributes=True) for line in session.scalars(which)]
    return AuditPage(items=lines[:_PAGE], next=lines[_PAGE - 1].id if len(lines) > _PAGE else None)


def _find(session: Session, account: str) -> Account:
    return session.get(Account, account) or not_found("account")


def _view(account: Account, used: int) -> AccountView:
    return AccountView(
        id=account.id,
        name=account.name,
        role="admin" if account.role == "admin" else "member",
        quota=account.quota,
        used=used,
        disabled=account.disabled,
        created=account.created,
    )
