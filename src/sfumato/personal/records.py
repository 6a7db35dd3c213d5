"""The record of a person's style: the pictures that they rated, and their answers to questions."""

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
from sfumato.inference.style import PersonalStyle
from sfumato.rights import RIGHTS
from sfumato.style_code import StyleCode

#: Version of the file ``record.json``.
FORMAT = 1


@dataclass(frozen=True)
class RatedPicture:
    """A picture that a person likes or dislikes.

    Attributes:
        name: Name of the original file.
        path: Absolute path; of a copy, the path relative to the person's folder.
        sha256: Hash of the file, in hex.
        liked: Whether the person likes it; otherwise they dislike it.
        rights: One of `rights.RIGHTS`.
        added: Time when it was added, in UTC.
    """

    name: str
    path: str
    sha256: str
    liked: bool
    rights: str
    added: str

    @property
    def is_copy(self) -> bool:
        """Whether the file is a copy in the person's folder."""
        return not os.path.isabs(self.path)


@dataclass(frozen=True)
class Answer:
    """The answer to a question about two styles.

    Attributes:
        first: Name of the first style, and the `code_id` of its code.
        second: Name of the second style, and the `code_id` of its code.
        preferred: ``"first"``, ``"second"`` or ``"neither"``; the last is not used for learning, but not asked again.
        when: Time of the answer, in UTC.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    preferred: Literal["first", "second", "neither"]
    when: str

    @property
    def teaches(self) -> bool:
        """Whether the answer is used for learning."""
        return self.preferred != "neither"


@dataclass(frozen=True)
class PersonalRecord:
    """The record of one personal style, as in its ``record.json``.

    Attributes:
        name: Name of the style.
        pictures: The rated pictures, in the order in which they were added.
        answers: The answers, in the order in which they were given.
        imported: Whether the style was imported from a file, without pictures and answers to learn from.
    """

    name: str
    pictures: tuple[RatedPicture, ...] = ()
    answers: tuple[Answer, ...] = ()
    imported: bool = False

    @property
    def folder(self) -> Path:
        """The person's folder in the store."""
        return personal_folder() / self.name

    @property
    def liked(self) -> tuple[RatedPicture, ...]:
        """The liked pictures."""
        return tuple(picture for picture in self.pictures if picture.liked)

    @property
    def disliked(self) -> tuple[RatedPicture, ...]:
        """The disliked pictures."""
        return tuple(picture for picture in self.pictures if not picture.liked)

    def is_learnt(self, personal_style: PersonalStyle | None) -> bool:
        """Return whether a personal style was learnt from these pictures and answers.

        Pictures that could not be read may be missing in it.
        """
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
        """Check that there are pictures and answers to learn from.

        Raises:
            UsageError: The style was imported from a file.
        """
        if self.imported:
            raise UsageError(
                f"{self.name} came as a file, so it cannot be changed; make your own style with sfumato personal new"
            )

    def file(self, picture: RatedPicture) -> Path:
        """Return the path of a picture's file."""
        return self.folder / picture.path

    def find(self, text: str) -> list[RatedPicture]:
        """Find pictures by the name of the file, by a path, or by the first 6 or more digits of the hash.

        Raises:
            UsageError: There is no such picture.
        """
        if not text:
            raise UsageError("the name of a picture is empty; give a file name, a path or a hash")
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
        """Return the record in the form of ``record.json``."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, name: str, found: Any) -> PersonalRecord:
        """Restore a record from the form of `to_json`.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, RecursionError: ``found`` is no such record.
        """
        pictures = tuple(RatedPicture(**picture) for picture in found["pictures"])
        answers = tuple(
            Answer(_style_from(answer["first"]), _style_from(answer["second"]), answer["preferred"], answer["when"])
            for answer in found["answers"]
        )
        for picture in pictures:
            texts = (picture.name, picture.path, picture.sha256, picture.added)
            if not all(isinstance(text, str) for text in texts) or picture.rights not in RIGHTS:
                raise ValueError(f"the picture {picture.name} has values of another type")
            if picture.is_copy and Path(picture.path).parts[:-1] != ("pictures",):
                raise ValueError(f"{picture.path} lies elsewhere")
        return cls(name, pictures, answers, found["imported"] is True)


def _style_from(found: Any) -> tuple[str, str]:
    """Return the name and the `code_id` of a style in an answer."""
    name, code = found
    if not (isinstance(name, str) and isinstance(code, str) and code.isalnum()):
        raise ValueError("an answer has another form")
    return name, code


def code_id(code: StyleCode) -> str:
    """Return an identifier of a style code: 32 hex digits of its hash."""
    channel_stats = b"" if code.channel_stats is None else code.channel_stats.tobytes()
    return hashlib.sha256(code.model.encode() + code.vector.tobytes() + channel_stats).hexdigest()[:32]


def now() -> str:
    """Return the time in UTC, to the microsecond, so that `PersonalRecord.is_learnt` can compare times."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
