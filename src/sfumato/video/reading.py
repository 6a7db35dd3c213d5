"""Reading the frames of a video one by one: upright, with square pixels, in RGB, with their exact times."""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sfumato.errors import InputError
from sfumato.text import counted, short
from sfumato.video.colours import Colours, Converter, Levels
from sfumato.video.interlaced import progressive
from sfumato.video.opening import check_frame_size, load_av, opened, video_stream
from sfumato.video.shape import Shape, shape_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: Frames before a resumption that are read again: they prove that the place was found, and warm up the scene detector.
TRAIL = 8
_PROBED = 12  # frames that are decoded for the facts: more than any codec reorders
#: Seconds that a video may end before the length that its header states without being called cut short.
_MISSING = 1.0


class Detector(Protocol):
    """Says whether a frame begins a new scene; it is asked once for each frame, in order."""

    def starts_scene(self, frame: VideoFrame) -> bool:
        """Return whether the frame begins a scene."""
        ...


@dataclass(frozen=True)
class Frame:
    """A frame of the source.

    Attributes:
        rgb: ``(H, W, 3)`` RGB in 8 bits, upright.
        pts: its time in units of the stream's time base, as in the file.
        duration: in the same unit; 0 where the file does not say it.
        seconds: its time from the start of the video.
        starts_scene: whether it begins a new scene.
        check: CRC-32 of ``rgb``.
        share: share of the video before it, from 0 to 1, as far as the file tells its length.
    """

    rgb: Levels
    pts: int
    duration: int
    seconds: float
    starts_scene: bool
    check: int
    share: float


@dataclass
class Damage:
    """What could not be read of a video.

    Attributes:
        packets: how many could not be decoded.
        frames: how many had no usable time.
        reached: the latest time of a packet of any track, in seconds on the file's clock.
        ends_at: second at which the file ends, where its header states a later end.
        should_end_at: the end that the header states.
    """

    packets: int = 0
    frames: int = 0
    reached: Fraction = Fraction(0)
    ends_at: float | None = None
    should_end_at: float = 0.0

    @property
    def remark(self) -> str:
        """One sentence for the user; empty where all was read."""
        parts = []
        if self.ends_at is not None:
            parts.append(f"it ends at {self.ends_at:.1f} s, although its header says {self.should_end_at:.1f} s")
        if self.packets:
            parts.append(f"{counted(self.packets, 'packet')} could not be decoded")
        if self.frames:
            parts.append(f"{counted(self.frames, 'frame')} without a usable time, left out")
        return f"the video is damaged: {'; '.join(parts)}" if parts else ""


@dataclass
class VideoSource:
    """An open video: its facts, and its frames.

    Attributes:
        path: of the file.
        shape: geometry of its frames.
        colours: how its frames encode colour.
        time_base: seconds of one unit of ``pts``.
        rate: frames in a second, on average.
        start: time in seconds, on the file's clock, at which the video starts.
        length: seconds from its start to its end, as its header states; 0 where it does not.
        whole: the same for the whole file, whose sound may be longer.
        begin: seconds from its start at which painting begins.
        end: seconds at which painting ends; ``None``: at its end.
        lag: where the file does not store the times of its frames but the order of their decoding, as AVI does: what a
            frame's ``dts`` exceeds its time by. ``None`` where it stores times.
        is_interlaced: whether some of its first frames consist of two fields.
        damage: what could not be read so far.
    """

    path: Path
    shape: Shape
    colours: Colours
    time_base: Fraction
    rate: Fraction
    start: Fraction
    length: float
    whole: float
    begin: float = 0.0
    end: float | None = None
    lag: int | None = None
    is_interlaced: bool = False
    damage: Damage = field(default_factory=Damage)

    @classmethod
    def probe(
        cls, path: str | os.PathLike[str], max_size: int = 0, begin: float = 0.0, end: float | None = None
    ) -> VideoSource:
        """Read the facts of a video, and decode its first frame.

        Args:
            path: of the file.
            max_size: pixels to which the longer side of larger frames is shrunk; 0: never.
            begin: seconds from its start at which painting begins.
            end: seconds at which painting ends; ``None``: at its end.

        Raises:
            InputError: it cannot be read or is not supported, or has no frame.
        """
        shown = short(str(path))
        with opened(path) as container:
            stream = video_stream(container, shown)
            decoded = _decoded(container, stream, Damage())
            first = next((frame for frame, _ in decoded), None)
            if first is None:
                raise InputError(f"{shown} contains no frame that can be decoded; the file is damaged or empty")
            check_frame_size(first.width, first.height, shown)
            assert stream.time_base is not None
            seen = [(first.pts, first.dts, first.interlaced_frame)]
            seen += [(each.pts, each.dts, each.interlaced_frame) for each, _ in islice(decoded, _PROBED)]
            start = _start(container, stream)
            return cls(
                Path(path),
                shape_of(first, stream, max_size, shown),
                Colours.of(first, shown),
                stream.time_base,
                _rate(stream),
                start,
                _length(container, stream, start),
                max(0.0, (container.duration or 0) / 1e6),
                begin,
                end,
                _lag([(pts, dts) for pts, dts, _ in seen]),
                any(interlaced for _, _, interlaced in seen),
            )

    @property
    def shown(self) -> str:
        """The name for messages."""
        return short(str(self.path))

    def frames(
        self, new_detector: Callable[[], Detector], trail: Sequence[tuple[int, int]] = ()
    ) -> Generator[Frame, None, None]:
        """Yield the frames from ``begin`` to ``end``, or those that follow ``trail``.

        Args:
            new_detector: returns a new detector.
            trail: ``pts`` and ``check`` of the last frames that were read before an interruption, at most `TRAIL`.
        """
        if trail and len(trail) >= TRAIL and (found := self._after(new_detector(), trail, seek=True)) is not None:
            yield from found
        elif trail:  # seeking failed, or the trail holds all frames so far
            yield from self._after(new_detector(), trail, seek=False) or ()
        else:
            yield from self._read(new_detector(), self.begin or None)

    def _after(self, detector: Detector, trail: Sequence[tuple[int, int]], seek: bool) -> Iterator[Frame] | None:
        """Return the frames after a trail; None if it was not found after seeking."""
        if seek:
            # Some frames earlier, since the filter for interlaced frames looks at the frame before.
            place = float(trail[0][0] * self.time_base - self.start - 4 / self.rate)
            reader = self._read(detector, max(place, 0.0), trail[0][0])
        else:
            reader = self._read(detector, self.begin or None)
        seen: deque[tuple[int, int]] = deque(maxlen=len(trail))
        for frame in reader:
            seen.append((frame.pts, frame.check))
            if frame.pts >= trail[-1][0]:
                return reader if list(seen) == list(trail) or not seek else None
        return None if seek else iter(())

    def _read(self, detector: Detector, seek: float | None, from_pts: int | None = None) -> Iterator[Frame]:
        """Yield the frames between ``begin`` and ``end``, in RGB.

        Args:
            detector: of scenes; it is given these frames.
            seek: seconds at which decoding may begin; ``None``: at the start of the file.
            from_pts: of the first frame, instead of ``begin``.
        """
        first = from_pts
        if first is None:  # rounded as `joining.Cut.shift` does, so that the first frame is not before 0
            first = round((self.start + Fraction(self.begin)) / self.time_base) if self.begin > 0 else -(2**63)
        size, converter, last = max(1, os.path.getsize(self.path)), Converter(self.colours), None
        with closing(self._decoded(None) if seek is None else self._near(seek, first)) as decoded:
            for frame, position in decoded:
                pts = self._pts(frame)
                if pts is None:  # by the rate; raw streams of H.264 and HEVC store no time at all
                    step = max(1, round(1 / (self.rate * self.time_base)))
                    pts = round(self.start / self.time_base) if last is None else last + step
                if last is not None and pts <= last:
                    self.damage.frames += 1
                    continue
                last = pts
                seconds = float(pts * self.time_base - self.start)
                if self.end is not None and seconds >= self.end:
                    return
                if pts < first:
                    continue
                starts_scene = detector.starts_scene(frame)
                rgb = self.shape.upright(converter.to_rgb(frame, *self.shape.scaled))
                check, share = zlib.crc32(rgb.data), self._share(seconds, position / size)
                yield Frame(rgb, pts, int(frame.duration or 0), seconds, starts_scene, check, share)
        if last is not None and self.whole and float(self.damage.reached - self.start) < self.whole - _MISSING:
            self.damage.ends_at = float(last * self.time_base - self.start)
            self.damage.should_end_at = self.whole

    def _near(self, seconds: float, first: int) -> Generator[tuple[VideoFrame, int], None, None]:
        """Yield decoded frames from a time on, beginning at or before the frame ``first``.

        In some formats, seeking ends too late: then it is tried from an earlier time, and at last from the start.
        """
        for earlier in (0, 10, 60):
            decoded = self._decoded(max(0.0, seconds - earlier))
            found = next(decoded, None)
            pts = None if found is None else self._pts(found[0])
            if found is not None and pts is not None and pts <= first:
                with closing(decoded):
                    yield found
                    yield from decoded
                return
            decoded.close()
        yield from self._decoded(None)

    def _decoded(self, seek: float | None) -> Generator[tuple[VideoFrame, int], None, None]:
        """Yield decoded frames, with their places in the file in bytes, from the keyframe before a time on."""
        av = load_av()
        self.damage.packets = self.damage.frames = 0
        with opened(self.path) as container:
            stream = video_stream(container, self.shown)
            if seek is not None:
                with suppress(av.FFmpegError):  # some files cannot be searched, and are read from their start
                    container.seek(int((Fraction(seek) + self.start) / self.time_base), stream=stream)
            decoded = _decoded(container, stream, self.damage)
            if self.is_interlaced and self.lag is None:
                decoded = progressive(decoded, self.time_base)
            yield from decoded

    def _pts(self, frame: VideoFrame) -> int | None:
        """Return a frame's time in units of the time base; None where the file does not say it."""
        if self.lag is None:
            return frame.pts
        return None if frame.dts is None else frame.dts - self.lag

    def _share(self, seconds: float, position: float) -> float:
        """Return the share of the work before a time: by time if the length is known, else by bytes."""
        end = min(self.end or float("inf"), self.length or float("inf"))
        share = (seconds - self.begin) / (end - self.begin) if self.begin < end < float("inf") else position
        return min(1.0, max(0.0, share))


def _decoded(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[tuple[VideoFrame, int]]:
    """Yield the decoded frames, with the place in the file in bytes; packets that cannot be decoded are counted."""
    av = load_av()
    stream.thread_type = "AUTO"
    position, is_last = 0, False
    packets = container.demux(*(each for each in container.streams if each.type in ("video", "audio", "subtitle")))
    while not is_last:
        packet: Any = None
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the rest of the file cannot be read; what the decoder holds still can
            damage.packets += 1
        if packet is not None and packet.dts is not None:
            damage.reached = max(damage.reached, packet.dts * packet.time_base)
        if packet is not None and (packet.stream is not stream or (packet.size == 0 and packet.dts is not None)):
            continue  # of another track, or the place of a frame that was left out
        is_last = packet is None or packet.size == 0  # the empty packet lets the decoder give out what it holds
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            damage.packets += 1
            frames = []
        if packet is not None and packet.pos is not None:
            position = max(position, packet.pos)
        for frame in frames:
            yield frame, position


def _lag(frames: Sequence[tuple[int | None, int | None]]) -> int | None:
    """Return `VideoSource.lag` by ``pts`` and ``dts`` of the first frames, as the decoder gives them out."""
    times = [pts for pts, _ in frames if pts is not None]
    decoded = [dts for _, dts in frames if dts is not None]
    if len(times) == len(frames) and all(a < b for a, b in pairwise(times)):
        return None
    if len(decoded) < len(frames) or any(a >= b for a, b in pairwise(decoded)):
        return None
    return decoded[0] - min(times, default=decoded[0])


def _start(container: InputContainer, stream: VideoStream) -> Fraction:
    """Return the time at which a player starts to count, in seconds on the file's clock."""
    began: int | None = container.start_time
    if began is not None:
        return Fraction(began, 1_000_000)
    return (stream.start_time or 0) * (stream.time_base or Fraction(0))


def _length(container: InputContainer, stream: VideoStream, start: Fraction) -> float:
    """Return the length of the video in seconds as its header states it; 0 where it does not."""
    if stream.duration is not None and stream.time_base is not None:
        end = ((stream.start_time or 0) + stream.duration) * stream.time_base - start
        if end > 0:
            return float(end)
    return float(container.duration / 1e6) if container.duration and container.duration > 0 else 0.0


def _rate(stream: VideoStream) -> Fraction:
    """Return the average number of frames in a second, 25 where the file does not say it."""
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate and Fraction(1, 1000) <= rate <= 1000 else Fraction(25)
