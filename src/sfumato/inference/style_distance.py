"""How far apart styles are, as guidance and personal styles see it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.image import Photo, Picture, thumbnail_size
from sfumato.inference.inputs import SMALLEST_SIDE
from sfumato.inference.pixel_readers import as_reader
from sfumato.style_code import COLOUR_STATS_SIZE, StyleCode

SHORT_SIDE = 192  # pixels, short side of the copy of a picture that is looked at
# Of the measured values of codes, over paintings: of mean colour, of the root of its covariance, of contrast by octave,
# of tones by share of the pixels.
_DEVIATIONS = np.array([0.12] * 3 + [0.04] * 6 + [0.08] * 12 + [0.44, 0.27, 0.16, 0.16, 0.16, 0.18, 0.6] * 3)
_DEEPEST = 2 * 256  # values at the end of the channel statistics: relu3_1, the layer by which a style is told


def small_copy(photo: Photo | Picture) -> Picture:
    """``(1, 3, h, w)``, `SHORT_SIDE` pixels on its short side: what is looked at."""
    source = as_reader(photo)
    size = thumbnail_size(source.height, source.width, SHORT_SIDE, 4 * SHORT_SIDE)
    return source.reduced(*(max(SMALLEST_SIDE, side) for side in size))


def style_distance(code: StyleCode, target: StyleCode, origin: StyleCode) -> float:
    """How far a style code is from a target, where ``origin`` is 1 away: the mean of the parts' squared distances."""
    codes = code, target, origin
    stats = [one.channel_stats[-_DEEPEST:] for one in codes if one.channel_stats is not None]
    if len(stats) < 3 or len({look.shape for look in stats}) > 1:
        stats = [one.vector[:-COLOUR_STATS_SIZE] for one in codes]
    measured = [one.vector[-COLOUR_STATS_SIZE:] / _DEVIATIONS for one in codes]

    def share(measured: npt.NDArray[Any], there: npt.NDArray[Any], photo: npt.NDArray[Any]) -> float:
        # The floor is for a photo that is in the style already.
        return float(((measured - there) ** 2).mean() / max(((photo - there) ** 2).mean(), 1e-3))

    return (share(*stats) + share(*measured)) / 2


def measured_distance(code: StyleCode, other: StyleCode) -> float:
    """How far apart palette, contrast and tones are: the mean squared difference, in deviations over paintings."""
    return float((((code.vector - other.vector)[-COLOUR_STATS_SIZE:] / _DEVIATIONS) ** 2).mean())
