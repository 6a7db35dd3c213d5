"""A room, drawn by tracing rays: an interior for the gallery that nobody has a right to.

It has what rooms are hard for: large even walls, straight edges, a bright window, soft shadows and small things.
"""

from __future__ import annotations

import numpy as np

from sfumato.image import Picture

WIDE, DEEP, HIGH = 4.0, 5.0, 2.6  # metres
EYE = np.array([2.3, 0.2, 1.45])  # where the camera is: x to the right, y into the room, z up
WINDOW = (1.6, 3.4, 0.9, 2.1)  # in the left wall: from and to in y, from and to in z
#: Boxes: lower corner, upper corner, colour. A table with four legs, a cupboard, a bed, a rug, a picture on the wall.
BOXES = (
    ((1.0, 2.3, 0.70), (2.2, 3.3, 0.76), (0.55, 0.34, 0.18)),
    *(((x, y, 0.0), (x + 0.07, y + 0.07, 0.70), (0.42, 0.25, 0.13)) for x in (1.05, 2.08) for y in (2.35, 3.18)),
    ((0.5, 4.45, 0.0), (1.5, 5.0, 1.8), (0.30, 0.42, 0.40)),
    ((2.7, 2.6, 0.0), (4.0, 5.0, 0.45), (0.75, 0.70, 0.62)),
    ((2.75, 4.4, 0.45), (3.9, 4.9, 0.60), (0.95, 0.93, 0.88)),
    ((0.8, 1.6, 0.0), (2.5, 3.9, 0.01), (0.62, 0.18, 0.16)),
    ((2.1, 4.95, 1.35), (3.1, 5.0, 2.05), (0.86, 0.62, 0.22)),
    ((2.18, 4.94, 1.43), (3.02, 5.0, 1.97), (0.20, 0.38, 0.55)),
)
#: Balls: centre, radius, colour. Two oranges and a vase on the table, a lamp.
BALLS = (
    ((1.35, 2.7, 0.82), 0.06, (0.93, 0.52, 0.10)),
    ((1.49, 2.76, 0.82), 0.06, (0.90, 0.45, 0.08)),
    ((1.85, 2.9, 0.90), 0.14, (0.25, 0.45, 0.70)),
    ((2.0, 3.0, 2.15), 0.20, (0.95, 0.90, 0.78)),
)


def drawn_room(width: int, height: int) -> Picture:
    """The room as a picture ``(1, 3, height, width)``, lit from 48 spots of the window."""
    columns, rows = np.meshgrid((np.arange(width) + 0.5) / width - 0.5, 0.5 - (np.arange(height) + 0.5) / height)
    ways = np.stack([columns * width / height * 1.25, np.ones_like(columns), rows * 1.25 - 0.12], -1).reshape(-1, 3)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    distance, normal, colour, shines = _first_hit(np.broadcast_to(EYE, ways.shape), ways)
    place = EYE + ways * distance[:, None] + normal * 1e-3

    light = np.full(len(ways), 0.1)
    spots = [(y, z) for y in np.linspace(*WINDOW[:2], 8) for z in np.linspace(*WINDOW[2:], 6)]
    for y, z in spots:
        to = np.array([0.0, y, z]) - place
        far = np.linalg.norm(to, axis=1)
        to /= far[:, None]
        free = _first_hit(place, to)[0] > far - 0.02
        falling = np.clip((to * normal).sum(1), 0, None) * np.clip(-to[:, 0], 0, None) / (0.6 + far**2)
        light += 12.0 / len(spots) * free * falling
    ambient = 0.55 + 0.25 * (place[:, 2] / HIGH) + 0.2 * normal[:, 2]
    shade = np.where(shines, 1.6, 0.2 * ambient + light)[:, None]
    shaded = np.clip(colour**1.8 * shade * np.array([1.03, 1.0, 0.94]), 0, None)
    shown = (1 - np.exp(-2.0 * shaded)) ** (1 / 1.9)
    return np.clip(shown, 0, 1).reshape(height, width, 3).transpose(2, 0, 1)[None].astype(np.float32)


def _first_hit(start: np.ndarray, ways: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How far each ray goes, and what it meets: the surface's normal and colour, and whether it gives light."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / ways
        ends = np.where(ways > 0, (np.array([WIDE, DEEP, HIGH]) - start) * inverse, -start * inverse)
    axis = np.argmin(ends, 1)
    rows = np.arange(len(ways))
    distance = ends[rows, axis]
    normal = np.zeros_like(ways)
    normal[rows, axis] = -np.sign(ways[rows, axis])
    hit = start + ways * distance[:, None]
    boards = 0.9 + 0.14 * (np.sin(np.floor(hit[:, 0] / 0.16) * 12.9) + 0.3 * np.sin(hit[:, 1] * 17))
    wall = np.where(axis[:, None] == 1, (0.78, 0.76, 0.66), (0.72, 0.77, 0.74))
    floor = np.array([0.50, 0.33, 0.19]) * boards[:, None]
    colour = np.where(axis[:, None] == 2, np.where(hit[:, 2:] < 0.1, floor, (0.9, 0.9, 0.88)), wall)
    y, z = hit[:, 1], hit[:, 2]
    shines = (axis == 0) & (hit[:, 0] < 0.1) & (y > WINDOW[0]) & (y < WINDOW[1]) & (z > WINDOW[2]) & (z < WINDOW[3])
    frame = shines & ((np.abs((y - 2.5)) < 0.03) | (np.abs(z - 1.5) < 0.03))
    sky = np.stack([0.9 + 0.3 * (2.1 - z), 1.1 + 0.25 * (2.1 - z), np.full_like(z, 1.5)], -1)
    colour = np.where(shines[:, None], np.where(frame[:, None], (0.5, 0.45, 0.4), sky), colour)

    for low, high, paint in BOXES:
        with np.errstate(invalid="ignore"):
            first, second = (np.array(low) - start) * inverse, (np.array(high) - start) * inverse
        near, far = np.minimum(first, second), np.maximum(first, second)
        entry, side = near.max(1), near.argmax(1)
        meets = (entry > 1e-4) & (entry < far.min(1)) & (entry < distance)
        distance = np.where(meets, entry, distance)
        facing = np.zeros_like(ways)
        facing[rows, side] = -np.sign(ways[rows, side])
        normal, colour, shines = _replace(meets, normal, facing, colour, paint, shines)
    for centre, radius, paint in BALLS:
        to = start - np.array(centre)
        half = (to * ways).sum(1)
        under = half**2 - (to * to).sum(1) + radius**2
        entry = -half - np.sqrt(np.clip(under, 0, None))
        meets = (under > 0) & (entry > 1e-4) & (entry < distance)
        distance = np.where(meets, entry, distance)
        facing = (to + ways * entry[:, None]) / radius
        normal, colour, shines = _replace(meets, normal, facing, colour, paint, shines)
    return distance, normal, colour, shines


def _replace(
    meets: np.ndarray,
    normal: np.ndarray,
    facing: np.ndarray,
    colour: np.ndarray,
    paint: tuple[float, ...],
    shines: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = meets[:, None]
    return np.where(at, facing, normal), np.where(at, paint, colour), shines & ~meets
