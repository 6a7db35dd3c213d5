"""Styles: a code and the pictures that it is made of, under a name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import ImageSource, Picture, as_image, is_file_like
from sfumato.inference.library import TASTE_SUFFIX, split_name, style_path
from sfumato.inference.style_pictures import StylePicture, built_in_pictures
from sfumato.style_code import StyleCode

if TYPE_CHECKING:
    from sfumato.inference.stylizer import Stylizer

#: In pixels: a picture whose longer side is below this is smaller than the coarsest marks of the networks.
SMALLEST_SIDE = 16


@dataclass(frozen=True)
class Style:
    """A named style code.

    Attributes:
        name: what people call it.
        code: the style itself; it fits the model that made it and no other.
        about: where it comes from (title, artist, year, source, licence, kind). It is no part of the style's identity.
        pictures: those that it is made of, which the quality ``"standard"`` paints with; none where only the code is
            known, as in a style file.
    """

    name: str
    code: StyleCode
    about: Mapping[str, str] = field(default_factory=dict, compare=False)
    pictures: Sequence[StylePicture] = field(default=(), compare=False)

    @classmethod
    def named(cls, name: str, own: bool = False) -> Style:
        """A built-in style, one of a person's own (``sfumato styles add``), or one learnt from what a person likes
        (``sfumato personal``; ``NAME/2`` is the second of several).

        Args:
            own: whether the user's home folder is looked into as well, as the command line does. Folders that the
                environment names (``SFUMATO_STYLES``, ``SFUMATO_PERSONAL``) always are. A service that takes names
                from strangers leaves it out.

        Raises:
            UsageError: there is none of that name; the error offers the nearest ones.
        """
        if not isinstance(name, str):
            raise UsageError(f"a style's name is text, but {type(name).__name__} was given")
        path = style_path(name, own)
        if path.suffix == TASTE_SUFFIX:
            from sfumato.inference.taste import Taste

            return Taste.load(path).style_named(name)
        code, about = StyleCode.load(path)
        return cls(name, code, about, pictures=built_in_pictures(name))

    @classmethod
    def from_image(cls, source: ImageSource, name: str | None = None, stylizer: Stylizer | None = None) -> Self:
        """The style of one picture, for the model of ``stylizer`` (by default the one that ships with Sfumato)."""
        if name is None and isinstance(source, str | os.PathLike):
            name = Path(source).stem
        return cls.from_images([source], name, stylizer)

    @classmethod
    def from_images(
        cls, sources: Iterable[ImageSource] | ImageSource, name: str | None = None, stylizer: Stylizer | None = None
    ) -> Self:
        """What several pictures have in common: the mean of their codes. One picture is one."""
        if stylizer is None:
            from sfumato.inference.stylizer import Stylizer

            stylizer = Stylizer()
        read = [usable(source) for source in _several(sources)]
        codes = [stylizer.encode(picture) for picture in read]
        if not codes:
            raise UsageError("a style needs at least one picture, and none was given")
        kind = "picture" if len(codes) == 1 else "pictures"
        about = {"kind": kind, "pictures": str(len(codes))}
        pictures = tuple(StylePicture.of(picture) for picture in read)
        return cls(name or f"{len(codes)} {kind}", StyleCode.mean(codes), about, pictures=pictures)

    @classmethod
    def blend(cls, weights: Mapping[Self | str, float], name: str | None = None) -> Self:
        """A mixture of styles, or of those that :meth:`named` finds outside the home folder; weights count in
        proportion to their sum.

        Raises:
            UsageError: no style, a weight below zero or not finite, or none above zero.
            ModelError: styles of different models.
        """
        if not isinstance(weights, Mapping) or not all(isinstance(w, Real) for w in weights.values()):
            raise UsageError("a blend is a mapping of styles to numbers, as in {'monet': 0.7, 'klimt': 0.3}")
        parts = [(cls.named(part) if isinstance(part, str) else part, weight) for part, weight in weights.items()]
        code = StyleCode.blend([style.code for style, _ in parts], [weight for _, weight in parts])
        recipe = " + ".join(f"{style.name}:{weight:g}" for style, weight in parts)
        return cls(name or recipe, code, {"kind": "blend", "recipe": recipe}, _blended(parts))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Style:
        """Reads a style file; of a taste's file (``NAME.sfumato``), its heaviest style.

        Raises:
            InputError: the file cannot be read.
            ModelError: it is damaged or not a style.
        """
        if Path(path).suffix == TASTE_SUFFIX:
            from sfumato.inference.taste import Taste

            return Taste.load(path).style
        code, about = StyleCode.load(path)
        return cls(about.get("name") or Path(path).name.split(".")[0], code, about)

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Writes a style file (safetensors, a few kB), whole or not at all.

        Raises:
            OutputError: it cannot be written, or there is one and it is not to be overwritten.
        """
        self.code.save(path, {**self.about, "name": self.name}, overwrite)

    def check_model(self, model: str, size: int, look_size: int) -> None:
        """Raises ModelError unless the code fits that model: ``size`` numbers and a look of ``look_size``."""
        if (self.code.model, len(self.code)) != (model, size):
            again = "make the style again from its picture, with this model"
            if self.about.get("kind") == "personal":
                again = f"learn it again (sfumato personal learn {split_name(self.name)[0]}), or ask whom it came from"
            raise ModelError(
                f"the style {self.name!r} was made by the model {self.code.model!r} and this is {model!r}; {again}"
            )
        if self.code.look is not None and len(self.code.look) != look_size:
            raise ModelError(f"the style {self.name!r} is damaged or of another version; make it again")


def _several(sources: Any) -> Iterable[Any]:
    """Pictures one by one: a path is no list of letters, an open file none of lines, an array none of rows."""
    if is_file_like(sources) or isinstance(sources, Image.Image) or getattr(sources, "ndim", 4) < 4:
        return [sources]
    if hasattr(sources, "ndim"):  # a batch
        return [sources[i : i + 1] for i in range(len(sources))]
    if not isinstance(sources, Iterable):
        raise UsageError(f"a style is made of pictures, but {type(sources).__name__} was given")
    return sources


def _blended(parts: Sequence[tuple[Style, float]]) -> tuple[StylePicture, ...]:
    """The pictures of all parts, by weight; none where a part that counts has none."""
    parts = [(style, float(weight)) for style, weight in parts if weight > 0]
    if not all(style.pictures for style, _ in parts):
        return ()
    whole, found = sum(weight for _, weight in parts), []
    for style, weight in parts:
        own = sum(each.weight for each in style.pictures)
        found += [each.weighted(weight / whole / own) for each in style.pictures]
    return tuple(found)


def usable(source: ImageSource) -> Picture:
    """One picture ``(1, 3, H, W)`` that is large enough to be painted or to be a style.

    Raises:
        InputError: it cannot be read, is too small, or is a batch.
    """
    picture = as_image(source)
    name = source if isinstance(source, str | os.PathLike) else "the picture"
    if len(picture) != 1:
        raise InputError(f"{name} is a batch of {len(picture)} pictures; pass them one at a time")
    check_size(picture.shape[2], picture.shape[3], str(name))
    return picture


def check_size(height: int, width: int, name: str) -> None:
    """Raises InputError for a picture that is too small to be painted."""
    if max(height, width) < SMALLEST_SIDE:
        raise InputError(f"{name} has {width} x {height} pixels; Sfumato needs {SMALLEST_SIDE} or more on a side")


def as_styles(style: Style | str | Sequence[Style | str] | None) -> list[Style | str]:
    """What is asked for as a list. Raises UsageError for anything but styles and names."""
    styles: list[Any] = [] if style is None else list(style) if isinstance(style, list | tuple) else [style]
    for each in styles:
        if not isinstance(each, Style | str):
            raise UsageError(
                f"a style is a Style or a name, but {type(each).__name__} was given; Style.from_image makes one of a "
                "picture, Style.blend one of several"
            )
    return styles
