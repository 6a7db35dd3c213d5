"""Going down a loss of which only the gradient is known, in few steps: L-BFGS without a line search.

The losses are of features that see several pixels at once, and curve most along the finest detail. So what is coarse
moves farther at once (`_coarse`; Nocedal & Wright 2006, section 5.1, on preconditioning): 14 steps of refinement come
as low as 17 without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sfumato.image import Picture

#: How far a pixel moves on average in the first step, of a range of 1, and in a later one at most.
FIRST_STEP, MAX_STEP = 0.005, 0.02
#: What is added to a slope of itself, blurred over 3 pixels and over 7.
COARSE = (1.0, 2.0)
_MEMORY = 10  # steps whose curvature is remembered


def descend(
    picture: Picture,
    gradient: Callable[[Picture], Picture],
    steps: int,
    rate: float = 1.0,
    coarse: Sequence[float] = COARSE,
) -> Picture:
    """A picture in ``[0, 1]`` after ``steps`` steps of L-BFGS (Nocedal & Wright 2006, Algorithm 7.4) down a loss whose
    ``gradient`` is given, in any one scale. `FIRST_STEP` and `MAX_STEP` are multiplied by ``rate``; ``coarse`` are the
    weights of `_coarse`."""
    moves: list[tuple[Picture, Picture]] = []  # of the picture, and of the gradient
    last: tuple[Picture, Picture] | None = None
    for _ in range(steps):
        slope = gradient(picture)
        if last is not None:
            move, change = picture - last[0], slope - last[1]
            # Where the loss curves upwards; elsewhere the step would go uphill.
            if np.vdot(move, change) > 1e-8 * np.linalg.norm(move) * np.linalg.norm(change):
                moves = [*moves, (move, change)][-_MEMORY:]
        last = picture, slope
        step = _direction(slope, moves, coarse)
        size = float(np.abs(step).mean())
        if not size:
            break
        scale = min(1.0, MAX_STEP * rate / size) if moves else FIRST_STEP * rate / size
        picture = np.clip(picture - np.float32(scale) * step, 0.0, 1.0)
    return picture


def _direction(slope: Picture, moves: Sequence[tuple[Picture, Picture]], coarse: Sequence[float]) -> Picture:
    """The gradient times the inverse curvature that moves tell of, the oldest first."""
    shares = []
    for move, change in reversed(moves):
        share = np.vdot(move, slope) / np.vdot(change, move)
        slope = slope - share * change
        shares.append(share)
    slope = _coarse(slope, coarse)
    if moves:
        move, change = moves[-1]
        slope = slope * (np.vdot(move, change) / np.vdot(change, _coarse(change, coarse)))
    for (move, change), share in zip(moves, reversed(shares), strict=True):
        slope = slope + move * (share - np.vdot(change, slope) / np.vdot(change, move))
    return slope


def _coarse(slope: Picture, weights: Sequence[float] = COARSE) -> Picture:
    """A slope plus ``weights`` times itself, blurred: symmetric and positive, as an inverse curvature is."""
    found = blurred = slope
    for octave, weight in enumerate(weights):
        for axis in (2, 3):
            blurred = _blurred(blurred, 2**octave, axis)
        found = found + np.float32(weight) * blurred
    return found


def _blurred(slope: Picture, reach: int, axis: int) -> Picture:
    """Weights of 1, 2 and 1 quarter along an axis, ``reach`` pixels apart (Burt & Adelson 1983, the kernel's least).
    Edges are mirrored: so cosines stay cosines, and blurs that follow each other are symmetric together."""
    edges = [(0, 0)] * slope.ndim
    edges[axis] = (reach, reach)
    wide = np.moveaxis(np.pad(slope, edges, mode="symmetric"), axis, 0)
    blurred = 0.25 * (wide[: -2 * reach] + wide[2 * reach :]) + 0.5 * wide[reach:-reach]
    return np.moveaxis(blurred, 0, axis)
