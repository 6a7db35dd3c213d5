"""A style's marks: how features go together, so which strokes and edges come with which. Means and deviations of a look
say how much there is of each feature, and covariances (the Gram matrix of Gatys et al. 2016, Eq. 3) which occur in one
place. Refinement aims at them where a style knows them (`networks.refiner.GramRefiner`): an adapted one.

They are kept relative to the look's deviations: so they mix with other styles', whose looks they then take, and numbers
of 16 bits hold them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sfumato.errors import ModelError

#: Channels of the layers whose covariances they are: VGG19's relu2_1 and relu3_1.
SIZES = (128, 256)
#: Numbers of all covariances, each pair once.
NUMBERS = sum(size * (size + 1) // 2 for size in SIZES)
#: How many steps of refinement a style with marks takes for one of another: covariances are met slowly.
STEPS = 8

_T = TypeVar("_T", bound=np.floating[Any])


@dataclass(frozen=True)
class Marks:
    """What refinement aims at besides a look.

    Attributes:
        correlations: by layer (1, C, C): covariances relative to the look's deviations.
        share: of styles that are mixed, the part that has marks, in [0, 1]: how much they count.
        content: weight of the content loss of those that have.
    """

    correlations: tuple[npt.NDArray[np.float32], ...]
    share: float
    content: float

    @classmethod
    def of(cls, numbers: npt.NDArray[np.number[Any]]) -> Marks | None:
        """From `packed` ones, or sums of such times shares; ``None`` where no share is left.

        Raises:
            ModelError: there are more or fewer numbers.
        """
        if numbers.size != NUMBERS + 2:
            raise ModelError(f"marks have {NUMBERS + 2} numbers, and these {numbers.size}; learn the style again")
        values = numbers.astype(np.float32)
        share = float(values[-2])
        if share < 1e-3:
            return None
        found, start = [], 0
        for size in SIZES:
            end = start + size * (size + 1) // 2
            found.append(symmetric(values[start:end] / share, size)[None])
            start = end
        return cls(tuple(found), min(share, 1.0), max(float(values[-1]) / share, 0.0))

    def weights(self, strength: float, content: float) -> tuple[float, float]:
        """The Gram loss's, of 1, at this strength; and the content loss's, where styles without marks have
        ``content``."""
        return self.share * strength, (1 - self.share) * content + self.share * self.content

    def steps(self, steps: int) -> int:
        """Of refinement, where styles without marks take ``steps``."""
        return round(steps * (1 + (STEPS - 1) * self.share))


def symmetric(triangle: npt.NDArray[_T], size: int) -> npt.NDArray[_T]:
    """The symmetric matrix ``(size, size)`` whose upper triangle, row by row, is given."""
    upper = np.zeros((size, size), triangle.dtype)
    upper[np.triu_indices(size)] = triangle
    return np.asarray(upper + np.triu(upper, 1).T)


def packed(correlations: Sequence[npt.NDArray[np.floating[Any]]], content: float) -> npt.NDArray[np.float32]:
    """Symmetric (C, C) by layer, and the weight of the content loss, as a flat row of numbers, which mixes by sums."""
    above = [each[np.triu_indices(len(each))] for each in correlations]
    return np.concatenate([*above, [1.0, content]]).astype(np.float32)
