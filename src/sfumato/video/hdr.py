"""HDR to standard range: highlights are compressed, and all else keeps its brightness.

HDR stores light up to some thousands of cd/m², in the curves PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100), and in the wide
primaries of BT.2020. The light of PQ codes is compressed by the curve of ITU-R BT.2390, section 5.4 (EETF): a Hermite
spline in PQ that is the identity up to a knee. FFmpeg converts curves and primaries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

#: Transfer functions of HDR, by their numbers in H.273.
PQ, HLG = 16, 18
#: Light in cd/m² of white in standard range (ITU-R BT.2408), and up to which highlights are told apart.
WHITE, PEAK = 203.0, 1000.0
_BT709, _BT2020, _FULL = 1, 9, 2


def pq(light: float) -> float:
    """Return the PQ code, from 0 to 1, of a light in cd/m² (SMPTE ST 2084)."""
    power = (light / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def compress(code: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return PQ codes whose light is at most `WHITE` (BT.2390, section 5.4.1), for codes from 0 to 1."""
    peak = pq(PEAK)
    most = pq(WHITE) / peak
    knee = 1.5 * most - 0.5
    x = np.minimum(code / peak, 1.0)
    t = np.maximum(x - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return np.where(x < knee, x, spline) * peak


class ToneMap:
    """Converts HDR frames to RGB with the primaries of BT.709 and its display curve."""

    def __init__(self, flags: int) -> None:
        """Create it; ``flags`` are those of FFmpeg's scaler."""
        from av.video.reformatter import VideoReformatter

        self._flags = flags
        self._reader, self._writer = VideoReformatter(), VideoReformatter()
        levels = 65535
        self._curve = np.rint(compress(np.arange(levels + 1) / levels) * levels).astype(np.uint16)

    def __call__(self, frame: VideoFrame, width: int, height: int, matrix: int, range_: int) -> npt.NDArray[np.uint8]:
        """Return a frame as RGB ``(height, width, 3)`` in 8 bits.

        Args:
            frame: with a transfer of PQ or HLG.
            width: to which it is scaled.
            height: to which it is scaled.
            matrix: of the frame, by its number in H.273.
            range_: of the frame: 1 (limited) or 2 (full).
        """
        from av import VideoFrame

        codes: Any = self._reader.reformat(
            frame,
            width=width,
            height=height,
            format="rgb48le",
            interpolation=self._flags,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=range_,
            dst_color_range=_FULL,
            dst_color_trc=PQ,
            dst_color_primaries=_BT2020,
        ).to_ndarray()
        compressed = VideoFrame.from_ndarray(self._curve[codes], format="rgb48le")
        compressed.color_trc, compressed.color_primaries = PQ, _BT2020
        rgb: Any = self._writer.reformat(
            compressed,
            format="rgb24",
            interpolation=self._flags,
            src_color_range=_FULL,
            dst_color_range=_FULL,
            dst_color_trc=_BT709,
            dst_color_primaries=_BT709,
        ).to_ndarray()
        return np.asarray(rgb, np.uint8)
