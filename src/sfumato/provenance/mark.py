"""The invisible mark: a number of 64 bits in the pixels of a picture, which outlives JPEG, resizing and cropping.

`embed` writes it, `find` reads it with the same key. docs/provenance-mark.md says what it survives, and how it works;
`mark_signal` has the signal, `mark_code` the error-correcting code, `mark_search` the search for scale and angle.
Large pictures are marked as if they had a megapixel, so the mark of a picture grows with it and outlives reduction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from math import log, log10, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfumato.errors import InputError, UsageError
from sfumato.provenance.mark_code import ID_BITS, decode, encode
from sfumato.provenance.mark_search import ZOOMS, Candidate, candidates, halvings, pictured
from sfumato.provenance.mark_signal import ATOM, TILE, Array, Pattern, design, normalised, pattern, place, read

__all__ = ["DEFAULT_KEY", "ID_BITS", "SMALLEST_SIDE", "Found", "embed", "find"]

#: The public key of Sfumato: anyone can find a mark of this key, and write one.
DEFAULT_KEY = b"sfumato"
#: Pictures with a shorter side cannot be marked.
SMALLEST_SIDE = 192

AREA = 1 << 20
#: `find` uses the middle of a picture, a square of this side: for places, for pilots, and to read one that was changed.
WINDOW, PILOT_WINDOW, READ_WINDOW = 384, 768, 1024
#: Pixels near an edge that are not as they were in the whole picture, after `normalised`.
MARGIN = 36
#: The most words that `find` decodes for one picture, and the chance of a false alarm in any of them that it allows.
TRIES = 32
FALSE_ALARM = 1e-10
#: How far a place stands out (standard deviations): where it is worth a closer look near likely pilots, and elsewhere.
#: The best place of a picture without a mark stands out by 3.5 to 4.7.
FAINT, WORTH = 4.4, 4.9
#: The best pilots are above chance if they have this score, or the second if they stand upright (within an angle): one
#: unmarked picture in fifteen has such. More is tried near them, as shares of the scale and of the width.
LIKELY, LIKELY_UPRIGHT, UPRIGHT = 57.0, 51.0, np.deg2rad(0.5)
SWEEP = tuple(product((0, 6e-4, -6e-4), (0, 1e-3, -1e-3, 2.2e-3, -2.2e-3)))


@dataclass(frozen=True)
class Found:
    """A mark that was found.

    Attributes:
        number: the number that was embedded.
        score: -log10 of the bound on the chance that a picture without a mark of this key gives this result.
        scale: pixels of this picture per pixel of the grid on which the mark was written. It is 1 for an unchanged
            picture of up to a megapixel, and sqrt(pixels / 2**20) for an unchanged larger one.
        angle: how far the picture was turned clockwise since, in degrees in (-180, 180].
        mirrored: whether it was mirrored, before it was turned.
    """

    number: int
    score: float
    scale: float
    angle: float
    mirrored: bool = False


def embed(pixels: NDArray[np.uint8], number: int, key: bytes = DEFAULT_KEY) -> NDArray[np.uint8]:
    """Return a copy of a picture that carries a number.

    A picture that has the mark of this key already, at its own size, gets the new number instead of the old; if the
    number is the same, the copy is unchanged.

    Args:
        pixels: (H, W, 3) sRGB.
        number: in [0, 2**64).
        key: what `find` needs too.

    Raises:
        InputError: the pixels are of another shape or type, or a side is shorter than `SMALLEST_SIDE`.
        UsageError: the number is outside its range.
    """
    _check(pixels)
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(
            f"the picture has {width} x {height} pixels, which is too small for an invisible mark; its sides must have "
            f"at least {SMALLEST_SIDE} pixels"
        )
    if not 0 <= number < 1 << ID_BITS:
        raise UsageError(f"the number of an invisible mark must be from 0 to 2**{ID_BITS} - 1, not {number}")
    by, luma = pattern(key), _working_luma(pixels)
    before = _read(luma, by)
    if before is not None and before[0] == number:
        return pixels.copy()
    change = _resized(design(luma, encode(number), by, pilots=before is None), width, height)
    out = np.empty_like(pixels)
    for top in range(0, height, 256):  # in strips, since twelve megapixels of float32 are 144 MB
        rows = slice(top, top + 256)
        out[rows] = np.clip(np.rint(pixels[rows] + change[rows, :, None]), 0, 255)
    return out


def find(pixels: NDArray[np.uint8], key: bytes = DEFAULT_KEY) -> Found | None:
    """Find the mark of a key in a picture, also if it was cropped, scaled, turned, mirrored, or shown on a page.

    Args:
        pixels: (H, W, 3) sRGB, of any size.
        key: that of `embed`.

    Returns:
        The mark, or None if there is no mark of this key.

    Raises:
        InputError: the pixels are of another shape or type.
    """
    _check(pixels)
    if min(pixels.shape[:2]) < ATOM:
        return None
    by, luma = pattern(key), _working_luma(pixels)
    as_is, where = _read(luma, by), pictured(luma)
    zoom = sqrt(pixels.shape[0] * pixels.shape[1] / luma.size)
    if as_is is None and where is not None:
        top, bottom, left, right = (round(side * zoom) for side in where)
        pixels = pixels[top:bottom, left:right]
        luma = _working_luma(pixels)
        as_is, zoom = _read(luma, by), sqrt(pixels.shape[0] * pixels.shape[1] / luma.size)
    if as_is is not None:
        return Found(*as_is, zoom, 0.0)
    tried = candidates(_middle(luma, PILOT_WINDOW)[0], by.pilots)
    best = max(tried)
    shown = [Candidate(0.0, ratio, 0.0, False) for ratio in ZOOMS] if where is not None else []
    for near in (halvings(*luma.shape), *([one] for one in shown + tried)):
        result = _looked_at(luma, by, near, near[0] == best)
        if result is not None:
            (number, score), change = result
            degrees = float(np.rad2deg(change.angle))
            return Found(number, score, change.scale * zoom, degrees - 360 * (degrees > 180), change.mirrored)
    return None


def _check(pixels: NDArray[np.uint8]) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise InputError(
            f"the mark needs pixels of the shape (height, width, 3) and type uint8, not {pixels.shape} and "
            f"{pixels.dtype}; convert the picture to 8-bit RGB first"
        )


def _working_luma(pixels: NDArray[np.uint8]) -> Array:
    """Return the luma (H, W), reduced to at most `AREA` pixels."""
    height, width = pixels.shape[:2]
    ratio = max(1.0, sqrt(height * width / AREA))
    if ratio > 1:
        size = max(1, round(width / ratio)), max(1, round(height / ratio))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    return pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def _resized(luma: Array, width: int, height: int) -> Array:
    if luma.shape == (height, width):
        return luma
    return np.asarray(Image.fromarray(luma).resize((width, height), Image.Resampling.BICUBIC))


def _undone(luma: Array, change: Candidate) -> Array:
    """Return luma as it was before it was changed."""
    across, down = change.scale * change.stretch, change.scale
    width, height = max(1, int(luma.shape[1] / across)), max(1, int(luma.shape[0] / down))
    box = (0, 0, min(width * across, luma.shape[1]), min(height * down, luma.shape[0]))  # exact, unlike whole sizes
    image = Image.fromarray(luma).resize((width, height), Image.Resampling.BICUBIC, box)
    if change.angle:
        image = image.rotate(
            float(np.rad2deg(change.angle)), Image.Resampling.BICUBIC, expand=True, fillcolor=float(luma.mean())
        )
    before = np.asarray(image)
    return before[:, ::-1] if change.mirrored else before


def _middle(luma: Array, side: float) -> tuple[Array, int, int]:
    """Return the middle square of at most a side, and where it lies."""
    top, left = (max(0, int(size - side) // 2) for size in luma.shape)
    return luma[top : top + int(side), left : left + int(side)], top, left


def _window(luma: Array) -> Array:
    """Return the middle of a picture, normalised."""
    return _middle(normalised(_middle(luma, WINDOW + 2 * MARGIN)[0])[0], WINDOW)[0]


def _looked_at(
    luma: Array, by: Pattern, near: list[Candidate], best_pilots: bool
) -> tuple[tuple[int, float], Candidate] | None:
    """Read a picture that may have been changed in one of some similar ways; return what it says, and the exact way.

    The pilots tell the scale to a thousandth, and the reader needs half of that; and a reduced picture has whole
    numbers of pixels, so it is a little wider or higher than it should be. So a place that is faint or cannot be read
    is looked at with slightly other scales, angles and shapes, as long as it gets clearer.
    """
    change = near[0]
    wider = change.scale * (abs(np.cos(change.angle)) + abs(np.sin(change.angle)))
    luma = _middle(luma, READ_WINDOW * wider)[0]
    part = _middle(luma, (WINDOW + 2 * MARGIN) * wider + 2)[0]
    best, seen = _clearest(part, by, near)
    upright = round(change.angle / np.pi * 2) * np.pi / 2
    angles = {change.angle, upright} if abs(change.angle - upright) < UPRIGHT else {change.angle}
    likely = best_pilots and change.score >= (LIKELY_UPRIGHT if upright in angles else LIKELY)
    result = _read(_undone(luma, seen), by) if best >= WORTH else None
    if result is None and likely:
        nearer = (
            change._replace(scale=change.scale * (1 + more), stretch=1 + wide, angle=angle)
            for (more, wide), angle in product(SWEEP, angles)
        )
        best, seen = _clearest(part, by, nearer)
        result = _read(_undone(luma, seen), by) if best >= WORTH else None
    if result is not None:
        return result, seen
    for step, least in ((6e-4, FAINT if likely else WORTH), (3e-4, WORTH)):
        if best < least:
            return None
        best, seen = _climbed(part, by, seen, best, step)
    result = _read(_undone(luma, seen), by) if best >= WORTH else None
    return None if result is None else (result, seen)


def _clearest(part: Array, by: Pattern, changes: Iterable[Candidate]) -> tuple[float, Candidate]:
    """Return how far the clearest place of some changes stands out, each also on its head, and that change."""
    seen: list[tuple[float, Candidate]] = []
    for change in changes:
        x = _window(_undone(part, change))
        if min(x.shape) >= ATOM + TILE // 2:
            seen.append((place(x, by)[0], change))
            if change.score:  # others on their head are found by their pilots
                seen.append((place(x[::-1, ::-1], by)[0], change._replace(angle=change.angle + np.pi)))
    return max(seen, key=lambda one: one[0], default=(0.0, Candidate(0.0, 1.0, 0.0, False)))


def _climbed(part: Array, by: Pattern, change: Candidate, best: float, step: float) -> tuple[float, Candidate]:
    """Return a slightly better scale, angle and shape, and how far its place stands out."""
    for scale, turn, wide in ((0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        for move in (step, -step):
            for _ in range(3):
                moved = change._replace(
                    scale=change.scale * (1 + move * scale),
                    angle=change.angle + move * turn,
                    stretch=change.stretch * (1 + move * wide),
                )
                score = place(_window(_undone(part, moved)), by)[0]
                if score <= best:
                    break
                change, best = moved, score
    return best, change


def _read(luma: Array, by: Pattern) -> tuple[int, float] | None:
    """Read a picture (H, W) at its scale and angle: the number and its score."""
    x = normalised(luma)[0]
    part, top, left = _middle(x, WINDOW)
    if min(part.shape) < ATOM:
        return None
    _, row, column = place(part, by)
    said = read(x, by, (row + top) % TILE, (column + left) % TILE)
    number = decode(said.real)
    if number is None:
        return None
    score = -_false_alarm(said, number)
    return (number, score) if score >= -log10(FALSE_ALARM) else None


def _false_alarm(said: NDArray[np.complex128], number: int) -> float:
    """Return log10 of a bound on the chance that some word fits as well in a picture without a mark of this key.

    Without a mark, the phase of each of the sums is anything, since a key shifts each by an amount of its own. So
    E exp(k |sum| cos(phase)) is I0(k |sum|), and the Chernoff bound holds for any picture. It is multiplied by the
    number of words (those with a right checksum) and of tries.
    """
    fit = float((said.real * encode(number)).sum())
    size = np.abs(said)
    slopes = np.geomspace(0.05, 5, 40) * 2 * max(fit, 0.0) / (float((size * size).sum()) + 1e-12)
    bound = min(float(np.log(np.i0(slope * size)).sum()) - slope * fit for slope in slopes)
    return float(min(bound, 0.0) + ID_BITS * log(2) + log(TRIES)) / log(10)
