"""Places of a picture: the vectors that are matched and decoded, one for each cell of 4 x 4 pixels.

A place is a hypercolumn and a mean colour, ``(643,)``. Before decoding, the hypercolumn is projected to the decoder's
input channels (`enter`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from sfumato.image import Picture, luma, resample
from sfumato.inference.feature_networks import MARGIN, STRIDE, FeatureNetworks
from sfumato.inference.matching import CHANNELS, HYPERCOLUMN, Array, Readout
from sfumato.inference.pixel_readers import PixelReader

_COLOUR_RADIUS = 3  # cells: radius of the kernel that smooths colour corrections, a Gaussian of sigma 1 cell
_COLOUR_KERNEL = np.exp(-(np.arange(-_COLOUR_RADIUS, _COLOUR_RADIUS + 1, dtype=np.float32) ** 2) / 2)
_COLOUR_KERNEL /= _COLOUR_KERNEL.sum()
_DECODER_MARGIN = 3  # places repeated around a picture before it is decoded
_LUMA_RADIUS = 4  # cells: radius of the window of the guided filter `follow_luma`
AT_ONCE = 300_000  # pixels that are encoded at once, at most
_PLAIN_VARIANCE = np.float32(1e-3)  # regularisation of the guided filter: a smaller variance of luma counts as plain
_WIDE_REACH = 20  # cells: radius of the window of `even_colours`
_PLAIN_DEVIATION = np.float32(0.03)  # deviation of colours in a window above which a place is not plain
_ALIKE_DISTANCE = np.float32(0.07)  # colour distance up to which a place counts as similar to the plain ones around it
_MIN_PLAIN_SHARE = np.float32(0.05)  # share of plain places in a window below which they have little weight
_EVEN_SHARE = np.float32(0.9)  # how far the colours of plain places are moved, from 0 to 1


def read_mirrored(source: PixelReader, rows: slice, columns: slice, margin: int = 0) -> Picture:
    """Return a region that begins on the grid of ``STRIDE``, with a margin and padded to whole cells.

    Beyond its border, the picture is mirrored.
    """
    spans, pads = [], []
    for part, side in ((rows, source.height), (columns, source.width)):
        start, stop = part.start - margin, part.start + -(-(part.stop - part.start) // STRIDE) * STRIDE + margin
        spans.append(slice(max(0, start), min(side, stop)))
        pads.append((max(0, -start), max(0, stop - side)))
    return np.pad(source.region(*spans), ((0, 0), (0, 0), *pads), mode="symmetric")


def encode_region(
    networks: FeatureNetworks, source: PixelReader, rows: slice, columns: slice, at_once: int = AT_ONCE
) -> Array:
    """Return the places ``(643, h, w)`` of a region that begins on the grid of ``STRIDE``.

    They equal those of the whole picture. Beyond its border the picture is mirrored, instead of the encoder's zero
    padding. A region of more than ``at_once`` pixels is encoded in strips: the encoder takes 512 bytes per pixel.
    """
    step = max(1, at_once // ((columns.stop - columns.start) * STRIDE)) * STRIDE
    if rows.stop - rows.start <= step:
        return networks.encode(read_mirrored(source, rows, columns, MARGIN))
    strips = (slice(top, min(top + step, rows.stop)) for top in range(rows.start, rows.stop, step))
    return np.concatenate([networks.encode(read_mirrored(source, strip, columns, MARGIN)) for strip in strips], axis=1)


@lru_cache(maxsize=8)
def grey_places(networks: FeatureNetworks) -> Array:
    """Return the places ``(9, 643)`` of nine plain pictures from black to white."""
    side = 2 * MARGIN + STRIDE
    plain = (np.full((1, 3, side, side), level, np.float32) for level in np.linspace(0, 1, 9))
    return np.concatenate([as_rows(networks.encode(each)) for each in plain])


def as_rows(places: Array) -> Array:
    """Reshape ``(C, h, w)`` to ``(h w, C)``."""
    return places.reshape(len(places), -1).T


def mean_cell_colours(picture: Picture) -> Array:
    """Return the mean colour of each cell of ``STRIDE`` pixels: ``(1, 3, H, W)`` -> ``(3, H/4, W/4)``."""
    _, _, height, width = picture.shape
    return np.asarray(picture[0].reshape(3, height // STRIDE, STRIDE, width // STRIDE, STRIDE).mean((2, 4)))


def enter(networks: FeatureNetworks, places: Array) -> Array:
    """Project places ``(643, h, w)`` to the decoder's input channels, and append their colours: ``(C + 3, h, w)``."""
    return np.concatenate([networks.enter(places[:HYPERCOLUMN]), places[HYPERCOLUMN:]])


def enter_readout(networks: FeatureNetworks, readout: Readout) -> Readout:
    """Project the vectors and directions of a readout as `enter` does.

    The projection is affine, so it can be applied to the few vectors of a bank instead of to all places.
    """

    def of(part: Array) -> Array:
        return np.ascontiguousarray(enter(networks, np.ascontiguousarray(part.T)[:, None])[:, 0].T)

    vectors = of(readout.vectors)
    if not len(readout.directions):  # the network accepts no empty array
        return Readout(vectors, np.zeros((0, vectors.shape[1]), np.float32))
    return Readout(vectors, of(readout.directions) - of(np.zeros((1, CHANNELS), np.float32)))


def decode_places(networks: FeatureNetworks, places: Array) -> Picture:
    """Decode projected places ``(C + 3, h, w)`` to a picture ``(1, 3, 4h, 4w)``, not clipped.

    The decoder alone gives paler colours than its input, since it averages colours that it cannot distinguish. So the
    colour of each cell is corrected to that of its place; the correction is smoothed over a few cells.
    """
    framed = np.pad(
        places[:-3], ((0, 0), (_DECODER_MARGIN, _DECODER_MARGIN), (_DECODER_MARGIN, _DECODER_MARGIN)), "edge"
    )
    inner = slice(_DECODER_MARGIN * STRIDE, -_DECODER_MARGIN * STRIDE)  # the decoder pads with zeros at its border
    painted = np.ascontiguousarray(networks.decode(framed)[:, :, inner, inner])
    gap = places[-3:] - mean_cell_colours(painted)
    for axis in (1, 2):
        gap = _weighted_means(gap, _COLOUR_KERNEL, axis)
    return painted + resample(gap[None], painted.shape[2], painted.shape[3], Image.Resampling.BILINEAR)


def follow_luma(colours: Array, photo: Picture) -> Array:
    """Return the colours ``(3, h, w)`` of places, filtered to follow the luma of ``photo`` ``(1, 3, 4h, 4w)``.

    It is a guided filter (He et al. 2013): in each window, colours are a linear function of the photo's luma. So a
    region of one colour in the photo gets one colour, and edges stay.
    """
    grey = luma(mean_cell_colours(photo))[None]
    slope, centre, colour = _fit(grey, colours, _box)
    return np.asarray(_box(slope) * grey + _box(colour - slope * centre), np.float32)


def _fit(grey: Array, colours: Array, mean: Callable[[Array], Array]) -> tuple[Array, Array, Array]:
    """Fit colours as a linear function of grey ``(1, h, w)`` around each place; ``mean`` averages over a window.

    Returns:
        The slope, and the means of grey and of the colours.
    """
    centre, colour = mean(grey), mean(colours)
    slope = (mean(grey * colours) - centre * colour) / (mean(grey * grey) - centre * centre + _PLAIN_VARIANCE)
    return np.asarray(slope, np.float32), centre, colour


class EvenColours(NamedTuple):
    """The wanted colours of the places of a picture, and how far places are moved to them.

    Attributes:
        colours: ``(3, h, w)``, the wanted colours.
        plain: ``(1, h, w)``, from 0 to 1: how far the mean over a small window is moved, so that brushwork stays.
        beside: ``(1, h, w)``, from 0 to 1: how far the place itself is moved.
    """

    colours: Array
    plain: Array
    beside: Array

    def correction(self, colours: Array, rows: slice, columns: slice) -> Array:
        """Return the correction to add to colours ``(3, h, w)`` of a region that begins on the grid of ``STRIDE``."""
        top, left = rows.start // STRIDE, columns.start // STRIDE
        part = slice(top, top + colours.shape[1]), slice(left, left + colours.shape[2])
        wanted, plain, beside = (each[:, *part] for each in self)
        mean = _box(plain * colours) / (_box(plain) + np.float32(1e-6))
        return plain * (wanted - mean) + beside * (wanted - colours)


def even_colours(painted: Picture, photo: Picture) -> EvenColours:
    """Return the evened colours of a painted picture ``(1, 3, 4h, 4w)``.

    It is a guided filter with wide windows, computed over plain places only: colours become a linear function of the
    photo's luma. So a sky keeps its gradient and loses patches of other colours. A place that is not plain, but has the
    photo's colour of the plain ones around it, gets their colours too, so that there is no halo around an object.
    """
    cells, colours = mean_cell_colours(photo), mean_cell_colours(painted)
    variance = np.maximum(_box(cells * cells) - np.square(_box(cells)), 0).sum(0, keepdims=True)
    plain = np.asarray(np.exp(-variance / _PLAIN_DEVIATION**2), np.float32)
    window = np.hanning(2 * _WIDE_REACH + 3)[1:-1].astype(np.float32)
    window /= window.sum()

    def wide(planes: Array) -> Array:
        return _weighted_means(_weighted_means(planes, window, 1), window, 2)

    count = wide(plain) + np.float32(1e-4)

    def mean(planes: Array) -> Array:
        return np.asarray(wide(plain * planes) / count, np.float32)

    grey = luma(cells)[None]
    slope, centre, colour = _fit(grey, colours, mean)
    gap = np.square(cells - mean(cells)).sum(0, keepdims=True)
    alike = np.exp(-gap / _ALIKE_DISTANCE**2) * count / (count + _MIN_PLAIN_SHARE)
    beside = np.asarray(np.maximum(alike - plain, 0), np.float32)
    return EvenColours(
        np.asarray(colour + slope * (grey - centre), np.float32), _EVEN_SHARE * plain, _EVEN_SHARE * beside
    )


def _box(planes: Array) -> Array:
    """Return the means of planes ``(C, h, w)`` over square windows."""
    weights = np.full(2 * _LUMA_RADIUS + 1, 1 / (2 * _LUMA_RADIUS + 1), np.float32)
    return _weighted_means(_weighted_means(planes, weights, 1), weights, 2)


def _weighted_means(planes: Array, weights: Array, axis: int) -> Array:
    """Return weighted means of planes ``(C, h, w)`` along an axis; the border is extended by its last value."""
    reach = len(weights) // 2
    padded = np.pad(planes, [(reach, reach) if each == axis else (0, 0) for each in range(3)], mode="edge")
    ends = [slice(None)] * 3
    found = np.zeros_like(planes)
    for start, weight in enumerate(weights):
        ends[axis] = slice(start, start + planes.shape[axis])
        found += weight * padded[tuple(ends)]
    return found
