"""Detectors of what goes wrong in stylised pictures: a number and a map for each kind of defect.

Numbers are in steps of visibility: clean photographs and paintings lie mostly below 1, what anybody sees lies mostly
above 2. The constants were set on photographs and paintings of 320 pixels (some 100 of each, JPEG, from the web);
``benchmarks/artefacts.py`` measures them on any. A map ``(H, W)``, float32 in ``[0, 1]``, has its mass where the defect
lies; 1 there is about 3 steps.

The strength of each defect, place by place, is in ``artefact_fields.py``.

Where the photo is given, what it already shows at the same place is not counted. Whatever is too small to be judged
has no defect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sfumato.checks import check_image
from sfumato.errors import InputError, UsageError
from sfumato.image import Picture, resize
from sfumato.quality.artefact_fields import (
    at_working_size,
    bands_at_edges,
    burnt_field,
    frame_field,
    frame_widths,
    grid_field,
    jumps_field,
    opposed_field,
    plateaus_field,
    spots_field,
    spots_nearby_field,
)
from sfumato.quality.filters import Array, dilate, enlarge

SMALLEST = 16  # pixels of the shorter side: below it nothing is judged
_MAP_TOP = 3.0  # the strength that a map shows as 1
_CACHED_VALUES = 600_000  # of a photo whose own fields are kept: 2.4 MB each at most


@dataclass(frozen=True, eq=False)
class Artefact:
    """What one detector found.

    Attributes:
        name: the detector's.
        value: 0 and up; below 1 as in clean pictures, above 2 plainly visible.
        map: ``(H, W)`` float32 in ``[0, 1]``: where.
    """

    name: str
    value: float
    map: Array


def checkerboard(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Grids of period 2 and 4 pixels, as strided and transposed convolutions leave (Odena et al. 2016).

    Spectra of 16-pixel windows, at the frequencies of the grid: what rises over the frequencies between (which the
    blocks of JPEG, of period 8, raise as much) and keeps its phase from window to window and over the picture, as no
    brush or canvas does. In amplitudes of 0.004 of the range, more where the picture is rough.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 48:
        return _nothing("checkerboard", x)
    field = grid_field(x)
    if p is not None:
        field = _beyond(field, _remembered(grid_field, p))
    return Artefact("checkerboard", _top_mean(field, 0.1), _to_map(field, x.shape))


def blobs(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Small roundish spots far off from all around them: droplets of normalisation layers (Karras et al. 2020, §2).

    A spot differs from eight places around it in one and the same direction of colour, by more than they differ among
    themselves and by far more than it varies within. Diameters of some 1/64 to 1/12 of the shorter side.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 32:
        return _nothing("blobs", x)
    field = spots_field(x)
    if p is not None:
        field = _beyond(field, _remembered(spots_nearby_field, p))
    return Artefact("blobs", float(field.max()), _to_map(dilate(field, 2), x.shape))


def halos(picture: Picture, photo: Picture) -> Artefact:
    """Bands along the photo's strong edges, brighter, darker or of another colour, that the photo has not.

    On either side of an edge the strip beside it is compared with the strip behind that, averaged along the edge so
    that brushwork cancels; the photo's own difference is taken off. The mean over all strong edges, in units that grow
    with how much the picture differs from the photo elsewhere: pictures in a strong style, whose edges do have bands,
    lie between 1 and 2.
    """
    x, p = _pair(picture, photo)
    assert p is not None
    small, small_photo = at_working_size(x), at_working_size(p)
    if min(small.shape[1:]) < 48:
        return _nothing("halos", x)
    field, weight = bands_at_edges(small, small_photo)
    return Artefact("halos", _weighted_top_mean(field, weight, 1.0), _to_map(field * (weight > 0), x.shape))


def border(picture: Picture, photo: Picture | None = None) -> Artefact:
    """A frame, 2 to 32 pixels wide, whose colour or roughness is not that of what lies beside it: padding.

    A frame has several sides, an edge of what is shown has one: the value is that of the middle two of the four.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 48:
        return _nothing("border", x)
    sides = frame_field(x)
    if p is not None:
        sides = np.maximum(sides - _remembered(frame_field, p), 0)
    value = 1.6 * float(np.sort(sides.max(1))[1:3].mean())
    out = np.zeros(x.shape[1:], np.float32)
    for turn, strengths in enumerate(sides):
        view = np.rot90(out, turn)  # a view: side 0 is the upper one, then the right, the lower, the left
        for width, strength in zip(frame_widths(x), strengths, strict=True):
            strip = view[:width]
            np.maximum(strip, min(1.0, 1.6 * float(strength) / _MAP_TOP), out=strip)
    return Artefact("border", value, out)


def seams(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Straight steps from edge to edge of the picture, along rows or columns: tiles that do not fit together.

    A row or column is judged by the jump that its neighbours do not foretell, averaged over pieces of 16 pixels: it
    must stand out in most pieces, and over those 8 and 16 pixels away, where JPEG has its blocks.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 48:
        return _nothing("seams", x)
    out = np.zeros(x.shape[1:], np.float32)
    value = 0.0
    for view, other, target in (
        (x, p, out),
        (x.transpose(0, 2, 1), None if p is None else p.transpose(0, 2, 1), out.T),
    ):
        lines = jumps_field(view)
        if other is not None:
            lines = np.maximum(lines - dilate(jumps_field(other)[None], 1)[0], 0)
        value = max(value, float(lines.max()))
        # two pixels on either side of the step
        shown = dilate(np.where(lines > 0.5 * lines.max(), lines, 0)[None], 2)[0]
        np.maximum(target, np.clip(shown / _MAP_TOP, 0, 1)[None], out=target)
    return Artefact("seams", value, out)


def banding(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Smooth gradients broken into plateaus: steps of one sign, each between two flat stretches.

    Steps of 2.5 to 40 of 255 levels at full and half size are counted, high ones more; what is rough, and so hides
    steps, counts for nothing.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 32:
        return _nothing("banding", x)
    field = plateaus_field(x)
    if p is not None:
        field = _beyond(field, _remembered(plateaus_field, p))
    return Artefact("banding", _top_mean(field, 0.1), _to_map(field, x.shape))


def colour_inversion(picture: Picture, photo: Picture) -> Artefact:
    """Light and dark swapped against the photo, in all of it or in regions of 1/8 of the picture and more.

    The correlation of the lumas in a window, where negative; windows count by the contrast of the photo.
    """
    x, p = _pair(picture, photo)
    assert p is not None
    if min(x.shape[1:]) < SMALLEST:
        return _nothing("colour_inversion", x)
    field, weight = opposed_field(x, p)
    return Artefact("colour_inversion", _weighted_top_mean(field, weight, 0.15), _to_map(field, x.shape))


def clipping(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Pixels burnt out: all channels at 0 or at 1, or two and the luma near there. In shares of 4 % of the picture."""
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < SMALLEST:
        return _nothing("clipping", x)
    burnt = burnt_field(x)
    if p is not None:
        burnt = _beyond(burnt, burnt_field(p))
    return Artefact("clipping", float(burnt.mean()) / 0.04, burnt)


_ALONE: tuple[Callable[[Picture, Picture | None], Artefact], ...] = (checkerboard, blobs, border, seams, banding)
_PAIRED: tuple[Callable[[Picture, Picture], Artefact], ...] = (halos, colour_inversion)


def artefacts(picture: Picture, photo: Picture | None = None) -> dict[str, Artefact]:
    """Every detector that applies, by name; without a photo, those that need one are left out.

    Args:
        picture: ``(1, 3, H, W)``, float32 in ``[0, 1]``, sRGB.
        photo: what it was painted from; of another size it is resampled to the picture's.

    Raises:
        InputError: the picture or the photo breaks the image contract, or is more than one.
    """
    if photo is not None:
        _check(photo, "the photo")
        photo = resize(photo, *picture.shape[2:])
    found = [detector(picture, photo) for detector in (*_ALONE, clipping)]
    if photo is not None:
        found += [detector(picture, photo) for detector in _PAIRED]
    return {one.name: one for one in found}


def worst(found: dict[str, Artefact]) -> Artefact:
    """The one with the highest value.

    Raises:
        UsageError: there is none.
    """
    if not found:
        raise UsageError("the worst of no artefacts was asked for; give what artefacts() returned")
    return max(found.values(), key=lambda one: one.value)


# --- what they share


def _check(x: Picture, name: str) -> None:
    if check_image(x, name)["N"] != 1:
        raise InputError(f"{name} must be one picture, (1, 3, H, W), but there are {x.shape[0]}")


def _pair(picture: Picture, photo: Picture | None) -> tuple[Array, Array | None]:
    """Both as ``(3, H, W)``, of one size."""
    _check(picture, "the picture")
    if photo is None:
        return picture[0], None
    _check(photo, "the photo")
    return picture[0], resize(photo, *picture.shape[2:])[0]


class _PhotoKey:
    """A photo as a key: equal where the pixels are."""

    def __init__(self, x: Array) -> None:
        self.x = x
        self.digest = hashlib.blake2b(np.ascontiguousarray(x).data, digest_size=16, key=str(x.shape).encode()).digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PhotoKey) and self.digest == other.digest


def _remembered(field: Callable[[Array], Array], photo: Array) -> Array:
    """``field(photo)``, which many pictures of one photo are compared with; of small photos, it is kept."""
    return _field_of(field, _PhotoKey(photo)) if photo.size <= _CACHED_VALUES else field(photo)


@lru_cache(maxsize=96)
def _field_of(field: Callable[[Array], Array], photo: _PhotoKey) -> Array:
    found = field(photo.x)
    found.flags.writeable = False
    return found


def _nothing(name: str, x: Array) -> Artefact:
    return Artefact(name, 0.0, np.zeros(x.shape[1:], np.float32))


def _beyond(field: Array, own: Array) -> Array:
    """What ``field`` has beyond the photo's ``own``, at the same place or beside it."""
    return np.maximum(field - np.maximum(own, dilate(own, 1)), 0)


def _top_mean(field: Array, share: float) -> float:
    """The mean of the strongest ``share`` of a field."""
    count = max(1, round(share * field.size))
    return float(np.partition(field.ravel(), -count)[-count:].mean())


def _weighted_top_mean(field: Array, weight: Array, share: float) -> float:
    """As :func:`_top_mean`, of the ``share`` of the weight."""
    order = np.argsort(-field, axis=None, kind="stable")
    values, weights = field.ravel()[order].astype(np.float64), weight.ravel()[order].astype(np.float64)
    budget = share * weights.sum()
    if budget <= 0:
        return 0.0
    weights = np.clip(budget - (np.cumsum(weights) - weights), 0, weights)
    return float((values * weights).sum() / budget)


def _to_map(field: Array, shape: tuple[int, ...]) -> Array:
    return np.asarray(np.clip(enlarge(field, shape[-2:]) / _MAP_TOP, 0, 1), np.float32)
