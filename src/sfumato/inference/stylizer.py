"""The stylizer: paints a photo in a style with an exported model.

:class:`Stylizer` paints in three qualities:

* *Draft* (``inference.draft``): one pass of a small generator. The style encoder turns a thumbnail of the photo into a
  style code, which is interpolated with the code of the style by strength. The statistics network computes every scale
  and shift of the generator from the thumbnail and this code. The generator then paints the photo, tile by tile.
* *Standard* (``inference.matched_painting``): VGG features of the photo are replaced by matching features of the
  style's pictures, and decoded.
* *Best*: the same, and the result is refined by gradient descent at the base size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sfumato.errors import UsageError
from sfumato.image import ImageSource, Photo, Picture, as_photo, thumbnail_size, to_levels
from sfumato.inference.draft import DraftPainting
from sfumato.inference.finish import keep_chroma, mix
from sfumato.inference.inputs import SMALLEST_SIDE, check_size, usable
from sfumato.inference.masks import MaskSource, regions_of
from sfumato.inference.matched_painting import BASE, MatchedPainting, bank_effort, effort, plan_scales, refined_scale
from sfumato.inference.options import Color, PaintOptions, Quality, as_options
from sfumato.inference.painting_model import LONGEST_THUMBNAIL, PaintingModel
from sfumato.inference.pixel_readers import ArrayReader, PhotoReader, PixelReader, StripReader
from sfumato.inference.progress import Progress, Work, check_progress
from sfumato.inference.seamless import FramedReader, make_seamless, make_seamless_picture
from sfumato.inference.style import PersonalStyle, Style, as_styles
from sfumato.inference.style_bank import make_bank
from sfumato.inference.tiling import Tile
from sfumato.public import public


@public
class Stylizer(PaintingModel):
    """Paints photos with one exported model.

    ::

        painted = Stylizer()("photo.jpg", Style.named("great-wave"), strength=0.8)
        write_image(painted, "painted.png")

    The constructor reads only the model's card. Each graph is checked and loaded by the first call that needs it, once
    per process. One stylizer may be used from several threads.

    Args:
        model: folder of an exported model (``sfumato export``); ``None`` takes the model that ships with Sfumato.
        threads: CPU threads of one call; ``None`` lets ONNX Runtime use one per core.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the fastest device that works.
        tile: side of the tiles in pixels, a multiple of 16; ``None``: 1024, or 640 for a large picture. Smaller tiles
            take less memory and more time.

    Raises:
        ModelError: the folder holds no model. (A damaged graph is detected when it is loaded.)
        UsageError: the device does not exist, ``threads`` is below 1, or ``tile`` is not a multiple of 16.
    """

    def choose_quality(self, quality: Quality | None, styles: Sequence[Style]) -> Quality:
        """Return the quality to paint in.

        Where ``quality`` is ``None``, it is ``"standard"`` if the model has a decoder for it (the shipped model, or one
        of the kind matching) and every style has pictures; otherwise ``"draft"``.

        Args:
            quality: the quality that the caller asks for; ``None``: choose.
            styles: the styles that the photo will be painted in.

        Raises:
            UsageError: the model cannot paint in this quality, or a style has no pictures, which it needs.
        """
        if quality is None:
            drafts = not all(style.pictures for style in styles) or not self.is_shipped
            quality = "draft" if drafts and self._decoder is None else "standard"
        if quality == "draft" and self._decoder is not None:
            raise UsageError(f"the model {self.networks.name!r} has no draft; paint with the quality standard or best")
        if quality != "draft":
            if not self.card.has_codes:
                raise UsageError(f"the model {self.card.model!r} paints one collection, in draft quality only")
            for style in styles:
                if not style.pictures:
                    raise UsageError(
                        f"the style {style.name!r} has no pictures, which the qualities standard and best need; "
                        "paint it with the quality draft, or name pictures as the style"
                    )
        return quality

    def __call__(
        self,
        photo: ImageSource,
        style: Style | str | Sequence[Style | str] | None = None,
        strength: float = 1.0,
        *,
        stroke: float = 1.0,
        color: Color = "style",
        masks: Sequence[MaskSource] = (),
        seed: int = 0,
        quality: Quality | None = None,
        tile: bool = False,
        progress: Progress | None = None,
    ) -> Picture:
        """Paint a photo in a style, at the photo's own size; the same arguments give the same pixels.

        Args:
            photo: a path, the bytes of a file, an open file, a ``PIL.Image``, a `Photo`, an array or a tensor (see
                ``sfumato.image.as_image``).
            style: a style of this model, or the name of a built-in style; with ``masks``, one or several. A model of
                the kind collection has a style of its own and takes none.
            strength: from 0, the photo, to 1, the full style. At 0 a draft reconstructs the photo with the network; the
                other qualities, and models of the kind collection, return it exactly.
            stroke: size of the brush strokes, from 0.5 to 2. Strokes grow with the picture: at 1 they look as in a
                picture of ``BASE_SIDE`` pixels, seen at that size.
            color: ``"style"`` takes the style's palette; ``"content"`` paints with the photo's palette; ``"luminance"``
                keeps the chroma of every pixel and takes only the luma of the painting.
            masks: the region of each style: pictures, white inside the region, or arrays ``(H, W)`` of the photo's size
                (see ``sfumato.inference.masks.as_mask``). With one mask and one style, the photo stays outside. With
                one mask and two styles, the second takes the rest. Otherwise give one mask per style; overlapping
                regions are averaged, and where there is no region the photo stays.
            seed: of the random placement of the strokes, from 0 to 2**53.
            quality: ``"draft"``, ``"standard"`` or ``"best"`` (see the module); ``None``: see ``choose_quality``.
                Standard is slower than a draft and shows the brushwork of the style's pictures; best takes several
                times as long as standard.
            tile: paint a texture, which repeats in both directions without a seam (see `PaintOptions`).
            progress: is called in this thread with the completed share, from 0 to 1, which never falls, and the next
                step ("scale 2 of 3"). An exception that it raises cancels the painting and reaches the caller
                unchanged.

        Returns:
            ``(1, 3, H, W)`` float32 in ``[0, 1]``.

        Raises:
            UsageError: an option is outside its range, or the numbers of styles and masks do not match.
            InputError: the photo or a mask cannot be read or used.
            ModelError: a style belongs to another model, or a graph is damaged.
        """
        picture = usable(photo)
        options = PaintOptions(strength, stroke, color, quality, seed, tile)
        check_tile_masks(options, masks)
        source = FramedReader(make_seamless_picture(picture)) if tile else ArrayReader(picture)
        output = np.empty((1, 3, source.height, source.width), np.float32)
        for part, painted in self._render(source, style, options, masks, progress):
            output[:, :, part.rows, part.columns] = painted
        return np.clip(source.frame.close(output), 0.0, 1.0) if isinstance(source, FramedReader) else output

    def paint(
        self,
        photo: ImageSource,
        style: Style | str | Sequence[Style | str] | None = None,
        options: PaintOptions | None = None,
        *,
        masks: Sequence[MaskSource] = (),
        progress: Progress | None = None,
        name: str = "the photo",
    ) -> Photo:
        """Paint a photo, keeping its bit depth, transparency and metadata, in bounded memory.

        The statistics ignore transparent pixels.

        Args:
            photo: as in a call.
            style: as in a call.
            options: strength, stroke, color, quality, seed and tile; ``None``: the defaults.
            masks: as in a call.
            progress: as in a call.
            name: the photo's name in error messages; by default its path.

        Raises:
            UsageError, InputError, ModelError: as in a call.
        """
        if isinstance(photo, str | os.PathLike) and name == "the photo":
            name = str(photo)
        photo, options = as_photo(photo), as_options(options)
        check_size(photo.height, photo.width, name)
        check_tile_masks(options, masks)
        if options.tile:
            photo = make_seamless(photo)
            return self._painted(FramedReader(photo), photo, style, options, (), progress, name)
        return self._painted(PhotoReader(photo), photo, style, options, masks, progress, name)

    def paint_repeating(
        self,
        photo: Photo,
        style: Style | str,
        options: PaintOptions | None = None,
        *,
        down: bool = True,
        across: bool = True,
        progress: Progress | None = None,
        name: str = "the texture",
    ) -> Photo:
        """Paint a texture that repeats already, in these directions only, and change nothing in it before.

        Args:
            photo: the texture.
            style: as in :meth:`paint`.
            options: as in :meth:`paint`; ``tile`` has no effect.
            down: whether it repeats vertically.
            across: whether it repeats horizontally.
            progress: as in :meth:`paint`.
            name: as in :meth:`paint`.

        Raises:
            UsageError, InputError, ModelError: as in a call.
        """
        check_size(photo.height, photo.width, name)
        source = FramedReader(photo, down, across) if down or across else PhotoReader(photo)
        return self._painted(source, photo, style, as_options(options), (), progress, name)

    def _painted(
        self,
        source: PixelReader,
        photo: Photo,
        style: Style | str | Sequence[Style | str] | None,
        options: PaintOptions,
        masks: Sequence[MaskSource],
        progress: Progress | None,
        name: str,
    ) -> Photo:
        """Return the photo with the painted pixels of ``source``, which reads it with or without a frame."""
        pixels = np.empty((source.height, source.width, 3), photo.pixels.dtype)
        for tile, painted in self._render(source, style, options, masks, progress, name):
            pixels[tile.rows, tile.columns] = to_levels(painted, pixels.dtype)
        if isinstance(source, FramedReader):
            pixels = source.frame.close_levels(pixels)
        if options.strength == 0 and not self.card.has_codes:  # also the pixels under its transparency
            pixels = photo.pixels.copy()
        return replace(photo, pixels=pixels)

    def _render(
        self,
        source: PixelReader,
        style: Style | str | Sequence[Style | str] | None,
        options: PaintOptions,
        masks: Sequence[MaskSource],
        progress: Progress | None,
        name: str = "the photo",
    ) -> Iterator[tuple[Tile, Picture]]:
        """Yield the tiles of the painting with their pixels ``(1, 3, h, w)`` in ``[0, 1]``."""
        check_progress(progress)
        styles = as_styles(style)
        self.check_own_style(len(styles), options.color, len(masks) if isinstance(masks, list | tuple) else 0)
        regions = regions_of(masks, len(styles) if self.card.has_codes else 1, source.height, source.width, name)
        wanted: list[Style | None] = [None]
        if self.card.has_codes:
            named = [Style.named(each) if isinstance(each, str) else each for each in styles]
            wanted = [self.check_style(each.style if isinstance(each, PersonalStyle) else each) for each in named]
        quality = self.choose_quality(options.quality, [style for style in wanted if style is not None])
        options = replace(options, quality=quality)
        wide = source if min(source.height, source.width) >= SMALLEST_SIDE else StripReader(source, SMALLEST_SIDE)
        paintings = [
            (
                DraftPainting(self, wide, each, options, work)
                if quality == "draft"
                else self.matched(wide, each, options, work)
            ).tiles(self._tile)
            for each, work in zip(wanted, Work.of(len(wanted), progress), strict=True)
        ]
        for parts in zip(*paintings, strict=True):
            tile = parts[0][0].within(source.height, source.width)
            height, width = tile.shape
            layers = [painted[:, :, :height, :width] for _, painted in parts]
            painted = layers[0]
            if regions or options.color == "luminance":
                photo = source.region(tile.rows, tile.columns)
                if regions:
                    painted = mix(layers, [region[tile.rows, tile.columns] for region in regions], photo)
                if options.color == "luminance":
                    painted = keep_chroma(painted, photo)
            yield tile, painted
        if progress is not None:
            progress(1.0, "painted")

    def matched(
        self,
        source: PixelReader,
        style: Style | None,
        options: PaintOptions,
        work: Work | None = None,
    ) -> MatchedPainting:
        """Prepare a painting by matched features: its scales, and the feature banks of the style.

        Args:
            source: the photo.
            style: a style that has pictures.
            options: with a quality of ``"standard"`` or ``"best"``.
            work: receives the progress.
        """
        assert style is not None, "choose_quality refuses this quality for a model without style codes"
        pictures = tuple(style.pictures)
        if options.color == "content":
            photo = source.reduced(*thumbnail_size(source.height, source.width, 64, LONGEST_THUMBNAIL))
            pictures = tuple(each.recoloured(photo) for each in pictures)
        growth = source.growth if isinstance(source, FramedReader) else 1.0
        base = round(BASE * growth)
        scales = plan_scales(source.height, source.width, base)
        refined = refined_scale(scales, base) if options.quality == "best" else None
        work = work or Work.of(1, None)[0]
        work.plan(effort(scales, refined))
        banks = []
        for number, scale in enumerate(scales, 1):
            work.begin(f"the style, scale {number} of {len(scales)}")
            short = max(1, round(scale.short / growth * options.stroke))
            banks.append(make_bank(self.networks, pictures, short, options.seed))
            work.did(bank_effort(scale))
        return MatchedPainting(
            self.networks, source, banks, scales, options.strength, options.seed, refined=refined, work=work
        )

    def check_own_style(self, styles: int, color: Color, masks: int) -> None:
        """Check that a model of the kind collection is not asked for what only style codes can do.

        Args:
            styles: how many styles were given.
            color: as in a call.
            masks: how many masks were given.

        Raises:
            UsageError: a style, the photo's palette or several masks were asked for.
        """
        if self.card.has_codes:
            return
        paints = f"the model {self.card.model!r} paints one collection, in its own style"
        if styles:
            raise UsageError(f"{paints}; leave the style out")
        if color == "content":
            raise UsageError(f"{paints}, and cannot take the photo's palette; choose the color style or luminance")
        if masks > 1:
            raise UsageError(f"{paints}; give at most one mask, not {masks}")

    def check_style(self, style: Style) -> Style:
        """Return the style unchanged.

        Raises:
            ModelError: it belongs to another model.
        """
        style.check_model(self.card)
        return style


def check_tile_masks(options: PaintOptions, masks: Sequence[MaskSource]) -> None:
    """Raise UsageError where a texture is asked for together with masks, whose regions end at its border."""
    if options.tile and len(masks):
        raise UsageError("a texture that repeats cannot be painted with masks; leave out the masks, or tile")
