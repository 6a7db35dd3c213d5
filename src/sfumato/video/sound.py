"""Sound that the result's format cannot hold, converted to Opus."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sfumato.video.opening import load_av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

_RATE = 48_000  # the rate of Opus
_PACKET = 960  # samples of each of its packets
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
        self._layout = layout
        self._setup: tuple[Any, ...] | None = None  # of the frames that the converter takes
        self._converter: Any = None
        # Apart from the converter, since the encoder takes a short frame only at the end of the file.
        self._splitter = av.AudioResampler(format="s16", layout=layout, rate=_RATE, frame_size=_PACKET)
        self._end = -(2**62)  # of the last converted frame, in samples
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
            for piece in self._converted(frame):
                encoded += self._split(piece)
        if packet is None:
            for piece in (*self._converted(None), None):
                encoded += self._split(piece)
            encoded += self.stream.encode(None)
        return encoded

    def _converted(self, frame: Any | None) -> list[Any]:
        """Return frames at Opus's rate; in recorded television, the layout or the rate changes within a track."""
        setup = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate, frame.time_base)
        pieces: list[Any] = []
        if setup != self._setup:
            pieces = self._converter.resample(None) if self._converter is not None else []
            self._setup, self._converter = setup, None
        if frame is not None:
            if self._converter is None:
                self._converter = load_av().AudioResampler(format="s16", layout=self._layout, rate=_RATE)
            pieces += self._converter.resample(frame)
        return [piece for piece in pieces if piece is not None]  # PyAV gives None at the end if nothing was converted

    def _split(self, piece: Any | None) -> list[Any]:
        """Return the packets of a converted frame; for ``None``, those of the rest."""
        if piece is not None and piece.pts is not None:
            begin = round(piece.pts * piece.time_base * _RATE)
            if begin <= self._end - _PACKET:  # sound that begins before the one it follows ends: times must rise
                return []
            piece.pts, piece.time_base, self._end = begin, Fraction(1, _RATE), begin + piece.samples
        return [packet for part in self._splitter.resample(piece) for packet in self.stream.encode(part)]
