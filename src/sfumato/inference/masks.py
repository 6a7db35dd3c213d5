"""Masks: where on a photo each style goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError, UsageError
from sfumato.inference.finish import soften

Mask: TypeAlias = npt.NDArray[np.float32]


def _as_mask(mask: Any) -> Mask:
    """Values in [0, 1]; whole numbers and booleans are taken as shares of their largest."""
    if not isinstance(mask, np.ndarray) or mask.ndim != 2:
        found = f"of shape {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"a mask must be an array (H, W), but is {found}")
    if mask.dtype == bool:
        return mask.astype(np.float32)
    if mask.dtype in (np.uint8, np.uint16):
        return mask.astype(np.float32) / np.float32(np.iinfo(mask.dtype).max)
    if not np.issubdtype(mask.dtype, np.floating) or not (mask.min() >= 0 and mask.max() <= 1):  # NaN fails too
        raise InputError(
            f"a mask must be uint8, uint16, bool, or float in [0, 1], but some value of it ({mask.dtype}) is not"
        )
    return mask.astype(np.float32)


def regions_of(masks: Sequence[Mask], styles: int, height: int, width: int, name: str) -> list[Mask]:
    """A soft-edged weight ``(height, width)`` for each style, or none where there are no masks."""
    if not isinstance(masks, list | tuple):
        raise UsageError(f"masks must be a list of arrays, but is {type(masks).__name__}; put it in brackets")
    if styles < 1:
        raise UsageError("a picture needs a style, and none was given: a style is a Style or a name")
    if not masks:
        if styles > 1:
            raise UsageError(f"{styles} styles need {styles - 1} or {styles} masks; or blend them into one style")
        return []
    if len(masks) not in (styles, styles - 1):
        raise UsageError(f"styles need a mask each, or one fewer: {styles} styles and {len(masks)} masks were given")
    found = []
    for mask in map(_as_mask, masks):
        if mask.shape != (height, width):
            shape = " x ".join(str(side) for side in mask.shape[::-1])
            raise InputError(f"a mask has {shape} pixels and {name} {width} x {height}; make them the same size")
        found.append(soften(mask))
    if len(found) < styles:
        found.append(np.clip(1 - np.sum(found, 0), 0, 1))
    return found
