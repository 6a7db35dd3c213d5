"""A photo and a style in, a picture out.

:class:`Stylizer` paints in three qualities. A *draft* is one pass of a small network: see the photo as a thumbnail,
fuse its own code with the style's by strength, let the statistics pass turn thumbnail and code into every scale and
shift of the generator, and run the generator on the photo with those (``inference.draft``). *Standard* and *best* match
the photo with features of the style's pictures and decode them (``inference.matched_painting``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from sfumato import assets
from sfumato.checks import check_range
from sfumato.errors import ModelError, UsageError
from sfumato.image import ImageSource, Photo, Picture, thumbnail_size, to_levels
from sfumato.inference.bundle import GRAPHS, OPTIONAL, Card
from sfumato.inference.draft import DraftPainting
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.finish import keep_chroma, mix
from sfumato.inference.masks import Mask, regions_of
from sfumato.inference.matched_painting import MatchedPainting, bank_effort, effort, plan_scales, refined_scale
from sfumato.inference.progress import Progress, Work
from sfumato.inference.session import PROVIDERS, WEIGHTS, Shape, load_graph, read_card
from sfumato.inference.sources import ArraySource, PixelSource, Source, StripSource
from sfumato.inference.style import SMALLEST_SIDE, Style, as_styles, check_size, usable
from sfumato.inference.style_bank import make_bank
from sfumato.inference.tiling import Tile, check_tile
from sfumato.style_code import StyleCode

#: Pixels: statistics of a long strip are measured on no more than this.
LONGEST_THUMBNAIL = 1024

Color: TypeAlias = Literal["style", "content", "luminance"]
#: How a photo is painted: by the small network at once; with features of the style's own pictures; and then refined.
Quality: TypeAlias = Literal["draft", "standard", "best"]


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
        tile: side in pixels, a multiple of 16, of the tiles that a picture is painted in; None: 1024, or 640 for a
            large one. Smaller tiles take less memory and more time.

    Raises:
        ModelError: the folder holds no model. (A damaged graph is found when it is loaded.)
        UsageError: there is no such device, less than one thread, or a tile's side is no multiple of 16.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        device: str = "auto",
        tile: int | None = None,
    ) -> None:
        if device != "auto" and device not in PROVIDERS:
            raise UsageError(f"there is no device {device!r}; choose auto, {' or '.join(PROVIDERS)}")
        if threads is not None:
            check_range(threads, 1, 10_000, "threads")
            threads = min(threads, os.cpu_count() or 1)  # more of them than cores wait for each other
        if tile is not None:
            check_tile(tile)
        self.folder, self._decoder = (assets.weights_dir() if model is None else Path(model)).resolve(), None
        if read_card(self.folder).get("kind") == "matching":  # style codes are the shipped model's
            self.folder, self._decoder = assets.weights_dir().resolve(), self.folder
        self.card = Card.read(self.folder)
        self._threads, self._device, self._tile = threads, device, tile

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
        progress: Progress | None = None,
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
            progress: is called in this thread with the share that is done, from 0 to 1, which never falls, and what is
                done next ("scale 2 of 3"). An exception that it raises cancels: it reaches the caller as it is.

        Returns:
            ``(1, 3, H, W)`` float32 in ``[0, 1]``.

        Raises:
            UsageError: an option lies outside its range, or styles and masks do not match.
            InputError: the photo or a mask cannot be read or used.
            ModelError: a style is another model's, or a graph is damaged.
        """
        picture = usable(photo)
        output = np.empty_like(picture)
        options = strength, stroke, color, masks, seed, quality
        for tile, painted in self._render(ArraySource(picture), style, *options, progress):
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
        progress: Progress | None = None,
        name: str = "the photo",
    ) -> Photo:
        """As a call, from photo to photo: its depth, transparency and metadata are kept, and memory is bounded.

        What is transparent takes no part in the statistics. ``name`` is what errors call the photo.
        """
        check_size(photo.height, photo.width, name)
        pixels = np.empty_like(photo.pixels)
        options = strength, stroke, color, masks, seed, quality
        for tile, painted in self._render(PixelSource(photo), style, *options, progress, name):
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
        progress: Progress | None,
        name: str = "the photo",
    ) -> Iterator[tuple[Tile, Picture]]:
        """The stylised picture, tile by tile; values in [0, 1]."""
        check_range(strength, 0.0, 1.0, "strength")
        check_range(stroke, 0.5, 2.0, "stroke")
        check_range(seed, 0, 2**63 - 1, "seed")
        if not isinstance(seed, int | np.integer):
            raise UsageError(f"seed must be a whole number, but is {seed!r}")
        if color not in get_args(Color):
            raise UsageError(f"color must be one of {', '.join(get_args(Color))}, but is {color!r}")
        styles = as_styles(style)
        self.check_own_style(len(styles), color, len(masks) if isinstance(masks, list | tuple) else 0)
        regions = regions_of(masks, len(styles) if self.card.has_codes else 1, source.height, source.width, name)
        wanted: list[Style | None] = [None]
        if self.card.has_codes:
            wanted = [self.check_style(Style.named(s) if isinstance(s, str) else s) for s in styles]
        quality = self.choose_quality(quality, [style for style in wanted if style is not None])
        wide = source if min(source.height, source.width) >= SMALLEST_SIDE else StripSource(source, SMALLEST_SIDE)
        paintings = [
            (
                DraftPainting(self, wide, each, strength, stroke, color, seed, work)
                if quality == "draft"
                else self.matched(wide, each, strength, stroke, color, seed, quality, work)
            ).tiles(self._tile)
            for each, work in zip(wanted, Work.of(len(wanted), progress), strict=True)
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
        if progress is not None:
            progress(1.0, "painted")

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
        work: Work | None = None,
    ) -> MatchedPainting:
        """How a photo is painted by matched features; the arguments are those of `paint`. The style has pictures."""
        assert style is not None, "choose_quality lets no model of one collection come here"
        pictures = tuple(style.pictures)
        if color == "content":
            photo = source.reduced(*thumbnail_size(source.height, source.width, 64, LONGEST_THUMBNAIL))
            pictures = tuple(each.recoloured(photo) for each in pictures)
        scales = plan_scales(source.height, source.width)
        refined = refined_scale(scales) if quality == "best" else None
        work = work or Work.of(1, None)[0]
        work.plan(effort(scales, refined))
        banks = []
        for number, scale in enumerate(scales, 1):
            work.begin(f"the style, scale {number} of {len(scales)}")
            banks.append(make_bank(self.networks, pictures, max(1, round(scale.short * stroke)), seed))
            work.did(bank_effort(scale))
        return MatchedPainting(self.networks, source, banks, scales, strength, seed, refined=refined, work=work)

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
        style.check_model(self.card.model, self.card.code_size, self.card.look_size)
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
        small = self.thumbnail(ArraySource(picture))
        return self.measure(small, None if code is None else self.fused(small, code, strength))

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
        return self._run("generator.onnx", picture.shape, picture=picture, affines=affines, origin=place)[0]

    def encode(self, picture: ImageSource) -> StyleCode:
        """The style code of one picture.

        Raises:
            InputError: it cannot be read or used.
        """
        return self._encode(self.thumbnail(ArraySource(usable(picture))))

    def measure(self, small: Picture, code: StyleCode | None) -> npt.NDArray[np.float32]:
        """Affines ``(1, A)`` on a thumbnail ``(1, 3, h, w)``; a model of one collection takes no code."""
        given = {} if code is None else {"code": code.vector[None]}
        return self._run("statistics.onnx", (1, self.card.affines), thumbnail=small, **given)[0]

    def thumbnail(self, source: Source) -> Picture:
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
        shapes: tuple[Shape, ...] = (1, self.card.code_size), (1, None, None, None), (1, self.card.look_size)
        code, features, look = self._run("style_encoder.onnx", *shapes, picture=picture)
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
        (logits,) = self._run("discriminator.onnx", (1, 1, None, None), picture=picture, **given)
        return np.asarray(logits[0, 0])

    @property
    def _told(self) -> bool:
        """Whether the discriminator is told a code."""
        return self.card.has_codes and self.card.conditional

    def _run(self, graph: str, /, *shapes: Shape, **inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        ends = {**GRAPHS[self.card.kind], **OPTIONAL[self._told]}[graph]
        loaded = load_graph(
            self.folder / graph,
            self.card.files[graph],
            ends,
            self._threads,
            self._device,
            weights=self.card.files[WEIGHTS],
        )
        return loaded.run(inputs, shapes)
