"""Requests with an ``Idempotency-Key``: repeated after a lost answer, they are answered as before and done once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, TypeAlias

from fastapi import Header
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sfumato.studio.access import Who
from sfumato.studio.database import writing
from sfumato.studio.problems import RefusedError
from sfumato.studio.state import Studio
from sfumato.studio.tables import Idempotency

IdempotencyKey: TypeAlias = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=64,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of your own; a repeated request with it gets the same answer, and is done once",
    ),
]


def digest(*parts: str) -> str:
    """Return the hash by which two requests are found to be the same."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def before(studio: Studio, who: Who, key: str | None, request: str) -> JSONResponse | None:
    """Return the answer to an earlier request with the key; None where there was none.

    Raises:
        RefusedError: the earlier request was another one.
    """
    if key is None:
        return None
    with studio.sessions() as session:
        return _answer(session, who, key, request)


def answer_once(
    studio: Studio, who: Who, key: str | None, request: str, status: int, make: Callable[[Session], BaseModel]
) -> JSONResponse:
    """Do what a request asks in one transaction, and store the answer under its key.

    Args:
        studio: the service.
        who: the caller.
        key: of the request, if it has one.
        request: its `digest`.
        status: of the answer.
        make: does it, and returns the answer.

    Raises:
        RefusedError: an earlier request with the key was another one.
    """
    try:
        with writing(studio.sessions) as session:
            if key is not None and (earlier := _answer(session, who, key, request)) is not None:
                return earlier
            body = make(session).model_dump(mode="json")
            if key is not None:
                session.add(Idempotency(account=who.account, key=key, request=request, status=status, body=body))
                session.flush()
    except IntegrityError:  # the same request is answered at this moment, and has just ended
        earlier = before(studio, who, key, request)
        if earlier is None:
            raise
        return earlier
    return JSONResponse(body, status)


def _answer(session: Session, who: Who, key: str, request: str) -> JSONResponse | None:
    stored = session.get(Idempotency, (who.account, key))
    if stored is None:
        return None
    if stored.request != request:
        raise RefusedError(409, "this Idempotency-Key was used for another request; take a new one")
    return JSONResponse(stored.body, stored.status, {"Idempotency-Replayed": "true"})
