"""Descent on a picture's pixels in few steps, given only the gradient of a loss: L-BFGS without a line search.

The losses compare features with receptive fields of several pixels, and have their largest curvature along the finest
detail. A preconditioner (`_precondition`; Nocedal & Wright 2006, section 5.1) makes coarse changes larger: 14 steps
reach the loss of 17 steps without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sfumato.image import Picture

#: Mean change of a pixel in the first step, and the largest mean change in later ones, of a range of 1.
FIRST_STEP, MAX_STEP = 0.005, 0.02
#: Weights of the gradient blurred over 3 and over 7 pixels, which the preconditioner adds to the gradient.
COARSE = (1.0, 2.0)
_MEMORY = 10  # number of recent steps that approximate the curvature


def descend(
    picture: Picture,
    gradient: Callable[[Picture], Picture],
    steps: int,
    rate: float = 1.0,
    coarse: Sequence[float] = COARSE,
) -> Picture:
    """Return the picture, in ``[0, 1]``, after some steps of L-BFGS (Nocedal & Wright 2006, Algorithm 7.4).

    Args:
        picture: the start, in ``[0, 1]``.
        gradient: of the loss, up to a constant factor.
        steps: how many.
        rate: factor of `FIRST_STEP` and `MAX_STEP`.
        coarse: weights of the preconditioner.
    """
    moves: list[tuple[Picture, Picture]] = []  # of the picture, and of the gradient
    last: tuple[Picture, Picture] | None = None
    for _ in range(steps):
        slope = gradient(picture)
        if last is not None:
            move, change = picture - last[0], slope - last[1]
            # Only where the curvature is positive; otherwise the step would increase the loss.
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
    """Return the gradient times the inverse Hessian that is approximated by the moves, oldest first."""
    shares = []
    for move, change in reversed(moves):
        share = np.vdot(move, slope) / np.vdot(change, move)
        slope = slope - share * change
        shares.append(share)
    slope = _precondition(slope, coarse)
    if moves:
        move, change = moves[-1]
        slope = slope * (np.vdot(move, change) / np.vdot(change, _precondition(change, coarse)))
    for (move, change), share in zip(moves, reversed(shares), strict=True):
        slope = slope + move * (share - np.vdot(change, slope) / np.vdot(change, move))
    return slope


def _precondition(slope: Picture, weights: Sequence[float] = COARSE) -> Picture:
    """Apply the preconditioner: add blurred copies of the gradient; a symmetric, positive definite map."""
    found = blurred = slope
    for octave, weight in enumerate(weights):
        for axis in (2, 3):
            blurred = _blur(blurred, 2**octave, axis)
        found = found + np.float32(weight) * blurred
    return found


def _blur(slope: Picture, reach: int, axis: int) -> Picture:
    """Blur along an axis with the kernel (1, 2, 1) / 4, its taps ``reach`` pixels apart (Burt & Adelson 1983).

    Mirrored edges make blurs of different reach commute, so that their product is symmetric.
    """
    edges = [(0, 0)] * slope.ndim
    edges[axis] = (reach, reach)
    wide = np.moveaxis(np.pad(slope, edges, mode="symmetric"), axis, 0)
    blurred = 0.25 * (wide[: -2 * reach] + wide[2 * reach :]) + 0.5 * wide[reach:-reach]
    return np.moveaxis(blurred, 0, axis)
