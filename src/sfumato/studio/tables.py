"""The tables of Studio's database.

Times are in UTC. Ids are 32 random hex digits, so they tell nothing and cannot be guessed.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Float, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

#: States of a job, and those in which it has ended.
STATES = ("queued", "running", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a random id."""
    return secrets.token_hex(16)


class _Time(TypeDecorator[datetime]):
    """A time in UTC. SQLite stores no time zone, so it is added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time with its time zone."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Base class of all tables. Constraints are named, which migrations on SQLite need."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: _Time, dict[str, Any]: JSON, list[Any]: JSON}


def _id() -> Mapped[str]:
    return mapped_column(String(32), primary_key=True, default=new_id)


def _account() -> Mapped[str]:
    return mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)


class Account(Base):
    """A person who may use Studio.

    Attributes:
        role: ``"admin"`` or ``"member"``.
        password: argon2 hash; None where the person logs in by the link only.
        quota: bytes of pictures that the account may store; None takes that of the settings.
    """

    __tablename__ = "accounts"
    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(8), default="member")
    password: Mapped[str | None] = mapped_column(String(200), default=None)
    quota: Mapped[int | None] = mapped_column(BigInteger, default=None)
    disabled: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(default=now)


class Login(Base):
    """A browser's session; ``id`` is the SHA-256 of its cookie."""

    __tablename__ = "logins"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str] = _account()
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]


class ApiKey(Base):
    """A key for programs.

    Attributes:
        digest: SHA-256 of the key; the key itself is shown once and not stored.
        scopes: of ``"read"``, ``"write"`` and ``"admin"``.
    """

    __tablename__ = "api_keys"
    id: Mapped[str] = _id()
    account: Mapped[str] = _account()
    label: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]]
    created: Mapped[datetime] = mapped_column(default=now)
    used: Mapped[datetime | None] = mapped_column(default=None)


#: Kinds of `Picture`: still pictures, and videos.
STILLS, VIDEOS = ("photo", "style", "mask", "result", "preview", "sheet"), ("video", "film")


class Picture(Base):
    """A stored picture or video.

    Attributes:
        kind: ``"photo"``, ``"style"`` and ``"video"`` are uploads; ``"mask"`` is drawn on the page; ``"result"`` is a
            painted or finished picture, ``"film"`` a painted video; ``"preview"`` and ``"sheet"`` are made for the page
            and removed after a while.
        sha256: of the stored file, which is named by it.
        thumb: SHA-256 of the thumbnail's file; that of a video is its first frame.
        bytes: of both files.
        original: SHA-256 of the uploaded file, which a recipe names; None for a painted picture.
        title: name of the uploaded file without its folder and suffix.
        recipe: in the uploaded or painted picture; None where there is none.
        measures: of a result: what was measured, as `studio.measures` gives it; of a video: its length and frame rate.
        photo: id of the photo or video that it was painted from, which may be deleted since.
        job: id of the job that made it.
        rating: 1 to 5.
        collection: name that the user gave.
        trashed: when it was put into the trash, from which it can be taken back.
    """

    __tablename__ = "pictures"
    id: Mapped[str] = _id()
    account: Mapped[str] = _account()
    kind: Mapped[str] = mapped_column(String(8))
    sha256: Mapped[str] = mapped_column(String(64))
    thumb: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(32))
    width: Mapped[int]
    height: Mapped[int]
    original: Mapped[str | None] = mapped_column(String(64), default=None)
    title: Mapped[str] = mapped_column(String(200), default="")
    recipe: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    measures: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    photo: Mapped[str | None] = mapped_column(String(32), default=None)
    job: Mapped[str | None] = mapped_column(String(32), default=None)
    star: Mapped[bool] = mapped_column(default=False)
    rating: Mapped[int | None] = mapped_column(default=None)
    collection: Mapped[str | None] = mapped_column(String(64), default=None)
    created: Mapped[datetime] = mapped_column(default=now)
    trashed: Mapped[datetime | None] = mapped_column(default=None)
    __table_args__ = (
        Index("ix_pictures_gallery", "account", "kind", "created", "id"),
        Index("ix_pictures_sha256", "account", "sha256"),
    )


class OwnStyle(Base):
    """A style made from uploaded pictures: ``pictures`` lists ``[picture id, weight]``."""

    __tablename__ = "own_styles"
    id: Mapped[str] = _id()
    account: Mapped[str] = _account()
    name: Mapped[str] = mapped_column(String(64))
    pictures: Mapped[list[Any]]
    created: Mapped[datetime] = mapped_column(default=now)


class Job(Base):
    """A piece of work for a worker.

    Attributes:
        kind: a key of `studio.work.KINDS`.
        quick: whether it takes about a second; quick jobs go first, and some workers take only these.
        slot: a newer job with the same slot replaces this one: the previews of one photo.
        batch: id that the jobs of one request have in common.
        asked: the validated request.
        progress: completed share, from 0 to 1.
        doing: the current step in a few words.
        error: a sentence, where it failed.
        result: what it made: ids of pictures and values.
        cancel: whether the running job is to stop.
        attempts: how often a worker has begun it.
        worker: name of the worker that has it.
        lease: until when the worker has it; it renews the lease while it works.
        updated: time of the last change, by which changes are found.
    """

    __tablename__ = "jobs"
    id: Mapped[str] = _id()
    account: Mapped[str] = _account()
    kind: Mapped[str] = mapped_column(String(16))
    quick: Mapped[bool] = mapped_column(default=False)
    slot: Mapped[str | None] = mapped_column(String(64), default=None)
    batch: Mapped[str | None] = mapped_column(String(32), default=None, index=True)
    state: Mapped[str] = mapped_column(String(9), default="queued")
    asked: Mapped[dict[str, Any]]
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    doing: Mapped[str] = mapped_column(String(80), default="")
    error: Mapped[str | None] = mapped_column(Text, default=None)
    result: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    cancel: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    worker: Mapped[str | None] = mapped_column(String(64), default=None)
    lease: Mapped[datetime | None] = mapped_column(default=None)
    created: Mapped[datetime] = mapped_column(default=now)
    started: Mapped[datetime | None] = mapped_column(default=None)
    ended: Mapped[datetime | None] = mapped_column(default=None)
    updated: Mapped[datetime] = mapped_column(default=now, index=True)
    __table_args__ = (Index("ix_jobs_next", "state", "quick", "created"),)


class BlindVote(Base):
    """A vote between two results that were shown without names; each side lists the method's facts."""

    __tablename__ = "votes"
    id: Mapped[str] = _id()
    account: Mapped[str] = _account()
    left: Mapped[str] = mapped_column(String(32))
    right: Mapped[str] = mapped_column(String(32))
    choice: Mapped[str] = mapped_column(String(5))
    seconds: Mapped[float]
    created: Mapped[datetime] = mapped_column(default=now)


class Idempotency(Base):
    """The answer to a request with an ``Idempotency-Key``, which is given again when the request is repeated."""

    __tablename__ = "idempotency"
    account: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[dict[str, Any]]
    created: Mapped[datetime] = mapped_column(default=now)


class Audit(Base):
    """One line of the audit log: who did what to which object. It holds ids only, no names and no contents."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    account: Mapped[str | None] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(32))
    object: Mapped[str | None] = mapped_column(String(64))
