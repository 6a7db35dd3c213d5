"""The colour space Oklab (Ottosson 2020, "A perceptual color space for image processing"), and the gamut of sRGB.

Colours are planes ``(3, H, W)`` float32: sRGB in ``[0, 1]``, linear sRGB, or Oklab's lightness L, a and b.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: Matrices from linear sRGB to cone responses, and from their cube roots to Oklab (Ottosson 2020).
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_CONES, _FROM_OKLAB = np.linalg.inv(_TO_CONES), np.linalg.inv(_TO_OKLAB)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear sRGB
_BISECTIONS = 14  # in the search for the gamut's edge: a precision of 1/16,000


def chroma_headroom(lab: Array) -> Array:
    """Return the factor ``(H, W)`` by which each colour's chroma may grow within sRGB, from 0 to 1e3 (for greys)."""
    low, high = np.zeros_like(lab[0]), np.full_like(lab[0], 1e3)
    # No colour of sRGB has a chroma above 0.4.
    high = np.minimum(high, np.float32(0.4) / np.maximum(np.hypot(lab[1], lab[2]), np.float32(4e-4)))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        fits = is_in_gamut(np.stack([lab[0], lab[1] * middle, lab[2] * middle]))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.asarray(low, np.float32)


def clip_chroma(lab: Array) -> Array:
    """Reduce the chroma of colours outside sRGB to the largest that fits, and return ``lab``, changed in place.

    Lightness, clipped to ``[0, 1]``, and hue stay.
    """
    lab[0] = np.clip(lab[0], 0.0, 1.0)
    out = ~is_in_gamut(lab)
    if out.any():
        outside = lab[:, out][:, None]
        outside[1:] *= np.minimum(chroma_headroom(outside), 1)
        lab[:, out] = outside[:, 0]
    return lab


def is_in_gamut(lab: Array) -> npt.NDArray[np.bool_]:
    """Return whether colours ``(H, W)`` lie in sRGB, with a tolerance below a quarter of an 8-bit level."""
    light = oklab_to_linear(lab)
    fits: npt.NDArray[np.bool_] = (light.min(0) > -1e-4) & (light.max(0) < 1 + 1e-4)
    return fits


def to_linear(srgb: Array) -> Array:
    """Convert sRGB to linear light (IEC 61966-2-1)."""
    return np.where(srgb > 0.04045, ((srgb + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4), srgb / 12.92)


def from_linear(light: Array) -> Array:
    """Convert linear light to sRGB (IEC 61966-2-1); negative values become 0."""
    light = np.maximum(light, 0)
    curve = np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(light > 0.0031308, curve, light * np.float32(12.92))


def linear_to_oklab(light: Array) -> Array:
    """Convert linear sRGB to Oklab."""
    return _multiply(_TO_OKLAB, np.cbrt(_multiply(_TO_CONES, light)))


def oklab_to_linear(lab: Array) -> Array:
    """Convert Oklab to linear sRGB, outside ``[0, 1]`` for a colour outside the gamut."""
    return _multiply(_FROM_CONES, _multiply(_FROM_OKLAB, lab) ** 3)


def oklab_to_srgb(lab: Array) -> Array:
    """Convert Oklab to sRGB, clipped to ``[0, 1]``."""
    return np.clip(from_linear(oklab_to_linear(lab)), 0.0, 1.0)


def _multiply(matrix: npt.NDArray[np.float64], planes: Array) -> Array:
    """Multiply a matrix ``(3, 3)`` by planes ``(3, H, W)``."""
    return np.asarray(np.tensordot(matrix.astype(np.float32), planes, 1), np.float32)
