"""Encoding of painted frames: the codecs, and one independent group of pictures (segment) after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sfumato.errors import OutputError, first_line
from sfumato.video.colours import Colours, Converter, Levels
from sfumato.video.opening import load_av
from sfumato.video.priority import usual_priority

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

CodecName: TypeAlias = Literal["vp9", "av1", "h264"]


@dataclass(frozen=True)
class Codec:
    """An encoder with constant quality. None of them reorders frames, so packets and frames have the same times.

    Attributes:
        encoder: FFmpeg's name.
        options: of the encoder.
        fast: options that replace some of these, for drafts, which would else wait for the encoder: VP9 takes a third
            of the time, and a quarter more bytes.
    """

    encoder: str
    options: Mapping[str, str]
    fast: Mapping[str, str]


#: Qualities were chosen by eye on painted clips: brush strokes are as fine as noise, and coarser settings smear them.
CODECS: Mapping[CodecName, Codec] = {
    "vp9": Codec(
        "libvpx-vp9",
        {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"},
        {"deadline": "realtime", "cpu-used": "7", "crf": "22"},
    ),
    "av1": Codec("libsvtav1", {"crf": "26", "preset": "8"}, {"preset": "10", "crf": "24"}),
    "h264": Codec("libx264", {"crf": "19", "preset": "fast", "bf": "0"}, {"preset": "veryfast", "crf": "18"}),
}


@dataclass(frozen=True)
class Packet:
    """An encoded frame."""

    content: bytes
    pts: int
    duration: int
    is_keyframe: bool


@dataclass(frozen=True)
class EncoderSettings:
    """What an encoder needs to know of a video.

    Attributes:
        codec: its name in `CODECS`.
        width: of the frames.
        height: of the frames.
        time_base: seconds of one unit of ``pts``.
        rate: frames in a second, on average.
        colours: tags of the frames, and how RGB becomes YUV.
        fast: whether speed matters more than the size of the file.
    """

    codec: CodecName
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    colours: Colours
    fast: bool = False

    @property
    def pixel_format(self) -> str:
        """The format of the encoded frames: 4:2:0, or 4:4:4 where H.264 could not hold an odd size otherwise."""
        is_odd = self.width % 2 or self.height % 2
        return "yuv444p" if is_odd and self.codec == "h264" else "yuv420p"

    def apply(self, context: VideoCodecContext) -> None:
        """Set up an encoder that is not open yet."""
        context.width, context.height, context.pix_fmt = self.width, self.height, self.pixel_format
        context.time_base, context.framerate = self.time_base, min(max(self.rate, Fraction(1)), Fraction(240))
        context.colorspace, context.color_range = self.colours.matrix, self.colours.range
        context.color_primaries, context.color_trc = self.colours.primaries, self.colours.transfer
        codec = CODECS[self.codec]
        context.options = {**codec.options, **(codec.fast if self.fast else {})}
        context.thread_count = 0  # one for each core


@dataclass
class SegmentEncoder:
    """Encodes segments, each with a new encoder, so that its packets do not depend on what was encoded before.

    Equal frames give equal packets, in whatever process they are encoded.
    """

    settings: EncoderSettings
    _context: Any = None
    _durations: dict[int, int] = field(default_factory=dict)
    _packets: list[Packet] = field(default_factory=list)
    _converter: Converter | None = None

    def add(self, rgb: Levels, pts: int, duration: int) -> None:
        """Encode a frame.

        Args:
            rgb: ``(H, W, 3)``.
            pts: in units of the time base; later than those before.
            duration: in the same unit; 0 where it is not known.

        Raises:
            OutputError: the encoder failed.
        """
        if self._converter is None:
            self._converter = Converter(self.settings.colours)
        if self._context is None:
            self._context = self._new()
        frame = self._converter.from_rgb(rgb, self.settings.pixel_format)
        frame.pts, frame.time_base = pts, self.settings.time_base
        self._durations[pts] = duration
        self._encode(frame)

    def finish(self) -> list[Packet]:
        """End the segment and return its packets; the next frame begins another."""
        if self._context is not None:
            self._encode(None)
        packets, self._context, self._packets, self._durations = self._packets, None, [], {}
        return packets

    def _new(self) -> VideoCodecContext:
        av = load_av()
        try:
            context: VideoCodecContext = av.CodecContext.create(CODECS[self.settings.codec].encoder, "w")
            self.settings.apply(context)
            # The parts of a stream that all packets share go to the header of the file, not into each keyframe.
            context.flags |= int(av.codec.context.Flags.global_header)
            with usual_priority():
                context.open()
        except (av.FFmpegError, ValueError) as problem:
            raise OutputError(
                f"cannot encode {self.settings.width} x {self.settings.height} pixels with {self.settings.codec} "
                f"({first_line(problem)}); choose another --codec or --max-size"
            ) from problem
        return context

    def _encode(self, frame: Any) -> None:
        av = load_av()
        try:
            packets = self._context.encode(frame)
        except av.FFmpegError as problem:
            raise OutputError(f"the encoder {self.settings.codec} failed ({first_line(problem)})") from problem
        self._packets.extend(
            Packet(bytes(each), each.pts, self._durations.get(each.pts, 0), bool(each.is_keyframe)) for each in packets
        )
