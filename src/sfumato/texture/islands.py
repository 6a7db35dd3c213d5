"""The islands of a texture: the regions that triangles of a mesh show, and the seams between them.

A mesh is cut open to be laid flat. An edge at a cut lies twice in the texture, in one island or in two; the colours on
both sides meet on the mesh. `level` makes them equal: a difference between both sides that the painting has, and its
source has not, is spread over a neighbourhood of the seam, coarse differences over a wider one (in the manner of the
seam levelling of Lempitsky & Ivanov 2007).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import resample
from sfumato.inference.finish import bleed
from sfumato.inference.seamless import blurred
from sfumato.texture.meshes import Triangles

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]

_REACH = 0.5  # pixels around a triangle that belong to it
_BLOCK = 4_000_000  # pixels that are tested at a time
_MAX_TESTED = 2_000_000_000  # pixels tested in total: beyond it, triangles repeat the texture very often
_SPREADS = 1 / 24, 1 / 96  # sigma of the spread of coarse differences, as shares of the texture's short side
_FINEST = 1.5  # pixels; sigma of the spread of the finest differences
_FINEST_BLUR = 4.0  # pixels; sigma up to which a blur is computed at full size
_SEAM_COLOURS = 0.08  # difference of the source's own colours at which a seam counts half as much
_MAX_ISLANDS = 4000  # with more, small triangles are all islands, and colours are not levelled


@dataclass(frozen=True)
class Islands:
    """The islands of one texture.

    Attributes:
        labels: ``(H, W)``: the number of the island that shows each pixel, from 0; -1 where nothing does.
        seams: ``(2, S)``: indices of pixels, in ``labels`` as a flat array, that are neighbours on the mesh.
    """

    labels: Labels
    seams: Indices

    @classmethod
    def of(cls, triangles: Triangles, height: int, width: int) -> Islands | None:
        """Return the islands of a texture of that size, or ``None`` where triangles repeat it too often."""
        pixels = triangles.places * np.array([width, height]) - 0.5  # the centre of the first pixel is at 0
        numbers = _numbers(triangles.places)
        labels = _rasterised(pixels, numbers, height, width)
        if labels is None:
            return None
        return cls(labels, _seams(triangles, pixels, numbers, labels))

    @property
    def share(self) -> float:
        """The share of the texture that triangles show."""
        return float((self.labels >= 0).mean())

    def fill(self, picture: Array) -> Array:
        """Return a picture ``(1, 3, H, W)`` with the colours of the islands around them."""
        shown = self.labels >= 0
        return picture if shown.all() or not shown.any() else bleed(picture, shown.astype(np.float32))

    def level(self, painted: Array, source: Array) -> Array:
        """Return a painted texture ``(1, 3, H, W)`` whose colours meet at the seams where those of the source do."""
        if not self.seams.size or self.labels.max() >= _MAX_ISLANDS:
            return painted
        planes = painted[0].copy()
        flat = source[0].reshape(3, -1)
        gap = np.abs(flat[:, self.seams[0]] - flat[:, self.seams[1]]).max(0)
        trust = (1 / (1 + (gap / _SEAM_COLOURS) ** 4)).astype(np.float32)
        boxes = list(self._boxes())
        short = min(self.labels.shape)
        for sigma in (*(max(_FINEST, share * short) for share in _SPREADS), _FINEST):
            smooth = planes if sigma == _FINEST else self._smoothed(planes, boxes, sigma / 2)
            one, other = (smooth.reshape(3, -1)[:, side] for side in self.seams)
            half = trust * (other - one) / 2
            ends = np.concatenate([self.seams[0], self.seams[1]])
            values = np.concatenate([np.concatenate([half, -half], 1), np.ones((1, len(ends)), np.float32)])
            # The sums of the changes at each pixel, and their number.
            change = np.stack([np.bincount(ends, each, planes[0].size) for each in values]).astype(np.float32)
            change = change.reshape(4, *self.labels.shape)
            for label, *box in boxes:
                inside = self.labels[*box] == label
                here = change[:, *box] * inside
                if not here[3].any():
                    continue
                here = _spread(here, sigma)
                # Along a straight seam with one change for each pixel, the weight at the seam is 1.
                weight = np.clip(here[3] * np.float32(sigma * (2 * np.pi) ** 0.5), 0, 1)
                planes[:, *box] += inside * weight * here[:3] / np.maximum(here[3], 1e-6)
        return np.asarray(np.clip(planes, 0, 1)[None])

    def _boxes(self) -> Iterator[tuple[int, slice, slice]]:
        """Yield the number, the rows and the columns of each island."""
        rows, columns = np.nonzero(self.labels >= 0)
        if not len(rows):
            return
        label = self.labels[rows, columns]
        order = np.argsort(label, kind="stable")
        rows, columns, label = rows[order], columns[order], label[order]
        starts = np.flatnonzero(np.diff(label, prepend=-1))
        ends = zip(
            *(ufunc.reduceat(each, starts) for each in (rows, columns) for ufunc in (np.minimum, np.maximum)),
            strict=True,
        )
        for number, (top, bottom, left, right) in zip(label[starts], ends, strict=True):
            yield int(number), slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1)

    def _smoothed(self, planes: Array, boxes: list[tuple[int, slice, slice]], sigma: float) -> Array:
        """Return planes ``(3, H, W)`` blurred within each island."""
        found = planes.copy()
        for label, rows, columns in boxes:
            inside = (self.labels[rows, columns] == label).astype(np.float32)
            here = _spread(np.concatenate([planes[:, rows, columns] * inside, inside[None]]), sigma)
            mean = here[:3] / np.maximum(here[3], 1e-6)
            found[:, rows, columns] += inside * (mean - found[:, rows, columns])
        return found


def _spread(planes: Array, sigma: float) -> Array:
    """Blur planes ``(C, h, w)``, which are 0 outside; with a wide kernel at a reduced size."""
    factor = int(sigma / _FINEST_BLUR)
    if factor < 2:
        small = planes
    else:
        count, height, width = planes.shape
        pads = (0, -height % factor), (0, -width % factor)
        small = np.pad(planes, ((0, 0), *pads))
        small = small.reshape(count, small.shape[1] // factor, factor, -1, factor).mean((2, 4))
        sigma /= factor
    for axis in (1, 2):
        small = blurred(small, sigma, axis, "constant")
    if factor < 2:
        return small
    return resample(small, height, width, Image.Resampling.BILINEAR, (0, 0, width / factor, height / factor))


def _numbers(places: npt.NDArray[np.float64]) -> Indices:
    """Return the number ``(T,)`` of the island of each triangle: those that share a corner in the texture are one."""
    _, corners = np.unique(np.round(places.reshape(-1, 2), 6), axis=0, return_inverse=True)
    corners = corners.reshape(-1, 3)
    labels = np.arange(corners.max(initial=-1) + 1)
    while True:
        least = labels[corners].min(1)
        before = labels.copy()
        np.minimum.at(labels, corners.ravel(), np.repeat(least, 3))
        labels = labels[labels]
        if np.array_equal(labels, before):
            break
    return np.asarray(np.unique(labels[corners[:, 0]], return_inverse=True)[1], np.int64).ravel()


def _rasterised(pixels: npt.NDArray[np.float64], numbers: Indices, height: int, width: int) -> Labels | None:
    """Return the number of a triangle's island at each pixel, ``(height, width)``; -1 where there is none."""
    labels = np.full((height, width), -1, np.int32)
    low = np.floor(pixels.min(1) - _REACH).astype(np.int64)
    size = np.ceil(pixels.max(1) + _REACH).astype(np.int64) - low + 1
    tested = size.prod(1)
    if tested.sum() > _MAX_TESTED:
        return None
    turns = np.sign(_cross(pixels[:, 1] - pixels[:, 0], pixels[:, 2] - pixels[:, 0]))
    for group in _alike(size, np.flatnonzero(turns)):
        down, across = size[group, 1].max(), size[group, 0].max()
        y = low[group, 1][:, None, None] + np.arange(down)[:, None]
        x = low[group, 0][:, None, None] + np.arange(across)
        # Only within a triangle's own box: the corners of slivers would reach far beyond it.
        inside = (np.arange(down)[:, None] < size[group, 1][:, None, None]) & (
            np.arange(across) < size[group, 0][:, None, None]
        )
        corners = pixels[group]
        turn = turns[group]
        for i in range(3):
            start, end = corners[:, i], corners[:, (i + 1) % 3]
            side = end - start
            length = np.maximum(np.hypot(*side.T), 1e-9)
            away = (side[:, 0] * (y.T - start[:, 1]) - side[:, 1] * (x.T - start[:, 0])) / length * turn
            inside &= away.T >= -_REACH
        which, row, column = np.nonzero(inside)
        labels[(low[group[which], 1] + row) % height, (low[group[which], 0] + column) % width] = numbers[group[which]]
    return labels


def _alike(size: Indices, which: Indices) -> Iterator[Indices]:
    """Yield groups of triangles whose boxes ``(T, 2)`` have about equal sides, together at most `_BLOCK` pixels."""
    classes = np.ceil(np.log2(size[which])).astype(np.int64)
    for kind in np.unique(classes, axis=0):
        members = which[(classes == kind).all(1)]
        step = max(1, _BLOCK >> int(kind.sum()))
        yield from (members[start : start + step] for start in range(0, len(members), step))


def _cross(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _seams(triangles: Triangles, pixels: npt.NDArray[np.float64], numbers: Indices, labels: Labels) -> Indices:
    """Return pairs of pixels ``(2, S)`` at the two places in the texture of one edge of the mesh."""
    points = triangles.points.reshape(-1, 3)
    if not len(points):
        return np.zeros((2, 0), np.int64)
    extent = max(float(np.ptp(points, axis=0).max()), 1e-12)
    _, vertices = np.unique(np.round(points / extent, 5), axis=0, return_inverse=True)
    vertices = vertices.reshape(-1, 3)
    first, second = (
        np.concatenate([each[:, i] for i in order]) for each in (vertices,) for order in ((0, 1, 2), (1, 2, 0))
    )
    ends = np.stack([np.concatenate([pixels[:, i] for i in order]) for order in ((0, 1, 2), (1, 2, 0))], 1)  # (E, 2, 2)
    owner = np.tile(numbers, 3)
    swap = first > second
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    ends[swap] = ends[swap, ::-1]
    order = np.lexsort((second, first))
    first, second, ends, owner = first[order], second[order], ends[order], owner[order]
    pair = np.flatnonzero((first[1:] == first[:-1]) & (second[1:] == second[:-1]) & (first[1:] != second[1:]))
    apart = np.abs(ends[pair] - ends[pair + 1]).max((1, 2)) > 0.5
    pair = pair[apart]
    sides = ends[pair], ends[pair + 1]
    length = np.ceil(np.max([np.hypot(*(each[:, 1] - each[:, 0]).T) for each in sides], axis=0, initial=0)).astype(int)
    count = np.minimum(length, 4 * max(labels.shape)) + 1
    which = np.repeat(np.arange(len(pair)), count)
    share = ((np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 0.5) / np.maximum(count[which], 1))[
        :, None
    ]
    found = [
        _owned(each[which, 0] + share * (each[which, 1] - each[which, 0]), owner[pair + i][which], labels)
        for i, each in enumerate(sides)
    ]
    good = (found[0] >= 0) & (found[1] >= 0) & (found[0] != found[1])
    return np.unique(np.stack(found)[:, good], axis=1)


def _owned(places: npt.NDArray[np.float64], owner: Indices, labels: Labels) -> Indices:
    """Return the index of the nearest pixel of an island to each place ``(N, 2)``, or -1 where none is near."""
    height, width = labels.shape
    found, best = np.full(len(places), -1), np.full(len(places), np.inf)
    middle = np.round(places).astype(np.int64)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            x, y = middle[:, 0] + across, middle[:, 1] + down
            index = y % height * width + x % width
            distance = np.square(places - np.stack([x, y], 1)).sum(1)
            nearer = (labels.reshape(-1)[index] == owner) & (distance < best)
            found[nearer], best[nearer] = index[nearer], distance[nearer]
    return found
