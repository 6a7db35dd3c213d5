"""What is known of a person's style, as values: the pictures that they rated, and their answers to questions."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sfumato import assets
from sfumato.errors import UsageError
from sfumato.inference.library import personal_folder
from sfumato.inference.style import RIGHTS, PersonalStyle
from sfumato.style_code import StyleCode

#: Version of ``personal_style.json``.
FORMAT = 1


@dataclass(frozen=True)
class RatedPicture:
    """A picture that a person likes or dislikes.

    Attributes:
        name: of the file that it came as.
        path: absolute; of a copy, relative to the person's folder.
        sha256: of the file, in hex.
        liked: whether it is liked; otherwise it is disliked.
        rights: one of `inference.style.RIGHTS`.
        added: when, in UTC.
    """

    name: str
    path: str
    sha256: str
    liked: bool
    rights: str
    added: str

    @property
    def is_copy(self) -> bool:
        return not os.path.isabs(self.path)


@dataclass(frozen=True)
class Answer:
    """The answer to a question that showed two styles, each by its name and the `code_id` of its code.

    Attributes:
        preferred: ``"first"``, ``"second"`` or ``"neither"``, which teaches nothing and is not asked again.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    preferred: Literal["first", "second", "neither"]
    when: str

    @property
    def teaches(self) -> bool:
        return self.preferred != "neither"


@dataclass(frozen=True)
class PersonalRecord:
    """What is known of one person's style, as ``personal_style.json`` has it.

    Attributes:
        name: the style's.
        pictures: in the order in which they were added.
        answers: in the order in which they were given.
        imported: whether it came as a file; there is nothing to learn from then.
    """

    name: str
    pictures: tuple[RatedPicture, ...] = ()
    answers: tuple[Answer, ...] = ()
    imported: bool = False

    @property
    def folder(self) -> Path:
        return personal_folder() / self.name

    @property
    def liked(self) -> tuple[RatedPicture, ...]:
        return tuple(picture for picture in self.pictures if picture.liked)

    @property
    def disliked(self) -> tuple[RatedPicture, ...]:
        return tuple(picture for picture in self.pictures if not picture.liked)

    def is_learnt(self, personal_style: PersonalStyle | None) -> bool:
        """Whether a personal style was learnt from these pictures and answers; unreadable pictures may be missing in
        it."""
        if self.imported:
            return True
        if personal_style is None:
            return not self.liked
        liked, disliked = ({p.sha256 for p in of} for of in (self.liked, self.disliked))
        return (
            set(personal_style.liked) <= liked
            and set(personal_style.disliked) <= disliked
            and personal_style.answers == sum(answer.teaches for answer in self.answers)
            and personal_style.created >= max((picture.added for picture in self.pictures), default="")
        )

    def check_learnable(self) -> None:
        """Raises UsageError if it was imported from a file."""
        if self.imported:
            raise UsageError(
                f"{self.name} came as a file, and there is nothing to learn it again from; make one of your own"
            )

    def file(self, picture: RatedPicture) -> Path:
        """The path of a picture's file."""
        return self.folder / picture.path

    def find(self, text: str) -> list[RatedPicture]:
        """The pictures that a file's name, a path or the beginning of a hash means.

        Raises:
            UsageError: none.
        """
        if not text:
            raise UsageError("a name of a picture is empty; check it")
        path = os.path.abspath(text)
        found = [p for p in self.pictures if text == p.name or path == p.path or path == str(self.file(p))]
        if not found and len(text) >= 6:
            found = [p for p in self.pictures if p.sha256.startswith(text.lower())]
        if not found:
            near = assets.nearest(text, [p.name for p in self.pictures])
            hint = near if near.startswith("did") else f"`sfumato personal show {self.name}` lists them"
            raise UsageError(f"{self.name} has no picture {text}; {hint}")
        return found

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, name: str, found: Any) -> PersonalRecord:
        """From what `to_json` gave.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, RecursionError: it is no such record.
        """
        pictures = tuple(RatedPicture(**picture) for picture in found["pictures"])
        answers = tuple(
            Answer(_shown(answer["first"]), _shown(answer["second"]), answer["preferred"], answer["when"])
            for answer in found["answers"]
        )
        for picture in pictures:
            texts = (picture.name, picture.path, picture.sha256, picture.added)
            if not all(isinstance(text, str) for text in texts) or picture.rights not in RIGHTS:
                raise ValueError(f"the picture {picture.name} has parts of another type")
            if picture.is_copy and Path(picture.path).parts[:-1] != ("pictures",):
                raise ValueError(f"{picture.path} lies elsewhere")
        return cls(name, pictures, answers, found["imported"] is True)


def _shown(found: Any) -> tuple[str, str]:
    name, code = found
    if not (isinstance(name, str) and isinstance(code, str) and code.isalnum()):
        raise ValueError("an answer has another form")
    return name, code


def code_id(code: StyleCode) -> str:
    """An identifier of a style code: 32 hex digits of its hash."""
    channel_stats = b"" if code.channel_stats is None else code.channel_stats.tobytes()
    return hashlib.sha256(code.model.encode() + code.vector.tobytes() + channel_stats).hexdigest()[:32]


def now() -> str:
    """The time in UTC, to the microsecond, so that `PersonalRecord.is_learnt` can tell what came first."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
