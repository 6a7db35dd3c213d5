"""Small videos for tests, made with PyAV, and what is read back from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.video.opening import load_av
from sfumato.video.priority import usual_priority

Levels = npt.NDArray[np.uint8]
RATE = 48_000


class Same:
    """A painter of videos that changes nothing."""

    def look(self, _frame: Any) -> None:
        pass

    def paint(self, frame: Any, _starts_scene: bool, _seconds: float, _look: Any = None) -> Any:
        return frame

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Any) -> None:
        pass


def scene(number: int, width: int, height: int, seed: int = 0) -> Levels:
    """A frame of soft blobs that drift with the number; its top left corner is white, the rest is darker."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.zeros((height, width, 3), np.float32)
    for _ in range(6):
        x, y, size = rng.random(3)
        x, y = (x + 0.01 * number) * width, y * height
        blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (0.1 + 0.2 * size) ** 2 * width * height))
        picture += blob[..., None] * rng.random(3).astype(np.float32) * 120
    frame = np.clip(picture + 20, 0, 200).astype(np.uint8)
    frame[: height // 4, : width // 4] = 255
    return frame


@usual_priority()
def write_clip(
    path: Path,
    *,
    size: tuple[int, int] = (96, 64),
    times: Sequence[int] = range(30),
    unit: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    sounds: Sequence[str] = (),
    seconds_of_sound: float | None = None,
    rotation: int = 0,
    flip: bool = False,
    aspect: Fraction | None = None,
    tags: Mapping[str, str] | None = None,
    chapters: Sequence[Any] = (),
    colours: tuple[int, int, int, int] | None = None,
    frames: Sequence[Levels] | None = None,
    options: Mapping[str, str] | None = None,
    subtitles: Sequence[tuple[float, float, str]] = (),
    subtitle_codec: str | None = None,
    scenes: Sequence[int] = (),
    muxer: Mapping[str, str] | None = None,
) -> Path:
    """Write a video.

    Args:
        path: by whose suffix the format is chosen.
        size: width and height.
        times: ``pts`` of the frames, in ``unit``.
        unit: the time base.
        codec: of the video.
        pixel_format: of the video.
        sounds: codecs of the sound tracks; each has its own tone.
        seconds_of_sound: by default as long as the video.
        rotation: degrees of the display matrix.
        flip: whether the display matrix mirrors.
        aspect: of a pixel.
        tags: of the file.
        chapters: as PyAV takes them.
        colours: matrix, range, primaries and transfer, by the numbers of H.273 (range: 1 or 2).
        frames: RGB; by default of `scene`.
        options: of the encoder.
        subtitles: begin, end and text of each.
        subtitle_codec: by default SubRip in MKV, and MPEG-4 text in MP4.
        scenes: numbers of frames at which another scene begins.
        muxer: options of the file's format.
    """
    av = load_av()
    width, height = size
    with av.open(str(path), "w", options=dict(muxer or {})) as file:
        for name, text in (tags or {}).items():
            file.metadata[name] = text
        video = file.add_stream(
            codec, rate=Fraction(25), options=dict(options or {"crf": "5"} if "264" in codec else {})
        )
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        context = video.codec_context
        context.time_base = unit
        if aspect:
            context.sample_aspect_ratio = aspect
        if colours:
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = colours
        if rotation or flip:
            video.set_display_rotation(rotation, hflip=flip)
        tracks = [file.add_stream(each, rate=RATE, layout="stereo") for each in sounds]
        text_codec = subtitle_codec or ("subrip" if path.suffix == ".mkv" else "mov_text")
        text_track = file.add_mux_stream(text_codec) if subtitles else None
        if chapters:
            file.set_chapters(list(chapters))
        for number, time in enumerate(times):
            seed = sum(number >= begin for begin in scenes)
            rgb = frames[number] if frames is not None else scene(number, width, height, seed)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if colours:
                frame = frame.reformat(
                    format=pixel_format, src_color_range=2, dst_colorspace=colours[0], dst_color_range=colours[1]
                )
                frame.color_primaries, frame.color_trc = colours[2:]
            frame.pts, frame.time_base = time, unit
            file.mux(video.encode(frame))
        length = seconds_of_sound or float((times[-1] + 1) * unit)
        for number, track in enumerate(tracks):
            tone = np.sin(np.arange(int(length * RATE)) * (300 + 200 * number) * 2 * np.pi / RATE) * 8000
            encode_sound(file, track, tone.astype(np.int16))
        for track in (video, *tracks):
            file.mux(track.encode(None))
        if text_track is not None:
            for begin, end, text in subtitles:
                body = text.encode() if path.suffix == ".mkv" else len(text.encode()).to_bytes(2, "big") + text.encode()
                packet = av.Packet(body)
                packet.stream, packet.time_base = text_track, Fraction(1, 1000)
                packet.pts = packet.dts = round(begin * 1000)
                packet.duration = round((end - begin) * 1000)
                file.mux(packet)
    return path


def encode_sound(file: Any, track: Any, samples: npt.NDArray[np.int16], pts: int = 0) -> None:
    """Encode samples, from ``pts`` on, as both channels of a track."""
    av = load_av()
    context = track.codec_context
    resampler = av.AudioResampler(
        format=context.format, layout="stereo", rate=RATE, frame_size=960 if "opus" in context.name else 1024
    )
    whole = av.AudioFrame.from_ndarray(samples.repeat(2)[None], format="s16", layout="stereo")
    whole.sample_rate, whole.pts, whole.time_base = RATE, pts, Fraction(1, RATE)
    for piece in (*resampler.resample(whole), *resampler.resample(None)):
        file.mux(track.encode(piece))


@dataclass(frozen=True)
class Facts:
    """What PyAV reads of a file."""

    times: list[Fraction]
    size: tuple[int, int]
    rotation: int
    aspect: Fraction | None
    colours: tuple[int, int, int, int]
    tracks: list[tuple[str, str]]  # type and language
    packets: list[str]  # SHA-256 of all packets of each track other than the video
    track_times: list[list[Fraction]]
    tags: dict[str, str]
    chapters: list[tuple[float, float, str]]
    duration: float
    codec: str


def facts_of(path: Path) -> Facts:
    """Read a file back, by decoding all of it."""
    av = load_av()
    with av.open(str(path)) as file:
        others = [each for each in file.streams if each.type in ("audio", "subtitle")]
        hashes = {each.index: hashlib.sha256() for each in others}
        track_times: dict[int, list[Fraction]] = {each.index: [] for each in others}
        for packet in file.demux(others) if others else ():
            if packet.dts is not None:
                hashes[packet.stream.index].update(bytes(packet))
                track_times[packet.stream.index].append(packet.pts * packet.time_base)
        tracks = [(each.type, each.metadata.get("language", "")) for each in others]
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        decoded = list(file.decode(stream))
        first = decoded[0]
        return Facts(
            [frame.pts * stream.time_base for frame in decoded],
            (first.width, first.height),
            first.rotation,
            stream.sample_aspect_ratio,
            (int(first.colorspace), int(first.color_range), int(first.color_primaries), int(first.color_trc)),
            tracks,
            [each.hexdigest() for each in hashes.values()],
            list(track_times.values()),
            dict(file.metadata),
            [
                (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"].get("title", ""))
                for c in file.chapters()
            ],
            float(file.duration / 1e6),
            stream.codec_context.name,
        )


def pictures_of(path: Path) -> list[Levels]:
    """All frames of a file as RGB, without turning them."""
    av = load_av()
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
