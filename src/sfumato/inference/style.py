"""Styles: a style code with the pictures that it was made from, and personal styles learnt from liked pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sfumato.errors import ModelError, UsageError
from sfumato.files import atomic_file
from sfumato.image import ImageSource, Photo, Picture
from sfumato.inference.bundle import Card
from sfumato.inference.inputs import several_pictures, usable
from sfumato.inference.library import (
    PERSONAL_SUFFIX,
    is_name,
    own_names,
    personal_names,
    personal_path,
    split_name,
    style_path,
)
from sfumato.inference.painting_model import PaintingModel
from sfumato.inference.personal_file import PREFERENCE, read_file, style_bytes, style_values
from sfumato.inference.style_distance import measured_distance, small_copy
from sfumato.inference.style_pictures import (
    SparsePlaces,
    StylePicture,
    blend_pictures,
    built_in_pictures,
    levels_of,
    read_liked,
)
from sfumato.public import public
from sfumato.rights import RIGHTS, joined_rights, rights_text
from sfumato.style_code import StyleCode

_HASH = re.compile(r"[0-9a-f]{64}")


@public
@dataclass(frozen=True)
class Style:
    """A named style code.

    Attributes:
        name: the name that is shown to users.
        code: the style code; it fits only the model that made it.
        about: its provenance (title, artist, year, source, licence, kind). Comparisons of styles ignore it.
        pictures: the pictures that the code was made from, which the qualities ``"standard"`` and ``"best"`` need;
            empty where only the code is known, as in a style file.
    """

    name: str
    code: StyleCode
    about: Mapping[str, str] = field(default_factory=dict, compare=False)
    pictures: Sequence[StylePicture] = field(default=(), compare=False)

    @classmethod
    def named(cls, name: str, own: bool = False) -> Style:
        """Return a built-in style, one of the user's own styles, or a personal style.

        Own styles come from ``sfumato styles add``, personal styles from ``sfumato personal``; ``NAME/2`` is the second
        centre of the personal style ``NAME``.

        Args:
            name: the style's name.
            own: whether the user's home folder is searched too, as the command line does. Folders that the environment
                names (``SFUMATO_STYLES``, ``SFUMATO_PERSONAL``) are always searched. A service that takes names from
                strangers leaves it False.

        Raises:
            UsageError: there is no style of that name; the error suggests similar names.
        """
        if not isinstance(name, str):
            raise UsageError(f"a style's name must be a string, but {type(name).__name__} was given")
        path = style_path(name, own)
        if path.suffix == PERSONAL_SUFFIX:
            return PersonalStyle.load(path).style_named(name)
        code, about = StyleCode.load(path)
        return cls(name, code, about, pictures=built_in_pictures(name))

    @classmethod
    def from_image(cls, source: ImageSource, name: str | None = None, stylizer: PaintingModel | None = None) -> Self:
        """Return the style of one picture, encoded with ``stylizer`` (by default of the model that ships with Sfumato).

        Its name is by default the stem of the picture's path. UsageError and InputError as for :meth:`from_images`.
        """
        if isinstance(source, list | tuple):
            raise UsageError(
                f"from_image takes one picture, but {type(source).__name__} was given; from_images takes several"
            )
        if name is None and isinstance(source, str | os.PathLike):
            name = Path(source).stem
        return cls.from_images([source], name, stylizer)

    @classmethod
    def from_images(
        cls,
        sources: Iterable[ImageSource] | ImageSource,
        name: str | None = None,
        stylizer: PaintingModel | None = None,
    ) -> Self:
        """Return the style that several pictures have in common: the mean of their style codes.

        Args:
            sources: one picture or several.
            name: of the style; by default the number of pictures.
            stylizer: as in :meth:`from_image`.

        Raises:
            UsageError: no picture was given.
            InputError: a picture cannot be read or used.
        """
        model = stylizer or PaintingModel()
        codes, pictures = [], []
        for source in several_pictures(sources):  # one at a time: a folder of large pictures would fill the memory
            picture = usable(source)
            codes.append(model.encode(picture))
            pictures.append(StylePicture.of(picture))
        if not codes:
            raise UsageError("a style needs at least one picture, but none was given")
        kind = "picture" if len(codes) == 1 else "pictures"
        about = {"kind": kind, "pictures": str(len(codes)), "rights": rights_text({"unstated": len(codes)})}
        return cls(name or f"{len(codes)} {kind}", StyleCode.mean(codes), about, pictures=tuple(pictures))

    @classmethod
    def blend(cls, weights: Mapping[Self | str, float], name: str | None = None) -> Self:
        """Return the weighted mean of several styles.

        Args:
            weights: a weight, 0 or more, for each style or name (as in :meth:`named`, without the home folder). They
                are divided by their sum.
            name: of the blend; by default its parts and weights.

        Raises:
            UsageError: there is no style, a weight is negative or not finite, or no weight is above 0.
            ModelError: the styles belong to different models.
        """
        if not isinstance(weights, Mapping) or not all(isinstance(w, Real) for w in weights.values()):
            raise UsageError("a blend must map styles to numbers, as in {'monet': 0.7, 'klimt': 0.3}")
        parts = [(cls.named(part) if isinstance(part, str) else part, weight) for part, weight in weights.items()]
        code = StyleCode.blend([style.code for style, _ in parts], [weight for _, weight in parts])
        recipe = " + ".join(f"{style.name}:{weight:g}" for style, weight in parts)
        about = {"kind": "blend", "recipe": recipe}
        if rights := joined_rights(style.about.get("rights", "") for style, weight in parts if weight):
            about["rights"] = rights
        return cls(name or recipe, code, about, blend_pictures([(style.pictures, weight) for style, weight in parts]))

    def with_rights(self, rights: str) -> Self:
        """Return the style with your rights in all its pictures (one of `RIGHTS`), which files and recipes carry."""
        if rights not in RIGHTS:
            raise UsageError(f"rights must be one of {', '.join(RIGHTS)}, but are {rights!r}")
        count = self.about.get("pictures", "1")  # text, in a style file of anybody
        counted = int(count) if count.isdecimal() and len(count) < 10 else 1
        return replace(self, about={**self.about, "rights": rights_text({rights: counted})})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Style:
        """Read a style file, or the heaviest centre of a personal style's file (``NAME.sfumato``).

        Raises:
            InputError: the file cannot be read.
            ModelError: it is damaged or not a style.
        """
        if Path(path).suffix == PERSONAL_SUFFIX:
            return PersonalStyle.load(path).style
        code, about = StyleCode.load(path)
        return cls(about.get("name") or Path(path).name.split(".")[0], code, about)

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write a style file (safetensors, a few kB); it appears whole or not at all.

        Raises:
            OutputError: it cannot be written, or exists and must not be overwritten.
        """
        self.code.save(path, {**self.about, "name": self.name}, overwrite)

    def check_model(self, card: Card) -> None:
        """Raise ModelError unless the code was made by the model with that card."""
        if (self.code.model, len(self.code)) != (card.model, card.code_size):
            again = "make the style again from its picture, with this model"
            if self.about.get("kind") == "personal":
                again = f"learn it again (sfumato personal learn {split_name(self.name)[0]}), or ask its author"
            raise ModelError(
                f"the style {self.name!r} was made by the model {self.code.model!r}, not by {card.model!r}; {again}"
            )
        if self.code.channel_stats is not None and len(self.code.channel_stats) != card.channel_stats_size:
            raise ModelError(f"the style {self.name!r} is damaged or of another version; make it again")


@public
@dataclass(frozen=True, eq=False)
class PersonalStyle:
    """A style learnt from the pictures that a person likes, stored in one file ``NAME.sfumato``.

    Attributes:
        name: of the style.
        codes: the cluster centres of the liked pictures, as style codes of one model, the heaviest first; at least one.
        weights: of the centres, each above 0.
        liked, disliked: SHA-256, in hex, of the pictures that it was learnt from, sorted.
        answers: number of answered comparisons that it was learnt from, in addition to the pictures.
        rights: number of pictures by rights (one of `RIGHTS`).
        created: when it was learnt, as in ``2026-11-26T22:22:38.123456Z``.
        preference: parameters of the preference model, by name.
        pictures: for each centre, the liked pictures near it. The file does not contain them; they are found only on
            the computer where the style was learnt (`style_pictures.read_liked`). A private file contains places of
            them instead (`private`).
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
        """Raise ModelError where the parts do not fit each other."""
        if not is_name(self.name):
            raise ModelError(f"a style's name must be of small letters, digits and dashes, but is {self.name!r}")
        if not self.codes or len(self.codes) != len(self.weights):
            raise ModelError(
                f"a style file must hold one weight for each centre, but holds {len(self.weights)} weights and "
                f"{len(self.codes)} centres"
            )
        if not (np.isfinite(self.weights).all() and min(self.weights) > 0):
            raise ModelError(f"the weights of a style's centres must be above 0, but are {list(self.weights)}")
        shapes = {
            (code.model, len(code), None if code.channel_stats is None else len(code.channel_stats))
            for code in self.codes
        }
        if len(shapes) > 1:
            raise ModelError("a style's centres must be of one model, but are of several")
        if not all(_HASH.fullmatch(digest) for digest in (*self.liked, *self.disliked)):
            raise ModelError("a style's pictures must be named by SHA-256, but one is not")
        if not all(right in RIGHTS and count >= 0 for right, count in self.rights.items()):
            raise ModelError(f"a picture's rights must be one of {', '.join(RIGHTS)}, but are {dict(self.rights)}")
        for key, values in self.preference.items():
            if not (np.issubdtype(values.dtype, np.number) and np.isfinite(values).all()):
                raise ModelError(f"the tensor {PREFERENCE}{key} of a style must hold finite numbers only")

    @property
    def model(self) -> str:
        """The id of the model that made the codes."""
        return self.codes[0].model

    @property
    def style(self) -> Style:
        """The heaviest centre."""
        return self.styles[0]

    @property
    def styles(self) -> tuple[Style, ...]:
        """All centres, the heaviest first, named NAME, NAME/2, NAME/3 and so on."""
        count = len(self.liked) or sum(self.rights.values())  # a private file has no hashes
        about = {"kind": "personal", "title": f"learnt from {count} picture{'s' if count != 1 else ''}"}
        if len(self.codes) > 1:
            about["title"] += f": {self.name} to {self.name}/{len(self.codes)}"
        if rights := rights_text(self.rights):
            about["rights"] = rights
        if self.created:
            about["learnt"] = self.created[:16].replace("T", " ")
        pictures: Sequence[Sequence[StylePicture]] = self.pictures or ((),) * len(self.codes)
        return tuple(
            Style(self.name if i == 0 else f"{self.name}/{i + 1}", code, about, near)
            for i, (code, near) in enumerate(zip(self.codes, pictures, strict=True))
        )

    def style_named(self, name: str) -> Style:
        """Return the centre of that name: NAME, NAME/2 and so on.

        Raises:
            UsageError: there is no such centre.
        """
        styles, (_, number) = self.styles, split_name(name)
        if not 1 <= number <= len(styles):
            names = ", ".join(style.name for style in styles)
            raise UsageError(f"there is no style {name!r}: {self.name} has {len(styles)} ({names})")
        return styles[number - 1]

    def style_for(self, stylizer: PaintingModel, photo: Photo | Picture) -> Style:
        """Return the centre that suits a photo: the one with the nearest palette, contrast and tones.

        ``stylizer`` encodes the photo; it must be of the style's model (ModelError otherwise).
        """
        styles = self.styles
        styles[0].check_model(stylizer.card)
        if len(styles) == 1:
            return styles[0]
        own, _ = stylizer.encode_full(small_copy(photo))
        return min(styles, key=lambda style: measured_distance(style.code, own))

    @property
    def is_private(self) -> bool:
        """Whether it has places of the liked pictures in place of the pictures."""
        return any(map(levels_of, self.pictures))

    def private(self, places: Sequence[SparsePlaces | None]) -> Self:
        """Return the style as it may be shared: without hashes, number of answers, date and preferences.

        ``places`` are those of each centre's pictures; a centre with ``None`` can be painted as a draft only.
        """
        pictures = tuple(() if each is None else (each,) for each in places)
        return replace(self, liked=(), disliked=(), answers=0, created="", preference={}, pictures=pictures)

    def to_bytes(self) -> bytes:
        """Return the content of the style's file (`personal_file`)."""
        return style_bytes(self)

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the file, whole or not at all; raise OutputError where it cannot be written or must not be replaced."""
        with atomic_file(path, overwrite) as file:
            file.write(self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file that :meth:`save` wrote; it may come from an untrusted source.

        Raises:
            InputError: the file cannot be read.
            ModelError: it is damaged, not a personal style, too large, or of a later version of Sfumato.
        """
        read = read_file(path, lambda card, tensors: cls(**style_values(card, tensors)))
        return read if read.is_private else replace(read, pictures=read_liked(Path(path).parent, len(read.codes)))


@public
def load_style(name_or_path: str | os.PathLike[str], own: bool = False) -> Style:
    """Return the style of that name, or the style in a file (``.safetensors``, or ``.sfumato`` for a personal style).

    Args:
        name_or_path: a name, as :meth:`Style.named` takes it, or a file, as :meth:`Style.load` does.
        own: as in :meth:`Style.named`.

    Raises:
        UsageError: there is no style of that name.
        InputError: the file cannot be read.
        ModelError: it is damaged or not a style.
    """
    if isinstance(name_or_path, os.PathLike) or str(name_or_path).endswith((".safetensors", PERSONAL_SUFFIX)):
        return Style.load(name_or_path)
    return Style.named(name_or_path, own)


def load_style_or_person(name_or_path: str | os.PathLike[str], own: bool = False) -> Style | PersonalStyle:
    """Return a style as :func:`load_style` does, but a personal style with several centres as a whole.

    ``NAME/2`` is still one centre. Arguments and errors as for :func:`load_style`.
    """
    text = os.fspath(name_or_path)
    if text.endswith(PERSONAL_SUFFIX) or (text in personal_names(own) and text not in own_names(own)):
        found = PersonalStyle.load(text if text.endswith(PERSONAL_SUFFIX) else personal_path(text))
        return found if len(found.codes) > 1 else found.style
    return load_style(name_or_path, own)


def as_styles(style: Any) -> list[Any]:
    """Return the ``style`` argument of a painting as a list of styles, personal styles and names; empty for ``None``.

    Raises:
        UsageError: the argument, or a member of it, is of another type.
    """
    styles: list[Any] = [] if style is None else list(style) if isinstance(style, list | tuple) else [style]
    for each in styles:
        if not isinstance(each, Style | PersonalStyle | str):
            raise UsageError(
                f"a style must be a Style or a name, but {type(each).__name__} was given; make one from a picture with "
                "Style.from_image, or from several styles with Style.blend"
            )
    return styles
