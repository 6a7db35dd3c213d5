"""Painting by matched features: coarse to fine, then on to the photo's own size in tiles.

At each scale the photo is encoded, each of its places is matched with a hypercolumn of the style
(``inference.matching``), both are fused by the strength, ``f = (1 - s)·f_content + s·f_style``, and the decoder paints
the result. The picture painted at one scale has a share in the queries of the next. Coarse scales decide masses and
colours, fine ones brushwork. Beyond the base size the queries are those of one picture (`_Guide`): what has been
painted, enlarged, with the photo's finer detail. So a large painting keeps the strokes of the base size.

Statistics and biases of a scale belong to the whole picture, so a tile needs only its surroundings (``HALO``).
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

#: Pixels of the short side at which a style's features have their natural size. Larger photos are painted at this size
#: first, and then on it at their own size.
BASE = 512
#: Places, at most, of a picture that is encoded at once: their hypercolumns take 250 MB.
MAX_WHOLE_PLACES = 98_304
#: Pixels around a tile that are painted with it: the decoder sees 44, and what smooths colours 16 more. The encoder's
#: own margin comes on top.
HALO = 64
#: Rounds of refinement, and steps of each.
REFINEMENT_ROUNDS_STEPS = 2, 6
_REFINED_PHOTO = 0.25  # share of the photo in the queries of refinement
#: How places are compared in the last pass at the base size, and beyond it.
_LAST_WEIGHTS = Weights(residual=1.0, structure=0.05, statistics=0.5, evened=0.4)
_DETAIL_SHARE = np.float32(0.5)  # of the photo's detail in a `_Guide`
_MIN_SCALE_SIDE = 24  # pixels of the short side: below that a scale has too few places
_MAX_SCALE_STEP = 3.0  # times the size of the scale before, at most, beyond the base size
_SAMPLED_PLACES = 6144  # places that statistics are taken from
_FLOAT_PIXELS = 4_000_000  # pixels of a picture that is reduced in floats
#: For progress: what a pixel of a style's picture takes, and one of a step of refinement, where one of a pass takes 1.
_BANK_EFFORT, _STEP_EFFORT = 0.4, 0.6
_MAX_ENCODED = 330_000  # pixels of a style's picture
_WINDOWS = 12  # of a large picture, from which statistics are taken


@dataclass(frozen=True)
class Scale:
    """One pass over the picture: its size, and how places are matched."""

    height: int
    width: int
    weights: Weights
    guided: bool = False  # whether its queries are those of a `_Guide`

    @property
    def short(self) -> int:
        return min(self.height, self.width)


def refined_scale(scales: Sequence[Scale]) -> int:
    """The scale whose picture is refined in the best quality: the last one that is no larger than `BASE`."""
    return max(i for i, scale in enumerate(scales) if scale.short <= BASE)


def plan_scales(height: int, width: int, base: int = BASE) -> list[Scale]:
    """The passes for a photo of that size, coarse to fine; the last has the photo's own size."""
    short = min(height, width)

    def scale(side: float, weights: Weights, guided: bool = False) -> Scale:
        factor = side / short
        return Scale(max(STRIDE, round(height * factor)), max(STRIDE, round(width * factor)), weights, guided)

    first = min(short, base)
    # One coarse pass: with another between them pictures judged alike, in a tenth more time.
    coarse = scale(first / 4, Weights(layers=(6.0, 3.0, 0.0, 0.0, 0.0), balance=0.0, smooth=True))
    passes = [coarse] if coarse.short >= _MIN_SCALE_SIDE else []
    if short <= base:
        # Twice: the second time with what has been painted at this size.
        return [*passes, scale(first, Weights()), scale(first, _LAST_WEIGHTS)]
    count = int(np.ceil(np.log(short / base) / np.log(_MAX_SCALE_STEP)))
    larger = [scale(base * (short / base) ** (i / count), _LAST_WEIGHTS, guided=True) for i in range(1, count + 1)]
    return [*passes, scale(first, _LAST_WEIGHTS), *larger]


def bank_effort(scale: Scale) -> float:
    """What a style's bank takes at that scale, in pixels of a pass."""
    return _BANK_EFFORT * min(scale.short**2, _MAX_ENCODED)


def effort(scales: Sequence[Scale], refined: int | None) -> float:
    """What painting takes, banks and all, in pixels of a pass."""
    passes = sum(scale.height * scale.width + bank_effort(scale) for scale in scales)
    size = 0 if refined is None else scales[refined].height * scales[refined].width
    return passes + (
        math.prod(REFINEMENT_ROUNDS_STEPS) * _STEP_EFFORT * size if size <= MAX_WHOLE_PLACES * STRIDE**2 else 0
    )


class _Features:
    """Hypercolumns of a picture, region by region; those of a picture of moderate size are computed once."""

    def __init__(self, networks: FeatureNetworks, source: PixelReader, max_places: int) -> None:
        """``max_places``: places of a picture that is encoded as a whole."""
        self.networks, self.source = networks, source
        self.is_small = source.height * source.width <= max_places * STRIDE**2

    @cached_property
    def _whole(self) -> Array:
        return encode_region(self.networks, self.source, slice(0, self.source.height), slice(0, self.source.width))

    def region(self, rows: slice, columns: slice) -> Array:
        """``(643, h, w)``; the region begins on the grid of ``STRIDE``."""
        if not self.is_small:
            return encode_region(self.networks, self.source, rows, columns)
        inner = [slice(part.start // STRIDE, -(-part.stop // STRIDE)) for part in (rows, columns)]
        return self._whole[:, inner[0], inner[1]]

    def sample(self, rng: np.random.Generator) -> Array:
        """At most `_SAMPLED_PLACES` places ``(N, 643)`` that statistics are taken from. Equal generators give the same
        places of pictures of one size."""
        if self.is_small:
            found = as_rows(self._whole)
        else:
            spots = windows(self.source.height, self.source.width, _WINDOWS, rng)
            found = np.concatenate([as_rows(self.region(*spot)) for spot in spots])
        if len(found) <= _SAMPLED_PLACES:
            return found
        some = np.sort(rng.permutation(len(found))[:_SAMPLED_PLACES])  # in order, memory is read four times as fast
        return np.take(found.T, some, axis=1).T


def _reduced(source: PixelReader, height: int, width: int) -> Picture:
    """The whole at another size: as floats where it fits, so that a file and an array of its pixels come out alike."""
    if source.height * source.width <= _FLOAT_PIXELS:
        return resize(source.region(slice(0, source.height), slice(0, source.width)), height, width)
    return source.reduced(height, width)


class _Enlarged:
    """The picture painted so far, as a source of a larger size."""

    def __init__(self, picture: Picture, height: int, width: int) -> None:
        self.picture, self.height, self.width = picture, height, width

    def region(self, rows: slice, columns: slice) -> Picture:
        return np.clip(enlarge(self.picture, self.height, self.width, rows, columns), 0.0, 1.0)

    def reduced(self, height: int, width: int) -> Picture:
        return resize(self.picture.astype(np.float32), height, width)


class _Guide:
    """The picture painted so far, enlarged, and on it the luma of what the photo shows at the new size alone."""

    def __init__(self, painted: Picture, photo: PixelReader) -> None:
        height, width = painted.shape[2:]
        self.height, self.width, self.photo = photo.height, photo.width, photo
        self.painted = _Enlarged(painted, self.height, self.width)
        self.coarse = _Enlarged(_reduced(photo, height, width).astype(painted.dtype), self.height, self.width)

    def region(self, rows: slice, columns: slice) -> Picture:
        detail = self.photo.region(rows, columns) - self.coarse.region(rows, columns)
        grey = _DETAIL_SHARE * detail.mean(1, keepdims=True)
        return np.asarray(np.clip(self.painted.region(rows, columns) + grey, 0.0, 1.0))

    def reduced(self, height: int, width: int) -> Picture:
        return self.painted.reduced(height, width)


class MatchedPainting:
    """One photo painted in one style."""

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
        """``banks``: one a scale of ``scales``, which end at the source's own size. A picture of more than ``whole``
        places is encoded by tile, and its statistics are those of windows. ``refined`` is the index of the scale whose
        picture is refined (`_refined`), if it has no more than ``whole`` places; None: of none. ``work``
        has planned `effort` for it."""
        self.networks, self.source, self.banks, self.scales = networks, source, banks, scales
        self.strength, self.seed, self.whole = np.float32(strength), seed, whole
        self.refined = refined
        self.work = work or Work.of(1, None)[0]
        height, width = (-(-side // STRIDE) for side in (source.height, source.width))
        #: Which vector of the last bank each place got in the last pass, once its tile has been painted.
        self.chosen = np.zeros((height, width), np.int32)
        if refined is not None and scales[refined].height * scales[refined].width > whole * STRIDE**2:
            self.refined = None

    def tiles(self, tile: int | None = None) -> Iterator[tuple[Tile, Picture]]:
        """The painting, tile by tile; ``tile`` is a tile's side in pixels, a multiple of ``STRIDE``, by default 640, or
        1024 of a picture of up to ``whole`` places."""
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
                    self.networks.release()  # some 600 MB, which writing a large picture needs
                return
            # Large ones in 16 bits: at 48 megapixels the two pictures of a `_Guide` would take 220 MB. Small ones stay
            # exact: rounding would enlarge the differences in the last bits between a tile and the whole.
            kind = np.float16 if scale.guided and index != self.refined else np.float32
            canvas: Picture = np.empty((1, 3, scale.height, scale.width), kind)
            for region, part in parts:
                canvas[:, :, region.rows, region.columns] = part
            painted = self._untinted(index, self._refined(index, photo, canvas)) if index == self.refined else canvas
        assert painted is not None
        for region in tiles(self.source.height, self.source.width, tile, HALO):
            yield region, painted[:, :, region.rows, region.columns]

    def _pass(self, index: int, photo: _Features, painted: Picture | None, tile: int) -> Iterator[tuple[Tile, Picture]]:
        """One scale, tile by tile."""
        scale, source = self.scales[index], photo.source
        asked, before = photo, None
        if scale.guided:
            assert painted is not None, "a guide shows what has been painted"
            asked = _Features(self.networks, _Guide(painted, source), self.whole)
        elif painted is not None:
            before = _Features(self.networks, _Enlarged(painted, scale.height, scale.width), self.whole)
        matcher = self._matcher(index, asked, before, scale.weights)
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
            queries = asked.region(*padded)
            match = matcher.search(as_rows(queries), None if before is None else as_rows(before.region(*padded)))
            size = queries.shape[1:]
            if index == len(self.scales) - 1:
                self._keep(region, match.chosen.reshape(size))
            places = shown.places(match).T.reshape(-1, *size)
            if scale.weights.evened:
                colours = places[-3:]
                colours += np.float32(scale.weights.evened) * (
                    follow_luma(colours, read_mirrored(source, *padded)) - colours
                )
                if even is not None:
                    colours += even.correction(colours, *padded)
            own = enter(self.networks, photo.region(*padded)) if self.strength < 1 else None
            part = decode_places(self.networks, self._fused(places, own))[:, :, rows, columns]
            if own is not None:  # of what the decoder loses of the photo itself, what the strength leaves
                lost = source.region(region.rows, region.columns)
                lost = lost - decode_places(self.networks, own)[:, :, rows, columns]
                part = part + (1 - self.strength) * lost
            painted_part = np.clip(self._untinted(index, part), 0.0, 1.0)
            self.work.did(region.shape[0] * region.shape[1])
            yield region, painted_part

    def _untinted(self, index: int, painted: Picture) -> Picture:
        """In a style without colours, what comes of it has none; the decoder alone gives greys a tint."""
        if not self.banks[index].is_grey:
            return painted
        grey = painted.mean(1, keepdims=True)
        return np.asarray(grey + (1 - self.strength) * (painted - grey))

    def _keep(self, region: Tile, chosen: npt.NDArray[np.int64]) -> None:
        outer, inner = (
            tuple(slice(part.start // STRIDE, -(-part.stop // STRIDE)) for part in parts)
            for parts in ((region.rows, region.columns), region.inner)
        )
        self.chosen[outer] = chosen[inner]

    def _matcher(
        self, index: int, photo: _Features, painted: _Features | None, weights: Weights, turn: int = 0
    ) -> Matcher:
        key = [0x3A7C, self.seed, index, turn]
        now = None if painted is None else painted.sample(np.random.default_rng(key))
        sample, rng = photo.sample(np.random.default_rng(key)), np.random.default_rng([*key, 1])
        return Matcher(self.banks[index], sample, now, weights, rng, grey_places(self.networks))

    def _refined(self, index: int, photo: _Features, painted: Picture) -> Picture:
        """The picture of a scale after some steps of L-BFGS towards the features that it is matched with, which are
        found anew each round (Kolkin et al. 2022): what the decoder blurs becomes brushwork."""
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
            places = self._fused(matcher.readout.places(match).T.reshape(own.shape), own)
            wanted = np.pad(places[:HYPERCOLUMN], ((0, 0), (edge, edge), (edge, edge)), mode="edge")
            framed = np.pad(painted, ((0, 0), (0, 0), (MARGIN, down), (MARGIN, across)), mode="symmetric")
            found = descend(framed, self._slope(wanted, turn, height * width), REFINEMENT_ROUNDS_STEPS[1])
            painted = np.ascontiguousarray(found[:, :, MARGIN : MARGIN + height, MARGIN : MARGIN + width])
        return painted

    def _slope(self, wanted: Array, turn: int, size: int) -> Callable[[Picture], Picture]:
        """The gradient towards features, which tells of each step."""
        steps = itertools.count(turn * REFINEMENT_ROUNDS_STEPS[1] + 1)

        def slope(picture: Picture) -> Picture:
            self.work.begin(f"refinement {next(steps)} of {math.prod(REFINEMENT_ROUNDS_STEPS)}")
            found = self.networks.gradient(picture, features=wanted)
            self.work.did(_STEP_EFFORT * size)
            return found

        return slope

    def _fused(self, matched: Array, photo: Array | None) -> Array:
        """f = (1 - s)·f_content + s·f_style, ``(C, h, w)``; of a strength of 1 the photo's places are not needed."""
        if photo is None or self.strength == 1:
            return matched
        return np.asarray((1 - self.strength) * photo + self.strength * matched)
