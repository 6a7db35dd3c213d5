"""Colours of a video: from the YUV of its frames to RGB and back, by the matrix and the range that the video names.

The *matrix* (ITU-R BT.601, BT.709 or BT.2020) and the *range* (limited: 16 to 235; full: 0 to 255) decide how YUV and
RGB are converted. The *primaries* and the *transfer* function say what the RGB values mean; painting does not change
them, so they are only copied. The numbers are those of ITU-T H.273.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError
from sfumato.video.hdr import HLG, PQ, ToneMap

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Levels = npt.NDArray[np.uint8]

_LIMITED, _FULL = 1, 2
_RGB, _BT709, _UNSPECIFIED, _BT470BG, _SMPTE170M = 0, 1, 2, 5, 6
#: Matrices that FFmpeg's scaler converts: BT.709, FCC, BT.601 (625 and 525 lines), SMPTE 240M, BT.2020.
_MATRICES = {_BT709, 4, _BT470BG, _SMPTE170M, 7, 9}
#: Pixels of height from which an unnamed matrix is BT.709, as players assume: above the 576 lines of PAL.
_HD_HEIGHT = 577


@dataclass(frozen=True)
class Colours:
    """How a video's frames encode colour, by the numbers of H.273; the range is 1 (limited) or 2 (full)."""

    matrix: int
    range: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, frame: VideoFrame, shown: str) -> Colours:
        """Return the colours of a decoded frame. What it does not say is assumed as players do.

        Raises:
            InputError: its matrix is not supported.
        """
        matrix, range_ = int(frame.colorspace), int(frame.color_range)
        if frame.format.is_rgb or frame.format.name == "pal8" or frame.format.name.startswith("gray"):
            matrix, range_ = _BT709, _LIMITED  # what it is written as
        elif matrix in (_RGB, _UNSPECIFIED, 3):
            matrix = _BT709 if frame.height >= _HD_HEIGHT else _SMPTE170M
        if matrix not in _MATRICES:
            raise InputError(f"{shown} has a rare colour matrix (number {matrix} of H.273); convert it to BT.709 first")
        if range_ not in (_LIMITED, _FULL):
            range_ = _FULL if frame.format.name.startswith("yuvj") else _LIMITED
        return cls(matrix, range_, int(frame.color_primaries), int(frame.color_trc))

    @property
    def is_hdr(self) -> bool:
        """Whether the video has a high dynamic range."""
        return self.transfer in (PQ, HLG)

    @property
    def painted(self) -> Colours:
        """The colours of the painted video: the same, or BT.709 for HDR."""
        return Colours(_BT709, _LIMITED, _BT709, _BT709) if self.is_hdr else self


class Converter:
    """Converts frames of one video to RGB and back."""

    def __init__(self, colours: Colours) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self.colours = colours
        self._matrix = _BT470BG if colours.matrix == _SMPTE170M else colours.matrix  # equal, and FFmpeg's name for it
        # Without these flags FFmpeg repeats chroma samples instead of interpolating them, and rounds down.
        self._flags = int(
            Interpolation.BICUBIC
            | Interpolation.ACCURATE_RND
            | Interpolation.FULL_CHR_H_INT
            | Interpolation.FULL_CHR_H_INP
        )
        self._reader, self._writer = VideoReformatter(), VideoReformatter()
        self._tone_map = ToneMap(self._flags) if colours.is_hdr else None

    def to_rgb(self, frame: VideoFrame, width: int, height: int) -> Levels:
        """Return a frame as RGB ``(height, width, 3)`` in 8 bits, scaled to that size; transparency becomes white."""
        if self._tone_map is not None:
            return self._tone_map(frame, width, height, self._matrix, self.colours.range)
        has_alpha = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
        is_rgb = frame.format.is_rgb or frame.format.name == "pal8" or frame.format.name.startswith("gray")
        colours: dict[str, Any] = {"dst_color_range": _FULL}
        if not is_rgb:
            colours |= {"src_colorspace": self._matrix, "dst_colorspace": self._matrix}
            colours |= {"src_color_range": self.colours.range}
        rgb = self._reader.reformat(
            frame,
            width=width,
            height=height,
            format="rgba" if has_alpha else "rgb24",
            interpolation=self._flags,
            **colours,
        ).to_ndarray()
        if has_alpha:
            cover = rgb[:, :, 3:].astype(np.float32) / 255
            rgb = np.rint(rgb[:, :, :3] * cover + 255 * (1 - cover)).astype(np.uint8)
        return np.ascontiguousarray(rgb)

    def from_rgb(self, rgb: Levels, format: str) -> VideoFrame:
        """Return RGB ``(H, W, 3)`` in 8 bits as a frame of a YUV format, with all four tags set."""
        from av import VideoFrame

        frame = self._writer.reformat(
            VideoFrame.from_ndarray(rgb, format="rgb24"),
            format=format,
            interpolation=self._flags,
            src_color_range=_FULL,
            dst_colorspace=self._matrix,
            dst_color_range=self.colours.range,
        )
        frame.colorspace, frame.color_range = self.colours.matrix, self.colours.range
        frame.color_primaries, frame.color_trc = self.colours.primaries, self.colours.transfer
        return frame
