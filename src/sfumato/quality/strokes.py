"""Local texture of a picture compared with that of a painting: the measures *strokes* and *variety*.

`style` and `texture` compare means over whole pictures, which a picture can match without a single stroke of the
painting. Here every local feature is compared with its nearest neighbour in the other picture. Local features come
from EfficientNet-Lite0 at strides 4 and 8, from the luma view (`sfumato.quality.style.luma_view`), without colour and
contrast. Pictures are ``(1, 3, H, W)``, all at one size (`at_local_size`).

Both measures are relative (`LocalScale`): 0 is the distance between two halves of a painting, 1 the distance to another
painting. A copy of the painting is below 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sfumato.errors import UsageError
from sfumato.image import Picture, resize
from sfumato.quality.similarity import FeatureMap
from sfumato.quality.style import luma_view

LAYERS = ("stride4", "stride8")
#: Short side in pixels. At 256, another painting is hardly farther away (0.280) than the other half (0.265).
LOCAL_SHORT = 384
#: Approximate maximum of local features compared per layer; of more, every second or third row and column is used.
MAX_PLACES = 4096
#: Distance to another painting minus the distance between halves, as the mean of 20 well-known paintings (0.2708 and
#: 0.2388; `benchmarks/judge.py` prints both for any paintings). The unit where the given paintings yield none.
BUILT_IN_UNIT = 0.0320
_ROWS = 1024  # rows of the matrix of cosines that are in memory at a time

#: Local features by layer, ``(N, C)`` float32: centred unit vectors, one for each of N places in the picture.
Places: TypeAlias = tuple[npt.NDArray[np.float32], ...]
#: Returns the features ``(C, h, w)`` of a picture by layer, including `LAYERS`.
Extractor: TypeAlias = Callable[[Picture], Mapping[str, FeatureMap]]


def at_local_size(x: Picture) -> Picture:
    """Resize a picture in proportion to a short side of 384 pixels, up or down.

    Very long pictures get a smaller short side: the long side has at most four times 384 pixels.
    """
    height, width = x.shape[2:]
    scale = min(LOCAL_SHORT / min(height, width), 4 * LOCAL_SHORT / max(height, width))
    return resize(x, max(1, round(height * scale)), max(1, round(width * scale)))


def places(features: Mapping[str, FeatureMap]) -> Places:
    """Return the local features of a picture from the feature maps ``(C, h, w)`` of its luma view, by layer."""
    found = []
    for layer in LAYERS:
        f = np.asarray(features[layer], np.float32)
        f = f - f.mean((1, 2), keepdims=True)
        step = max(1, round(math.sqrt(f.shape[1] * f.shape[2] / MAX_PLACES)))
        flat = f[:, ::step, ::step].reshape(len(f), -1).T
        found.append(flat / np.maximum(np.sqrt((flat * flat).sum(1, keepdims=True)), 1e-12))
    return tuple(found)


def places_of_picture(extractor: Extractor, picture: Picture) -> Places:
    """Return `places` of a picture at its own size."""
    return places(extractor(luma_view(picture)))


def local_distances(a: Places, b: Places) -> tuple[float, float]:
    """Return the mean nearest-neighbour cosine distances from ``a`` to ``b`` and from ``b`` to ``a``, in ``[0, 2]``.

    Means are over places, then over layers. With a picture as ``a`` and a painting as ``b``, the first is small where
    every texture of the picture occurs in the painting (strokes), the second where every texture of the painting
    occurs in the picture (variety).
    """
    there: list[float] = []
    back: list[float] = []
    for x, y in zip(a, b, strict=True):
        of_x, of_y = [], np.full(len(y), -1, np.float32)
        for top in range(0, len(x), _ROWS):
            cosines = x[top : top + _ROWS] @ y.T
            of_x.append(cosines.max(1))
            np.maximum(of_y, cosines.max(0), out=of_y)
        for found, cosine in ((there, np.concatenate(of_x)), (back, of_y)):
            found.append(max(0.0, 1 - float(cosine.mean(dtype=np.float64))))  # rounding can exceed a cosine of 1
    return float(np.mean(there)), float(np.mean(back))


def half_distance(extractor: Extractor, painting: Picture) -> float:
    """Return the mean of both `local_distances` between the halves of a painting, cut across its longer side."""
    axis = 2 if painting.shape[2] > painting.shape[3] else 3
    middle = painting.shape[axis] // 2
    halves = np.split(painting, [middle], axis)
    return float(np.mean(local_distances(*(places_of_picture(extractor, np.ascontiguousarray(x)) for x in halves))))


def neighbours(count: int) -> list[tuple[int, int]]:
    """Return the pairs of paintings, by index, that the scale compares: each with the next three, cyclically.

    All pairs would take hours for a thousand paintings.
    """
    return [(i, (i + step) % count) for i in range(count) for step in (1, 2, 3) if step < count]


@dataclass(frozen=True)
class LocalScale:
    """The cosine distances that correspond to 0 and 1 of strokes and variety.

    Attributes:
        near: Distance for 0, between the two halves of a painting.
        far: Distance for 1, between two paintings.
        built_in: Reason why ``far`` is ``near`` plus `BUILT_IN_UNIT`; empty where it was measured.
    """

    near: float
    far: float
    built_in: str = ""

    @classmethod
    def of(cls, halves: Sequence[float], others: Sequence[float]) -> LocalScale:
        """Make the scale from distances between halves and between paintings.

        The unit is `BUILT_IN_UNIT` for a single painting, and for paintings that are nearly alike (details of one, for
        example): with a measured unit below a quarter of `BUILT_IN_UNIT`, values would be mostly noise.

        Args:
            halves: `half_distance` of each painting.
            others: Mean `local_distances` of the pairs of paintings from `neighbours`; may be empty.

        Raises:
            UsageError: There is no painting.
        """
        if not halves:
            raise UsageError("strokes and variety need at least one painting to compare with; name one")
        near = float(np.mean(halves))
        if not others:
            return cls(near, near + BUILT_IN_UNIT, "there is one painting")
        far = float(np.mean(others))
        if far - near < BUILT_IN_UNIT / 4:
            return cls(near, near + BUILT_IN_UNIT, "the paintings differ little more than their own halves do")
        return cls(near, far)

    def relative(self, distance: float) -> float:
        """Convert a cosine distance to this scale."""
        return (distance - self.near) / (self.far - self.near)

    def __str__(self) -> str:
        """Return a description for reports."""
        end = f"built-in unit, since {self.built_in}" if self.built_in else "another painting"
        return f"0 is a cosine distance of {self.near:.4f} (halves of a painting), 1 is {self.far:.4f} ({end})"
