"""The pictures that a style is made from; feature banks are sampled from them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np
import numpy.typing as npt

from sfumato import assets
from sfumato.errors import InputError, ModelError, UsageError
from sfumato.files import atomic_file, read_json
from sfumato.image import Picture, picture_digest, read_image, resize, to_uint8
from sfumato.inference.matching import Array, covariance, transport

Halves: TypeAlias = npt.NDArray[np.float16]

#: Largest short side, in pixels, of a style's pictures; a higher resolution does not improve the brushwork.
MAX_SHORT_SIDE = 768
#: File beside ``NAME.sfumato`` that lists the liked pictures of each centre of the personal style.
LIKED = "pictures.json"
_MEND = "install Sfumato again, or learn the style again if it is your own"
_COLOUR_SIDE = 64  # short side, in pixels, of the copy from which colour statistics are computed


@dataclass(frozen=True)
class StylePicture:
    """One picture of a style.

    Attributes:
        sha256: hex; of the file, or of the pixels where there is no file. It identifies the picture.
        weight: relative weight in a style of several pictures, above 0.
        source: ``(1, 3, H, W)`` float32 in [0, 1], or a file, which is read when it is needed.
    """

    sha256: str
    weight: float = 1.0
    source: Picture | Path = field(compare=False, repr=False, default_factory=Path)

    @classmethod
    def of(cls, picture: Picture, weight: float = 1.0) -> StylePicture:
        """Return the style picture of ``(1, 3, H, W)``, reduced to `MAX_SHORT_SIDE` if it is larger."""
        picture = _limit_size(picture)
        levels = to_uint8(picture)
        digest = hashlib.sha256(f"{levels.shape}".encode() + levels.tobytes()).hexdigest()
        return cls(digest, weight, picture)

    @property
    def picture(self) -> Picture:
        """The pixels ``(1, 3, H, W)`` float32 in [0, 1]."""
        return _read(self.source, self.sha256) if isinstance(self.source, Path) else self.source

    def weighted(self, factor: float) -> StylePicture:
        """Return the picture with its weight multiplied by ``factor``."""
        return replace(self, weight=self.weight * factor)

    def recoloured(self, photo: Picture) -> StylePicture:
        """Return the picture with the colours of ``photo`` ``(1, 3, H, W)``.

        Their mean and covariance become those of the photo's colours (`matching.transport`).
        """
        mine, theirs = _colours(self.picture), _colours(photo)
        change = transport(covariance(mine - mine.mean(0)), covariance(theirs - theirs.mean(0)))
        pixels = np.moveaxis(self.picture[0], 0, -1)
        changed = np.clip((pixels - mine.mean(0)) @ change + theirs.mean(0), 0.0, 1.0)
        return StylePicture.of(np.ascontiguousarray(np.moveaxis(changed, -1, 0))[None].astype(np.float32), self.weight)


@dataclass(frozen=True)
class SparsePlaces(StylePicture):
    """Places of liked pictures, which a shared style is painted with in place of the pictures (`style_bank.thinned`).

    Attributes:
        levels: places ``(N, 643)`` float16, without order, by the short side in pixels at which the pictures were
            encoded. ``sha256`` is that of all of them.
    """

    levels: Mapping[int, Halves] = field(compare=False, repr=False, default_factory=dict)

    @classmethod
    def of_levels(cls, levels: Mapping[int, Halves]) -> SparsePlaces:
        """Return the places of these levels, of which there is at least one."""
        sha256 = hashlib.sha256()
        for short, vectors in sorted(levels.items()):
            sha256.update(f"{short} {vectors.shape} ".encode() + np.ascontiguousarray(vectors).tobytes())
        return cls(sha256.hexdigest(), levels=dict(levels))

    @property
    def picture(self) -> Picture:
        """Raise UsageError: a picture cannot be made of them."""
        raise UsageError(
            "the style was exported with --private, so its pictures are not in it; the colours content, and an "
            "explanation of a painting, need them"
        )

    def places(self, short: int) -> Array:
        """Return the places ``(N, 643)`` of the level nearest to a short side in pixels."""
        nearest = min(self.levels, key=lambda level: abs(math.log(level / short)))
        return self.levels[nearest].astype(np.float32)


class LikedPictures(Sequence[StylePicture]):
    """The user's files that a style is painted with, without those that are missing or have changed.

    The files are hashed only when the sequence is first used, since most readers of a personal style paint nothing.
    """

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


def levels_of(pictures: Sequence[StylePicture]) -> Mapping[int, Halves]:
    """Return the places of a centre of a private style by their short sides; none where it has pictures."""
    if isinstance(pictures, LikedPictures):  # not looked into: that would hash all files
        return {}
    return next((each.levels for each in pictures if isinstance(each, SparsePlaces)), {})


def built_in_pictures(name: str) -> tuple[StylePicture, ...]:
    """Return the pictures of a built-in style, with equal weights; none where there is no such style."""
    return tuple(
        StylePicture(entry.sha256, 1.0, path)
        for entry, path in ((e, assets.picture_path(e)) for e in assets.ledger())
        if entry.style == name
    )


def blend_pictures(parts: Sequence[tuple[Sequence[StylePicture], float]]) -> tuple[StylePicture, ...]:
    """Return the pictures of all styles of a blend with their weights in it; none where a style has no pictures."""
    parts = [(pictures, float(weight)) for pictures, weight in parts if weight > 0]
    if not all(pictures for pictures, _ in parts):
        return ()
    whole, found = sum(weight for _, weight in parts), []
    for pictures, weight in parts:
        own = sum(each.weight for each in pictures)
        found += [each.weighted(weight / whole / own) for each in pictures]
    return tuple(found)


def write_liked(folder: Path, styles: Sequence[Sequence[StylePicture]]) -> None:
    """Store the paths, hashes and weights of the liked pictures that each centre is painted with."""
    found = [[{"path": str(p.source), "sha256": p.sha256, "weight": p.weight} for p in each] for each in styles]
    with atomic_file(folder / LIKED) as file:
        file.write(json.dumps({"styles": found}, indent=1).encode() + b"\n")


def read_liked(folder: Path, styles: int) -> tuple[LikedPictures, ...]:
    """Read what `write_liked` stored, for a number of centres.

    Returns:
        One sequence for each centre; all are empty where nothing valid is stored, or for another number of centres.
    """
    found = []
    try:
        for each in read_json(folder / LIKED)["styles"]:
            pictures = [StylePicture(p["sha256"], float(p["weight"]), Path(p["path"])) for p in each]
            found.append(LikedPictures(pictures))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        found = []
    return tuple(found) if len(found) == styles else (LikedPictures(()),) * styles


def _is_there(picture: StylePicture) -> bool:
    """Return whether the file of a liked picture exists and has not changed."""
    assert isinstance(picture.source, Path), "a liked picture is a file"
    try:
        return picture_digest(picture.source) == picture.sha256
    except InputError:
        return False


def _limit_size(picture: Picture) -> Picture:
    """Return the picture, reduced to a short side of `MAX_SHORT_SIDE` pixels if it is larger."""
    height, width = picture.shape[2:]
    factor = MAX_SHORT_SIDE / min(height, width)
    return resize(picture, round(height * factor), round(width * factor)) if factor < 1 else picture


def _colours(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the pixels ``(N, 3)`` of a small copy."""
    height, width = picture.shape[2:]
    factor = min(1.0, _COLOUR_SIDE / min(height, width))
    small = resize(picture, max(1, round(height * factor)), max(1, round(width * factor)))
    return np.ascontiguousarray(small[0].reshape(3, -1).T)


@lru_cache(maxsize=8)
def _read(path: Path, sha256: str) -> Picture:
    """Read the picture of a file; raise ModelError where it is missing or has another hash."""
    try:
        found = picture_digest(path)
    except InputError as problem:
        raise ModelError(f"{problem}; {_MEND}") from problem
    if found != sha256:
        raise ModelError(f"{path} has changed: its hash is not the stored one; {_MEND}")
    return _limit_size(read_image(path))
