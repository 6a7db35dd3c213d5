"""Distances between style codes, for guidance and personal styles."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.image import Photo, Picture, thumbnail_size
from sfumato.inference.inputs import SMALLEST_SIDE
from sfumato.inference.pixel_readers import as_reader
from sfumato.style_code import COLOUR_STATS_SIZE, StyleCode

SHORT_SIDE = 192  # short side, in pixels, of the copy of a picture that is encoded
# Standard deviations, over paintings, of the measured components of style codes: mean colour, square root of its
# covariance, contrast by octave, quantiles of tones.
_DEVIATIONS = np.array([0.12] * 3 + [0.04] * 6 + [0.08] * 12 + [0.44, 0.27, 0.16, 0.16, 0.16, 0.18, 0.6] * 3)
_DEEPEST = 2 * 256  # length of relu3_1's part, the last of the channel statistics, which characterises a style best


def small_copy(photo: Photo | Picture) -> Picture:
    """Return the copy ``(1, 3, h, w)`` of a picture that is encoded: its short side has `SHORT_SIDE` pixels."""
    source = as_reader(photo)
    size = thumbnail_size(source.height, source.width, SHORT_SIDE, 4 * SHORT_SIDE)
    return source.reduced(*(max(SMALLEST_SIDE, side) for side in size))


def style_distance(code: StyleCode, target: StyleCode, origin: StyleCode) -> float:
    """Return the distance of a style code from a target, relative to that of ``origin``.

    It is the mean of two relative squared distances: of the channel statistics of relu3_1 (or the learnt part of the
    codes where a code has none), and of the measured part (palette, contrast, tones).
    """
    codes = code, target, origin
    stats = [one.channel_stats[-_DEEPEST:] for one in codes if one.channel_stats is not None]
    if len(stats) < 3 or len({each.shape for each in stats}) > 1:
        stats = [one.vector[:-COLOUR_STATS_SIZE] for one in codes]
    measured = [one.vector[-COLOUR_STATS_SIZE:] / _DEVIATIONS for one in codes]

    def share(measured: npt.NDArray[Any], there: npt.NDArray[Any], photo: npt.NDArray[Any]) -> float:
        # The lower bound is for a photo that already has the style.
        return float(((measured - there) ** 2).mean() / max(((photo - there) ** 2).mean(), 1e-3))

    return (share(*stats) + share(*measured)) / 2


def measured_distance(code: StyleCode, other: StyleCode) -> float:
    """Return the mean squared difference of palette, contrast and tones, in standard deviations over paintings."""
    return float((((code.vector - other.vector)[-COLOUR_STATS_SIZE:] / _DEVIATIONS) ** 2).mean())
