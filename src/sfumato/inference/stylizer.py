"""A photo and a style in, a picture out.

:class:`Stylizer` holds one exported model: its ONNX graphs and a card. A call is four steps: see the photo as a
thumbnail, fuse its own code with the style's by strength, let the statistics pass turn thumbnail and code into every
scale and shift of the generator, and run the generator on the photo with those. A :class:`Style` is a named style code:
it comes from a built-in name, a picture, several pictures, a blend, or a file of a few kB.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from sfumato import assets
from sfumato.checks import check_range
from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import ImageSource, Photo, Picture, as_image, resize, thumbnail_size, to_levels
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.finish import keep_chroma, mix, soften
from sfumato.inference.library import TASTE_SUFFIX, split_name, style_path
from sfumato.inference.matched_painting import MatchedPainting, plan_scales, refined_scale
from sfumato.inference.session import PROVIDERS, WEIGHTS, Ends, load_graph, read_card
from sfumato.inference.sources import ArraySource, EnlargedSource, PixelSource, Source, StripSource
from sfumato.inference.style_bank import make_bank
from sfumato.inference.style_pictures import StylePicture, built_in_pictures
from sfumato.inference.tiling import ALIGNMENT, Tile, tiles
from sfumato.style_code import StyleCode

#: In pixels: a picture whose longer side is below this is smaller than the coarsest marks of the networks.
SMALLEST_SIDE = 16
#: Pixels: statistics of a long strip are measured on no more than this.
LONGEST_THUMBNAIL = 1024
#: Short side, in pixels, at which marks have the size that they have in the pictures the model learnt from. Larger
#: photos are painted at this size first, and enlarged.
NATURAL = 512
#: How many times the base size a result must be for its finest octaves to be painted too, and not only enlarged.
REPAINTED = 2.0
#: Places of the networks' field of noise, along each axis, before it repeats (`networks.generator.NOISE_PERIODS`).
NOISE_PLACES = 429

Color: TypeAlias = Literal["style", "content", "luminance"]
#: How a photo is painted: by the small network at once; with features of the style's own pictures; and then refined.
Quality: TypeAlias = Literal["draft", "standard", "best"]
Mask: TypeAlias = npt.NDArray[np.float32]

_GENERATOR: dict[str, Ends] = {"generator.onnx": (("picture", "affines", "origin"), ("stylized",))}
_GRAPHS: dict[str, dict[str, Ends]] = {  # by the model's kind: those that paint photos
    "arbitrary": {
        "style_encoder.onnx": (("picture",), ("code", "features", "look")),
        "statistics.onnx": (("thumbnail", "code"), ("affines",)),
        **_GENERATOR,
    },
    "collection": {"statistics.onnx": (("thumbnail", "photo"), ("affines", "look")), **_GENERATOR},
}
_OPTIONAL: dict[bool, dict[str, Ends]] = {  # they explain pictures, and paint none; by whether they are told a code
    True: {"discriminator.onnx": (("picture", "code"), ("opinion",))},
    False: {"discriminator.onnx": (("picture",), ("opinion",))},
}
_OTHERS = {"noise": "it paints out of noise, and no photos; use sfumato imagine --model {}"}  # kinds of other commands


@dataclass(frozen=True)
class Card:
    """A bundle's ``card.json``: which model it is, what its files hash to, how it was trained, scored and licensed.

    ``kind`` is ``"arbitrary"``, for any style by its code, or ``"collection"``, for the one style that the model has.
    ``conditional`` is whether its discriminator, where it has one, is told the style code.
    ``look_size`` is how many numbers a style's look has; 0 where there is none.
    """

    model: str
    version: str
    thumbnail: int
    code_size: int
    look_size: int
    affines: int
    palette: list[int]
    files: dict[str, str]
    kind: str = "arbitrary"
    conditional: bool = True
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    licence: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the hashes of all graphs and their weights: what decides which pixels come out."""
        names = (*sorted(_GRAPHS[self.kind]), WEIGHTS)
        return hashlib.sha256("".join(self.files.get(name, "") for name in names).encode()).hexdigest()

    @property
    def has_codes(self) -> bool:
        """Whether it paints by style codes; otherwise it has one style of its own."""
        return self.kind == "arbitrary"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the card of the bundle in ``folder``; keys that it has besides these are ignored.

        Raises:
            ModelError: there is no card, or it is not one.
        """
        path, found = folder / "card.json", read_card(folder)
        # Cards from before there were kinds have none.
        card = {
            "training": {},
            "scores": {},
            "licence": {},
            "data": {},
            "kind": "arbitrary",
            "conditional": True,
            **found,
        }
        if (kind := str(card["kind"])) not in _GRAPHS:
            unknown = f"this version does not paint with it; it knows {' and '.join(_GRAPHS)}"
            raise ModelError(f"{folder} is a model of the kind {kind!r}: {_OTHERS.get(kind, unknown).format(folder)}")
        types: dict[str, type] = dict.fromkeys(("thumbnail", "code_size", "look_size", "affines"), int)
        types |= {"model": str, "version": str, "palette": list, "kind": str, "conditional": bool}
        for key in (entry.name for entry in fields(cls)):
            if not isinstance(card.get(key), types.get(key, dict)):
                raise ModelError(f"{path} is not a model card: {key!r} is missing or wrong; export the model again")
        if missing := sorted(_GRAPHS[kind].keys() - card["files"].keys()):
            raise ModelError(f"{path} has no hash of {', '.join(missing)}; export the model again")
        return cls(**{entry.name: card[entry.name] for entry in fields(cls)})


class Stylizer:
    """Paints photos with one exported model.

    ::

        painted = Stylizer()("photo.jpg", Style.named("great-wave"), strength=0.8)
        write_image(painted, "painted.png")

    Making one only reads a small card: a graph is checked and loaded by the first call that needs it, once a process.
    One may be used from several threads.

    Args:
        model: folder of an exported model (``sfumato export``); ``None`` takes the one that ships with Sfumato.
        threads: CPU threads of one call; ``None`` lets ONNX Runtime take one for each core.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the fastest that works here.

    Raises:
        ModelError: the folder holds no model. (A damaged graph is found when it is loaded.)
        UsageError: there is no such device, or less than one thread.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, threads: int | None = None, device: str = "auto"
    ) -> None:
        if device != "auto" and device not in PROVIDERS:
            raise UsageError(f"there is no device {device!r}; choose auto, {' or '.join(PROVIDERS)}")
        if threads is not None:
            check_range(threads, 1, 10_000, "threads")
            threads = min(threads, os.cpu_count() or 1)  # more of them than cores wait for each other
        self.folder, self._decoder = (assets.weights_dir() if model is None else Path(model)).resolve(), None
        if read_card(self.folder).get("kind") == "matching":  # style codes are the shipped model's
            self.folder, self._decoder = assets.weights_dir().resolve(), self.folder
        self.card = Card.read(self.folder)
        self._threads, self._device = threads, device

    def choose_quality(self, quality: str | None, styles: Sequence[Style]) -> Quality:
        """The quality to paint in. Where none is named, it is ``"standard"`` with a model that has a decoder for it
        (the shipped one, or one of the kind matching), if every style has pictures; otherwise ``"draft"``.

        Raises:
            UsageError: there is none of that name, this model has another, or a style has no picture with it.
        """
        if quality is None:
            drafts = not all(style.pictures for style in styles) or not self._is_shipped
            quality = "draft" if drafts and self._decoder is None else "standard"
        if quality not in get_args(Quality):
            raise UsageError(f"quality must be one of {', '.join(get_args(Quality))}, but is {quality!r}")
        if quality == "draft" and self._decoder is not None:
            raise UsageError(f"the model {self.networks.name!r} has no draft; paint with the quality standard or best")
        if quality != "draft":
            if not self.card.has_codes:
                raise UsageError(f"the model {self.card.model!r} paints one collection, in draft quality only")
            for style in styles:
                if not style.pictures:
                    raise UsageError(
                        f"the style {style.name!r} has no picture with it, which the qualities standard and best need; "
                        "paint it with the quality draft, or name pictures as the style"
                    )
        return cast(Quality, quality)

    @property
    def _is_shipped(self) -> bool:
        return self.folder == assets.weights_dir().resolve()

    def __call__(
        self,
        photo: ImageSource,
        style: Style | str | Sequence[Style | str] | None = None,
        strength: float = 1.0,
        *,
        stroke: float = 1.0,
        color: Color = "style",
        masks: Sequence[Mask] = (),
        seed: int = 0,
        quality: Quality | None = None,
    ) -> Picture:
        """Paints a photo in a style, at the photo's own size; the same arguments give the same pixels.

        Args:
            photo: a path, a ``PIL.Image`` or an array (see ``sfumato.image.as_image``).
            style: a style of this model, or the name of a built-in one; with ``masks``, one or several. A model of one
                collection has its own, and takes none.
            strength: from 0, which gives the photo back through the same network, to 1, the full style. A collection's
                is mixed with the photo, which 0 gives back exactly.
            stroke: size of the marks, from 0.5 to 2. Marks grow with the picture: at 1 they look as they do in a
                picture of ``NATURAL`` pixels, seen at that size.
            color: ``"style"`` takes the style's palette; ``"content"`` paints with the photo's palette; ``"luminance"``
                keeps the colour of every pixel and takes only light and dark from the painting.
            masks: ``(H, W)``: float in ``[0, 1]``, uint8, uint16 or bool: where each style goes. One mask, one style:
                the rest stays photo. One mask and two styles: the second takes the rest. Otherwise as many masks as
                styles; where they overlap they share, and where there is none the photo stays.
            seed: which way the marks fall, where the photo does not say; 0 and up.
            quality: ``"draft"`` paints with the network of this model; ``"standard"`` matches the photo with features
                of the style's own pictures and decodes them (``inference.matched_painting``): slower, with the
                painting's own brushwork. ``"best"`` refines that at the base size, for several times as long.
                ``None``: see ``choose_quality``.

        Returns:
            ``(1, 3, H, W)`` float32 in ``[0, 1]``.

        Raises:
            UsageError: an option lies outside its range, or styles and masks do not match.
            InputError: the photo or a mask cannot be read or used.
            ModelError: a style is another model's, or a graph is damaged.
        """
        picture = _usable(photo)
        output = np.empty_like(picture)
        options = strength, stroke, color, masks, seed, quality
        for tile, painted in self._render(ArraySource(picture), style, *options):
            output[:, :, tile.rows, tile.columns] = painted
        return output

    def paint(
        self,
        photo: Photo,
        style: Style | str | Sequence[Style | str] | None = None,
        strength: float = 1.0,
        *,
        stroke: float = 1.0,
        color: Color = "style",
        masks: Sequence[Mask] = (),
        seed: int = 0,
        quality: Quality | None = None,
        name: str = "the photo",
    ) -> Photo:
        """As a call, from photo to photo: its depth, transparency and metadata are kept, and memory is bounded.

        What is transparent takes no part in the statistics. ``name`` is what errors call the photo.
        """
        check_size(photo.height, photo.width, name)
        pixels = np.empty_like(photo.pixels)
        options = strength, stroke, color, masks, seed, quality
        for tile, painted in self._render(PixelSource(photo), style, *options, name):
            pixels[tile.rows, tile.columns] = to_levels(painted, pixels.dtype)
        if strength == 0 and not self.card.has_codes:  # the photo, also what lies under its transparency
            pixels = photo.pixels.copy()
        return replace(photo, pixels=pixels)

    def _render(
        self,
        source: Source,
        style: Style | str | Sequence[Style | str] | None,
        strength: float,
        stroke: float,
        color: Color,
        masks: Sequence[Mask],
        seed: int,
        quality: Quality | None,
        name: str = "the photo",
    ) -> Iterator[tuple[Tile, Picture]]:
        """The stylised picture, tile by tile; values in [0, 1]."""
        check_range(strength, 0.0, 1.0, "strength")
        check_range(stroke, 0.5, 2.0, "stroke")
        check_range(seed, 0, 2**63 - 1, "seed")
        if color not in get_args(Color):
            raise UsageError(f"color must be one of {', '.join(get_args(Color))}, but is {color!r}")
        styles = _as_styles(style)
        self.check_own_style(len(styles), color, len(masks) if isinstance(masks, list | tuple) else 0)
        regions = _regions(masks, len(styles) if self.card.has_codes else 1, source.height, source.width, name)
        wanted: list[Style | None] = [None]
        if self.card.has_codes:
            wanted = [self.check_style(Style.named(s) if isinstance(s, str) else s) for s in styles]
        quality = self.choose_quality(quality, [style for style in wanted if style is not None])
        wide = source if min(source.height, source.width) >= SMALLEST_SIDE else StripSource(source, SMALLEST_SIDE)
        paintings = [
            (
                _Painting(self, wide, each, strength, stroke, color, seed)
                if quality == "draft"
                else self.matched(wide, each, strength, stroke, color, seed, quality)
            ).tiles()
            for each in wanted
        ]
        for parts in zip(*paintings, strict=True):
            tile = parts[0][0].within(source.height, source.width)
            height, width = tile.shape
            layers = [painted[:, :, :height, :width] for _, painted in parts]
            painted = layers[0]
            if regions or color == "luminance":
                photo = source.region(tile.rows, tile.columns)
                if regions:
                    painted = mix(layers, [region[tile.rows, tile.columns] for region in regions], photo)
                if color == "luminance":
                    painted = keep_chroma(painted, photo)
            yield tile, painted

    @cached_property
    def networks(self) -> FeatureNetworks:
        """Encoder and decoder of all qualities but ``"draft"``; they belong to no style."""
        return FeatureNetworks(self._decoder, self._threads, self._device)

    def matched(
        self,
        source: Source,
        style: Style | None,
        strength: float,
        stroke: float,
        color: Color,
        seed: int,
        quality: Quality = "standard",
    ) -> MatchedPainting:
        """How a photo is painted by matched features; the arguments are those of `paint`. The style has pictures."""
        assert style is not None, "choose_quality lets no model of one collection come here"
        pictures = style.pictures
        if color == "content":
            photo = source.reduced(*thumbnail_size(source.height, source.width, 64, LONGEST_THUMBNAIL))
            pictures = tuple(each.recoloured(photo) for each in pictures)
        scales = plan_scales(source.height, source.width)
        banks = [make_bank(self.networks, pictures, max(1, round(scale.short * stroke)), seed) for scale in scales]
        refined = refined_scale(scales) if quality == "best" else None
        return MatchedPainting(self.networks, source, banks, scales, strength, seed, refined=refined)

    def check_own_style(self, styles: int, color: Color, masks: int) -> None:
        """Raises UsageError where a model of one collection is asked for what only style codes can give."""
        if self.card.has_codes:
            return
        paints = f"the model {self.card.model!r} paints one collection, in its own style"
        if styles:
            raise UsageError(f"{paints}; leave the style out")
        if color == "content":
            raise UsageError(f"{paints}, and cannot take the photo's palette; choose the color style or luminance")
        if masks > 1:
            raise UsageError(f"{paints}, which one mask can bound; {masks} masks were given")

    def check_style(self, style: Style) -> Style:
        """The style. Raises ModelError where it is another model's."""
        if (style.code.model, len(style.code)) != (self.card.model, self.card.code_size):
            again = "make the style again from its picture, with this model"
            if style.about.get("kind") == "personal":
                again = f"learn it again (sfumato personal learn {split_name(style.name)[0]}), or ask whom it came from"
            raise ModelError(
                f"the style {style.name!r} was made by the model {style.code.model!r} and this is {self.card.model!r}; "
                f"{again}"
            )
        if style.code.look is not None and len(style.code.look) != self.card.look_size:
            raise ModelError(f"the style {style.name!r} is damaged or of another version; make it again")
        return style

    def affines(
        self,
        picture: Picture,
        code: StyleCode | None = None,
        strength: float = 1.0,
    ) -> npt.NDArray[np.float32]:
        """Every scale and shift that the generator paints ``picture`` ``(1, 3, H, W)`` with: ``(1, A)`` float32.

        They belong to the whole picture: its tiles, or the frames of one shot, can share them. A model of one
        collection takes no code, and strength has no part in them.
        """
        small = self._thumbnail(ArraySource(picture))
        return self._measure(small, None if code is None else self.fused(small, code, strength))

    def decode(
        self,
        picture: Picture,
        affines: npt.NDArray[np.float32],
        origin: tuple[int, int] = (0, 0),
    ) -> Picture:
        """The generator alone: ``(1, 3, h, w)`` under affines, as a region of the picture that they belong to.

        Args:
            origin: row and column of its corner there, multiples of ``tiling.ALIGNMENT``.
        """
        place = np.array(origin, np.int64)
        return self._run("generator.onnx", picture=picture, affines=affines, origin=place)[0]

    def encode(self, picture: ImageSource) -> StyleCode:
        """The style code of one picture.

        Raises:
            InputError: it cannot be read or used.
        """
        return self._encode(self._thumbnail(ArraySource(_usable(picture))))

    def _measure(
        self,
        small: Picture,
        code: StyleCode | None,
        photo: Picture | None = None,
    ) -> npt.NDArray[np.float32]:
        """Affines ``(1, A)``. ``photo`` is what a collection is to choose by, where ``small`` is of another picture."""
        if code is not None:
            return self._run("statistics.onnx", thumbnail=small, code=code.vector[None])[0]
        return self._run("statistics.onnx", thumbnail=small, photo=small if photo is None else photo)[0]

    def _thumbnail(self, source: Source) -> Picture:
        size = thumbnail_size(source.height, source.width, self.card.thumbnail, LONGEST_THUMBNAIL)
        return source.reduced(*(max(SMALLEST_SIDE, side) for side in size))

    def fused(self, photo: Picture | StyleCode, code: StyleCode, strength: float, color: Color = "style") -> StyleCode:
        """The code that a photo is painted under: the style's, with the photo's palette where that is kept, fused by
        strength with the photo's own, which is given, or taken from its thumbnail ``(1, 3, h, w)``."""
        if strength == 1.0 and color != "content":  # the photo's own code weighs nothing: the same without encoding it
            return code
        own = photo if isinstance(photo, StyleCode) else self._encode(photo)
        if color == "content":
            first, last = self.card.palette
            vector = code.vector.copy()
            vector[first:last] = own.vector[first:last]
            code = StyleCode(vector, code.model, code.look)
        return code.fuse(own, strength)

    def _encode(self, small: Picture) -> StyleCode:
        return self.look(small)[0]

    def look(self, picture: Picture) -> tuple[StyleCode, npt.NDArray[np.float32]]:
        """The style encoder's view of ``(1, 3, h, w)``: its code, and its features ``(256, h/4, w/4)`` (VGG19's
        relu3_1), which say where things are.

        Raises:
            UsageError: the model paints one collection and sees no styles.
        """
        if not self.card.has_codes:
            raise UsageError(
                f"the model {self.card.model!r} paints one collection and has no style codes; name another"
            )
        code, features, look = self._run("style_encoder.onnx", picture=picture)
        return StyleCode(code[0], self.card.model, look[0]), features[0]

    def opinion(self, picture: Picture, code: StyleCode | None = None) -> npt.NDArray[np.float32]:
        """The discriminator's logits, a map of them over ``(1, 3, h, w)``: above 0 where it takes the place for a part
        of a painting of that style, or, without a code, of the collection.

        Raises:
            ModelError: the model was exported without its discriminator.
        """
        if "discriminator.onnx" not in self.card.files:
            raise ModelError(f"the model {self.card.model!r} has no discriminator; export it from its whole run")
        if self._told and code is None:
            raise UsageError(f"the discriminator of {self.card.model!r} is told a style; give its code")
        given = {"code": code.vector[None]} if code is not None and self._told else {}
        logits: npt.NDArray[np.float32] = self._run("discriminator.onnx", picture=picture, **given)[0]
        return np.asarray(logits[0, 0])

    @property
    def _told(self) -> bool:
        """Whether the discriminator is told a code."""
        return self.card.has_codes and self.card.conditional

    def _run(self, graph: str, /, **inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        ends = {**_GRAPHS[self.card.kind], **_OPTIONAL[self._told]}[graph]
        session = load_graph(
            self.folder / graph,
            self.card.files[graph],
            ends,
            self._threads,
            self._device,
            weights=self.card.files.get(WEIGHTS, ""),
        )
        outputs: list[npt.NDArray[np.float32]] = session.run(None, inputs)
        if not all(np.isfinite(output).all() for output in outputs):
            raise ModelError(
                f"the model {self.card.model!r} gave values that are not numbers: the style or the model is damaged; "
                "make or install it again"
            )
        return outputs


class _Painting:
    """One photo in one style, or in a collection's own: its plan, its statistics, and its tiles.

    Marks have a size in pixels, that of the pictures the model learnt from. So a large photo is painted at a *base*
    size and enlarged with its own finest detail; where it is enlarged much, the networks paint once more on that, for
    the marks that only a large picture can show (coarse to fine, as Gatys et al. 2017, section 6, do it).
    """

    def __init__(
        self,
        stylizer: Stylizer,
        source: Source,
        style: Style | None,
        strength: float,
        stroke: float,
        color: Color,
        seed: int,
    ) -> None:
        self.stylizer, self.source = stylizer, source
        code = None if style is None else style.code
        self.mixed = strength if code is None else 1.0  # with the photo; a code is fused with the photo's own
        short = min(source.height, source.width)
        self.scale = short / max(SMALLEST_SIDE, round(min(short, NATURAL) / stroke))
        self.small = stylizer._thumbnail(source)
        self.code = None if code is None else stylizer.fused(self.small, code, strength, color)
        self.affines = stylizer._measure(self.small, self.code)
        # Another place in the field of noise; seed 0 is its corner.
        self.shift = np.random.default_rng(seed).integers(0, NOISE_PLACES, 2) * ALIGNMENT if seed else np.zeros(2, int)

    def tiles(self) -> Iterator[tuple[Tile, Picture]]:
        if self.mixed == 0:
            for tile in tiles(self.source.height, self.source.width):
                yield tile, self.source.region(tile.rows, tile.columns)
            return
        for tile, painted in self._painted():
            if self.mixed == 1:
                yield tile, painted
            else:
                photo = self.source.region(tile.rows, tile.columns)
                yield tile, photo + np.float32(self.mixed) * (painted - photo)

    def _painted(self) -> Iterator[tuple[Tile, Picture]]:
        height, width = self.source.height, self.source.width
        if self.scale == 1:
            yield from self._tiles(self.source, self.affines)
            return
        sizes = [max(SMALLEST_SIDE, round(side / self.scale)) for side in (height, width)]
        small = ArraySource(self.source.reduced(*sizes))
        base = np.empty_like(small.picture)
        for tile, painted in self._tiles(small, self.affines):
            base[:, :, tile.rows, tile.columns] = painted
        if self.scale > REPAINTED:
            small_base = self.stylizer._thumbnail(ArraySource(base))
            affines = self.stylizer._measure(small_base, self.code, self.small)
            yield from self._tiles(EnlargedSource(self.source, base, small.picture), affines)
            return
        result: Source
        if self.scale > 1:
            result = EnlargedSource(self.source, base, small.picture)
        else:
            result = ArraySource(resize(base, height, width))
        for tile in tiles(height, width):
            yield tile, result.region(tile.rows, tile.columns)

    def _tiles(self, source: Source, affines: npt.NDArray[np.float32]) -> Iterator[tuple[Tile, Picture]]:
        for tile in tiles(source.height, source.width):
            seen = source.region(tile.seen_rows, tile.seen_columns)
            rows, columns = tile.inner
            origin = tile.origin[0] + int(self.shift[0]), tile.origin[1] + int(self.shift[1])
            yield tile, self.stylizer.decode(seen, affines, origin)[:, :, rows, columns]


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
    pictures: tuple[StylePicture, ...] = field(default=(), compare=False)

    @classmethod
    def named(cls, name: str) -> Style:
        """A built-in style, one of a person's own (``sfumato styles add``), or one learnt from what a person likes
        (``sfumato personal``; ``NAME/2`` is the second of several).

        Raises:
            UsageError: there is none of that name; the error offers the nearest ones.
        """
        if not isinstance(name, str):
            raise UsageError(f"a style's name is text, but {type(name).__name__} was given")
        path = style_path(name)
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
        cls, sources: Iterable[ImageSource], name: str | None = None, stylizer: Stylizer | None = None
    ) -> Self:
        """What several pictures have in common: the mean of their codes."""
        stylizer = stylizer or Stylizer()
        read = [_usable(source) for source in sources]
        codes = [stylizer.encode(picture) for picture in read]
        if not codes:
            raise UsageError("a style needs at least one picture, and none was given")
        kind = "picture" if len(codes) == 1 else "pictures"
        about = {"kind": kind, "pictures": str(len(codes))}
        pictures = tuple(StylePicture.of(picture) for picture in read)
        return cls(name or f"{len(codes)} {kind}", StyleCode.mean(codes), about, pictures=pictures)

    @classmethod
    def blend(cls, weights: Mapping[Self | str, float], name: str | None = None) -> Self:
        """A mixture of styles, or of built-in ones by name; weights count in proportion to their sum.

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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a style file (safetensors, a few kB), whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        self.code.save(path, {**self.about, "name": self.name})


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


def _usable(source: ImageSource) -> Picture:
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


def _as_styles(style: Style | str | Sequence[Style | str] | None) -> list[Style | str]:
    styles: list[Any] = [] if style is None else list(style) if isinstance(style, list | tuple) else [style]
    for each in styles:
        if not isinstance(each, Style | str):
            raise UsageError(
                f"a style is a Style or a name, but {type(each).__name__} was given; Style.from_image makes one of a "
                "picture, Style.blend one of several"
            )
    return styles


def _as_mask(mask: Any) -> Mask:
    """Values in [0, 1]; whole numbers and booleans are taken as shares of their largest."""
    if not isinstance(mask, np.ndarray) or mask.ndim != 2:
        found = f"of shape {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"a mask must be an array (H, W), but is {found}")
    if mask.dtype == bool:
        return mask.astype(np.float32)
    if mask.dtype in (np.uint8, np.uint16):
        return mask.astype(np.float32) / np.float32(np.iinfo(mask.dtype).max)
    if not np.issubdtype(mask.dtype, np.floating) or not (mask.min() >= 0 and mask.max() <= 1):  # NaN fails too
        raise InputError(
            f"a mask must be uint8, uint16, bool, or float in [0, 1], but some value of it ({mask.dtype}) is not"
        )
    return mask.astype(np.float32)


def _regions(masks: Sequence[Mask], styles: int, height: int, width: int, name: str) -> list[Mask]:
    """A soft-edged weight ``(height, width)`` for each style, or none where there are no masks."""
    if not isinstance(masks, list | tuple):
        raise UsageError(f"masks must be a list of arrays, but is {type(masks).__name__}; put it in brackets")
    if styles < 1:
        raise UsageError("a picture needs a style, and none was given: a style is a Style or a name")
    if not masks:
        if styles > 1:
            raise UsageError(f"{styles} styles need {styles - 1} or {styles} masks; or blend them into one style")
        return []
    if len(masks) not in (styles, styles - 1):
        raise UsageError(f"styles need a mask each, or one fewer: {styles} styles and {len(masks)} masks were given")
    regions = []
    for mask in map(_as_mask, masks):
        if mask.shape != (height, width):
            shape = " x ".join(str(side) for side in mask.shape[::-1])
            raise InputError(f"a mask has {shape} pixels and {name} {width} x {height}; make them the same size")
        regions.append(soften(mask))
    if len(regions) < styles:
        regions.append(np.clip(1 - np.sum(regions, 0), 0, 1))
    return regions
