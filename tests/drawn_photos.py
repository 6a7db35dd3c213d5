"""Six small photos drawn by code, each another kind of picture, for the golden pictures (`test_golden`).

All are uint8, 160 pixels on the long side, and the same on every machine: they are rounded from smooth functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Plane: TypeAlias = npt.NDArray[np.float64]
Pixels: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[float, float, float]

#: Letters of 5 x 7, a number of 5 bits for each row.
_LETTERS = {
    "F": (31, 16, 16, 30, 16, 16, 16),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "M": (17, 27, 21, 21, 17, 17, 17),
    "A": (14, 17, 17, 31, 17, 17, 17),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "S": (15, 16, 16, 14, 1, 1, 30),
}


def _grid(height: int, width: int) -> tuple[Plane, Plane]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    return y, x


def _paint(canvas: Plane, cover: Plane, colour: Colour | Plane) -> None:
    """Lays a colour, or a picture ``(H, W, 3)``, over the canvas where ``cover`` ``(H, W)`` is 1."""
    canvas += np.clip(cover, 0, 1)[..., None] * (np.asarray(colour) - canvas)


def _ellipse(y: Plane, x: Plane, middle: tuple[float, float], radii: tuple[float, float], soft: float = 1.0) -> Plane:
    """1 inside, 0 outside, with an edge of ``soft`` pixels."""
    distance = np.hypot((y - middle[0]) / radii[0], (x - middle[1]) / radii[1])
    return np.clip((1 - distance) * min(radii) / soft + 0.5, 0, 1)


def _ramp(share: Plane, first: Colour, last: Colour) -> Plane:
    part = np.clip(share, 0, 1)[..., None]
    mixed: Plane = (1 - part) * np.asarray(first) + part * np.asarray(last)
    return mixed


def _grainy(canvas: Plane, seed: int, sigma: float) -> Pixels:
    grain = np.random.default_rng(seed).normal(0, sigma, canvas.shape[:2])
    return np.rint(np.clip(canvas + grain[..., None], 0, 1) * 255).astype(np.uint8)


def portrait() -> Pixels:
    """Head and shoulders before a dark wall, lit from the left."""
    y, x = _grid(160, 128)
    canvas = _ramp(np.hypot(y - 60, x - 40) / 150, (0.42, 0.36, 0.30), (0.10, 0.09, 0.10))
    _paint(canvas, _ellipse(y, x, (172, 64), (62, 60)), _ramp((x - 20) / 90, (0.36, 0.14, 0.16), (0.14, 0.06, 0.09)))
    _paint(canvas, _ellipse(y, x, (62, 66), (44, 34)), (0.17, 0.10, 0.06))
    _paint(canvas, _ellipse(y, x, (112, 64), (26, 12)), (0.66, 0.46, 0.36))
    _paint(canvas, _ellipse(y, x, (74, 64), (36, 26)), _ramp((x - 44) / 50, (0.93, 0.74, 0.62), (0.50, 0.31, 0.24)))
    for side in (-10, 10):
        _paint(canvas, _ellipse(y, x, (68, 63 + side), (3, 5)), (0.95, 0.93, 0.90))
        _paint(canvas, _ellipse(y, x, (68, 63 + side), (3, 2.6)), (0.16, 0.20, 0.28))
        _paint(canvas, _ellipse(y, x, (60, 63 + side), (1.6, 7)), (0.20, 0.12, 0.08))
    _paint(canvas, _ellipse(y, x, (82, 65), (8, 3), 3), (0.60, 0.40, 0.32))
    _paint(canvas, _ellipse(y, x, (95, 63), (3, 9)), (0.68, 0.24, 0.24))
    return _grainy(canvas, 1, 0.012)


def landscape() -> Pixels:
    """Sky with clouds, two ridges, a meadow and its path."""
    y, x = _grid(112, 160)
    canvas = _ramp(y / 60, (0.35, 0.56, 0.86), (0.86, 0.88, 0.90))
    for middle, radii in (((18, 40), (8, 30)), ((28, 118), (6, 34)), ((12, 92), (5, 18))):
        _paint(canvas, 0.8 * _ellipse(y, x, middle, radii, 6), (0.98, 0.97, 0.95))
    far = 50 + 8 * np.sin(x / 23) + 4 * np.sin(x / 9 + 1)
    _paint(canvas, y - far, (0.46, 0.54, 0.66))
    near = 64 + 6 * np.sin(x / 31 + 2) + 2 * np.sin(x / 5)
    _paint(canvas, y - near, _ramp((y - 60) / 50, (0.24, 0.38, 0.16), (0.52, 0.60, 0.22)))
    path = (y - 66) / 46
    _paint(canvas, (8 + 26 * path - np.abs(x - 84 + 20 * np.sin(3 * path))) * (path > 0), (0.78, 0.68, 0.50))
    _paint(canvas, _ellipse(y, x, (62, 30), (22, 14), 4), (0.14, 0.26, 0.10))
    return _grainy(canvas, 2, 0.02)


def still_life() -> Pixels:
    """Three fruits and a jug on a table, each with its light and its shadow."""
    y, x = _grid(120, 160)
    canvas = _ramp(x / 160, (0.50, 0.46, 0.38), (0.22, 0.20, 0.20))
    _paint(canvas, y - 78, _ramp((y - 78) / 42, (0.48, 0.28, 0.14), (0.64, 0.42, 0.24)))
    _paint(canvas, _ellipse(y, x, (62, 46), (34, 20)), _ramp((x - 28) / 36, (0.82, 0.84, 0.86), (0.28, 0.34, 0.46)))
    _paint(canvas, _ellipse(y, x, (30, 46), (6, 12)), (0.20, 0.22, 0.28))
    for middle, radius, colour in (
        ((84, 88), 18.0, (0.86, 0.20, 0.12)),
        ((88, 120), 15.0, (0.94, 0.62, 0.10)),
        ((94, 66), 12.0, (0.50, 0.66, 0.16)),
    ):
        _paint(
            canvas, 0.6 * _ellipse(y, x, (middle[0] + radius, middle[1] + 6), (5, radius + 4), 4), (0.12, 0.07, 0.05)
        )
        round_ = np.hypot(y - middle[0] + radius / 3, x - middle[1] + radius / 3) / (1.5 * radius)
        dark = (colour[0] * 0.3, colour[1] * 0.3, colour[2] * 0.3)
        _paint(canvas, _ellipse(y, x, middle, (radius, radius)), _ramp(round_, colour, dark))
        _paint(canvas, 0.7 * _ellipse(y, x, (middle[0] - 6, middle[1] - 6), (3, 3), 2), (1.0, 0.98, 0.92))
    return _grainy(canvas, 3, 0.01)


def text() -> Pixels:
    """Three lines of black letters on white, as a screenshot has them: no grain, hard edges."""
    canvas = np.ones((104, 160, 3))
    for top, line, colour in (
        (12, "SFUMATO", (0.0, 0.0, 0.0)),
        (44, "TOMATO", (0.75, 0.05, 0.05)),
        (76, "AFOSTUM", (0.1, 0.1, 0.45)),
    ):
        for place, letter in enumerate(line):
            bits = np.array([[row >> bit & 1 for bit in (4, 3, 2, 1, 0)] for row in _LETTERS[letter]], bool)
            left = 10 + 20 * place
            canvas[top : top + 21, left : left + 15][bits.repeat(3, 0).repeat(3, 1)] = colour
    return _grainy(canvas, 4, 0.0)


def stripes() -> Pixels:
    """Stripes that become finer to the right, straight above and slanted below."""
    y, x = _grid(120, 160)
    phase = 0.12 * x + 0.0022 * x**2
    wave = np.where(y < 60, np.sin(phase), np.sin(phase + (y - 60) / 6))
    return _grainy(_ramp(0.5 + 0.5 * wave, (0.10, 0.20, 0.50), (0.96, 0.86, 0.42)), 5, 0.0)


def night() -> Pixels:
    """A street by night: nearly black, with small bright lights and their glow."""
    y, x = _grid(160, 120)
    canvas = _ramp(y / 160, (0.015, 0.02, 0.06), (0.05, 0.045, 0.06))
    _paint(canvas, (y - 60) * (x < 44), (0.03, 0.028, 0.035))
    _paint(canvas, (y - 44) * (x > 82), (0.04, 0.034, 0.036))
    for row in range(60, 130, 16):
        for column in (10, 26, 92, 108):
            lit = (row * 7 + column) % 3 > 0
            _paint(canvas, _ellipse(y, x, (row + 8, column), (4, 3)), (0.85, 0.66, 0.30) if lit else (0.06, 0.06, 0.08))
    for row, column, colour in ((76, 56, (1.0, 0.85, 0.55)), (92, 68, (1.0, 0.80, 0.50)), (26, 64, (0.95, 0.95, 1.0))):
        canvas += np.exp(-np.hypot(y - row, x - column) / 9)[..., None] * np.asarray(colour) * 0.8
    _paint(canvas, 0.5 * (y - 132), _ramp(np.abs(x - 60) / 60, (0.34, 0.26, 0.16), (0.03, 0.03, 0.04)))
    return _grainy(canvas, 6, 0.02)


PHOTOS: dict[str, Callable[[], Pixels]] = {
    "portrait": portrait,
    "landscape": landscape,
    "still-life": still_life,
    "text": text,
    "stripes": stripes,
    "night": night,
}
