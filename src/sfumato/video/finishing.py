"""From a painting at the working size to a frame of the video's own size."""

from __future__ import annotations

import numpy as np

from sfumato.image import luma
from sfumato.inference.finish import detail_gain
from sfumato.inference.options import Color
from sfumato.quality.motion import Frame, cv2_module
from sfumato.video.carrying import Paint
from sfumato.video.fresh import as_picture


class Finisher:
    """Brings paintings to the size of the video, with the frame's own finest detail where they are enlarged.

    Args:
        color: as in `PaintOptions`.
        gain: weight of the frame's detail.
    """

    def __init__(self, color: Color, gain: float) -> None:
        self.color, self.gain = color, gain

    @classmethod
    def of_shot(cls, color: Color, painted: Paint, small: Frame) -> Finisher:
        """Return the finisher of a shot, given the painting of its first frame at the working size, and this frame."""
        return cls(color, detail_gain(as_picture(painted), as_picture(small)))

    def __call__(self, painted: Paint, frame: Frame, small: Frame) -> Frame:
        """Return the painting in the size of ``frame``.

        Args:
            painted: ``(h, w, 3)``.
            frame: the source ``(H, W, 3)``.
            small: the source at the working size ``(h, w, 3)``.
        """
        cv2 = cv2_module()
        height, width = frame.shape[:2]
        if painted.shape != frame.shape:
            enlarges = min(height, width) > min(painted.shape[:2])
            painted = cv2.resize(
                painted, (width, height), interpolation=cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA
            )
            if enlarges and self.gain:
                known = cv2.resize(
                    cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_CUBIC
                )
                detail = cv2.subtract(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), known, dtype=cv2.CV_32F)
                painted += np.float32(self.gain) * detail[..., None]
        if self.color == "luminance":
            own = frame.astype(np.float32)
            painted = own + (luma(painted.transpose(2, 0, 1)) - luma(own.transpose(2, 0, 1)))[..., None]
        return np.asarray(cv2.add(painted, 0.0, dtype=cv2.CV_8U))  # rounds and clips
