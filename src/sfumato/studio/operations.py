"""Health, readiness and metrics."""

from __future__ import annotations

import threading
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select

from sfumato.studio.database import Sessions
from sfumato.studio.tables import ENDED, STATES, Job, Picture, now

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600)


class Metrics:
    """The counts that ``/metrics`` shows, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "sfumato_requests", "Answered requests", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram("sfumato_request_seconds", "Time of an answer", ("route",), registry=self.registry)
        self._jobs = Gauge("sfumato_jobs", "Jobs by state", ("state",), registry=self.registry)
        self._waiting = Gauge("sfumato_queue_length", "Jobs that wait", registry=self.registry)
        self._took = Histogram(
            "sfumato_job_seconds", "Time of a job that ended", ("kind",), buckets=_SECONDS, registry=self.registry
        )
        self._bytes = Gauge("sfumato_stored_bytes", "Bytes of stored pictures", registry=self.registry)
        self._seen: datetime = now()
        self._lock = threading.Lock()

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, sessions: Sessions) -> bytes:
        """Return all metrics in the format of Prometheus."""
        with self._lock:
            with sessions() as session:
                counts = dict(session.execute(select(Job.state, func.count()).group_by(Job.state)).all())
                ended = session.execute(
                    select(Job.kind, Job.started, Job.ended)
                    .where(Job.updated >= self._seen, Job.ended > self._seen, Job.state.in_(ENDED))
                    .order_by(Job.ended)
                ).all()
                stored = session.scalar(select(func.coalesce(func.sum(Picture.bytes), 0)))
            for state in STATES:
                self._jobs.labels(state).set(counts.get(state, 0))
            self._waiting.set(counts.get("queued", 0))
            self._bytes.set(int(stored or 0))
            for kind, started, at in ended:
                if started is None or at is None:
                    continue
                self._took.labels(kind).observe(max(0.0, (at - started).total_seconds()))
                self._seen = max(self._seen, at)
            return generate_latest(self.registry)
