"""Painting the frames of a video: what a painter of frames must offer, and styles that change over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sfumato.inference.style import Style

#: A frame ``(H, W, 3)``: RGB, 8 bits, upright.
Frame = npt.NDArray[np.uint8]


class Schedule(Protocol):
    """Styles that change over time."""

    def at(self, seconds: float) -> Sequence[tuple[Style, float]]:
        """Return the styles at a time, each with its weight above 0; the weights sum to 1.

        ``seconds`` are counted as the painter's caller counts them.
        """


class FramePainter(Protocol):
    """Paints the frames of a video, one after the other."""

    def look(self, frame: Frame) -> Any:
        """Return what `paint` needs to know of a frame and does not depend on the painting, its motion for example.

        It is called once for each frame, in order, ahead of `paint` and in another thread.
        """

    def paint(self, frame: Frame, starts_scene: bool, seconds: float, look: Any = None) -> Frame:
        """Return the painted frame, of the same size.

        Args:
            frame: ``(H, W, 3)``; all frames of a video have one size.
            starts_scene: whether the frame is the first of a scene (`scenes.SceneDetector`).
            seconds: the frame's time, by which a `Schedule` chooses the style.
            look: what `look` returned for the frame; None: it was not called for it.
        """

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return what `restore` needs to continue bit for bit after the last painted frame: a few arrays, by name.

        At 1080p they take less than 20 MB. The arrays do not change when painting goes on.
        """

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue after the frame at which ``state`` was taken, by a painter made with equal arguments.

        Raises:
            InputError: the state does not fit.
        """
