"""Sound that the result's format cannot hold, converted to Opus."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sfumato.video.opening import load_av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

_RATE = 48_000  # the rate of Opus
_BITS_A_CHANNEL = 80_000
#: Channel layouts that the encoder takes, by the number of channels; other layouts are mixed into these.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class OpusTrack:
    """A sound track that is decoded, and encoded as Opus into a result.

    Attributes:
        source: the track of the source.
        stream: the track of the result.
    """

    def __init__(self, source: AudioStream, result: OutputContainer) -> None:
        av = load_av()
        self.source = source
        layout = _LAYOUTS.get(source.codec_context.layout.nb_channels, "stereo")
        self.stream: Any = result.add_stream("libopus", rate=_RATE, layout=layout)
        self.stream.bit_rate = _BITS_A_CHANNEL * self.stream.codec_context.layout.nb_channels
        self._resampler = av.AudioResampler(format="s16", layout=layout, rate=_RATE, frame_size=960)
        self._next: Fraction | None = None  # time of the next frame, in seconds

    def encode(self, packet: Any | None) -> list[Any]:
        """Return the Opus packets for a packet of the source; for ``None``, those that are left at the end."""
        av = load_av()
        try:
            frames = self.source.codec_context.decode(packet)
        except av.FFmpegError:  # a damaged packet: its sound is missing
            frames = []
        if self._next is None and packet is not None and packet.pts is not None:
            self._next = packet.pts * packet.time_base
        encoded = []
        frame: Any
        for frame in frames:
            unit = Fraction(1, frame.sample_rate)
            if frame.pts is None:  # some decoders do not say the time of their first frames
                frame.pts, frame.time_base = round((self._next or Fraction(0)) / unit), unit
            self._next = frame.pts * frame.time_base + frame.samples * unit
            for piece in self._resampler.resample(frame):
                encoded += self.stream.encode(piece)
        if packet is None:
            for piece in self._resampler.resample(None):
                encoded += self.stream.encode(piece)
            encoded += self.stream.encode(None)
        return encoded
