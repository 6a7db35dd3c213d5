"""Where detail is: a painter's lies in some places, and others are plain. *Textureness* (Bae et al. 2006, "Two-scale
tone management for photographic look", section 5.2) is how strong detail is around a place, and its distribution over
places belongs to a style. Networks that match statistics of whole pictures paint marks of even strength everywhere.

Here it is measured band by band of a Laplacian pyramid (Burt & Adelson 1983), and a curve for each band takes one
distribution towards another, as histogram matching does (Heeger & Bergen 1995).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.errors import ModelError
from sfumato.image import Picture, luma, resample

#: Octaves, from the finest.
BANDS = 5
#: Pixels: side of the square around a place that its detail is measured in, in its band's own resolution.
WINDOW = 9
#: Logarithms of the local deviation of detail, in luma of a range of 1, at which a band's curve has its knots.
KNOTS: npt.NDArray[np.float64] = np.linspace(-7.0, -1.0, 13)
#: Shares of places up to which `levels` tells how strong detail is.
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995)
#: The most that a band is multiplied by, or divided.
MOST_GAIN = 2.0
_LEAST = 1e-4  # of a local deviation: its logarithm is taken

_Float = npt.NDArray[np.float64]


def levels(pictures: Sequence[Picture]) -> _Float:
    """How strong detail is, (`BANDS`, shares): for each band the logarithms that given shares of places stay below, in
    the mean of pictures ``(1, 3, h, w)`` (the barycentre of their distributions)."""
    found = [[np.quantile(np.log(_strength(band)), _SHARES) for band in _pyramid(picture)[0]] for picture in pictures]
    return np.asarray(np.mean(found, 0))


def curves(have: _Float, want: _Float, amount: float = 1.0) -> npt.NDArray[np.float32]:
    """Logarithms of gains at `KNOTS`, (`BANDS`, knots): with them detail as in ``have`` gets ``amount`` of the way to
    that in ``want``, both from `levels`."""
    limit = np.log(MOST_GAIN)
    found = [np.interp(KNOTS, a, b - a) for a, b in zip(have, want, strict=True)]
    return np.clip(amount * np.asarray(found), -limit, limit).astype(np.float32)


def curves_of(numbers: npt.NDArray[np.number]) -> npt.NDArray[np.float32]:
    """From a flat row of numbers, as a file has them.

    Raises:
        ModelError: there are more or fewer.
    """
    if numbers.size != BANDS * len(KNOTS):
        raise ModelError(f"curves of detail have {BANDS * len(KNOTS)} numbers, and these {numbers.size}; adapt again")
    return numbers.astype(np.float32).reshape(BANDS, len(KNOTS))


def shaped(picture: Picture, gains: npt.NDArray[np.float32]) -> Picture:
    """A picture ``(1, 3, h, w)`` with the detail of each place multiplied as `curves` say, in ``[0, 1]``."""
    bands, rest = _pyramid(picture)
    limit = np.log(MOST_GAIN)
    for band, gain in zip(reversed(bands), reversed(gains), strict=True):
        here = np.interp(np.log(_strength(band)), KNOTS, gain)
        change = np.exp(np.clip(here, -limit, limit)).astype(np.float32)
        rest = resample(rest, band.shape[2], band.shape[3], Image.Resampling.BILINEAR) + band * change
    return np.clip(rest, 0.0, 1.0)


def _pyramid(picture: Picture) -> tuple[list[Picture], Picture]:
    """`BANDS` differences, the finest first, and what is left; all are added up to the picture."""
    bands = []
    for _ in range(BANDS):
        height, width = picture.shape[2:]
        coarse = resample(picture, max(1, height // 2), max(1, width // 2), Image.Resampling.BILINEAR)
        bands.append(picture - resample(coarse, height, width, Image.Resampling.BILINEAR))
        picture = coarse
    return bands, picture


def _strength(band: Picture) -> npt.NDArray[np.float32]:
    """The deviation of a band's luma around each place, (h, w), above 0."""
    power = np.square(luma(band[0]).astype(np.float64))
    for axis in (0, 1):
        reach = WINDOW // 2
        length = power.shape[axis]
        total = np.insert(np.cumsum(power, axis), 0, 0.0, axis)
        ends, starts = np.minimum(np.arange(length) + reach + 1, length), np.maximum(np.arange(length) - reach, 0)
        counts = (ends - starts).reshape((-1, 1) if axis == 0 else (1, -1))
        power = (np.take(total, ends, axis) - np.take(total, starts, axis)) / counts
    return np.asarray(np.sqrt(np.maximum(power, 0)) + _LEAST, np.float32)
