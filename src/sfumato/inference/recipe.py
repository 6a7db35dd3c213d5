"""What made a picture, kept inside it: enough to show it to people, and to make it again to the same pixels.

The number of threads is not in it: it is the machine's, and decides no more than how sums are rounded.
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
from sfumato.style_code import StyleCode, from_text, to_text
from sfumato.text import short

_MAX_PARTS = 32  # of a blend's name that are looked up
#: What a recipe of other types or ranges makes the reader stumble on. (`binascii.Error` is a ValueError.)
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
    """A style as recipes keep it."""
    found: dict[str, Any] = {"name": style.name, "code": to_text(style.code.vector, "<f4")}
    if style.code.channel_stats is not None:
        found["channel_stats"] = to_text(style.code.channel_stats, "<f2")
    return found


def pictures_to_json(style: Style) -> list[dict[str, Any]]:
    """The pictures of a style as recipes name them: by hash, with their weights."""
    return [{"sha256": each.sha256, "weight": each.weight} for each in style.pictures]


@public
@dataclass(frozen=True)
class Recipe:
    """A stylisation by value.

    Attributes:
        version: of Sfumato.
        model: the model's id.
        model_sha256: of its graphs (`Card.digest`): other weights of the same name would give other pixels.
        styles: for each region its style's ``name``, ``code`` (float32, little-endian, base64) and, where it has them,
            ``channel_stats`` (float16, likewise); none where the model has a style of its own.
        strength, stroke, color: as `Stylizer` takes them.
        max_size: pixels that the photo's longer side was shrunk to first; 0 for its own size.
        masks: SHA-256 of each mask's values.
        file_quality: of JPEG and WebP.
        seed: which way the marks fell.
        guidance: what Sfumato was asked to choose, what it chose and why; None where people chose everything. It tells
            how the numbers above came about; a replay takes them as they are.
        kind: of the model.
        quality: as `Stylizer` takes it.
        decoder_sha256: of the networks of the quality standard (`FeatureNetworks.digest`); empty for a draft.
        finish: what was done to the picture after painting, as `retouch.Finish` tells it, in order.
        photo_sha256: of the photo's file, in hex; empty where it had none (standard input, a pipe).
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

    @classmethod
    def of(
        cls, stylizer: Stylizer, styles: Sequence[Style], options: PaintOptions | None = None, **others: Any
    ) -> Self:
        """The recipe of painting with these styles and options; ``others`` are further attributes by name."""
        card, options = stylizer.card, as_options(options)
        quality = stylizer.choose_quality(options.quality, styles)
        chosen = {**asdict(options), "quality": quality}
        decoder = "" if quality == "draft" else stylizer.networks.digest
        made = cls(__version__, card.model, card.digest, [], **chosen, **others, kind=card.kind, decoder_sha256=decoder)
        return made.with_styles(styles)

    def with_styles(self, styles: Sequence[Style]) -> Self:
        """The same with other styles."""
        found = [style_to_json(style) for style in styles]
        if self.quality != "draft":
            found = [{**each, "pictures": pictures_to_json(style)} for each, style in zip(found, styles, strict=True)]
        return replace(self, styles=found)

    @property
    def finishes(self) -> list[Finish]:
        """What is to be done to the picture after painting."""
        return [Finish(**each) for each in self.finish]

    @property
    def options(self) -> PaintOptions:
        """How the photo is painted. Raises UsageError where a value is outside its range."""
        return PaintOptions(self.strength, self.stroke, self.color, self.quality, self.seed)

    def to_json(self) -> dict[str, Any]:
        found = {**asdict(self), "styles": [dict(style) for style in self.styles], "masks": list(self.masks)}
        found["finish"] = [dict(each) for each in self.finish]
        if self.kind == "arbitrary":
            del found["kind"]  # as in pictures from before there were others
        if self.quality == "draft":
            del found["quality"], found["decoder_sha256"]
        if not self.finish:
            del found["finish"]
        if not self.photo_sha256:
            del found["photo_sha256"]
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str) -> Self:
        """From what a file had embedded.

        Raises:
            InputError: it is no recipe of this kind.
        """
        if found.get("kind") == "noise":
            raise InputError(f"{where} was painted out of noise, and of no photo or style (sfumato show {where})")
        if found.get("kind") == UNPAINTED:
            raise InputError(f"{where} was finished and never painted (sfumato show {where})")
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
        """Types and ranges, as `Stylizer` and the command have them: what a file holds may come from anybody.

        Raises:
            UsageError, or one of `_DAMAGED`: a part is wrong.
        """
        if not all(isinstance(part, list) for part in (self.styles, self.masks)):
            raise ValueError("its styles or masks are no list")
        texts = (self.version, self.model, self.model_sha256, self.decoder_sha256, self.photo_sha256, self.kind)
        if not all(isinstance(text, str) for text in (*texts, *self.masks, *(style["name"] for style in self.styles))):
            raise ValueError("its parts have other types")
        if not (self.version + self.model_sha256 + self.decoder_sha256).isprintable():  # errors tell of them
            raise ValueError("its parts have signs that cannot be shown")
        if self.options.quality is None:
            raise ValueError("its quality is missing")
        if not (self.guidance is None or isinstance(self.guidance, dict)):
            raise ValueError("its guidance has another type")
        check_whole(self.file_quality, 1, 100, "its file_quality")
        if check_whole(self.max_size, 0, 1_000_000, "its max_size"):
            check_whole(self.max_size, 16, 1_000_000, "its max_size")
        for style in self.styles:
            self._code(style)
            _pictures(style)
        if bool(self.styles) != (self.kind == "arbitrary"):
            raise ValueError("its styles do not fit its kind of model")

    def rebuild(self, stylizer: Stylizer, known: Sequence[Style] = (), own: bool = False) -> list[Style]:
        """The styles, for a stylizer of the same model. Pictures are taken from ``known`` styles, and from the built-in
        and personal ones of that name; ``own`` as in :meth:`Style.named`.

        Raises:
            ModelError: it has another model.
            UsageError: a picture that it was painted with is not here.
        """
        card = stylizer.card
        if (card.model, card.digest) != (self.model, self.model_sha256):
            raise ModelError(
                f"the picture was made with the model {self.model!r} ({self.model_sha256[:12]}) of Sfumato "
                f"{self.version}, and this is {card.model!r} ({card.digest[:12]}) of {__version__}; "
                "install what made it, or name its model with --model"
            )
        if self.decoder_sha256 and stylizer.networks.digest != self.decoder_sha256:
            raise ModelError(
                f"the picture was made with other networks of the quality {self.quality} "
                f"({self.decoder_sha256[:12]}) than these ({stylizer.networks.digest[:12]}); install what made it"
            )
        here = {each.sha256: each for style in known for each in style.pictures}
        return [Style(style["name"], self._code(style), pictures=_found(style, here, own)) for style in self.styles]

    def _code(self, style: Mapping[str, Any]) -> StyleCode:
        channel_stats = from_text(style["channel_stats"], "<f2") if "channel_stats" in style else None
        return StyleCode(from_text(style["code"], "<f4"), self.model, channel_stats)


def _pictures(style: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Hash and weight of each picture of a recipe's style; ValueError where they are none."""
    found = [(each["sha256"], each["weight"]) for each in style.get("pictures", ())]
    for digest, weight in found:
        if not isinstance(digest, str) or not digest.isalnum() or check_range(weight, 0.0, 1e9, "its weight") == 0:
            raise ValueError("its pictures are damaged")
    return [(digest, float(weight)) for digest, weight in found]


def _named(name: str, own: bool) -> Sequence[StylePicture]:
    """The pictures of a built-in or personal style; none where there is none of that name."""
    try:
        return Style.named(name, own).pictures  # what is taken of them is known by its hash
    except (UsageError, InputError, ModelError):
        return ()


def _found(style: Mapping[str, Any], here: Mapping[str, StylePicture], own: bool) -> tuple[StylePicture, ...]:
    """The pictures of a recipe's style, from those that are here and those of the styles of that name."""
    wanted = _pictures(style)
    if any(digest not in here for digest, _ in wanted):
        names = [part.rpartition(":")[0] or part for part in style["name"].split(" + ", _MAX_PARTS)]
        named = [each for name in names for each in _named(name, own)]
        here = {**{each.sha256: each for each in named}, **here}
    if lost := [digest for digest, _ in wanted if digest not in here]:
        raise UsageError(
            f"the picture was painted with a picture of the style {short(style['name'])!r} (SHA-256 {lost[0][:12]}) "
            "that is not here; name its file with --style"
        )
    return tuple(replace(here[digest], weight=weight) for digest, weight in wanted)
