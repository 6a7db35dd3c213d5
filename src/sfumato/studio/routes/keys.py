"""Keys for programs. They are made on the page, or by a key with the scope admin."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from sqlalchemy import func, select

from sfumato.studio.access import Person, Reader, audit, digest_of, new_key
from sfumato.studio.database import writing
from sfumato.studio.problems import PRIVATE, RefusedError, documented, not_found
from sfumato.studio.schemas import Key, MadeKey, NewKey
from sfumato.studio.state import studio_of
from sfumato.studio.tables import ApiKey

router = APIRouter(prefix="/api/v1", tags=["keys"])
_MOST = 100


@router.get("/keys", responses=PRIVATE)
def list_keys(who: Reader, request: Request) -> list[Key]:
    """List one's keys, without the keys themselves."""
    mine = select(ApiKey).where(ApiKey.account == who.account).order_by(ApiKey.created, ApiKey.id)
    with studio_of(request).sessions() as session:
        return [Key.model_validate(key, from_attributes=True) for key in session.scalars(mine)]


@router.post("/keys", status_code=201, responses=PRIVATE)
def create_key(asked: NewKey, who: Person, request: Request) -> MadeKey:
    """Make a key. The answer shows it this once: only its hash is stored."""
    if not set(asked.scopes) <= who.scopes:
        raise RefusedError(403, "the scope admin needs an admin")
    secret = new_key()
    with writing(studio_of(request).sessions) as session:
        if (session.scalar(select(func.count()).where(ApiKey.account == who.account)) or 0) >= _MOST:
            raise RefusedError(422, f"there are {_MOST} keys already; revoke some first")
        scopes = sorted(set(asked.scopes))
        key = ApiKey(account=who.account, label=asked.label, digest=digest_of(secret), scopes=scopes)
        session.add(key)
        session.flush()
        audit(session, who.account, "key.make", key.id)
        return MadeKey(key=secret, **Key.model_validate(key, from_attributes=True).model_dump())


@router.delete("/keys/{key}", status_code=204, responses=PRIVATE | documented(404))
def revoke_key(key: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")], who: Person, request: Request) -> None:
    """Revoke a key at once."""
    studio = studio_of(request)
    with writing(studio.sessions) as session:
        found = session.scalar(select(ApiKey).where(ApiKey.account == who.account, ApiKey.id == key))
        found = found or not_found("key")
        session.delete(found)
        audit(session, who.account, "key.revoke", key)
    studio.hub.revoke(found.digest)
