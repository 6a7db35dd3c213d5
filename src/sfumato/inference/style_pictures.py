"""The pictures that a style is made of: what the feature banks of ``inference.matched_painting`` are sampled from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import overload

import numpy as np

from sfumato import assets
from sfumato.errors import InputError, ModelError
from sfumato.files import atomic_file, read_json
from sfumato.image import Picture, picture_digest, read_image, resize, to_uint8
from sfumato.inference.matching import covariance, transport

#: Pixels of the short side at which a style's pictures are kept; brushwork is not seen better in larger ones.
MAX_SHORT_SIDE = 768
#: Beside a person's ``NAME.sfumato``: the liked pictures that its styles are painted with.
LIKED = "pictures.json"
_MEND = "install Sfumato again, or learn the style again if it is your own"
_COLOUR_SIDE = 64  # pixels of the short side at which colours are counted


@dataclass(frozen=True)
class StylePicture:
    """One picture of a style.

    Attributes:
        sha256: hex; of the file where it is one, otherwise of the pixels. It identifies the picture.
        weight: its share in a style of several, above 0.
        source: ``(1, 3, H, W)`` float32 in [0, 1], or a file, which is read when it is needed.
    """

    sha256: str
    weight: float = 1.0
    source: Picture | Path = field(compare=False, repr=False, default_factory=Path)

    @classmethod
    def of(cls, picture: Picture, weight: float = 1.0) -> StylePicture:
        """``picture`` ``(1, 3, H, W)`` of any size; a larger one than `MAX_SHORT_SIDE` is made smaller."""
        picture = _at_most(picture)
        levels = to_uint8(picture)
        digest = hashlib.sha256(f"{levels.shape}".encode() + levels.tobytes()).hexdigest()
        return cls(digest, weight, picture)

    @property
    def picture(self) -> Picture:
        """``(1, 3, H, W)`` float32 in [0, 1]."""
        return _read(self.source, self.sha256) if isinstance(self.source, Path) else self.source

    def weighted(self, factor: float) -> StylePicture:
        return replace(self, weight=self.weight * factor)

    def recoloured(self, photo: Picture) -> StylePicture:
        """The picture in the colours of ``photo`` ``(1, 3, H, W)``: its pixels' mean and covariance become the photo's
        (`matching.transport`)."""
        mine, theirs = _colours(self.picture), _colours(photo)
        change = transport(covariance(mine - mine.mean(0)), covariance(theirs - theirs.mean(0)))
        pixels = np.moveaxis(self.picture[0], 0, -1)
        changed = np.clip((pixels - mine.mean(0)) @ change + theirs.mean(0), 0.0, 1.0)
        return StylePicture.of(np.ascontiguousarray(np.moveaxis(changed, -1, 0))[None].astype(np.float32), self.weight)


class LikedPictures(Sequence[StylePicture]):
    """Files of a person's that a style is painted with, less those that have vanished or changed since: a tuple of the
    others, made when it is first asked for. Hashing them takes time, and most of what reads a personal style paints
    nothing."""

    def __init__(self, pictures: Sequence[StylePicture]) -> None:
        self._pictures = pictures

    @cached_property
    def _here(self) -> tuple[StylePicture, ...]:
        return tuple(filter(_is_there, self._pictures))

    def __len__(self) -> int:
        return len(self._here)

    @overload
    def __getitem__(self, index: int) -> StylePicture: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[StylePicture, ...]: ...
    def __getitem__(self, index: int | slice) -> StylePicture | tuple[StylePicture, ...]:
        return self._here[index]


def built_in_pictures(name: str) -> tuple[StylePicture, ...]:
    """The pictures of a built-in style, of equal weight; none where there is no built-in style of that name."""
    return tuple(
        StylePicture(entry.sha256, 1.0, path)
        for entry, path in ((e, assets.picture_path(e)) for e in assets.ledger())
        if entry.style == name
    )


def write_liked(folder: Path, styles: Sequence[Sequence[StylePicture]]) -> None:
    """Keeps which files a person's styles are painted with: where they lie, their hashes and weights."""
    found = [[{"path": str(p.source), "sha256": p.sha256, "weight": p.weight} for p in each] for each in styles]
    with atomic_file(folder / LIKED) as file:
        file.write(json.dumps({"styles": found}, indent=1).encode() + b"\n")


def read_liked(folder: Path, styles: int) -> tuple[LikedPictures, ...]:
    """What `write_liked` kept there, of so many styles; each empty where nothing is kept, or of another number of
    styles."""
    found = []
    try:
        for each in read_json(folder / LIKED)["styles"]:
            pictures = [StylePicture(p["sha256"], float(p["weight"]), Path(p["path"])) for p in each]
            found.append(LikedPictures(pictures))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        found = []
    return tuple(found) if len(found) == styles else (LikedPictures(()),) * styles


def _is_there(picture: StylePicture) -> bool:
    assert isinstance(picture.source, Path), "a liked picture is a file"
    try:
        return picture_digest(picture.source) == picture.sha256
    except InputError:
        return False


def _at_most(picture: Picture) -> Picture:
    """The picture, or a smaller one whose short side has `MAX_SHORT_SIDE` pixels."""
    height, width = picture.shape[2:]
    factor = MAX_SHORT_SIDE / min(height, width)
    return resize(picture, round(height * factor), round(width * factor)) if factor < 1 else picture


def _colours(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Pixels ``(N, 3)`` of a small copy."""
    height, width = picture.shape[2:]
    factor = min(1.0, _COLOUR_SIDE / min(height, width))
    small = resize(picture, max(1, round(height * factor)), max(1, round(width * factor)))
    return np.ascontiguousarray(small[0].reshape(3, -1).T)


@lru_cache(maxsize=8)
def _read(path: Path, sha256: str) -> Picture:
    try:
        found = picture_digest(path)
    except InputError as problem:
        raise ModelError(f"{problem}; {_MEND}") from problem
    if found != sha256:
        raise ModelError(f"{path} is not as it was: its hash is another; {_MEND}")
    return _at_most(read_image(path))
