"""Server-Sent Events: what changes, as it changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from sfumato.studio.access import Reader
from sfumato.studio.events import Stream
from sfumato.studio.problems import PRIVATE
from sfumato.studio.state import studio_of

router = APIRouter(prefix="/api/v1", tags=["events"])


async def _open_stream(who: Reader, request: Request) -> AsyncIterator[Stream]:
    hub = studio_of(request).hub
    stream = hub.open(who)
    try:
        yield stream
    finally:
        hub.close(stream)


@router.get("/events", response_class=EventSourceResponse, responses=PRIVATE)
async def stream_events(stream: Annotated[Stream, Depends(_open_stream)]) -> AsyncIterator[ServerSentEvent]:
    """Follow one's jobs and pictures.

    The events are `ready` at the start, `job` with a job that changed, and `pictures` when the gallery changed. After
    `ready`, ask for the present state: what happened before is not told again.
    """
    async for name, content in stream.events():
        yield ServerSentEvent(event=name, data=content)
