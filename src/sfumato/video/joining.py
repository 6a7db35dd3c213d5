"""Joining: the painted packets, and the sound and subtitles of the source, in one file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sfumato.errors import OutputError, UsageError, first_line
from sfumato.files import atomic_file
from sfumato.text import short
from sfumato.video.encoding import CODECS, CodecName, EncoderSettings, Packet
from sfumato.video.opening import load_av, opened
from sfumato.video.priority import usual_priority
from sfumato.video.reading import VideoSource
from sfumato.video.sound import OpusTrack
from sfumato.video.subtitles import TextTrack
from sfumato.video.tags import copied_tags, track_tags

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

#: FFmpeg's format for each suffix of a target, and the codecs that are written into it.
FORMATS: Mapping[str, tuple[str, tuple[CodecName, ...]]] = {
    ".webm": ("webm", ("vp9", "av1")),
    ".mkv": ("matroska", ("vp9", "av1", "h264")),
    ".mp4": ("mp4", ("vp9", "av1", "h264")),
    ".m4v": ("mp4", ("vp9", "av1", "h264")),
    ".mov": ("mov", ("h264",)),
}


def target_format(target: Path, codec: CodecName) -> str:
    """Return FFmpeg's name of a target's format.

    Raises:
        UsageError: the suffix is unknown, or the format cannot hold the codec.
    """
    suffix = target.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"cannot write {short(str(target))}: name a file that ends in one of {', '.join(FORMATS)}")
    format, codecs = FORMATS[suffix]
    if codec not in codecs:
        others = " or ".join(each for each, (_, held) in FORMATS.items() if codec in held)
        raise UsageError(
            f"a {suffix} file cannot hold {codec}; name a file that ends in {others}, or add --codec {codecs[0]}"
        )
    return format


#: What takes the packets of a track of the source: a stream of the result, or a converter.
Track: TypeAlias = "Stream | OpusTrack | TextTrack"


@dataclass(frozen=True)
class Cut:
    """The part of the source that is kept, in seconds on the file's clock; all of it by default.

    Attributes:
        begin: time that becomes 0 in the result; ``None``: times do not change.
        end: time at which the result ends.
    """

    begin: Fraction | None = None
    end: Fraction | None = None

    @classmethod
    def of(cls, source: VideoSource) -> Cut:
        """Return the cut of a source's ``begin`` and ``end``."""
        return cls(
            source.start + Fraction(source.begin) if source.begin > 0 else None,
            None if source.end is None else source.start + Fraction(source.end),
        )

    def shift(self, time_base: Fraction) -> int:
        """Return what is subtracted from times in a time base."""
        return 0 if self.begin is None else round(self.begin / time_base)

    def keeps(self, seconds: Fraction) -> bool:
        """Whether something that begins at a time is kept."""
        return (self.begin is None or seconds >= self.begin) and (self.end is None or seconds < self.end)

    def clip(self, packet: Any) -> None:
        """Let a subtitle that is shown when the part begins, begin with it."""
        if self.begin is None or packet.pts is None:
            return
        begin = ceil(self.begin / packet.time_base)
        if packet.pts < begin < packet.pts + (packet.duration or 0):
            packet.duration -= begin - packet.pts
            packet.pts = packet.dts = begin


class Joiner:
    """Writes the result: painted video, and the other tracks of the source.

    Args:
        source: the video.
        settings: of the encoder that made the packets.
        format: FFmpeg's name of the result's format.
        tags: further tags of the result, such as the recipe.
    """

    def __init__(
        self, source: VideoSource, settings: EncoderSettings, format: str, tags: Mapping[str, str] | None = None
    ) -> None:
        self.source, self.settings, self.format, self.tags = source, settings, format, tags or {}
        self.cut = Cut.of(source)

    def check(self) -> list[str]:
        """Check, before any work, that the result can hold the sound; return remarks for the user.

        Raises:
            UsageError: it cannot hold a track.
        """
        av = load_av()
        with opened(self.source.path) as container, av.open(io.BytesIO(), "w", format=self.format) as result:
            self._add_video(result)
            tracks = self._add_tracks(container, result)
            try:
                with usual_priority():
                    result.start_encoding()
            except av.FFmpegError as problem:
                raise UsageError(
                    f"a {self.format} file cannot hold this video or its tracks ({first_line(problem)}); name a file "
                    "that ends in .mkv"
                ) from problem
            remarks = left_out(self.source.path, self.format) + [
                f"{name} is converted to {kind}, because this format cannot hold {codec}"
                for name, kind, codec in self._converted(tracks)
            ]
        shape = self.source.shape
        if shape.pixel != 1:
            (width, height), (stored_width, stored_height) = shape.scaled, shape.stored
            remarks.append(
                f"pixels that are not square ({shape.pixel.numerator}:{shape.pixel.denominator}) became square: frames "
                f"of {stored_width} x {stored_height} pixels are painted as {width} x {height}"
            )
        return remarks

    def write(self, packets: Iterator[Packet], target: Path, overwrite: bool) -> None:
        """Write the result; it appears whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        with (
            atomic_file(target, overwrite) as file,
            opened(self.source.path) as container,
            _writing(target),
            self._result(file.name) as result,
        ):
            video = self._add_video(result)
            tracks = self._add_tracks(container, result)
            self._add_texts(container, result)
            self._mux(packets, container, result, video, tracks)

    @contextmanager
    def _result(self, name: str) -> Iterator[OutputContainer]:
        av = load_av()
        options = {}
        if self.format in ("mp4", "mov"):
            # The index comes first, so that players can begin before all is loaded. Times are stored in the unit of
            # the source; by default, the offset of the first frame would be rounded to milliseconds.
            timescale = min(self.settings.time_base.denominator, 2**31 - 1)
            options = {"movflags": "faststart", "movie_timescale": str(max(timescale, 1000))}
        with av.open(f"file:{os.path.abspath(name)}", "w", format=self.format, container_options=options) as result:
            yield result

    def _add_video(self, result: OutputContainer) -> Any:
        stream: Any = result.add_stream(CODECS[self.settings.codec].encoder, rate=self.settings.rate)
        self.settings.apply(stream.codec_context)
        stream.time_base = self.settings.time_base
        return stream

    def _add_tracks(self, container: InputContainer, result: OutputContainer) -> dict[int, Track]:
        """Add the sound and subtitle tracks; return what takes the packets of each stream of the source, by index."""
        tracks: dict[int, Track] = {}
        stream: Any
        for stream in (*container.streams.audio, *container.streams.subtitles):
            track = _added(stream, result, self.format)
            if track is None and stream.type == "subtitle":
                continue  # `left_out` tells of it
            if track is None:
                raise UsageError(
                    f"a {self.format} file cannot hold the {stream.type} track {stream.index} of "
                    f"{self.source.shown} ({_codec(stream)}); name a file that ends in .mkv"
                )
            tracks[stream.index] = track
            copied: Any = track.stream if isinstance(track, OpusTrack | TextTrack) else track
            copied.metadata.update(track_tags(stream.metadata))
            copied.disposition = stream.disposition
        return tracks

    @staticmethod
    def _converted(tracks: Mapping[int, Track]) -> list[tuple[str, str, str]]:
        found = []
        for track in tracks.values():
            if isinstance(track, OpusTrack):
                found.append((f"the sound track {track.source.index}", "Opus", _codec(track.source)))
            elif isinstance(track, TextTrack):
                found.append((f"the subtitle track {track.source.index}", "plain text", _codec(track.source)))
        return found

    def _add_texts(self, container: InputContainer, result: OutputContainer) -> None:
        result.metadata.update({**copied_tags(container.metadata), **self.tags})
        end = self.cut.end
        chapters: list[Any] = []
        for chapter in container.chapters():
            unit = chapter["time_base"]
            if unit is None or (end is not None and chapter["start"] * unit >= end):
                continue
            shift = self.cut.shift(unit)
            if chapter["end"] - shift > 0:
                ends = chapter["end"] if end is None else min(chapter["end"], round(end / unit))
                chapters.append({**chapter, "start": max(0, chapter["start"] - shift), "end": ends - shift})
        if chapters:
            result.set_chapters(chapters)

    def _mux(
        self,
        packets: Iterator[Packet],
        container: InputContainer,
        result: OutputContainer,
        video: Any,
        tracks: Mapping[int, Track],
    ) -> None:
        """Write all packets in the order of their times, with a few of them in memory at a time."""
        av = load_av()
        unit = self.settings.time_base
        shift = self.cut.shift(unit)
        with usual_priority():
            result.start_encoding()
        coming = next(packets, None)

        def write_until(seconds: Fraction | None) -> None:
            nonlocal coming
            while coming is not None and (seconds is None or coming.pts * unit <= seconds):
                packet = av.Packet(coming.content)
                packet.stream, packet.time_base, packet.is_keyframe = video, unit, coming.is_keyframe
                packet.pts = packet.dts = coming.pts - shift
                packet.duration = coming.duration
                result.mux(packet)
                coming = next(packets, None)

        others = [container.streams[index] for index in tracks]
        for packet in _packets(container, others) if others else ():
            if packet.stream.type == "subtitle":
                self.cut.clip(packet)
            seconds = packet.pts * packet.time_base if packet.pts is not None else packet.dts * packet.time_base
            if self.cut.end is not None and seconds >= self.cut.end + 10:  # no track is interleaved later than this
                break
            if not self.cut.keeps(seconds):
                continue
            write_until(seconds)
            track = tracks[packet.stream.index]
            offset = self.cut.shift(packet.time_base)
            packet.dts -= offset
            if packet.pts is not None:
                packet.pts -= offset
            if isinstance(track, OpusTrack):
                result.mux(track.encode(packet))
            elif isinstance(track, TextTrack):
                result.mux(track.convert(packet))
            else:
                packet.stream = track
                result.mux(packet)
        write_until(None)
        for track in tracks.values():
            if isinstance(track, OpusTrack):
                result.mux(track.encode(None))


def left_out(source: Path, format: str) -> list[str]:
    """Return a remark on each subtitle track of a video that a format cannot hold, such as pictures of text in WebM.

    Raises:
        InputError: the video cannot be read.
    """
    with opened(source) as container, load_av().open(io.BytesIO(), "w", format=format) as result:
        return [
            f"the subtitle track {stream.index} is left out, because this format cannot hold {_codec(stream)}"
            for stream in container.streams.subtitles
            if _added(stream, result, format) is None
        ]


def _added(stream: Any, result: OutputContainer, format: str) -> Track | None:
    """Add a track of the source to the result, converted where the format needs it; None where it cannot hold it."""
    try:
        copied: Stream = result.add_stream_from_template(stream)
    except ValueError:
        if stream.type == "subtitle" and TextTrack.reads(stream):
            return TextTrack(stream, result, format)
        if stream.type == "audio" and stream.codec_context is not None:
            return OpusTrack(stream, result)
        return None
    return copied


def _packets(container: InputContainer, streams: list[Any]) -> Iterator[Any]:
    """Yield the packets of some streams; at damage, those before it."""
    av = load_av()
    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        if packet.dts is not None:  # not the empty packet that ends a stream
            yield packet


def _codec(stream: Any) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "an unknown codec"


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Turn errors of FFmpeg into an OutputError."""
    av = load_av()
    try:
        yield
    except av.FFmpegError as problem:
        raise OutputError(f"cannot write {target}: {problem.strerror or first_line(problem)}") from problem
