"""Drafts: a photo painted by the small generator, at a base size and then at its own size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sfumato.image import Picture, resize
from sfumato.inference.inputs import SMALLEST_SIDE
from sfumato.inference.options import PaintOptions
from sfumato.inference.painting_model import PaintingModel
from sfumato.inference.pixel_readers import ArrayReader, EnlargedReader, PixelReader
from sfumato.inference.progress import Work
from sfumato.inference.seamless import FramedReader
from sfumato.inference.style import Style
from sfumato.inference.tiling import ALIGNMENT, TILE, Tile, tiles

#: Base size: short side, in pixels, at which strokes have the size of those in the training pictures. Larger photos are
#: painted at this size first and then enlarged.
BASE_SIDE = 512
#: Ratio to the base size above which a painting is not only enlarged, but painted once more at its own size.
REPAINT_FACTOR = 2.0
#: Period of the generator's noise field along each axis, in places (`networks.generator.NOISE_PERIODS`).
NOISE_PLACES = 429


class DraftPainting:
    """One photo, painted in one style or in a collection's own: the plan, the statistics and the tiles.

    The generator's strokes have a fixed size in pixels, that of the training pictures. So a large photo is painted at
    the *base* size and enlarged, and its own finest detail is added. If it is enlarged by more than `REPAINT_FACTOR`,
    the generator paints the result once more, which adds the strokes that only a large picture can show (coarse to
    fine, as in Gatys et al. 2017, section 6).
    """

    def __init__(
        self,
        stylizer: PaintingModel,
        source: PixelReader,
        style: Style | None,
        options: PaintOptions,
        work: Work,
    ) -> None:
        self.stylizer, self.source, self.work = stylizer, source, work
        code = None if style is None else style.code
        # Weight of the painting against the photo. With a style code, the code is interpolated instead.
        self.mixed = options.strength if code is None else 1.0
        self.whole = source.whole if isinstance(source, FramedReader) else source
        short = min(self.whole.height, self.whole.width)
        self.scale = short / max(SMALLEST_SIDE, round(min(short, BASE_SIDE) / options.stroke))
        size = source.height * source.width
        self.work.plan(size if self.scale == 1 else size / self.scale**2 + (size if self.scale > REPAINT_FACTOR else 0))
        self.work.begin("encoding the photo")
        self.small = stylizer.thumbnail(self.whole)
        self.code = None if code is None else stylizer.fuse(self.small, code, options.strength, options.color)
        self.norm_params = stylizer.measure(self.small, self.code)
        # Each seed starts at another place of the noise field; seed 0 at its corner.
        self.shift = np.zeros(2, int)
        if options.seed:
            self.shift = np.random.default_rng(options.seed).integers(0, NOISE_PLACES, 2) * ALIGNMENT

    def tiles(self, side: int | None = None) -> Iterator[tuple[Tile, Picture]]:
        """Yield the tiles of the painting with their pixels ``(1, 3, h, w)``.

        ``side`` is a tile's side in pixels, a multiple of ``ALIGNMENT``; by default `TILE`.
        """
        side = side or TILE
        if self.mixed == 0:
            for tile in tiles(self.source.height, self.source.width, side):
                yield tile, self.source.region(tile.rows, tile.columns)
            return
        for tile, painted in self._painted(side):
            if self.mixed == 1:
                yield tile, painted
            else:
                photo = self.source.region(tile.rows, tile.columns)
                yield tile, photo + np.float32(self.mixed) * (painted - photo)

    def _painted(self, side: int) -> Iterator[tuple[Tile, Picture]]:
        """Yield the tiles painted at full strength."""
        height, width = self.source.height, self.source.width
        if self.scale == 1:
            yield from self._tiles(self.source, self.norm_params, side)
            return
        sizes = [max(SMALLEST_SIDE, round(side / self.scale)) for side in (height, width)]
        small = ArrayReader(self.source.reduced(*sizes))
        base = np.empty_like(small.picture)
        for tile, painted in self._tiles(small, self.norm_params, side):
            base[:, :, tile.rows, tile.columns] = painted
        if self.scale > REPAINT_FACTOR:
            small_base = self.stylizer.thumbnail(ArrayReader(self._without_frame(base)))
            norm_params = self.stylizer.measure(small_base, self.code)
            yield from self._tiles(EnlargedReader(self.source, base, small.picture), norm_params, side)
            return
        result: PixelReader
        if self.scale > 1:
            result = EnlargedReader(self.source, base, small.picture)
        else:
            result = ArrayReader(resize(base, height, width))
        for tile in tiles(height, width, side):
            yield tile, result.region(tile.rows, tile.columns)

    def _without_frame(self, base: Picture) -> Picture:
        """Return the picture at the base size ``(1, 3, h, w)`` without the frame of a texture."""
        if not isinstance(self.source, FramedReader):
            return base
        rows, columns = (
            slice(round(part.start / self.scale), round(part.stop / self.scale)) for part in self.source.frame.inner
        )
        return np.ascontiguousarray(base[:, :, rows, columns])

    def _tiles(
        self, source: PixelReader, norm_params: npt.NDArray[np.float32], side: int
    ) -> Iterator[tuple[Tile, Picture]]:
        """Run the generator on each tile of ``source``, with its normalisation parameters ``(1, A)``."""
        regions = list(tiles(source.height, source.width, side))
        for number, tile in enumerate(regions, 1):
            self.work.begin(f"tile {number} of {len(regions)}")
            padded = source.region(tile.padded_rows, tile.padded_columns)
            rows, columns = tile.inner
            origin = tile.origin[0] + int(self.shift[0]), tile.origin[1] + int(self.shift[1])
            painted = self.stylizer.decode(padded, norm_params, origin)[:, :, rows, columns]
            self.work.did(tile.shape[0] * tile.shape[1])
            yield tile, painted
