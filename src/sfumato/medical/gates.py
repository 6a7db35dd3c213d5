"""Gates of look-alikes: intensity order kept, structure kept, nothing added. Limits are from benchmarks/medical.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfumato.errors import QualityError
from sfumato.medical.reading import Values
from sfumato.quality.filters import box, dilate

#: Limits of the gates; see `Measured`.
LEAST_ORDER, LEAST_STRUCTURE, LEAST_CONTRAST, MOST_ADDED = 0.99, 0.95, 0.8, 0
#: Contrast of a blob or an edge that counts as a structure, and below which the source counts as flat; share of white.
SEEN, FLAT = 0.03, 0.015
_LEVELS = 128  # of the curve from greys of the source to greys of the result
_RADII = (1, 2, 4)  # pixels, of the blobs and edges that are looked for
_PAIRS = 200_000  # of pixels, whose order is compared


@dataclass(frozen=True)
class Measured:
    """What was measured between a picture and its look-alike.

    Attributes:
        order: Kendall's correlation of their greys, over pairs of pixels within the window that differ in the source by
            more than `FLAT`: 1 if all pairs keep their order, -1 if none does.
        structure: correlation of their gradients, after the source has the result's tone; -1 to 1.
        contrast: share of the blobs and edges of the source, of 2 to 8 pixels, whose contrast is within 10 %.
        added: number of blobs and edges in the result where the source is flat.
    """

    order: float
    structure: float
    contrast: float
    added: int

    def __str__(self) -> str:
        """Return the numbers in words."""
        numbers = f"order {self.order:.4f}, structure {self.structure:.3f}, contrast {self.contrast:.3f}"
        return f"{numbers}, added {self.added}"

    def check(self, name: str) -> None:
        """Raise QualityError where a gate is not passed.

        Args:
            name: of the picture, for the message.
        """
        faults = []
        if self.order < LEAST_ORDER:
            faults.append(f"the order of intensities is not kept ({self.order:.4f}, at least {LEAST_ORDER})")
        if self.structure < LEAST_STRUCTURE:
            faults.append(
                f"structure is not kept (correlation of gradients {self.structure:.3f}, at least {LEAST_STRUCTURE})"
            )
        if self.contrast < LEAST_CONTRAST:
            faults.append(
                f"contrast is not kept (within 10 % for {self.contrast:.3f} of blobs and edges, at least "
                f"{LEAST_CONTRAST})"
            )
        if self.added > MOST_ADDED:
            faults.append(f"{self.added} blobs or edges were added where the picture is flat (at most {MOST_ADDED})")
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
    return Measured(
        order(source, result),
        structure(expected, result),
        contrast(expected, result),
        len(added(expected, result)),
    )


def worst(measured: Sequence[Measured]) -> Measured:
    """Return the worst of each measure over several pictures."""
    return Measured(
        min(each.order for each in measured),
        min(each.structure for each in measured),
        min(each.contrast for each in measured),
        max(each.added for each in measured),
    )


def toned(source: Values, result: Values) -> Values:
    """Return the source with the tone of the result: at each grey of the source, the mean of the result there."""
    level = np.rint(np.clip(source, 0, 1) * (_LEVELS - 1)).astype(np.int64).ravel()
    count = np.bincount(level, minlength=_LEVELS)
    there = count > 0
    means = np.bincount(level, result.ravel(), _LEVELS)[there] / count[there]
    greys = np.bincount(level, source.ravel(), _LEVELS)[there] / count[there]
    return np.asarray(np.interp(source, greys, means), np.float32)


def order(source: Values, result: Values) -> float:
    """Return Kendall's correlation where the source is neither black nor white; 1 if nothing differs there."""
    inner = (source > 0) & (source < 1)
    x, y = source[inner], result[inner]
    if not x.size:
        return 1.0
    one, other = np.random.default_rng(0).integers(0, x.size, (2, _PAIRS))
    before, after = x[one] - x[other], y[one] - y[other]
    differ = np.abs(before) > FLAT
    return float(np.mean(np.sign(before[differ]) * np.sign(after[differ]))) if differ.any() else 1.0


def structure(expected: Values, result: Values) -> float:
    """Return the correlation of the gradients of two pictures, down and across together; 1 if neither has any."""
    x, y = (np.concatenate([np.diff(each, axis=axis).ravel() for axis in (0, 1)]) for each in (expected, result))
    a, b = (each.astype(np.float64) - each.mean(dtype=np.float64) for each in (x, y))
    scales = np.sqrt((a * a).sum()), np.sqrt((b * b).sum())
    if min(scales) < 1e-9:
        return float(max(scales) < 1e-9)
    return float((a * b).sum() / (scales[0] * scales[1]))


def contrast(expected: Values, result: Values) -> float:
    """Return the share of the source's blobs and edges that are within 10 % in the result; 1 if there are none."""
    ratios = []
    for radius in _RADII[1:]:
        had, has = _blobs(expected, radius), _blobs(result, radius)
        size = np.abs(had)
        extremum = (size >= dilate(size, radius)) & (size > SEEN)
        ratios.append(has[extremum] / had[extremum])
    every = np.concatenate(ratios)
    return float((np.abs(every - 1) <= 0.1).mean()) if every.size else 1.0


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
