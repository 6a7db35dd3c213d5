"""What all requests share: settings, database, files, events and metrics."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi import Request

from sfumato.studio.database import Sessions
from sfumato.studio.settings import Settings

if TYPE_CHECKING:
    from sfumato.studio.access import OneTimeToken, Throttles
    from sfumato.studio.events import Hub
    from sfumato.studio.files import FileStore
    from sfumato.studio.intake import Intake
    from sfumato.studio.operations import Metrics
    from sfumato.studio.security import Hosts


@dataclass(frozen=True, eq=False)
class Studio:
    """The parts of a running service.

    Attributes:
        hosts: names under which it may be called besides those of loopback; with any, accounts need passwords.
        uploads: turns of uploads, of which few are decoded at a time.
    """

    settings: Settings
    sessions: Sessions
    files: FileStore
    intake: Intake
    hosts: Hosts
    hub: Hub
    metrics: Metrics
    token: OneTimeToken = field(repr=False)
    throttles: Throttles = field(repr=False)
    uploads: asyncio.Semaphore = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether it serves one person on their own machine."""
        return not self.hosts.names


def studio_of(request: Request) -> Studio:
    """Return the parts of the service that answers a request."""
    studio: Studio = request.app.state.studio
    return studio
