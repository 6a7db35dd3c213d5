"""What goes into a piece of work, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sfumato.errors import InputError
from sfumato.inference.progress import Progress


@dataclass(frozen=True)
class Stored:
    """A stored picture, as in its row of the database.

    Attributes:
        id: of the picture.
        path: of its file on this machine.
        small: of its small copy; None where it has none.
        sha256: of the file.
        original: SHA-256 of the uploaded file.
        title: as the user sees it.
        recipe: in the picture.
        photo: id of the photo that it was painted from.
    """

    id: str
    path: Path
    small: Path | None
    sha256: str
    original: str | None
    title: str
    recipe: Mapping[str, Any] | None
    photo: str | None

    @property
    def source(self) -> str:
        """The SHA-256 by which a recipe names the picture."""
        return self.original or self.sha256

    @property
    def name(self) -> str:
        """The title for use in a sentence."""
        return self.title or "the picture"


@dataclass(frozen=True)
class OwnStyleInput:
    """A style made from uploaded pictures: its name, and the ids and weights of its pictures."""

    name: str
    pictures: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Inputs:
    """Everything that a piece of work may read.

    Attributes:
        personal: the folder of the account's personal styles.
        pictures: by id.
        own_styles: by id.
        parts: a folder that outlives an interrupted attempt, so that the next one goes on; it need not exist.
    """

    personal: Path
    pictures: Mapping[str, Stored] = field(default_factory=dict)
    own_styles: Mapping[str, OwnStyleInput] = field(default_factory=dict)
    parts: Path | None = None

    def picture(self, id_: str) -> Stored:
        """Return a picture.

        Raises:
            InputError: it has been deleted.
        """
        if id_ not in self.pictures:
            raise InputError("a picture that the job needs has been deleted; choose another one")
        return self.pictures[id_]


@dataclass(frozen=True)
class Made:
    """A new picture with its files, which `studio.storing` stores and adds to the database.

    Attributes:
        kind: of the picture, as in `tables.Picture`.
        file: the picture.
        thumb: its thumbnail, which may be the same file.
        width, height: in pixels.
        media_type: of the file.
        recipe: in the picture.
        measures: as `studio.measures` gives them.
        photo: id of the photo that it was made from.
        title: as the user sees it.
        small: a copy from which drafts are painted (`FileStore.put`).
        original: SHA-256 of the uploaded file.
        remarks: sentences on what could not be done, for the job's result.
    """

    kind: str
    file: Path
    thumb: Path
    width: int
    height: int
    media_type: str
    recipe: dict[str, Any] | None = None
    measures: dict[str, Any] | None = None
    photo: str | None = None
    title: str = ""
    small: Path | None = None
    original: str | None = None
    remarks: tuple[str, ...] = ()


class Kind(Protocol):
    """A kind of work."""

    def __call__(
        self, asked: Mapping[str, Any], files: Inputs, folder: Path, progress: Progress
    ) -> tuple[dict[str, Any], list[Made]]:
        """Do the work.

        Args:
            asked: the validated request.
            files: what may be read.
            folder: where new files are written.
            progress: is called with the completed share and the current step; an exception that it raises cancels.

        Returns:
            The result, in which ``{"$made": i}`` stands for the id of new picture i, and the new pictures.

        Raises:
            SfumatoError: it cannot be done.
        """
        ...
