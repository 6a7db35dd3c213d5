"""A taste: what was learnt from the pictures that a person likes, in one file, ``NAME.sfumato``.

It is one safetensors file of some kB: the centres of what is liked (style codes with their looks), their weights, and
where there is one, the numbers of a preference model. Its one key of metadata, ``sfumato.taste``,
holds a card in JSON: format, name, model, rights, how many pictures and their hashes, the date, and a hash of all
of that and of the numbers, by which damage is found. No picture lies in it, no name or place of one, and no code
runs on load. Equal tastes are equal files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.errors import ModelError, UsageError
from sfumato.files import atomic_file
from sfumato.image import Photo, Picture
from sfumato.inference.guide import measured_distance, small_copy
from sfumato.inference.library import is_name, split_name
from sfumato.inference.style import Style
from sfumato.inference.style_pictures import StylePicture, read_liked
from sfumato.inference.stylizer import Stylizer
from sfumato.style_code import StyleCode, Tensors, read_small, tensor_bytes

#: What people may say of their pictures; ``unstated`` where nobody did.
RIGHTS = ("own", "licensed", "public-domain", "unstated")
#: Of the file; a file of a higher one is refused.
FORMAT = 1
_KEY = "sfumato.taste"  # one, because safetensors writes several in an order that changes from run to run
_MAX_BYTES = 8_000_000
_PREFERENCE = "preference."
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Taste:
    """What one NAME.sfumato file holds.

    Attributes:
        name: the style's.
        codes: the centres of what is liked, of one model, the heaviest first; at least one.
        weights: of the centres, above 0.
        liked, disliked: SHA-256, in hex, of the pictures that it was learnt from, sorted.
        answers: to how many questions it was learnt from besides.
        rights: how many pictures are under which of `RIGHTS`.
        created: when it was learnt, as in ``2026-11-26T22:22:38.123456Z``.
        preference: numbers of the preference model, by name.
        pictures: for each centre, liked pictures that are near it. The file does not hold them: only the person who
            likes them has them (`style_pictures.read_liked`).
    """

    name: str
    codes: tuple[StyleCode, ...]
    weights: tuple[float, ...]
    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()
    answers: int = 0
    rights: Mapping[str, int] = field(default_factory=dict)
    created: str = ""
    preference: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    pictures: Sequence[Sequence[StylePicture]] = ()

    def __post_init__(self) -> None:
        """Raises ModelError where the parts do not fit each other."""
        if not is_name(self.name):
            raise ModelError(f"a style's name has small letters, digits and dashes, and {self.name!r} does not fit")
        if not self.codes or len(self.codes) != len(self.weights):
            raise ModelError(
                f"a style file has centres, a weight each, and this has {len(self.codes)}, {len(self.weights)}"
            )
        if not (np.isfinite(self.weights).all() and min(self.weights) > 0):
            raise ModelError(f"the weights of a style's centres are above 0, and these are {list(self.weights)}")
        shapes = {(code.model, len(code), None if code.look is None else len(code.look)) for code in self.codes}
        if len(shapes) > 1:
            raise ModelError("a style's centres are of one model, and these are of several")
        if not all(_HASH.fullmatch(digest) for digest in (*self.liked, *self.disliked)):
            raise ModelError("a style's pictures are named by SHA-256, and one is not")
        if not all(right in RIGHTS and count >= 0 for right, count in self.rights.items()):
            raise ModelError(f"rights are {', '.join(RIGHTS)}, and these are {dict(self.rights)}")
        for key, values in self.preference.items():
            if not (np.issubdtype(values.dtype, np.number) and np.isfinite(values).all()):
                raise ModelError(f"the numbers {_PREFERENCE}{key} of a style are not all finite")

    @property
    def model(self) -> str:
        """The id of the model whose codes these are."""
        return self.codes[0].model

    @property
    def style(self) -> Style:
        """The heaviest centre."""
        return self.styles[0]

    @property
    def styles(self) -> tuple[Style, ...]:
        """All centres, the heaviest first: NAME, NAME/2, NAME/3 and so on."""
        count = len(self.liked)
        about = {"kind": "personal", "title": f"learnt from {count} picture{'s' if count != 1 else ''}"}
        if len(self.codes) > 1:
            about["title"] += f": {self.name} to {self.name}/{len(self.codes)}"
        if rights := ", ".join(f"{right}: {count}" for right, count in sorted(self.rights.items()) if count):
            about["rights"] = rights
        if self.created:
            about["learnt"] = self.created[:16].replace("T", " ")
        pictures: Sequence[Sequence[StylePicture]] = self.pictures or ((),) * len(self.codes)
        return tuple(
            Style(self.name if i == 0 else f"{self.name}/{i + 1}", code, about, near)
            for i, (code, near) in enumerate(zip(self.codes, pictures, strict=True))
        )

    def style_named(self, name: str) -> Style:
        """The centre of that name: NAME, NAME/2 and so on.

        Raises:
            UsageError: it has no such centre.
        """
        styles, (_, number) = self.styles, split_name(name)
        if not 1 <= number <= len(styles):
            names = ", ".join(style.name for style in styles)
            raise UsageError(f"there is no style {name!r}: {self.name} has {len(styles)} ({names})")
        return styles[number - 1]

    def style_for(self, stylizer: Stylizer, photo: Photo | Picture) -> Style:
        """The centre that suits a photo: the one whose palette, contrast and tones are nearest to the photo's own.

        Raises:
            ModelError: the taste is another model's.
        """
        styles = self.styles
        stylizer.check_style(styles[0])
        if len(styles) == 1:
            return styles[0]
        own, _ = stylizer.look(small_copy(photo))
        return min(styles, key=lambda style: measured_distance(style.code, own))

    def to_bytes(self) -> bytes:
        """The file's."""
        looks = [code.look for code in self.codes if code.look is not None]
        card = {
            "format": FORMAT,
            "name": self.name,
            "model": self.model,
            "liked": sorted(self.liked),
            "disliked": sorted(self.disliked),
            "answers": self.answers,
            "rights": dict(self.rights),
            "created": self.created,
        }
        tensors: dict[str, npt.NDArray[Any]] = {
            "codes": np.stack([code.vector for code in self.codes]),
            "weights": np.array(self.weights, np.float32),
        }
        if looks:
            tensors["looks"] = np.stack(looks).astype(np.float16)
        for key, values in sorted(self.preference.items()):
            tensors[f"{_PREFERENCE}{key}"] = values
        card["sha256"] = _digest(card, tensors)
        return tensor_bytes(tensors, {_KEY: json.dumps(card, sort_keys=True)})

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Writes the file, whole or not at all.

        Raises:
            OutputError: it cannot be written, or is there and is not to be replaced.
        """
        with atomic_file(path, overwrite) as file:
            file.write(self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Taste:
        """Reads a file that :meth:`save` wrote; it may come from anybody.

        Raises:
            InputError: the file cannot be read.
            ModelError: it is damaged, no taste, too large for one, or of a later version of Sfumato.
        """

        def make(card: Any, tensors: Tensors) -> Taste:
            if type(card["format"]) is int and card["format"] > FORMAT:
                raise _LaterError
            read = tensors()
            digest = card.pop("sha256", None)  # which files of before 2026-11-27 do not have
            if digest not in (None, _digest(card, read)):
                raise ValueError("something in it is not as it was written; get it again, or learn it again")
            return cls._of(card, read)

        try:
            taste = read_small(path, "style file", _KEY, _MAX_BYTES, make)
            return replace(taste, pictures=read_liked(Path(path).parent, len(taste.codes)))
        except _LaterError as problem:
            raise ModelError(f"{path} was written by a later version of Sfumato; install that") from problem

    @classmethod
    def _of(cls, card: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> Taste:
        codes, weights, looks = tensors.pop("codes"), tensors.pop("weights"), tensors.pop("looks", None)
        if codes.ndim != 2 or codes.dtype != np.float32 or weights.shape != codes.shape[:1]:
            raise ValueError("its centres have another shape or type")
        if looks is not None and (looks.ndim != 2 or looks.dtype != np.float16 or len(looks) != len(codes)):
            raise ValueError("its looks have another shape or type")
        if not all(key.startswith(_PREFERENCE) for key in tensors):
            raise ValueError("it has numbers that no style has")
        texts, numbers = (card["name"], card["model"], card["created"]), (card["answers"], *card["rights"].values())
        if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
            raise ValueError("its card has other types")
        if not all(text.isprintable() for text in texts):  # they are shown on terminals
            raise ValueError("its card has signs that cannot be shown")
        return cls(
            card["name"],
            tuple(StyleCode(c, card["model"], None if looks is None else looks[i]) for i, c in enumerate(codes)),
            tuple(float(weight) for weight in weights),
            tuple(card["liked"]),
            tuple(card["disliked"]),
            card["answers"],
            card["rights"],
            card["created"],
            {key.removeprefix(_PREFERENCE): values for key, values in tensors.items()},
        )


def _digest(card: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256, in hex, of all that a file holds."""
    found = hashlib.sha256(json.dumps(card, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for name, values in sorted(tensors.items()):
        found.update(f"{name} {values.dtype.str} {values.shape} ".encode())
        found.update(values.tobytes())
    return found.hexdigest()


class _LaterError(Exception):
    """The file is of a later format."""
