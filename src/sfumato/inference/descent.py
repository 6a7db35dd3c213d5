"""Going down a loss of which only the gradient is known, in few steps: L-BFGS without a line search."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sfumato.image import Picture

#: How far a pixel moves on average in the first step, of a range of 1, and in a later one at most.
FIRST, MOST = 0.005, 0.02
_MEMORY = 10  # steps whose curvature is remembered

_Array = npt.NDArray[np.float32]


def descend(picture: Picture, gradient: Callable[[Picture], Picture], steps: int, rate: float = 1.0) -> Picture:
    """A picture in ``[0, 1]`` after ``steps`` steps of L-BFGS (Nocedal & Wright 2006, Algorithm 7.4) down a loss whose
    ``gradient`` is given, in any one scale. `FIRST` and `MOST` are multiplied by ``rate``."""
    moves: list[tuple[_Array, _Array]] = []  # of the picture, and of the gradient
    last: tuple[Picture, Picture] | None = None
    for _ in range(steps):
        slope = gradient(picture)
        if last is not None:
            move, change = (picture - last[0]).ravel(), (slope - last[1]).ravel()
            # Where the loss curves upwards; elsewhere the step would go uphill.
            if np.vdot(move, change) > 1e-8 * np.linalg.norm(move) * np.linalg.norm(change):
                moves = [*moves, (move, change)][-_MEMORY:]
        last = picture, slope
        step = _direction(slope.ravel(), moves).reshape(picture.shape)
        size = float(np.abs(step).mean())
        if not size:
            break
        scale = min(1.0, MOST * rate / size) if moves else FIRST * rate / size
        picture = np.clip(picture - np.float32(scale) * step, 0.0, 1.0)
    return picture


def _direction(slope: _Array, moves: Sequence[tuple[_Array, _Array]]) -> _Array:
    """The gradient times the inverse curvature that moves tell of, the oldest first."""
    shares = []
    for move, change in reversed(moves):
        share = np.vdot(move, slope) / np.vdot(change, move)
        slope = slope - share * change
        shares.append(share)
    if moves:
        move, change = moves[-1]
        slope = slope * (np.vdot(move, change) / np.vdot(change, change))
    for (move, change), share in zip(moves, reversed(shares), strict=True):
        slope = slope + move * (share - np.vdot(change, slope) / np.vdot(change, move))
    return slope
