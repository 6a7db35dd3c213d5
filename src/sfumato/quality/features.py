"""Features of a set of pictures, the type of their measured values, and helpers that all measures of sets use.

Features are ``(N, D)`` arrays, one row per picture. Only features of the same backbone are comparable, so they carry
its name, and mixing two is a ``UsageError``. Everything is computed in float64.

The measures are in ``frechet.py`` (FID and its limit), ``kernel.py`` (KID), ``neighbours.py`` (precision, recall,
density, coverage, the nearest-neighbour test), ``inception_score.py`` and ``classifier.py``. ``sets.py`` runs them all.
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
    """The estimate of one measure of a set.

    Attributes:
        name: Name of the measure.
        value: The estimate.
        low: Lower end of its 95 % interval; None where the measure has no interval.
        high: Upper end of its 95 % interval; None where the measure has no interval.
        n: Number of pictures in the smaller set.
        backbone: Name of the network whose features were compared.
        note: Reasons why the value may mislead, and values to compare it with; may be empty.
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
    """The features of a set of pictures.

    Attributes:
        backbone: Name of the network, with everything that changes its values: weights, layer, resizing.
        arrays: ``(N, D)``, one row per picture.
    """

    backbone: str
    arrays: npt.NDArray[Any]


def check_pair(x: Features, y: Features, min_rows: int) -> tuple[Array, Array]:
    """Return both arrays as float64, after checking that they are comparable.

    Raises:
        UsageError: The backbones differ, or a set has fewer than ``min_rows`` rows.
        InputError: The shapes or widths do not fit, or a value is not finite.
    """
    check_same_backbone(x.backbone, y.backbone)
    a, b = np.asarray(x.arrays, np.float64), np.asarray(y.arrays, np.float64)
    width = check_shape(a, "N D", "features of the first set")["D"]
    check_shape(b, f"N {width}", "features of the second set")
    for rows, name in ((a, "first"), (b, "second")):
        if len(rows) < min_rows:
            raise UsageError(f"this measure needs {min_rows} or more pictures a set, but the {name} has {len(rows)}")
        if not np.isfinite(rows).all():
            raise InputError(f"features of the {name} set hold values that are not finite; check its pictures")
    return a, b


def check_same_backbone(a: str, b: str) -> None:
    """Check that the features of two sets come from the same backbone.

    Raises:
        UsageError: The backbones differ.
    """
    if a != b:
        raise UsageError(f"features of the backbones {a!r} and {b!r} cannot be compared; compute both with the same")


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Return slices that split ``n`` rows of a matrix of this width into blocks of bounded memory."""
    rows = max(1, _CELLS // max(1, width))
    return (slice(start, min(n, start + rows)) for start in range(0, n, rows))
