"""Features of a set of pictures, the figures measured on them, and what all measures of sets share.

Features are ``(N, D)`` arrays, a row a picture. A figure compares with another only if both come from one backbone, so
features carry its name, and mixing two is a ``UsageError``. Everything is computed in float64.

The measures: ``frechet.py`` (FID and its limit), ``kernel.py`` (KID), ``neighbours.py`` (precision, recall, density,
coverage, the nearest-neighbour test), ``inception_score.py`` and ``classifier.py``. ``sets.py`` takes them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.checks import check_shape
from sfumato.errors import InputError, UsageError

Array = npt.NDArray[np.float64]

_CELLS = 4_000_000  # numbers in one block of a distance or kernel matrix: 32 MB


@dataclass(frozen=True)
class Estimate:
    """One measured number.

    Attributes:
        name: of the measure.
        value: the estimate.
        low, high: its 95 % interval; None where the measure has none of its own.
        n: pictures in the smaller set.
        backbone: whose features were compared.
        note: a sentence on why the figure should not be trusted as it stands; empty where nothing is known against it.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    n: int
    backbone: str
    note: str = ""


@dataclass(frozen=True, eq=False)
class Features:
    """Features in memory.

    Attributes:
        backbone: the name of what made them, with everything that changes its values: weights, layer, resizing.
        arrays: ``(N, D)``.
    """

    backbone: str
    arrays: npt.NDArray[Any]


def check_pair(x: Features, y: Features, min_rows: int) -> tuple[Array, Array]:
    """Both arrays as float64 of one width, with ``min_rows`` rows or more each.

    Raises:
        UsageError: other backbones, or fewer rows.
        InputError: another shape or width, or a value that is not finite.
    """
    check_same_backbone(x.backbone, y.backbone)
    a, b = np.asarray(x.arrays, np.float64), np.asarray(y.arrays, np.float64)
    width = check_shape(a, "N D", "features of the first set")["D"]
    check_shape(b, f"N {width}", "features of the second set")
    for rows, name in ((a, "first"), (b, "second")):
        if len(rows) < min_rows:
            raise UsageError(f"this measure needs {min_rows} or more pictures a set, but the {name} has {len(rows)}")
        if not np.isfinite(rows).all():
            raise InputError(f"features of the {name} set hold values that are not finite; see what its backbone got")
    return a, b


def check_same_backbone(a: str, b: str) -> None:
    """UsageError where the features of two sets come from different backbones."""
    if a != b:
        raise UsageError(f"features of the backbones {a!r} and {b!r} cannot be compared; make both with one")


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Slices that cover ``n`` rows of a matrix ``width`` wide, each a block of bounded memory."""
    rows = max(1, _CELLS // max(1, width))
    return (slice(start, min(n, start + rows)) for start in range(0, n, rows))
