"""Recipes: the record, stored inside a picture, of how it was made; enough to make it again, pixel for pixel.

The number of threads is not part of it: it depends on the machine, and affects only the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from sfumato import __version__
from sfumato.checks import check_range, check_whole
from sfumato.errors import InputError, ModelError, UsageError, first_line
from sfumato.inference.options import Color, PaintOptions, Quality, as_options
from sfumato.inference.retouch import UNPAINTED, Finish, finishes
from sfumato.inference.style import Style
from sfumato.inference.style_pictures import StylePicture
from sfumato.inference.stylizer import Stylizer
from sfumato.public import public
from sfumato.rights import joined_rights
from sfumato.style_code import StyleCode, from_text, to_text
from sfumato.text import short

_MAX_PARTS = 32  # styles in the name of a blend that are looked up
#: Errors that the values of a damaged recipe can raise. (`binascii.Error` is a ValueError.)
_DAMAGED = (
    TypeError,
    ValueError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
    UsageError,
    ModelError,
)


def style_to_json(style: Style) -> dict[str, Any]:
    """Return a style's name, code, rights and channel statistics as a recipe stores them."""
    found: dict[str, Any] = {"name": style.name, "code": to_text(style.code.vector, "<f4")}
    if rights := joined_rights([style.about.get("rights", "")]):  # checked, since a style file may come from anywhere
        found["rights"] = rights
    if style.code.channel_stats is not None:
        found["channel_stats"] = to_text(style.code.channel_stats, "<f2")
    return found


def pictures_to_json(style: Style) -> list[dict[str, Any]]:
    """Return the SHA-256 and weight of each of a style's pictures, as a recipe stores them."""
    return [{"sha256": each.sha256, "weight": each.weight} for each in style.pictures]


@public
@dataclass(frozen=True)
class Recipe:
    """How a picture was made: models by id and hash, styles by value, and all options.

    Attributes:
        version: version of Sfumato.
        model: the model's id.
        model_sha256: hash of the model's graphs (`Card.digest`), since other weights would give other pixels.
        styles: for each region the style's ``name``, ``code`` (float32, little-endian, base64) and, if it has them,
            ``channel_stats`` (float16, likewise) and ``rights``, as its user stated them (`rights.rights_text`); empty
            for a model of the kind collection.
        strength, stroke, color: as `Stylizer` takes them.
        max_size: pixels to which the photo's longer side was shrunk before painting; 0: not shrunk.
        masks: SHA-256 of the values of each mask.
        file_quality: of JPEG and WebP, from 1 to 100.
        seed: seed of the random placement of the strokes.
        guidance: the selection options, Sfumato's choices and the reason; ``None`` where it chose nothing. It explains
            the values above; a replay does not read it.
        kind: kind of the model.
        quality: as `Stylizer` takes it.
        decoder_sha256: hash of the networks of the qualities standard and best (`FeatureNetworks.digest`); empty for a
            draft.
        finish: the finishing steps after painting, in order (`retouch.Finish.to_json`).
        photo_sha256: of the photo's file, in hex; empty where there was no file (standard input, a pipe).
        tile: whether the picture repeats without a seam.
    """

    version: str
    model: str
    model_sha256: str
    styles: Sequence[Mapping[str, Any]]
    strength: float = 1.0
    stroke: float = 1.0
    color: Color = "style"
    max_size: int = 0
    masks: Sequence[str] = ()
    file_quality: int = 92
    seed: int = 0
    guidance: Mapping[str, Any] | None = None
    kind: str = "arbitrary"
    quality: Quality = "draft"
    decoder_sha256: str = ""
    finish: Sequence[Mapping[str, Any]] = ()
    photo_sha256: str = ""
    tile: bool = False

    @classmethod
    def of(
        cls, stylizer: Stylizer, styles: Sequence[Style], options: PaintOptions | None = None, **others: Any
    ) -> Self:
        """Return the recipe of a painting with these styles and options; ``others`` are further attributes by name."""
        card, options = stylizer.card, as_options(options)
        quality = stylizer.choose_quality(options.quality, styles)
        chosen = {**asdict(options), "quality": quality}
        decoder = "" if quality == "draft" else stylizer.networks.digest
        made = cls(__version__, card.model, card.digest, [], **chosen, **others, kind=card.kind, decoder_sha256=decoder)
        return made.with_styles(styles)

    def with_styles(self, styles: Sequence[Style]) -> Self:
        """Return the same recipe with other styles."""
        found = [style_to_json(style) for style in styles]
        if self.quality != "draft":
            found = [{**each, "pictures": pictures_to_json(style)} for each, style in zip(found, styles, strict=True)]
        return replace(self, styles=found)

    @property
    def finishes(self) -> list[Finish]:
        """The finishing steps after painting."""
        return [Finish(**each) for each in self.finish]

    @property
    def options(self) -> PaintOptions:
        """The options of the painting. Raises UsageError where a value is outside its range."""
        return PaintOptions(self.strength, self.stroke, self.color, self.quality, self.seed, self.tile)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values; attributes that have their defaults are partly omitted."""
        found = {**asdict(self), "styles": [dict(style) for style in self.styles], "masks": list(self.masks)}
        found["finish"] = [dict(each) for each in self.finish]
        if self.kind == "arbitrary":
            del found["kind"]  # the default of `from_json`
        if self.quality == "draft":
            del found["quality"], found["decoder_sha256"]
        if not self.finish:
            del found["finish"]
        if not self.photo_sha256:
            del found["photo_sha256"]
        if not self.tile:
            del found["tile"]
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str) -> Self:
        """Return the recipe that a file holds.

        Args:
            found: the recipe as JSON values, which may come from an untrusted source.
            where: the file's name in error messages.

        Raises:
            InputError: it is damaged, or not the recipe of a painting.
        """
        if found.get("kind") == "noise":
            raise InputError(f"{where} was painted from noise, not from a photo and a style (sfumato show {where})")
        if found.get("kind") == "video":
            raise InputError(f"{where} is a painted video, whose recipe is not one of a picture (sfumato show {where})")
        if found.get("kind") == UNPAINTED:
            raise InputError(f"{where} was finished but not painted by Sfumato (sfumato show {where})")
        try:
            recipe = cls(**found)
            recipe._check()
            finishes(found, where)
        except _DAMAGED as problem:
            raise InputError(
                f"the recipe inside {where} is damaged, or of another version ({first_line(problem)})"
            ) from problem
        return recipe

    def _check(self) -> None:
        """Check types and ranges, since a file may come from an untrusted source.

        Raises:
            UsageError, or one of `_DAMAGED`: a value is wrong.
        """
        if not all(isinstance(part, list) for part in (self.styles, self.masks)):
            raise ValueError("its styles or masks are not a list")
        texts = (self.version, self.model, self.model_sha256, self.decoder_sha256, self.photo_sha256, self.kind)
        if not all(isinstance(text, str) for text in (*texts, *self.masks, *(style["name"] for style in self.styles))):
            raise ValueError("its values have other types")
        if not (self.version + self.model_sha256 + self.decoder_sha256).isprintable():  # error messages quote them
            raise ValueError("its values contain unprintable characters")
        if self.options.quality is None:
            raise ValueError("its quality is missing")
        if not (self.guidance is None or isinstance(self.guidance, dict)):
            raise ValueError("its guidance has another type")
        check_whole(self.file_quality, 1, 100, "its file_quality")
        if check_whole(self.max_size, 0, 1_000_000, "its max_size"):
            check_whole(self.max_size, 16, 1_000_000, "its max_size")
        for style in self.styles:
            self._code(style)
            if not isinstance(style.get("rights", ""), str):
                raise ValueError("its rights have another type")
            _hashes_and_weights(style)
        if bool(self.styles) != (self.kind == "arbitrary"):
            raise ValueError("its styles do not fit its kind of model")

    def rebuild(self, stylizer: Stylizer, known: Sequence[Style] = (), own: bool = False) -> list[Style]:
        """Return the styles of the recipe, with their pictures.

        Args:
            stylizer: of the model that made the picture.
            known: styles whose pictures may be used, in addition to the built-in and personal styles of the recipe's
                names.
            own: as in :meth:`Style.named`.

        Raises:
            ModelError: the stylizer has another model.
            UsageError: a picture of a style is missing.
        """
        card = stylizer.card
        if (card.model, card.digest) != (self.model, self.model_sha256):
            raise ModelError(
                f"the picture was made with the model {self.model!r} ({self.model_sha256[:12]}) of Sfumato "
                f"{self.version}, but this is {card.model!r} ({card.digest[:12]}) of {__version__}; "
                "install that version, or name its model with --model"
            )
        if self.decoder_sha256 and stylizer.networks.digest != self.decoder_sha256:
            raise ModelError(
                f"the picture was made with other networks of the quality {self.quality} "
                f"({self.decoder_sha256[:12]}) than these ({stylizer.networks.digest[:12]}); "
                f"install Sfumato {self.version}"
            )
        here = {each.sha256: each for style in known for each in style.pictures}
        return [
            Style(
                style["name"],
                self._code(style),
                {"rights": style["rights"]} if "rights" in style else {},
                _find_pictures(style, here, own),
            )
            for style in self.styles
        ]

    def _code(self, style: Mapping[str, Any]) -> StyleCode:
        channel_stats = from_text(style["channel_stats"], "<f2") if "channel_stats" in style else None
        return StyleCode(from_text(style["code"], "<f4"), self.model, channel_stats)


def _hashes_and_weights(style: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the SHA-256 and weight of each picture of a recipe's style; raise ValueError where they are damaged."""
    found = [(each["sha256"], each["weight"]) for each in style.get("pictures", ())]
    for digest, weight in found:
        if not isinstance(digest, str) or not digest.isalnum() or check_range(weight, 0.0, 1e9, "its weight") == 0:
            raise ValueError("its pictures are damaged")
    return [(digest, float(weight)) for digest, weight in found]


def _pictures_named(name: str, own: bool) -> Sequence[StylePicture]:
    """Return the pictures of a built-in or personal style; none where there is no such style."""
    try:
        return Style.named(name, own).pictures  # the caller selects among them by hash
    except (UsageError, InputError, ModelError):
        return ()


def _find_pictures(style: Mapping[str, Any], here: Mapping[str, StylePicture], own: bool) -> tuple[StylePicture, ...]:
    """Return the pictures that a recipe's style lists, with its weights.

    They are looked up by SHA-256: in ``here``, then among the styles that the recipe names.

    Raises:
        UsageError: one was not found.
    """
    wanted = _hashes_and_weights(style)
    if any(digest not in here for digest, _ in wanted):
        names = [part.rpartition(":")[0] or part for part in style["name"].split(" + ", _MAX_PARTS)]
        named = [each for name in names for each in _pictures_named(name, own)]
        here = {**{each.sha256: each for each in named}, **here}
    if lost := [digest for digest, _ in wanted if digest not in here]:
        raise UsageError(
            f"the picture was painted with a picture of the style {short(style['name'])!r} (SHA-256 {lost[0][:12]}) "
            "that was not found; name its file with --style"
        )
    return tuple(replace(here[digest], weight=weight) for digest, weight in wanted)
