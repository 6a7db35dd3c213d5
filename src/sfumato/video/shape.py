"""The geometry of a video: stored frames become upright frames with square pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.video.colours import Levels
from sfumato.video.opening import check_frame_size

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class Shape:
    """The geometry of a video: how stored frames become upright frames with square pixels.

    Attributes:
        stored: width and height of the frames in the file.
        scaled: width and height to which they are resampled before they are turned.
        turn: display matrix of the file, as (a, b, c, d) with values -1, 0 and 1.
        pixel: width of a stored pixel divided by its height.
    """

    stored: tuple[int, int]
    scaled: tuple[int, int]
    turn: tuple[int, int, int, int]
    pixel: Fraction = Fraction(1)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright frames."""
        width, height = self.scaled
        return (width, height) if self.turn[0] else (height, width)

    def upright(self, rgb: Levels) -> Levels:
        """Turn and mirror a frame ``(H, W, 3)`` as the display matrix says."""
        a, b, c, d = self.turn
        if not a:
            rgb, a, d = rgb.transpose(1, 0, 2), c, b
        return np.ascontiguousarray(rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def shape_of(frame: VideoFrame, stream: VideoStream, max_size: int, shown: str) -> Shape:
    """Return the geometry by the first frame. Pixels that are not square become square; the picture only grows."""
    width, height = frame.width, frame.height
    ratio = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, 20) <= ratio <= 20:
        ratio = Fraction(1)
    wide, high = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
    if max_size and max(wide, high) > max_size:
        shrink = max_size / max(wide, high)
        wide, high = max(1, round(wide * shrink)), max(1, round(high * shrink))
    check_frame_size(wide, high, shown)
    return Shape((width, height), (wide, high), _turn(frame), ratio)


def _turn(frame: VideoFrame) -> tuple[int, int, int, int]:
    """Return the display matrix of a frame, without scale; upright where it has none, or is not a quarter turn."""
    data: Any
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            matrix = np.frombuffer(bytes(data), "<i4")
            a, b, c, d = (int(np.sign(matrix[place])) for place in (0, 1, 3, 4))
            if abs(a * d) + abs(b * c) == 1 and abs(a) + abs(b) == 1 and abs(c) + abs(d) == 1:
                return a, b, c, d
    return 1, 0, 0, 1
