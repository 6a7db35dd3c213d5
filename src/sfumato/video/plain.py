"""A painter that paints each frame by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.image import as_image, to_uint8
from sfumato.inference.options import PaintOptions
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.video.painting import Frame, Schedule


class PlainPainter:
    """Paints each frame as a photo. Its frames flicker: it is for comparisons, and for ``--steady 0``."""

    def __init__(self, stylizer: Stylizer, schedule: Schedule, options: PaintOptions) -> None:
        self._stylizer, self._schedule, self._options = stylizer, schedule, options

    def paint(self, frame: Frame, _starts_scene: bool, seconds: float) -> Frame:
        """Return the painted frame."""
        styles = self._schedule.at(seconds)
        style = styles[0][0] if len(styles) == 1 else Style.blend(dict(styles))
        o = self._options
        painted = self._stylizer(
            as_image(frame), style, o.strength, stroke=o.stroke, color=o.color, seed=o.seed, quality=o.quality
        )
        return np.ascontiguousarray(to_uint8(painted))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return nothing: no frame depends on those before it."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Do nothing."""
