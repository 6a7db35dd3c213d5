"""Search for the scale and the angle of a mark, by its pilots: frequencies that are stronger than their neighbours.

A picture that is turned, mirrored or resized has a spectrum that is turned, mirrored or resized. So one Fourier
transform serves every scale and angle: the pilots are looked up where they would be.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sfumato.provenance.mark_signal import PILOT_BAND, Array, box

SCALES = (0.3, 3.0)
#: The most that one frequency counts for, in means of its neighbours: straight edges make single ones strong.
CAP = 8.0
#: How many candidates a search gives: of those within 3 degrees of none, and of all others, mirrored or not.
UPRIGHT, ANY = 2, 3
UPRIGHT_ANGLE = np.deg2rad(3)
#: Largest angle, in steps, that counts as none.
NO_ANGLE = 0.125
#: A page: grey levels that each have this share of all pixels are its colours, and blocks of this side (pixels) with a
#: larger share of them than that have no picture. A picture that fills more of it than the last is not cut out.
PAGE_COLOUR, BLOCK, PAGE_BLOCK, PAGE_SHARE = 0.04, 16, 0.3, 0.85
#: Scales at which browsers and screens show pictures on pages.
ZOOMS = (0.8, 0.9, 1.1, 1.25, 1.5)


class Candidate(NamedTuple):
    """How a picture may have been changed: mirrored first, then turned (radians, clockwise) and scaled.

    ``stretch`` is by how much more the width was scaled than the height.
    """

    score: float
    scale: float
    angle: float
    mirrored: bool
    stretch: float = 1.0


def halvings(height: int, width: int) -> list[Candidate]:
    """Return how a picture may have been reduced to half its size, the commonest change: sizes are whole numbers."""
    found = []
    for more, wider in product((0, 1, -1), repeat=2):
        down, across = height / (2 * height + more), width / (2 * width + wider)
        found.append(Candidate(0.0, down, 0.0, False, across / down))
    return found


def candidates(luma: Array, pilots: NDArray[np.float64]) -> list[Candidate]:
    """Return how luma (H, W) may have been changed since it was marked, at most five ways.

    Pictures that stand upright come first, since few are turned. Angles are in [-pi/2, pi/2): the spectrum of a
    picture does not tell whether it stands on its head.
    """
    power = _power(luma)
    step = 0.5 / (PILOT_BAND[1] * max(luma.shape))  # half of what the spectrum tells apart at the highest pilot
    scales = np.exp(np.arange(np.log(SCALES[0]), np.log(SCALES[1]), step))
    angles = np.arange(0, np.pi, step) - np.pi / 2
    upright = np.flatnonzero(np.abs(angles) <= UPRIGHT_ANGLE)
    found: dict[tuple[int, int, bool], Candidate] = {}
    for mirrored in (False, True):
        turned = pilots * [1, -1 if mirrored else 1]
        scores = _scores(power, turned, scales, angles)
        peaks = [(i, angles[j]) for i, j in _peaks(scores, ANY)]
        peaks += [(i, angles[upright[j]]) for i, j in _peaks(scores[:, upright], UPRIGHT)]
        for i, angle in peaks:
            one = _refined(power, turned, float(scales[i]), float(angle), step)._replace(mirrored=mirrored)
            found[round(np.log(one.scale) / step * 2), round(one.angle / step * 2), mirrored] = one
    ordered = sorted(found.values(), reverse=True)
    plain = [one for one in ordered if abs(one.angle) <= UPRIGHT_ANGLE and not one.mirrored][:UPRIGHT]
    return [*plain, *[one for one in ordered if one not in plain][:ANY]]


def pictured(luma: Array) -> tuple[int, int, int, int] | None:
    """Return where the largest picture lies on a page (a screenshot, with flat ground and text) of luma (H, W).

    Returns:
        Top, bottom, left, right; None if there is no page, or nearly nothing else.
    """
    grey = np.clip(np.rint(luma), 0, 255).astype(np.uint8)
    page = np.bincount(grey.ravel(), minlength=256) > PAGE_COLOUR * grey.size
    if not page.any():
        return None
    page = np.convolve(page, np.ones(5), "same") > 0  # JPEG changes them a little
    rows, columns = (size // BLOCK for size in luma.shape)
    ground = page[grey[: rows * BLOCK, : columns * BLOCK]].reshape(rows, BLOCK, columns, BLOCK).mean((1, 3))
    busy = Image.fromarray((ground < PAGE_BLOCK).astype(np.uint8))
    opened = busy.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))  # without lines
    left = {(int(i), int(j)) for i, j in np.argwhere(np.asarray(opened))}
    largest: list[tuple[int, int]] = []
    while len(left) > len(largest):
        area = [left.pop()]
        for i, j in area:  # grows while it is read
            near = left & {(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)}
            left -= near
            area += near
        largest = max(largest, area, key=len)
    if len(largest) < 16:
        return None
    y, x = (np.array(side) * BLOCK for side in zip(*largest, strict=True))
    top, bottom, start, end = int(y.min()), int(y.max()) + BLOCK, int(x.min()), int(x.max()) + BLOCK
    return (top, bottom, start, end) if (bottom - top) * (end - start) < PAGE_SHARE * luma.size else None


def _power(luma: Array) -> Array:
    """Return the spectrum's power over the mean of its ring, of twice the picture's size: (Y, X // 2 + 1)."""
    detail = luma - box(luma, 12)
    spread = np.sqrt(np.maximum(box(box(detail * detail, 8), 8), 0))
    size = [1 << int(np.ceil(np.log2(2 * side))) for side in luma.shape]
    even = np.clip(detail / (spread + 2), -3, 3).astype(np.float64)  # its transform is faster than that of float32
    power = np.abs(np.fft.rfft2(even, size)).astype(np.float32) ** 2
    radius = np.hypot(np.fft.fftfreq(size[0])[:, None], np.arange(size[1] // 2 + 1) / size[1])
    ring = np.minimum(radius * 128, 64).astype(np.int32)
    means = np.bincount(ring.ravel(), power.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    return np.asarray(power / (means[ring] + 1e-9), np.float32)


def _at(pilots: NDArray[np.float64], angles: NDArray[np.float64], power: Array) -> tuple[Array, Array]:
    """Return rows and columns of the pilots in the spectrum, (angles, pilots) each; rows may be negative."""
    y, x = pilots.T
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    row, column = sin * x + cos * y, cos * x - sin * y
    row = np.where(column < 0, -row, row) * power.shape[0]
    return row.astype(np.float32), (np.abs(column) * (2 * (power.shape[1] - 1))).astype(np.float32)


def _scores(
    power: Array, pilots: NDArray[np.float64], scales: NDArray[np.float64], angles: NDArray[np.float64]
) -> Array:
    """Return the summed power at the pilots, for all scales and angles: (scales, angles)."""
    flat = np.minimum(power, CAP).ravel()
    row, column = _at(pilots, angles, power)
    height, width = power.shape
    out = np.empty((len(scales), len(angles)), np.float32)
    for i, scale in enumerate(scales.astype(np.float32)):  # at 0.3, the highest pilot is still below half a cycle
        rows, columns = np.rint(row / scale).astype(np.int32), np.rint(column / scale).astype(np.int32)
        out[i] = flat[(rows & (height - 1)) * width + columns].sum(1)
    return out


def _peaks(scores: Array, count: int) -> list[tuple[int, int]]:
    """Return the places of the highest scores, each at least four steps from the others."""
    scores, found = scores.copy(), []
    for _ in range(count):
        i, j = divmod(int(scores.argmax()), scores.shape[1])
        found.append((i, j))
        scores[max(i - 3, 0) : i + 4, max(j - 3, 0) : j + 4] = 0
    return found


def _refined(power: Array, pilots: NDArray[np.float64], scale: float, angle: float, step: float) -> Candidate:
    """Return the best scale and angle near one, between the samples of the spectrum."""
    score = 0.0
    for turn in range(3):
        near = np.linspace(-1, 1, 5) * step / 2**turn
        row, column = (line[None] / np.exp(near)[:, None, None] / scale for line in _at(pilots, angle + near, power))
        top, left = np.floor(row).astype(np.int32), np.floor(column).astype(np.int32)
        down, right = row - top, column - left
        value = np.zeros(row.shape)
        for i, j, weight in (
            (0, 0, (1 - down) * (1 - right)),
            (0, 1, (1 - down) * right),
            (1, 0, down * (1 - right)),
            (1, 1, down * right),
        ):
            value += weight * power[(top + i) % power.shape[0], np.minimum(left + j, power.shape[1] - 1)]
        scores = np.minimum(value, CAP).sum(2)
        i, j = divmod(int(scores.argmax()), len(near))
        scale, angle, score = scale * float(np.exp(near[i])), angle + float(near[j]), float(scores[i, j])
    return Candidate(score, scale, 0.0 if abs(angle) < NO_ANGLE * step else angle, False)
