"""Gates of look-alikes: intensity order kept, structure kept, nothing added. Limits are from benchmarks/medical.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sfumato.errors import QualityError
from sfumato.medical.reading import Values
from sfumato.quality.filters import box, dilate

#: Limits of the gates; see `Measured`.
LEAST_ORDER, LEAST_STRUCTURE, MOST_ADDED = 0.95, 0.9, 0.0
#: Contrast of a blob or an edge that counts as a structure, and below which the source counts as flat; share of white.
SEEN, FLAT = 0.05, 0.02
_LEVELS = 128  # of the curve from greys of the source to greys of the result
_RADII = (1, 2, 4)  # pixels, of the blobs that are looked for


@dataclass(frozen=True)
class Measured:
    """What was measured between a picture and its look-alike.

    Attributes:
        order: Spearman's correlation of their greys, where the source is within its window; -1 to 1.
        structure: correlation of their gradients, after the source has the result's tone; -1 to 1.
        added: number of blobs and edges in the result where the source is flat.
    """

    order: float
    structure: float
    added: int

    def __str__(self) -> str:
        """Return the numbers in words."""
        return f"order {self.order:.3f}, structure {self.structure:.3f}, added {self.added}"

    def check(self, name: str) -> None:
        """Raise QualityError where a gate is not passed.

        Args:
            name: of the picture, for the message.
        """
        faults = []
        if self.order < LEAST_ORDER:
            faults.append(f"the order of intensities is not kept (Spearman {self.order:.3f}, at least {LEAST_ORDER})")
        if self.structure < LEAST_STRUCTURE:
            faults.append(
                f"structure is not kept (correlation of gradients {self.structure:.3f}, at least {LEAST_STRUCTURE})"
            )
        if self.added > MOST_ADDED:
            faults.append(f"{self.added} blobs or edges were added where the picture is flat (at most {MOST_ADDED:g})")
        if faults:
            raise QualityError(
                f"the look-alike of {name} was refused: {'; '.join(faults)}; take less strength or another style"
            )


def measure(source: Values, result: Values) -> Measured:
    """Measure a look-alike.

    Args:
        source: ``(H, W)`` in ``[0, 1]``, as its window shows it.
        result: the luma of the look-alike, of the same shape.
    """
    expected = toned(source, result)
    return Measured(order(source, result), structure(expected, result), len(added(expected, result)))


def toned(source: Values, result: Values) -> Values:
    """Return the source with the tone of the result: at each grey of the source, the mean of the result there."""
    level = np.rint(np.clip(source, 0, 1) * (_LEVELS - 1)).astype(np.int64).ravel()
    count = np.bincount(level, minlength=_LEVELS)
    there = count > 0
    means = np.bincount(level, result.ravel(), _LEVELS)[there] / count[there]
    greys = np.bincount(level, source.ravel(), _LEVELS)[there] / count[there]
    return np.asarray(np.interp(source, greys, means), np.float32)


def order(source: Values, result: Values) -> float:
    """Return Spearman's rank correlation where the source is neither black nor white; 1 if it has one grey there."""
    inner = (source > 0) & (source < 1)
    x, y = (_ranks(np.rint(each[inner] * 65535)) for each in (source, result))
    return _correlation(x, y)


def structure(expected: Values, result: Values) -> float:
    """Return the correlation of the gradients of two pictures, down and across together."""
    x, y = (np.concatenate([np.diff(each, axis=axis).ravel() for axis in (0, 1)]) for each in (expected, result))
    return _correlation(x, y)


def added(expected: Values, result: Values) -> list[tuple[int, int]]:
    """Return the places of blobs and edges in a result where the source is flat.

    Both pictures are filtered by differences of box means of several sizes. A place counts where, at one size, the
    result's filtered value is an extremum above `SEEN`, and the source's is below `FLAT` in all of the neighbourhood.

    Args:
        expected: the source in the tone of the result, ``(H, W)``.
        result: of the same shape.
    """
    found: set[tuple[int, int]] = set()
    for radius in _RADII:
        busy = dilate(np.abs(_blobs(expected, radius)), 2 * radius)
        seen = np.abs(_blobs(result, radius))
        extremum = (seen >= dilate(seen, 2 * radius)) & (seen > SEEN) & (busy < FLAT)
        found.update((int(y), int(x)) for y, x in np.argwhere(extremum))
    return sorted(found)


def _blobs(x: Values, radius: int) -> Values:
    inner = box(x, radius // 2) if radius > 1 else x
    return np.asarray(inner - box(x, 2 * radius), np.float32)


def _ranks(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return ranks; equal values have the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place.ravel()], np.float64)


def _correlation(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> float:
    """Return Pearson's correlation; where one side does not vary, 1 if the other does not either, else 0."""
    if not x.size:
        return 1.0
    a, b = (each.astype(np.float64) - each.mean(dtype=np.float64) for each in (x, y))
    scales = np.sqrt((a * a).sum()), np.sqrt((b * b).sum())
    if min(scales) < 1e-9:
        return float(max(scales) < 1e-9)
    return float((a * b).sum() / (scales[0] * scales[1]))
