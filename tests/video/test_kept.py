"""What a painted video keeps of its source, on odd files."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sfumato.video.hdr import pq
from sfumato.video.opening import load_av
from sfumato.video.pipeline import VideoResult, write_video
from sfumato.video.reading import VideoSource
from video_clips import Levels, facts_of, pictures_of, scene, write_clip


class Copyist:
    """Paints nothing: each frame stays as it is."""

    def __init__(self) -> None:
        self.starts: list[bool] = []
        self.seconds: list[float] = []

    def look(self, _frame: Levels) -> None:
        pass

    def paint(self, frame: Levels, starts_scene: bool, seconds: float, _look: Any = None) -> Levels:
        self.starts.append(starts_scene)
        self.seconds.append(seconds)
        return frame

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        pass


def copy(source: Path, target: Path, begin: float = 0.0, end: float | None = None, **options: Any) -> VideoResult:
    """The source, decoded, encoded and joined again."""
    video = VideoSource.probe(source, options.pop("max_size", 0), begin, end)
    return write_video(video, target, Copyist(), {"kind": "video"}, **options)


def ffprobe(path: Path) -> dict[str, Any]:
    """What an independent program says of a video: frames, seconds, size and rotation; skipped where it is missing."""
    if shutil.which("ffprobe") is None:
        pytest.skip("no ffprobe")
    command = ["ffprobe", "-v", "error", "-of", "json", "-count_frames", "-show_streams", "-show_format", str(path)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    video = next(each for each in found["streams"] if each["codec_type"] == "video")
    turned = [each["rotation"] for each in video.get("side_data_list", []) if "rotation" in each]
    return {
        "frames": int(video["nb_read_frames"]),
        "seconds": float(found["format"]["duration"]),
        "size": (video["width"], video["height"]),
        "rotation": turned[0] if turned else 0,
        "types": [each["codec_type"] for each in found["streams"]],
    }


UNEVEN = [0, 3, 4, 9, 17, 18, 19, 40, 41, 60]
ODD_FILES: dict[str, dict[str, Any]] = {
    "uneven times": {"times": UNEVEN, "unit": Fraction(1, 90), "sounds": ["aac"]},
    "rotated": {"rotation": 90, "sounds": ["aac"]},
    "no sound": {},
    "two sounds": {"sounds": ["aac", "libopus"]},
    "one frame": {"times": [0]},
    "odd size": {"size": (81, 67), "pixel_format": "yuv444p", "sounds": ["aac"]},
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_files_keep_frames_times_sound_and_rotation(name: str, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", **ODD_FILES[name])
    result = copy(source, tmp_path / "out.mp4")
    before, after = facts_of(source), facts_of(tmp_path / "out.mp4")
    assert after.times == before.times
    assert result.frames == len(before.times)
    assert after.packets == before.packets
    assert after.track_times == before.track_times
    assert after.duration == pytest.approx(before.duration, abs=0.05)
    upright = before.size[::-1] if before.rotation else before.size
    assert (after.size, after.rotation) == (upright, 0)
    for painted, original in zip(pictures_of(tmp_path / "out.mp4"), pictures_of(source), strict=True):
        turned = np.rot90(original, before.rotation // 90)
        assert np.abs(painted.astype(int) - turned).mean() < 3
    assert not (tmp_path / "out.mp4.parts").exists()


@pytest.mark.parametrize("name", ODD_FILES)
def test_an_independent_program_reads_the_same(name: str, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", **ODD_FILES[name])
    copy(source, tmp_path / "out.mp4")
    before, after = ffprobe(source), ffprobe(tmp_path / "out.mp4")
    assert after["frames"] == before["frames"]
    assert after["types"] == before["types"]
    assert after["seconds"] == pytest.approx(before["seconds"], abs=0.05)
    assert after["rotation"] == 0
    assert after["size"] == (before["size"][::-1] if before["rotation"] else before["size"])


@pytest.mark.parametrize(("rotation", "flip"), [(90, False), (180, False), (270, False), (0, True), (90, True)])
def test_turned_and_mirrored_videos_become_upright(rotation: int, flip: bool, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mkv", times=[0], rotation=rotation, flip=flip)
    copy(source, tmp_path / "out.webm")
    painted = pictures_of(tmp_path / "out.webm")[0]
    turned = np.rot90(scene(0, 96, 64), rotation // 90)  # against the clock, as FFmpeg and PyAV count
    upright = turned[:, ::-1] if flip else turned
    assert painted.shape == upright.shape
    assert np.abs(painted.astype(int) - upright).mean() < 4


@pytest.mark.parametrize("target", ["out.webm", "out.mkv", "out.mp4"])
@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_odd_sizes_stay_in_every_codec_and_format(codec: str, target: str, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mkv", size=(81, 67), pixel_format="yuv444p", times=range(3))
    copy(source, tmp_path / target, codec=codec)
    after = facts_of(tmp_path / target)
    assert after.size == (81, 67)
    assert len(after.times) == 3


def test_h264_holds_an_odd_size_and_sound_in_mov(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", size=(81, 67), pixel_format="yuv444p", times=range(3), sounds=["aac"])
    copy(source, tmp_path / "out.mov", codec="h264")
    before, after = facts_of(source), facts_of(tmp_path / "out.mov")
    assert (after.size, after.codec, after.times, after.packets) == ((81, 67), "h264", before.times, before.packets)


def test_interlaced_frames_are_painted_without_combs(tmp_path: Path) -> None:
    frames = []
    for number in range(12):
        frame = np.full((64, 96, 3), 40, np.uint8)
        for field in (0, 1):  # a bar that has moved between the even and the odd rows
            left = (2 * number + field) * 3
            frame[field::2, left : left + 20] = 220
        frames.append(frame)
    options = {"crf": "5", "flags": "+ildct+ilme", "x264-params": "tff=1"}
    source = write_clip(tmp_path / "source.mp4", times=range(12), frames=frames, options=options)
    copy(source, tmp_path / "out.mp4")
    assert facts_of(tmp_path / "out.mp4").times == facts_of(source).times

    def combs(pictures: list[Levels]) -> float:
        rows = np.stack(pictures)[1:-1, :, :, 1].astype(int)
        return float(np.abs(2 * rows[:, 1:-1] - rows[:, :-2] - rows[:, 2:]).mean())

    assert combs(pictures_of(tmp_path / "out.mp4")) < 0.2 * combs(pictures_of(source))


def test_pixels_become_square(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", times=range(2), aspect=Fraction(4, 3))
    assert copy(source, tmp_path / "out.webm").remarks == (
        "pixels that are not square (4:3) became square: frames of 96 x 64 pixels are painted as 128 x 64",
    )
    after = facts_of(tmp_path / "out.webm")
    assert (after.size, after.aspect) in [((128, 64), None), ((128, 64), Fraction(1))]


def test_the_longer_side_is_limited(tmp_path: Path) -> None:
    copy(write_clip(tmp_path / "source.mp4", times=range(2)), tmp_path / "out.webm", max_size=48)
    assert facts_of(tmp_path / "out.webm").size == (48, 32)


@pytest.mark.parametrize(
    "colours",
    [(1, 1, 1, 1), (6, 1, 6, 6), (5, 1, 5, 6), (1, 2, 1, 13), (9, 1, 9, 14)],
    ids=["709", "601 NTSC", "601 PAL", "709 full range", "2020"],
)
@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_colours_and_their_tags_stay(colours: tuple[int, int, int, int], target: str, tmp_path: Path) -> None:
    patches = np.array([[250, 10, 10], [20, 200, 30], [10, 20, 240], [128, 128, 128], [240, 240, 20]], np.uint8)
    frame = patches.repeat(20, 0)[None].repeat(64, 0)
    source = write_clip(tmp_path / "source.mp4", size=(100, 64), frames=[frame] * 3, times=range(3), colours=colours)
    seen: list[Levels] = []
    painter = Copyist()
    painter.paint = lambda frame, *_: seen.append(frame) or frame  # type: ignore[method-assign,func-returns-value]
    write_video(VideoSource.probe(source), tmp_path / target, painter, {})
    assert np.abs(seen[0][32, 10::20].astype(int) - patches).max() <= 6  # what the painter sees
    after = facts_of(tmp_path / target)
    assert after.colours[0] in ((5, 6) if colours[0] in (5, 6) else (colours[0],))  # two names of one matrix
    assert after.colours[1:] == colours[1:]
    again = Copyist()
    again.paint = painter.paint  # type: ignore[method-assign]
    write_video(VideoSource.probe(tmp_path / target), tmp_path / "again.mkv", again, {})
    assert np.abs(seen[-1][32, 10::20].astype(int) - patches).max() <= 9  # what a viewer of the result sees


def test_texts_and_chapters_stay_and_places_do_not(tmp_path: Path) -> None:
    chapters = [
        {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}},
        {"id": 2, "start": 500, "end": 1200, "time_base": Fraction(1, 1000), "metadata": {"title": "two"}},
    ]
    tags = {"title": "A day", "artist": "Somebody", "location": "+48.2+016.3/", "creation_time": "2024-05-06T07:08:09Z"}
    source = write_clip(tmp_path / "source.mp4", tags=tags, chapters=chapters)
    for target in ("out.mkv", "out.webm", "out.mp4"):
        copy(source, tmp_path / target)
        after = facts_of(tmp_path / target)
        found = {name.lower(): text for name, text in after.tags.items()}
        assert found["title"] == "A day", target
        assert found["artist"] == "Somebody", target
        assert found.get("creation_time", "2024-05-06T07:08:09").startswith("2024-05-06T07:08:09"), target
        assert not any("48.2" in text for text in after.tags.values()), target
        assert after.chapters == [(0, 0.5, "one"), (0.5, 1.2, "two")], target


def test_subtitles_stay(tmp_path: Path) -> None:
    lines = [(0.2, 0.6, "First line"), (0.8, 1.1, "Second line")]
    for suffix in (".mkv", ".mp4"):
        source = write_clip(tmp_path / f"source{suffix}", sounds=["aac"], subtitles=lines)
        copy(source, tmp_path / f"out{suffix}")
        before, after = facts_of(source), facts_of(tmp_path / f"out{suffix}")
        assert [kind for kind, _ in after.tracks] == ["audio", "subtitle"]
        assert after.packets == before.packets
        assert after.track_times == before.track_times


@pytest.mark.parametrize(
    ("source", "target"), [("a.mkv", "b.webm"), ("a.mkv", "b.mp4"), ("a.mp4", "b.webm"), ("a.mp4", "b.mkv")]
)
def test_text_subtitles_are_converted_where_the_format_needs_it(source: str, target: str, tmp_path: Path) -> None:
    lines = [(0.2, 0.6, "Erste Zeile: ä"), (0.8, 1.1, "two\nlines")]
    result = copy(write_clip(tmp_path / source, subtitles=lines), tmp_path / target)
    assert result.remarks[0].startswith("the subtitle track 1 is converted to plain text")
    found = []
    with load_av().open(str(tmp_path / target)) as file:
        for packet in file.demux(subtitles=0):
            content = bytes(packet)[2 if target.endswith("mp4") else 0 :].decode()
            if packet.pts is not None and content:
                found.append((float(packet.pts * packet.time_base), content))
    assert found == [(begin, text) for begin, _, text in lines]


def test_sound_that_webm_cannot_hold_becomes_opus(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", sounds=["aac"], times=range(50))
    result = copy(source, tmp_path / "out.webm")
    assert result.remarks == ("the sound track 1 is converted to Opus, because this format cannot hold aac",)
    before, after = facts_of(source), facts_of(tmp_path / "out.webm")
    assert after.track_times[0][-1] == pytest.approx(before.track_times[0][-1], abs=0.04)
    assert after.duration == pytest.approx(before.duration, abs=0.05)


def test_sound_that_changes_within_the_file_becomes_opus(tmp_path: Path) -> None:
    """Recorded television: stereo, then 5.1 at another rate, in one track of sound."""
    source, unit = tmp_path / "source.ts", Fraction(1, 90_000)
    with load_av().open(str(source), "w") as file:
        video, sound = file.add_stream("libx264", rate=25), file.add_stream("ac3", rate=48_000, layout="stereo")
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        file.start_encoding()
        for number in range(50):
            file.mux(video.encode(load_av().VideoFrame.from_ndarray(scene(number, 96, 64), format="rgb24")))
        file.mux(video.encode(None))
        for begin, rate, layout in ((0, 48_000, "stereo"), (1, 44_100, "5.1")):
            encoder: Any = load_av().CodecContext.create("ac3", "w")
            encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "fltp"
            channels, packets = encoder.layout.nb_channels, []
            for place in range(0, rate, 1536):
                tone = np.sin(np.arange(place, place + 1536) * 300 * 2 * np.pi / rate).astype(np.float32) / 4
                piece = load_av().AudioFrame.from_ndarray(tone[None].repeat(channels, 0), format="fltp", layout=layout)
                piece.sample_rate, piece.pts, piece.time_base = rate, place, Fraction(1, rate)
                packets += encoder.encode(piece)
            for packet in (*packets, *encoder.encode(None)):
                packet.pts = packet.dts = round((begin + packet.pts * packet.time_base) / unit)
                packet.stream, packet.time_base = sound, unit
                file.mux(packet)
    copy(source, tmp_path / "out.webm")
    after = facts_of(tmp_path / "out.webm")
    assert after.tracks[0][0] == "audio"
    assert len(after.track_times[0]) == pytest.approx(100, abs=6)  # packets of 20 ms
    assert after.track_times[0][-1] == pytest.approx(2.0, abs=0.12)
    with load_av().open(str(tmp_path / "out.webm")) as file:
        heard = np.concatenate([each.to_ndarray() for each in file.decode(audio=0)], 1)
    assert np.abs(heard[0, 10_000:40_000]).mean() > 0.05
    assert np.abs(heard[0, 55_000:85_000]).mean() > 0.05


@pytest.mark.parametrize(
    ("name", "codec"), [("a.h264", "libx264"), ("a.hevc", "libx265"), ("a.m2v", "mpeg2video"), ("a.obu", "libsvtav1")]
)
def test_raw_streams_are_read_at_their_rate(name: str, codec: str, tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    source = write_clip(tmp_path / name, codec=codec, times=range(12), options=options)
    result = copy(source, tmp_path / "out.mp4")
    assert (result.frames, result.remarks) == (12, ())
    times = facts_of(tmp_path / "out.mp4").times
    assert [time - times[0] for time in times] == [Fraction(number, 25) for number in range(12)]
    part = copy(source, tmp_path / "part.mp4", float(times[0]) + 0.2)
    assert part.frames == 7


def test_a_part_begins_with_the_subtitle_that_is_shown(tmp_path: Path) -> None:
    lines = [(0.1, 0.2, "gone"), (0.2, 0.9, "shown"), (1.0, 1.1, "next")]
    copy(write_clip(tmp_path / "source.mkv", subtitles=lines), tmp_path / "out.mkv", 0.48)
    with load_av().open(str(tmp_path / "out.mkv")) as file:
        packets = [packet for packet in file.demux(subtitles=0) if packet.pts is not None]
        found = [(bytes(each), float(each.pts * each.time_base), each.duration * each.time_base) for each in packets]
    assert found == [
        (b"shown", 0.0, Fraction(42, 100)),
        (b"next", 0.52, Fraction(1, 10)),
    ]


def test_a_part_begins_at_zero_with_its_sound(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", times=range(100), sounds=["aac"], options={"crf": "5", "g": "13"})
    result = copy(source, tmp_path / "out.mp4", 1.0, 2.0)
    after = facts_of(tmp_path / "out.mp4")
    assert result.frames == 25
    assert after.times == [Fraction(number, 25) for number in range(25)]
    assert after.track_times[0][0] < 0.03
    assert 0.95 < after.track_times[0][-1] < 1.0
    original = pictures_of(source)[25:50]
    for painted, one in zip(pictures_of(tmp_path / "out.mp4"), original, strict=True):
        assert np.abs(painted.astype(int) - one).mean() < 3


def test_scenes_and_seconds_reach_the_painter(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "source.mp4", times=range(60), scenes=[20, 45])
    painter = Copyist()
    write_video(VideoSource.probe(source), tmp_path / "out.webm", painter, {})
    assert [number for number, starts in enumerate(painter.starts) if starts] == [0, 20, 45]
    assert painter.seconds == [number / 25 for number in range(60)]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), pytest.param(18, "HLG", marks=pytest.mark.slow)])
def test_hdr_is_converted_to_standard_range(transfer: int, name: str, tmp_path: Path) -> None:
    lights = np.array([0.0, 5.0, 26.0, 80.0, 203.0, 350.0, 1000.0])  # cd/m²
    codes = [pq(light) if name == "PQ" else _hlg(light) for light in lights]
    frame = np.rint(255 * np.array(codes)).astype(np.uint8)[None, :, None].repeat(64, 0).repeat(16, 1).repeat(3, 2)
    source = write_clip(
        tmp_path / "hdr.mp4", size=(112, 64), frames=[frame] * 2, times=range(2), colours=(9, 1, 9, transfer)
    )
    seen: list[Levels] = []
    painter = Copyist()
    painter.paint = lambda frame, *_: seen.append(frame) or frame  # type: ignore[method-assign,func-returns-value]
    result = write_video(VideoSource.probe(source), tmp_path / "out.mp4", painter, {})
    assert result.remarks[0].startswith("the video is HDR and was converted to standard range")
    grey = seen[0][32, 8::16].astype(float)
    assert np.ptp(grey, axis=1).max() <= 2  # greys stay grey
    # Up to the knee of the curve, at about 90 cd/m², the light stays: by the display curve of BT.1886, white at 203.
    assert grey[:4, 0] == pytest.approx(255 * (lights[:4] / 203) ** (1 / 2.4), abs=7)
    assert (np.diff(grey[:, 0]) > 3).all()  # highlights are told apart
    assert grey[-1, 0] > 247
    assert facts_of(tmp_path / "out.mp4").colours == (1, 1, 1, 1)


def _hlg(light: float) -> float:
    """The HLG code of a grey on a screen of 1000 cd/m² (BT.2100, table 5)."""
    scene = (light / 1000) ** (1 / 1.2)
    return float(np.sqrt(3 * scene) if scene <= 1 / 12 else 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073)


def test_sound_that_is_longer_than_the_video_is_no_damage(tmp_path: Path) -> None:
    for suffix in (".mkv", ".mp4"):
        source = write_clip(tmp_path / f"source{suffix}", times=range(10), sounds=["aac"], seconds_of_sound=3.0)
        assert copy(source, tmp_path / f"out{suffix}").remarks == ()
        assert facts_of(tmp_path / f"out{suffix}").packets == facts_of(source).packets


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4"])
def test_a_file_that_is_cut_short_is_painted_as_far_as_it_goes(suffix: str, tmp_path: Path) -> None:
    codecs: dict[str, Any] = (
        {"codec": "libvpx-vp9", "sounds": ["libopus"]} if suffix == ".webm" else {"sounds": ["aac"]}
    )
    whole = write_clip(tmp_path / f"whole{suffix}", times=range(150), options={"crf": "5", "g": "10"}, **codecs)
    content = whole.read_bytes()
    if suffix == ".mp4":  # with its index in front, as files from the web have it
        front = tmp_path / "front.mp4"
        copy(whole, front, codec="h264")
        content = front.read_bytes()
    short = tmp_path / f"short{suffix}"
    short.write_bytes(content[: len(content) // 2])
    result = copy(short, tmp_path / f"out{suffix}")
    after = facts_of(tmp_path / f"out{suffix}")
    assert 30 < result.frames < 120
    assert len(after.times) == result.frames
    assert len(result.remarks) == 1
    assert result.remarks[0].startswith("the video is damaged: it ends at ")
    assert "although its header says 6.0 s" in result.remarks[0]
