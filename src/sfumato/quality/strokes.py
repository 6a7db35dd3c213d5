"""Whether the brushwork of a picture is that of a painting, place by place: *strokes* and *variety*.

`style` and `texture` compare means over whole pictures, and a picture can have these without one stroke of the
painting. Here every place is compared with the nearest place of the other picture. Places are features of
EfficientNet-Lite0 at strides 4 and 8, of the luma view (`sfumato.quality.style.luma_view`): colour and contrast play no
part. Pictures are ``(1, 3, H, W)`` and are taken at one size (`at_local_size`).

Both figures are relative (`LocalScale`): 0 is as near as one half of a painting is to its other half, 1 as far as
another painting. A copy of the painting is below 0.
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
#: Pixels, short side. At 256 another painting is hardly farther away (0.280) than the other half (0.265).
LOCAL_SHORT = 384
#: About so many places of a layer are compared: of more, every second is taken down and across, or every third.
MAX_PLACES = 4096
#: How much farther than the other half another painting is: the mean of 20 well-known paintings (0.2388 and 0.2708;
#: `benchmarks/judge.py` prints both for any paintings). The unit where the paintings at hand give none.
BUILT_IN_UNIT = 0.0320
_ROWS = 1024  # of the matrix of cosines that are held at a time

#: By layer ``(N, C)`` float32, unit vectors: the features of N places without their mean.
Places: TypeAlias = tuple[npt.NDArray[np.float32], ...]
#: Features ``(C, h, w)`` by layer of a picture, `LAYERS` among them.
Extractor: TypeAlias = Callable[[Picture], Mapping[str, FeatureMap]]


def at_local_size(x: Picture) -> Picture:
    """In proportion, with a short side of 384 pixels, enlarged where it has fewer; the longer side has at most four
    times as many."""
    height, width = x.shape[2:]
    scale = min(LOCAL_SHORT / min(height, width), 4 * LOCAL_SHORT / max(height, width))
    return resize(x, max(1, round(height * scale)), max(1, round(width * scale)))


def places(features: Mapping[str, FeatureMap]) -> Places:
    """The places of a picture, from features ``(C, h, w)`` of its luma view by layer, `LAYERS` among them."""
    found = []
    for layer in LAYERS:
        f = np.asarray(features[layer], np.float32)
        f = f - f.mean((1, 2), keepdims=True)
        step = max(1, round(math.sqrt(f.shape[1] * f.shape[2] / MAX_PLACES)))
        flat = f[:, ::step, ::step].reshape(len(f), -1).T
        found.append(flat / np.maximum(np.sqrt((flat * flat).sum(1, keepdims=True)), 1e-12))
    return tuple(found)


def places_of_picture(extractor: Extractor, picture: Picture) -> Places:
    """`places` of a picture at the size that it has."""
    return places(extractor(luma_view(picture)))


def local_distances(a: Places, b: Places) -> tuple[float, float]:
    """Mean cosine distance, in ``[0, 2]``, of each place of ``a`` to the nearest of ``b``, and of each of ``b`` to the
    nearest of ``a``: means over places, then over layers.

    With a picture as ``a`` and a painting as ``b`` the first is small where all that the picture has occurs in the
    painting (strokes), the second where all that the painting has occurs in the picture (variety).
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
    """Mean of both `local_distances` of the two halves of a painting, cut across its longer side."""
    axis = 2 if painting.shape[2] > painting.shape[3] else 3
    middle = painting.shape[axis] // 2
    halves = np.split(painting, [middle], axis)
    return float(np.mean(local_distances(*(places_of_picture(extractor, np.ascontiguousarray(x)) for x in halves))))


def neighbours(count: int) -> list[tuple[int, int]]:
    """Which of so many paintings are compared for the scale: each with the three after it, the first after the last.

    All pairs would take hours for a thousand paintings.
    """
    return [(i, (i + step) % count) for i in range(count) for step in (1, 2, 3) if step < count]


@dataclass(frozen=True)
class LocalScale:
    """What 0 and 1 of strokes and variety stand for, as cosine distances.

    Attributes:
        near: 0: of one half of a painting to its other half.
        far: 1: of a painting to another.
        built_in: why ``far`` is ``near`` and `BUILT_IN_UNIT`; empty where it was measured.
    """

    near: float
    far: float
    built_in: str = ""

    @classmethod
    def of(cls, halves: Sequence[float], others: Sequence[float]) -> LocalScale:
        """The means of distances between halves, and between paintings.

        One painting gives no distance to another, and paintings that are all alike (details of one, say) give none that
        could serve as a unit: below a quarter of `BUILT_IN_UNIT` figures would be mostly chance. The unit is then
        `BUILT_IN_UNIT`.

        Args:
            halves: `half_distance` of each painting.
            others: the mean `local_distances` of different paintings, those of `neighbours`; may be empty.

        Raises:
            UsageError: there is no painting.
        """
        if not halves:
            raise UsageError("strokes and variety need a painting to compare with, and there is none; name one")
        near = float(np.mean(halves))
        if not others:
            return cls(near, near + BUILT_IN_UNIT, "there is one painting")
        far = float(np.mean(others))
        if far - near < BUILT_IN_UNIT / 4:
            return cls(near, near + BUILT_IN_UNIT, "the paintings differ little more than their own halves do")
        return cls(near, far)

    def relative(self, distance: float) -> float:
        """A cosine distance on this scale."""
        return (distance - self.near) / (self.far - self.near)

    def __str__(self) -> str:
        """In words, for reports."""
        end = f"built-in unit, since {self.built_in}" if self.built_in else "another painting"
        return f"0 is a cosine distance of {self.near:.4f} (halves of a painting), 1 is {self.far:.4f} ({end})"
