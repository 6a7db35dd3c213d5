"""Painting by matched features: coarse to fine up to the base size, then in tiles up to the photo's own size.

At each scale, the photo is encoded to VGG features, each place is matched with a hypercolumn of the style
(``inference.matching``), both are interpolated by strength, ``f = (1 - s)·f_content + s·f_style``, and the decoder
paints the result. The queries of the next scale are a mixture of the photo's features and those of the picture painted
so far. Coarse scales decide composition and colours, fine scales brushwork.

Beyond the base size, the queries come from a guide (`_Guide`): the picture painted so far, enlarged, with the photo's
finer detail added. So a large painting has the strokes of the base size.

The statistics and biases of a scale are computed from the whole picture, so a tile needs only its neighbourhood
(``HALO``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sfumato.image import Picture, resize
from sfumato.inference.descent import descend
from sfumato.inference.feature_networks import MARGIN, STRIDE, FeatureNetworks
from sfumato.inference.finish import enlarge
from sfumato.inference.matching import HYPERCOLUMN, Array, FeatureBank, Matcher, Weights
from sfumato.inference.pixel_readers import ArrayReader, PixelReader
from sfumato.inference.places import (
    as_rows,
    decode_places,
    encode_region,
    enter,
    enter_readout,
    even_colours,
    follow_luma,
    grey_places,
    read_mirrored,
)
from sfumato.inference.progress import Work
from sfumato.inference.style_bank import windows
from sfumato.inference.tiling import Tile, tiles

#: Base size: pixels of the short side at which a style's features have their natural size. Larger photos are painted at
#: this size first, then enlarged and painted on at their own size.
BASE = 512
#: Largest number of places of a picture that is encoded as a whole: their hypercolumns take 250 MB.
MAX_WHOLE_PLACES = 98_304
#: Overlap of tiles in pixels: the decoder's receptive field reaches 44, the smoothing of colours 16 more. The encoder
#: has a margin of its own in addition.
HALO = 64
#: Rounds of refinement, and steps of L-BFGS in each.
REFINEMENT_ROUNDS_STEPS = 2, 6
_REFINED_PHOTO = 0.25  # share of the photo in the queries of refinement
#: Weights of the last pass at the base size, and of all larger ones.
_LAST_WEIGHTS = Weights(residual=1.0, structure=0.05, statistics=0.5, evened=0.4)
_DETAIL_SHARE = np.float32(0.5)  # weight of the photo's detail in a `_Guide`
_MIN_SCALE_SIDE = 24  # pixels of the short side: a smaller scale has too few places
_MAX_SCALE_STEP = 3.0  # largest ratio of consecutive scales beyond the base size
_SAMPLED_PLACES = 6144  # places from which statistics are computed, at most
_FLOAT_PIXELS = 4_000_000  # pixels of the largest picture that is resized in floating point
#: For progress, relative to a pixel of a pass: the cost of a pixel of a style's picture, and of a refinement step.
_BANK_EFFORT, _STEP_EFFORT = 0.4, 0.6
_MAX_ENCODED = 330_000  # pixels of a style's picture that are encoded, for the estimate of the cost
_WINDOWS = 12  # random windows of a large picture from which statistics are computed


@dataclass(frozen=True)
class Scale:
    """The size of one pass over the picture, and how its places are matched.

    Attributes:
        height, width: in pixels.
        weights: of the matching.
        guided: whether the queries come from a `_Guide`.
    """

    height: int
    width: int
    weights: Weights
    guided: bool = False

    @property
    def short(self) -> int:
        """The short side in pixels."""
        return min(self.height, self.width)


def refined_scale(scales: Sequence[Scale], base: int = BASE) -> int:
    """Return the index of the scale that the quality best refines: the last one no larger than the base size."""
    return max(i for i, scale in enumerate(scales) if scale.short <= base)


def plan_scales(height: int, width: int, base: int = BASE) -> list[Scale]:
    """Return the passes for a photo of that size in pixels, coarse to fine; the last has the photo's own size.

    ``base`` is the short side of the base size in pixels.
    """
    short = min(height, width)

    def scale(side: float, weights: Weights, guided: bool = False) -> Scale:
        factor = side / short
        return Scale(max(STRIDE, round(height * factor)), max(STRIDE, round(width * factor)), weights, guided)

    first = min(short, base)
    # One coarse pass: a second one between the two changed no quality measure and took a tenth more time.
    coarse = scale(first / 4, Weights(layers=(6.0, 3.0, 0.0, 0.0, 0.0), balance=0.0, smooth=True))
    passes = [coarse] if coarse.short >= _MIN_SCALE_SIDE else []
    if short <= base:
        # Two passes of the same size: the second one's queries include the picture that the first painted.
        return [*passes, scale(first, Weights()), scale(first, _LAST_WEIGHTS)]
    count = int(np.ceil(np.log(short / base) / np.log(_MAX_SCALE_STEP)))
    larger = [scale(base * (short / base) ** (i / count), _LAST_WEIGHTS, guided=True) for i in range(1, count + 1)]
    return [*passes, scale(first, _LAST_WEIGHTS), *larger]


def bank_effort(scale: Scale) -> float:
    """Return the cost of a style's feature bank at that scale, in units of one pixel of a pass."""
    return _BANK_EFFORT * min(scale.short**2, _MAX_ENCODED)


def effort(scales: Sequence[Scale], refined: int | None) -> float:
    """Return the cost of painting, feature banks included, in units of one pixel of a pass."""
    passes = sum(scale.height * scale.width + bank_effort(scale) for scale in scales)
    size = 0 if refined is None else scales[refined].height * scales[refined].width
    return passes + (
        math.prod(REFINEMENT_ROUNDS_STEPS) * _STEP_EFFORT * size if size <= MAX_WHOLE_PLACES * STRIDE**2 else 0
    )


class _Features:
    """The hypercolumns of a picture, region by region; those of a small picture are computed once, as a whole."""

    def __init__(self, networks: FeatureNetworks, source: PixelReader, max_places: int) -> None:
        """Prepare the features of ``source``; up to ``max_places`` places are encoded as a whole."""
        self.networks, self.source = networks, source
        self.is_small = source.height * source.width <= max_places * STRIDE**2

    @cached_property
    def _whole(self) -> Array:
        return encode_region(self.networks, self.source, slice(0, self.source.height), slice(0, self.source.width))

    def region(self, rows: slice, columns: slice) -> Array:
        """Return the places ``(643, h, w)`` of a region that begins on the grid of ``STRIDE``."""
        if not self.is_small:
            return encode_region(self.networks, self.source, rows, columns)
        inner = [slice(part.start // STRIDE, -(-part.stop // STRIDE)) for part in (rows, columns)]
        return self._whole[:, inner[0], inner[1]]

    def sample(self, rng: np.random.Generator) -> Array:
        """Return at most `_SAMPLED_PLACES` random places ``(N, 643)``, from which statistics are computed.

        Generators in equal states give the same places of pictures of equal size.
        """
        if self.is_small:
            found = as_rows(self._whole)
        else:
            spots = windows(self.source.height, self.source.width, _WINDOWS, rng)
            found = np.concatenate([as_rows(self.region(*spot)) for spot in spots])
        if len(found) <= _SAMPLED_PLACES:
            return found
        some = np.sort(rng.permutation(len(found))[:_SAMPLED_PLACES])  # sorted: memory is read four times as fast
        return np.take(found.T, some, axis=1).T


def _reduced(source: PixelReader, height: int, width: int) -> Picture:
    """Return the whole picture at another size.

    Up to `_FLOAT_PIXELS` it is resized in floating point, so that a file and an array of its pixels give equal results.
    """
    if source.height * source.width <= _FLOAT_PIXELS:
        return resize(source.region(slice(0, source.height), slice(0, source.width)), height, width)
    return source.reduced(height, width)


class _Enlarged:
    """The picture painted so far, as a pixel reader of a larger size."""

    def __init__(self, picture: Picture, height: int, width: int) -> None:
        self.picture, self.height, self.width = picture, height, width

    def region(self, rows: slice, columns: slice) -> Picture:
        """Return a region ``(1, 3, h, w)`` of the enlarged picture, bicubic."""
        return np.clip(enlarge(self.picture, self.height, self.width, rows, columns), 0.0, 1.0)

    def reduced(self, height: int, width: int) -> Picture:
        """Return the whole picture at another size."""
        return resize(self.picture.astype(np.float32), height, width)


class _Guide:
    """The picture painted so far, enlarged, plus the photo's detail that the smaller size could not show.

    Only the mean of the detail's channels is added, weighted by `_DETAIL_SHARE`.
    """

    def __init__(self, painted: Picture, photo: PixelReader) -> None:
        height, width = painted.shape[2:]
        self.height, self.width, self.photo = photo.height, photo.width, photo
        self.painted = _Enlarged(painted, self.height, self.width)
        self.coarse = _Enlarged(_reduced(photo, height, width).astype(painted.dtype), self.height, self.width)

    def region(self, rows: slice, columns: slice) -> Picture:
        """Return a region ``(1, 3, h, w)`` of the guide."""
        detail = self.photo.region(rows, columns) - self.coarse.region(rows, columns)
        grey = _DETAIL_SHARE * detail.mean(1, keepdims=True)
        return np.asarray(np.clip(self.painted.region(rows, columns) + grey, 0.0, 1.0))

    def reduced(self, height: int, width: int) -> Picture:
        """Return the painted picture at another size, without the detail."""
        return self.painted.reduced(height, width)


class MatchedPainting:
    """A photo painted in one style by matched features.

    Args:
        networks: encoder, decoder and gradient.
        source: the photo.
        banks: the style's feature bank for each scale.
        scales: the passes, of which the last has the photo's own size.
        strength: from 0, the photo itself, to 1, the full style.
        seed: of the random samples.
        whole: largest number of places of a picture that is encoded as a whole; a larger one is encoded by tile, with
            statistics of random windows.
        refined: index of the scale whose picture is refined (`_refine`), if it has no more than ``whole`` places;
            ``None``: none is.
        work: receives the progress; its plan is `effort`.
    """

    def __init__(
        self,
        networks: FeatureNetworks,
        source: PixelReader,
        banks: Sequence[FeatureBank],
        scales: Sequence[Scale],
        strength: float = 1.0,
        seed: int = 0,
        whole: int = MAX_WHOLE_PLACES,
        refined: int | None = None,
        work: Work | None = None,
    ) -> None:
        self.networks, self.source, self.banks, self.scales = networks, source, banks, scales
        self.strength, self.seed, self.whole = np.float32(strength), seed, whole
        self.refined = refined
        self.work = work or Work.of(1, None)[0]
        height, width = (-(-side // STRIDE) for side in (source.height, source.width))
        #: Index ``(h, w)`` of the vector of the last bank that each place got in the last pass; set tile by tile.
        self.chosen = np.zeros((height, width), np.int32)
        if refined is not None and scales[refined].height * scales[refined].width > whole * STRIDE**2:
            self.refined = None

    def tiles(self, tile: int | None = None) -> Iterator[tuple[Tile, Picture]]:
        """Yield the tiles of the painting with their pixels ``(1, 3, h, w)`` in ``[0, 1]``.

        ``tile`` is a tile's side in pixels, a multiple of ``STRIDE``; by default 640, or 1024 up to ``whole`` places.
        """
        if tile is None:
            tile = 1024 if self.source.height * self.source.width <= self.whole * STRIDE**2 else 640
        if not self.strength:
            for region in tiles(self.source.height, self.source.width, tile, HALO):
                yield region, self.source.region(region.rows, region.columns)
            return
        painted: Picture | None = None
        photo: _Features | None = None
        last = len(self.scales) - 1
        for index, scale in enumerate(self.scales):
            if photo is None or (photo.source.height, photo.source.width) != (scale.height, scale.width):
                size = scale.height, scale.width
                source = self.source if index == last else ArrayReader(_reduced(self.source, *size))
                photo = _Features(self.networks, source, self.whole)
            parts = self._pass(index, photo, painted, tile)
            if index == last and index != self.refined:
                yield from parts
                if photo.source is self.source and not photo.is_small:
                    self.networks.release()  # some 600 MB, needed for writing a large picture
                return
            # Large pictures in 16 bits: at 48 megapixels the two pictures of a `_Guide` would take 220 MB more. Small
            # ones in 32 bits: rounding would amplify last-bit differences between a tile and the whole.
            kind = np.float16 if scale.guided and index != self.refined else np.float32
            canvas: Picture = np.empty((1, 3, scale.height, scale.width), kind)
            for region, part in parts:
                canvas[:, :, region.rows, region.columns] = part
            painted = self._remove_tint(index, self._refine(index, photo, canvas)) if index == self.refined else canvas
        assert painted is not None
        for region in tiles(self.source.height, self.source.width, tile, HALO):
            yield region, painted[:, :, region.rows, region.columns]

    def _pass(self, index: int, photo: _Features, painted: Picture | None, tile: int) -> Iterator[tuple[Tile, Picture]]:
        """Yield the tiles of one scale with their pixels."""
        scale, source = self.scales[index], photo.source
        queries_source, before = photo, None
        if scale.guided:
            assert painted is not None, "a guide needs the picture painted at the scale before"
            queries_source = _Features(self.networks, _Guide(painted, source), self.whole)
        elif painted is not None:
            before = _Features(self.networks, _Enlarged(painted, scale.height, scale.width), self.whole)
        matcher = self._matcher(index, queries_source, before, scale.weights)
        shown = enter_readout(self.networks, matcher.readout)
        even = None
        if scale.weights.evened and painted is not None and not scale.guided:
            whole = slice(0, scale.height), slice(0, scale.width)
            now = ArrayReader(resize(painted, scale.height, scale.width))
            even = even_colours(read_mirrored(now, *whole), read_mirrored(source, *whole))
        regions = list(tiles(scale.height, scale.width, tile, HALO))
        for number, region in enumerate(regions, 1):
            among = f", tile {number} of {len(regions)}" if len(regions) > 1 else ""
            self.work.begin(f"scale {index + 1} of {len(self.scales)}{among}")
            padded, (rows, columns) = (region.padded_rows, region.padded_columns), region.inner
            queries = queries_source.region(*padded)
            match = matcher.search(as_rows(queries), None if before is None else as_rows(before.region(*padded)))
            size = queries.shape[1:]
            if index == len(self.scales) - 1:
                self._store_chosen(region, match.chosen.reshape(size))
            places = shown.places(match).T.reshape(-1, *size)
            if scale.weights.evened:
                colours = places[-3:]
                colours += np.float32(scale.weights.evened) * (
                    follow_luma(colours, read_mirrored(source, *padded)) - colours
                )
                if even is not None:
                    colours += even.correction(colours, *padded)
            own = enter(self.networks, photo.region(*padded)) if self.strength < 1 else None
            part = decode_places(self.networks, self._fuse(places, own))[:, :, rows, columns]
            if own is not None:  # add back the decoder's reconstruction error of the photo, weighted like the photo
                lost = source.region(region.rows, region.columns)
                lost = lost - decode_places(self.networks, own)[:, :, rows, columns]
                part = part + (1 - self.strength) * lost
            painted_part = np.clip(self._remove_tint(index, part), 0.0, 1.0)
            self.work.did(region.shape[0] * region.shape[1])
            yield region, painted_part

    def _remove_tint(self, index: int, painted: Picture) -> Picture:
        """Turn a picture grey, in proportion to the strength, if the style is grey: the decoder tints greys."""
        if not self.banks[index].is_grey:
            return painted
        grey = painted.mean(1, keepdims=True)
        return np.asarray(grey + (1 - self.strength) * (painted - grey))

    def _store_chosen(self, region: Tile, chosen: npt.NDArray[np.int64]) -> None:
        """Store which vectors of the bank the places of a tile got."""
        outer, inner = (
            tuple(slice(part.start // STRIDE, -(-part.stop // STRIDE)) for part in parts)
            for parts in ((region.rows, region.columns), region.inner)
        )
        self.chosen[outer] = chosen[inner]

    def _matcher(
        self, index: int, photo: _Features, painted: _Features | None, weights: Weights, turn: int = 0
    ) -> Matcher:
        """Return the matcher of one scale; ``turn`` is 0 for painting, and the number of the round in refinement."""
        key = [0x3A7C, self.seed, index, turn]
        now = None if painted is None else painted.sample(np.random.default_rng(key))
        sample, rng = photo.sample(np.random.default_rng(key)), np.random.default_rng([*key, 1])
        return Matcher(self.banks[index], sample, now, weights, rng, grey_places(self.networks))

    def _refine(self, index: int, photo: _Features, painted: Picture) -> Picture:
        """Return the picture of a scale after some steps of L-BFGS towards the features that it is matched with.

        The matches are searched anew in each round (Kolkin et al. 2022). Regions that the decoder blurs become
        brushwork.
        """
        height, width = painted.shape[2:]
        everything = slice(0, height), slice(0, width)
        weights = replace(self.scales[index].weights, photo=_REFINED_PHOTO)
        down, across = -height % STRIDE + MARGIN, -width % STRIDE + MARGIN
        edge = MARGIN // STRIDE
        for turn in range(REFINEMENT_ROUNDS_STEPS[0]):
            now = _Features(self.networks, ArrayReader(painted), self.whole)
            matcher = self._matcher(index, photo, now, weights, 1 + turn)
            own = photo.region(*everything)
            match = matcher.search(as_rows(own), as_rows(now.region(*everything)))
            places = self._fuse(matcher.readout.places(match).T.reshape(own.shape), own)
            wanted = np.pad(places[:HYPERCOLUMN], ((0, 0), (edge, edge), (edge, edge)), mode="edge")
            framed = np.pad(painted, ((0, 0), (0, 0), (MARGIN, down), (MARGIN, across)), mode="symmetric")
            found = descend(framed, self._gradient_to(wanted, turn, height * width), REFINEMENT_ROUNDS_STEPS[1])
            painted = np.ascontiguousarray(found[:, :, MARGIN : MARGIN + height, MARGIN : MARGIN + width])
        return painted

    def _gradient_to(self, wanted: Array, turn: int, size: int) -> Callable[[Picture], Picture]:
        """Return the gradient of the distance to the features ``wanted``; each call of it reports progress."""
        steps = itertools.count(turn * REFINEMENT_ROUNDS_STEPS[1] + 1)

        def slope(picture: Picture) -> Picture:
            self.work.begin(f"refinement {next(steps)} of {math.prod(REFINEMENT_ROUNDS_STEPS)}")
            found = self.networks.gradient(picture, features=wanted)
            self.work.did(_STEP_EFFORT * size)
            return found

        return slope

    def _fuse(self, matched: Array, photo: Array | None) -> Array:
        """Return ``(1 - strength)·photo + strength·matched``, all ``(C, h, w)``; ``matched`` if there is no photo."""
        if photo is None or self.strength == 1:
            return matched
        return np.asarray((1 - self.strength) * photo + self.strength * matched)
