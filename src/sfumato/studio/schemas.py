"""What the service answers, and the requests that are no jobs (`job_requests`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sfumato.studio.job_requests import BatchRequest, JobRequest, Model, PictureId

__all__ = ["BatchRequest", "JobRequest"]

_ID = "8c1f0a5d7e9b4c3f8a2d6e1b0c9f7a35"
#: A line of text without control characters.
Line: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$")]
#: Name with which a person logs in.
AccountName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$"), Field(examples=["anna"])
]
Password: TypeAlias = Annotated[str, Field(min_length=12, max_length=200, examples=["a-long-pass-phrase"])]
Role: TypeAlias = Literal["admin", "member"]
Scope: TypeAlias = Literal["read", "write", "admin"]


class Problem(BaseModel):
    """An error: one sentence for people, and a word for programs."""

    detail: str = Field(examples=["there is no such picture"])
    code: str = Field(examples=["not_found"])


# ---- who -------------------------------------------------------------------------------------------------------------


class LogIn(Model):
    """Log in by the one-time token of the link, or by name and password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "anna", "password": "a-long-pass-phrase"}, {"token": "..."}]}
    )
    token: str | None = Field(default=None, max_length=100)
    name: str | None = Field(default=None, max_length=64)
    password: str | None = Field(default=None, max_length=200)


class Limits(BaseModel):
    """Limits of one upload."""

    upload_bytes: int
    video_bytes: int
    pixels: int


class Me(BaseModel):
    """The account that is logged in."""

    id: str = Field(examples=[_ID])
    name: str
    role: Role
    quota: int | None = Field(description="Bytes that may be stored; null: as many as the disk holds")
    used: int
    local: bool = Field(description="Whether this is the only person of a Studio on their own machine")
    version: str
    limits: Limits


class NewPassword(Model):
    """Another password of one's own."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"old": "the-password-so-far", "new": "a-long-pass-phrase"}]}
    )
    old: str = Field(max_length=200)
    new: Password


class NewKey(Model):
    """A key for a program."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"label": "web shop", "scopes": ["read", "write"]}]})
    label: Line = Field(min_length=1, max_length=64)
    scopes: list[Scope] = Field(min_length=1, max_length=3)


class Key(BaseModel):
    """A key, without the key itself."""

    id: str
    label: str
    scopes: list[Scope]
    created: datetime
    used: datetime | None


class MadeKey(Key):
    """A new key; the key itself is shown this once."""

    key: str = Field(examples=["sfu_..."])


class NewAccount(Model):
    """Another account."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "anna", "password": "a-long-pass-phrase"}]})
    name: AccountName
    password: Password
    role: Role = "member"
    quota: int | None = Field(default=None, ge=0, le=2**53)


class AccountChange(Model):
    """Changes of an account; fields that are left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quota": 10_000_000_000}]})
    password: Password | None = None
    role: Role | None = None
    quota: int | None = Field(default=None, ge=0, le=2**53)
    disabled: bool | None = None


class AccountView(BaseModel):
    """An account as an admin sees it."""

    id: str
    name: str
    role: Role
    quota: int | None
    used: int
    disabled: bool
    created: datetime


class AuditLine(BaseModel):
    """One line of the audit log."""

    id: int
    at: datetime
    account: str | None
    action: str = Field(examples=["picture.delete"])
    object: str | None


class AuditPage(BaseModel):
    """Lines of the audit log, newest first."""

    items: list[AuditLine]
    next: int | None


# ---- pictures --------------------------------------------------------------------------------------------------------


PictureKind: TypeAlias = Literal["photo", "style", "mask", "result", "preview", "sheet", "video", "film"]


class PictureView(BaseModel):
    """A stored picture or video."""

    id: str = Field(examples=[_ID])
    kind: PictureKind
    width: int
    height: int
    bytes: int
    media_type: str = Field(examples=["image/png"])
    title: str
    photo: str | None
    job: str | None
    star: bool
    rating: int | None
    collection: str | None
    created: datetime
    trashed: datetime | None
    recipe: dict[str, Any] | None
    measures: dict[str, Any] | None
    file: str = Field(examples=[f"/api/v1/pictures/{_ID}/file"])
    thumb: str = Field(examples=[f"/api/v1/pictures/{_ID}/thumb"])
    gone: bool = Field(description="Whether its file has vanished from the store")


class PicturePage(BaseModel):
    """Pictures, newest first."""

    items: list[PictureView]
    next: str | None = Field(description="Give it as `before` for the next page; null on the last")


class PictureChange(Model):
    """Changes of a picture; fields that are left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"star": True, "collection": "Garden"}]})
    star: bool | None = None
    rating: int | None = Field(default=None, ge=1, le=5)
    collection: Line | None = Field(default=None, max_length=64)
    title: Line | None = Field(default=None, max_length=200)
    trashed: bool | None = None


class Collection(BaseModel):
    """A collection and how many pictures it has."""

    name: str
    count: int


# ---- styles and tastes -----------------------------------------------------------------------------------------------


class BuiltInStyle(BaseModel):
    """A style that ships with Sfumato."""

    ref: str = Field(examples=["monet"])
    name: str
    title: str
    artist: str
    year: str
    licence: str
    picture: str


class OwnStyleView(BaseModel):
    """A style made of one's own pictures."""

    ref: str
    id: str
    name: str
    pictures: list[str]


class TasteLine(BaseModel):
    """A taste in short."""

    ref: str
    name: str
    learnt: bool
    liked: int
    disliked: int
    answers: int


class Styles(BaseModel):
    """All styles that one can paint with."""

    built_in: list[BuiltInStyle]
    own: list[OwnStyleView]
    tastes: list[TasteLine]


class WeightedPicture(Model):
    """A picture of a style, and its weight."""

    picture: PictureId
    weight: float = Field(default=1.0, gt=0, le=100)


class NewStyle(Model):
    """A style from uploaded pictures."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "My garden", "pictures": [{"picture": _ID}]}]})
    name: Line = Field(min_length=1, max_length=64)
    pictures: list[WeightedPicture] = Field(min_length=1, max_length=20)


class Rated(BaseModel):
    """A rated picture of a taste; ``picture`` is null where it has been deleted since."""

    sha256: str
    picture: str | None
    name: str


class Centre(BaseModel):
    """One of the styles that a taste consists of."""

    ref: str
    weight: float


class TasteView(BaseModel):
    """A taste: a style learnt from what one likes."""

    name: str
    learnt: bool
    liked: list[Rated]
    disliked: list[Rated]
    answers: int
    centres: list[Centre]
    imported: bool


# ---- jobs ------------------------------------------------------------------------------------------------------------

State: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]


class JobView(BaseModel):
    """A job and how far it is."""

    id: str = Field(examples=[_ID])
    kind: str
    quick: bool
    batch: str | None
    state: State
    progress: float
    doing: str
    seconds_left: float | None
    position: int | None = Field(description="Place in the queue, from 1; null if the job is not queued")
    error: str | None
    result: dict[str, Any] | None
    asked: dict[str, Any]
    created: datetime
    started: datetime | None
    ended: datetime | None


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[JobView]
    next: str | None


class CancelMany(Model):
    """Cancel one's jobs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"except_running": True}]})
    except_running: bool = False


class Count(BaseModel):
    """How many objects were changed."""

    count: int


class NewBatch(BaseModel):
    """The jobs of a new batch."""

    batch: str
    jobs: list[JobView]


class BatchView(BaseModel):
    """The state of a batch."""

    batch: str
    counts: dict[State, int]
    progress: float
    jobs: list[JobView]


# ---- judging ---------------------------------------------------------------------------------------------------------


class NewVote(Model):
    """A vote between two results that were shown without names."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"left": _ID, "right": "0" * 32, "choice": "left", "seconds": 4.2}]}
    )
    left: PictureId
    right: PictureId
    choice: Literal["left", "right", "same"]
    seconds: float = Field(ge=0, le=86_400)


class VoteStanding(BaseModel):
    """The rank of one way of painting."""

    method: str
    strength: float
    low: float
    high: float
    win_rate: float
    votes: int


class Votes(BaseModel):
    """All votes of an account, counted."""

    count: int
    same: float | None
    standings: list[VoteStanding]
