"""Filters of planes in NumPy: box means, dilation, reducing and enlarging."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import resample

Array: TypeAlias = npt.NDArray[np.float32]


def enlarge(field: Array, shape: tuple[int, ...]) -> Array:
    """Resample ``(H, W)`` to ``shape``, bilinearly."""
    if field.shape == tuple(shape):
        return field.astype(np.float32)
    return resample(field, shape[0], shape[1], Image.Resampling.BILINEAR)


def at_most(x: Array, side: int) -> Array:
    """Reduce ``(3, H, W)`` to a shorter side of at most ``side`` pixels, by area means."""
    scale = min(1.0, side / min(x.shape[1:]))
    return resample(x, round(x.shape[1] * scale), round(x.shape[2] * scale), Image.Resampling.BOX)


def halve(x: Array) -> Array:
    """Reduce ``(n, H, W)`` to half its size, by area means."""
    return reduce(x, 2)


def reduce(x: Array, factor: int) -> Array:
    """Reduce ``(n, H, W)`` by means over blocks; incomplete blocks at the lower and right edge are dropped."""
    if factor == 1:
        return x
    n, height, width = x.shape[0], x.shape[1] // factor, x.shape[2] // factor
    inner = np.ascontiguousarray(x[:, : height * factor, : width * factor], np.float32)
    return np.stack([np.asarray(Image.fromarray(plane).reduce(factor)) for plane in inner]).reshape(n, height, width)


def box(x: npt.NDArray[Any], radius: int) -> Array:
    """Return means over squares of ``2·radius + 1`` in the last two axes, with repeated edges."""
    return running_mean(running_mean(x, radius, x.ndim - 1), radius, x.ndim - 2)


def running_mean(x: npt.NDArray[Any], radius: int, axis: int) -> Array:
    """Return means over ``2·radius + 1`` values along an axis, with repeated edges."""
    size, length = 2 * radius + 1, x.shape[axis]
    if radius <= 2:  # adding up a few shifted copies is faster than running sums
        padded = _with_ends(x, radius, radius, axis)
        total = sum(_part(padded, axis, i, i + length) for i in range(size))
        return np.asarray(total / np.float32(size), np.float32)
    sums = np.cumsum(_with_ends(x, radius + 1, radius, axis), axis=axis, dtype=np.float64)
    return np.asarray((_part(sums, axis, size, None) - _part(sums, axis, 0, -size)) / size, np.float32)


def dilate(x: Array, radius: int) -> Array:
    """Return maxima over squares of ``2·radius + 1`` of ``(H, W)``."""
    size = 2 * radius + 1
    for axis in (0, 1):
        length, y, span = x.shape[axis], _with_ends(x, radius, radius, axis), 1
        while 2 * span <= size:  # y holds maxima over `span`
            y = np.maximum(_part(y, axis, 0, -span), _part(y, axis, span, None))
            span *= 2
        x = np.maximum(_part(y, axis, 0, length), _part(y, axis, size - span, size - span + length))
    return x


def _with_ends(x: npt.NDArray[Any], before: int, after: int, axis: int) -> npt.NDArray[Any]:
    """Repeat the edges along an axis; faster than `np.pad`, which takes longer than the filters themselves."""
    first, last = _part(x, axis, 0, 1), _part(x, axis, -1, None)
    return np.concatenate([np.repeat(first, before, axis), x, np.repeat(last, after, axis)], axis)


def _part(x: npt.NDArray[Any], axis: int, start: int, stop: int | None) -> npt.NDArray[Any]:
    part: npt.NDArray[Any] = x[(slice(None),) * axis + (slice(start, stop),)]
    return part
