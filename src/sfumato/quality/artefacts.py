"""Detectors of artefacts in stylised pictures: a value and a map for each kind of defect.

Values are in steps of visibility: clean photographs and paintings lie mostly below 1, defects that anybody sees mostly
above 2. The constants were set on photographs and paintings of 320 pixels (some 100 of each, JPEG, from the web);
``benchmarks/artefacts.py`` measures any pictures. A map ``(H, W)``, float32 in ``[0, 1]``, is above 0 at the place of
the defect; 1 is about 3 steps.

With a photo, defects that the photo already has at the same place do not count. Pictures that are too small for a
detector have no defect. ``artefact_fields.py`` computes the local strength of each defect.
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

SMALLEST = 16  # shorter side in pixels, below which no detector works
_MAP_TOP = 3.0  # the strength that a map shows as 1
_CACHED_VALUES = 600_000  # maximum values of a photo whose fields are cached: 2.4 MB each


@dataclass(frozen=True, eq=False)
class Artefact:
    """The result of one detector.

    Attributes:
        name: Name of the detector.
        value: Strength, 0 or more; below 1 as in clean pictures, above 2 plainly visible.
        map: Places of the defect, ``(H, W)`` float32 in ``[0, 1]``.
    """

    name: str
    value: float
    map: Array


def checkerboard(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Detect grids of period 2 and 4 pixels, which strided and transposed convolutions leave (Odena et al. 2016).

    In spectra of 16-pixel windows, an amplitude at a frequency of the grid counts as far as it exceeds the frequencies
    beside it (which JPEG blocks, of period 8, raise as much), and has the same phase in all windows, which brush and
    canvas do not. The unit is an amplitude of 0.004 of the range, and more where the picture is rough.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 48:
        return _nothing("checkerboard", x)
    field = grid_field(x)
    if p is not None:
        field = _beyond(field, _photo_field(grid_field, p))
    return Artefact("checkerboard", _top_mean(field, 0.1), _to_map(field, x.shape))


def blobs(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Detect small round spots that differ from their surroundings (Karras et al. 2020, §2).

    Normalisation layers leave such droplets. A spot differs from eight places around it in the same direction of
    colour, by more than they differ from each other and by much more than it varies inside. Diameters range from about
    1/64 to 1/12 of the shorter side.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 32:
        return _nothing("blobs", x)
    field = spots_field(x)
    if p is not None:
        field = _beyond(field, _photo_field(spots_nearby_field, p))
    return Artefact("blobs", float(field.max()), _to_map(dilate(field, 2), x.shape))


def halos(picture: Picture, photo: Picture) -> Artefact:
    """Detect bands along the photo's strong edges, brighter, darker or of another colour, that the photo lacks.

    On either side of an edge, the strip beside it is compared with the next strip, averaged along the edge so that
    brushwork cancels; the photo's own difference is subtracted. The value is the mean over all strong edges, in units
    that grow with the difference between picture and photo elsewhere. Pictures in a strong style, whose edges do have
    bands, lie between 1 and 2.
    """
    x, p = _pair(picture, photo)
    assert p is not None
    small, small_photo = at_working_size(x), at_working_size(p)
    if min(small.shape[1:]) < 48:
        return _nothing("halos", x)
    field, weight = bands_at_edges(small, small_photo)
    return Artefact("halos", _weighted_top_mean(field, weight, 1.0), _to_map(field * (weight > 0), x.shape))


def border(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Detect a frame, 2 to 32 pixels wide, whose colour or roughness differs from the picture beside it: padding.

    The value is the mean of the middle two of the four sides, because a frame has several sides, and an edge in the
    motif only one.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 48:
        return _nothing("border", x)
    sides = frame_field(x)
    if p is not None:
        sides = np.maximum(sides - _photo_field(frame_field, p), 0)
    value = 1.6 * float(np.sort(sides.max(1))[1:3].mean())
    out = np.zeros(x.shape[1:], np.float32)
    for turn, strengths in enumerate(sides):
        view = np.rot90(out, turn)  # a view: side 0 is the upper one, then the right, the lower, the left
        for width, strength in zip(frame_widths(x), strengths, strict=True):
            strip = view[:width]
            np.maximum(strip, min(1.0, 1.6 * float(strength) / _MAP_TOP), out=strip)
    return Artefact("border", value, out)


def seams(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Detect straight steps across the whole picture, along rows or columns: visible borders of tiles.

    The strength of a row or column is the jump that its neighbours do not predict, averaged over pieces of 16 pixels.
    It must be high in most pieces, and exceed the jumps 8 and 16 pixels away, where JPEG has its blocks.
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
        # The map shows two pixels on either side of a step.
        shown = dilate(np.where(lines > 0.5 * lines.max(), lines, 0)[None], 2)[0]
        np.maximum(target, np.clip(shown / _MAP_TOP, 0, 1)[None], out=target)
    return Artefact("seams", value, out)


def banding(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Detect smooth gradients broken into plateaus: steps of one sign, each between two flat stretches.

    Steps of 2.5 to 40 of 255 levels count, at full and half size, high ones more. Rough areas, which hide steps, do not
    count.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 32:
        return _nothing("banding", x)
    field = plateaus_field(x)
    if p is not None:
        field = _beyond(field, _photo_field(plateaus_field, p))
    return Artefact("banding", _top_mean(field, 0.1), _to_map(field, x.shape))


def colour_inversion(picture: Picture, photo: Picture) -> Artefact:
    """Detect light and dark swapped against the photo, everywhere or in regions of at least 1/8 of the picture.

    The value is the negative correlation of the lumas in windows, which are weighted by the contrast of the photo.
    """
    x, p = _pair(picture, photo)
    assert p is not None
    if min(x.shape[1:]) < SMALLEST:
        return _nothing("colour_inversion", x)
    field, weight = opposed_field(x, p)
    return Artefact("colour_inversion", _weighted_top_mean(field, weight, 0.15), _to_map(field, x.shape))


def clipping(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Detect burnt-out pixels: all channels at 0 or at 1, or two of them with a luma near it.

    The value is their share of the picture in units of 4 %.
    """
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
    """Run all artefact detectors, and return their results by name.

    Args:
        picture: ``(1, 3, H, W)``, float32 in ``[0, 1]``, sRGB.
        photo: The photo that it was painted from, resampled to the picture's size where it differs. None leaves out
            the detectors that need a photo.

    Raises:
        InputError: The picture or the photo has another shape, type or range, or is a batch of several.
    """
    if photo is not None:
        _check(photo, "the photo")
        photo = resize(photo, *picture.shape[2:])
    found = [detector(picture, photo) for detector in (*_ALONE, clipping)]
    if photo is not None:
        found += [detector(picture, photo) for detector in _PAIRED]
    return {one.name: one for one in found}


def worst(found: dict[str, Artefact]) -> Artefact:
    """Return the artefact with the highest value.

    Raises:
        UsageError: ``found`` is empty.
    """
    if not found:
        raise UsageError("worst() was given no artefacts; pass the result of artefacts()")
    return max(found.values(), key=lambda one: one.value)


# --- shared by the detectors


def _check(x: Picture, name: str) -> None:
    if check_image(x, name)["N"] != 1:
        raise InputError(f"{name} must be one picture, (1, 3, H, W), but is a batch of {x.shape[0]}")


def _pair(picture: Picture, photo: Picture | None) -> tuple[Array, Array | None]:
    """Return picture and photo as ``(3, H, W)``, both of the picture's size."""
    _check(picture, "the picture")
    if photo is None:
        return picture[0], None
    _check(photo, "the photo")
    return picture[0], resize(photo, *picture.shape[2:])[0]


class _PhotoKey:
    """A photo as a key of a cache, equal to another with the same pixels."""

    def __init__(self, x: Array) -> None:
        self.x = x
        self.digest = hashlib.blake2b(np.ascontiguousarray(x).data, digest_size=16, key=str(x.shape).encode()).digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PhotoKey) and self.digest == other.digest


def _photo_field(field: Callable[[Array], Array], photo: Array) -> Array:
    """Return ``field(photo)``, cached for small photos, because many pictures of one photo are compared with it."""
    return _cached_field(field, _PhotoKey(photo)) if photo.size <= _CACHED_VALUES else field(photo)


@lru_cache(maxsize=96)
def _cached_field(field: Callable[[Array], Array], photo: _PhotoKey) -> Array:
    found = field(photo.x)
    found.flags.writeable = False
    return found


def _nothing(name: str, x: Array) -> Artefact:
    """Return the result for a picture without the defect."""
    return Artefact(name, 0.0, np.zeros(x.shape[1:], np.float32))


def _beyond(field: Array, own: Array) -> Array:
    """Return ``field`` minus the photo's ``own`` field at the same place or beside it, at least 0."""
    return np.maximum(field - np.maximum(own, dilate(own, 1)), 0)


def _top_mean(field: Array, share: float) -> float:
    """Return the mean of the strongest ``share`` of a field."""
    count = max(1, round(share * field.size))
    return float(np.partition(field.ravel(), -count)[-count:].mean())


def _weighted_top_mean(field: Array, weight: Array, share: float) -> float:
    """Return the weighted mean of the strongest values of a field that make up ``share`` of the weight."""
    order = np.argsort(-field, axis=None, kind="stable")
    values, weights = field.ravel()[order].astype(np.float64), weight.ravel()[order].astype(np.float64)
    budget = share * weights.sum()
    if budget <= 0:
        return 0.0
    weights = np.clip(budget - (np.cumsum(weights) - weights), 0, weights)
    return float((values * weights).sum() / budget)


def _to_map(field: Array, shape: tuple[int, ...]) -> Array:
    """Return a field enlarged to a map ``(H, W)`` in ``[0, 1]``."""
    return np.asarray(np.clip(enlarge(field, shape[-2:]) / _MAP_TOP, 0, 1), np.float32)
