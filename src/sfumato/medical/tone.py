"""The tone of radiographs, and the texture of a style, on grey pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sfumato.checks import check_range
from sfumato.image import Photo, Picture, luma
from sfumato.inference.options import PaintOptions
from sfumato.inference.progress import Progress
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.medical.reading import Values
from sfumato.quality.filters import box

#: Largest strength of a style; see docs/medical.md for what is measured at it.
MAX_STRENGTH = 0.2
#: Grey below which a pixel is air, which does not count for the tone.
AIR = 0.03
_NARROWEST = 0.7  # width of the tone curve, at least: a narrower one would raise noise in pictures of one tissue
_LEVELS = 4096
_RADII = (1, 2, 4)  # of the box means, applied twice, that split bands of detail


def radiograph_tone(grey: Values) -> Values:
    """Return grey ``(..., H, W)`` in ``[0, 1]`` in the tone of a radiograph.

    Radiographs are shown by a sigmoid, as film has it: DICOM's VOI LUT function SIGMOID (PS3.3, C.11.2.1.3.1),
    ``y = 1 / (1 + exp(-4 (x - c) / w))``. Here c is the median, and w the distance from the 5th to the 95th percentile,
    of everything but air; w is at least `_NARROWEST`. Then y is stretched so that 0 stays 0 and 1 stays 1. It rises
    everywhere, so the order of intensities stays.
    """
    body = grey[grey > AIR]
    low, centre, high = (float(x) for x in np.percentile(body if body.size else grey, (5, 50, 95)))
    width = max(high - low, _NARROWEST)

    def sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-4 * (x - centre) / width)))

    ends = sigmoid(np.array([0.0, 1.0]))
    return np.asarray((sigmoid(grey.astype(np.float64)) - ends[0]) / (ends[1] - ends[0]), np.float32)


def as_photo(grey: Values) -> Photo:
    """Return a grey photo of 16 bits of ``(H, W)`` in ``[0, 1]``."""
    levels = np.rint(np.clip(grey, 0, 1) * 65535).astype(np.uint16)
    return Photo(np.repeat(levels[..., None], 3, axis=2))


def textured(
    grey: Values,
    style: Style,
    strength: float,
    colour: bool,
    stylizer: Stylizer,
    options: PaintOptions,
    progress: Progress | None = None,
    name: str = "the picture",
) -> Picture:
    """Return a grey picture with the texture of a style.

    The picture is painted in the style at full strength, and the greys of the painting are set to those of the picture
    by their ranks, so its tone does not count. Both are split into bands of detail, of about 2, 4 and 8 pixels, and the
    rest. Each band moves towards the painting's, at each place by at most ``strength`` times the picture's own detail
    there, half of that in the second band and a quarter in the third. So nothing appears where the picture is flat,
    dark details stay dark, and what is a lesion in size keeps its contrast.

    Args:
        grey: ``(H, W)`` in ``[0, 1]``.
        style: the style.
        strength: 0 to `MAX_STRENGTH`.
        colour: whether the hues of the painting are added, at the bound of strength in full; the luma stays.
        stylizer: paints.
        options: quality and seed; its strength does not count.
        progress: as `Stylizer` takes it.
        name: of the picture, in messages.

    Returns:
        ``(1, 3, H, W)`` in ``[0, 1]``, grey without ``colour``.

    Raises:
        UsageError: the strength is above `MAX_STRENGTH`.
    """
    painting = stylizer.paint(as_photo(grey), style, options, progress=progress, name=name).picture()[0]
    return with_texture(grey, painting, strength, colour)


def with_texture(grey: Values, painting: Values, strength: float, colour: bool) -> Picture:
    """Return a grey picture ``(H, W)`` with the texture of its painting ``(3, H, W)``, as `textured` does."""
    check_range(strength, 0.0, MAX_STRENGTH, "strength")
    tones = luma(painting)
    mine, rest = _bands(grey)
    theirs, _ = _bands(_ranked(tones, grey))
    for number, (own, other) in enumerate(zip(mine, theirs, strict=True)):
        most = np.float32(strength / 2**number) * np.abs(own)
        rest = rest + own + np.clip(other - own, -most, most)
    result = np.repeat(np.clip(rest, 0, 1)[None], 3, axis=0)
    if colour:
        result = _hued(result, painting - tones, strength / MAX_STRENGTH)
    return np.asarray(result[None], np.float32)


def _bands(x: Values) -> tuple[list[Values], Values]:
    """Return bands of detail, the finest first, and the rest; their sum is ``x``."""
    bands = []
    for radius in _RADII:
        smooth = box(box(x, radius), radius)
        bands.append(np.asarray(x - smooth, np.float32))
        x = smooth
    return bands, x


def _hued(grey: Values, hues: Values, share: float) -> Values:
    """Add hues ``(3, H, W)`` of no luma to a grey picture, at each place as far as all channels stay in ``[0, 1]``."""
    room = np.where(hues > 0, 1 - grey, grey) / np.maximum(np.abs(hues), np.float32(1e-6))
    return np.asarray(grey + np.minimum(room.min(axis=0), np.float32(share)) * hues, np.float32)


def _ranked(values: Values, like: Values) -> Values:
    """Return values with the histogram of others, in their own order."""
    ends = np.linspace(0, 1, _LEVELS)
    return np.asarray(np.interp(values, np.quantile(values, ends), np.quantile(like, ends)), np.float32)
