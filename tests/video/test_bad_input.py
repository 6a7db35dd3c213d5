"""Files that are no videos, are damaged, or cannot be written: one sentence each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import InputError, MissingExtraError, OutputError, SfumatoError, UsageError
from sfumato.limits import restore_limits, set_max_pixels
from sfumato.video import paint_video
from sfumato.video.pipeline import write_video
from sfumato.video.reading import VideoSource
from video_clips import Same, facts_of, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", times=range(60), sounds=["aac"])


def make(name: str, folder: Path, clip: Path) -> Path:
    path = folder / name
    match name:
        case "text.mp4":
            path.write_text("hello")
        case "list.m3u8" | "list.mp4":  # must not open the file that it names
            path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{clip}\n#EXT-X-ENDLIST\n")
        case "concat.txt":
            path.write_text(f"ffconcat version 1.0\nfile {clip}\n")
        case "empty.webm":
            path.touch()
        case "photo.jpg" | "photo.png" | "photo.webp" | "photo.mp4":
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, "JPEG" if name.endswith("mp4") else None)
        case "cut.mp4":
            path.write_bytes(clip.read_bytes()[:5000])
        case "sound.mp4":
            write_sound(path)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    return path


def write_sound(path: Path) -> None:
    from sfumato.video.opening import load_av
    from video_clips import RATE, encode_sound

    with load_av().open(str(path), "w") as file:
        track = file.add_stream("aac", rate=RATE, layout="stereo")
        encode_sound(file, track, np.zeros(4800, np.int16))
        file.mux(track.encode(None))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("text.mp4", "it is not a video, or not in a format that is read"),
        ("list.m3u8", "it is not a video, or not in a format that is read"),
        ("list.mp4", "it is not a video, or not in a format that is read"),
        ("concat.txt", "it is not a video, or not in a format that is read"),
        ("empty.webm", "it is empty"),
        ("photo.jpg", "it is a picture; paint pictures with sfumato stylize"),
        ("photo.png", "it is a picture; paint pictures with sfumato stylize"),
        ("photo.mp4", "it is a picture; paint pictures with sfumato stylize"),
        ("photo.webp", "WebP is a picture format"),
        ("cut.mp4", "its index .moov. is missing, so nothing can be decoded: the file was cut short"),
        ("sound.mp4", "contains no video .only sound.; name another file"),
        ("folder", "it is a folder; name a video file"),
        ("pipe", "it is not a regular file"),
        ("nothing.mp4", "there is no such file"),
        ("no\0thing.mp4", "there is no such file"),
    ],
)
def test_what_is_no_video_is_refused(name: str, sentence: str, clip: Path, tmp_path: Path) -> None:
    path = make(name, tmp_path, clip)
    with pytest.raises(InputError, match=sentence):
        paint_video(path, tmp_path / "out.webm", "monet")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_are_painted_or_refused(seed: int, clip: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(clip.read_bytes())
    if seed % 2:
        content = content[: rng.integers(100, len(content))]
    for place in rng.integers(0, len(content), 30):
        content[place] = rng.integers(0, 256)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    try:
        result = write_video(VideoSource.probe(path), tmp_path / "out.mkv", Same(), {})
    except SfumatoError:
        return
    assert len(facts_of(tmp_path / "out.mkv").times) == result.frames > 0


def test_too_many_pixels_are_refused_before_decoding(clip: Path, tmp_path: Path) -> None:
    with restore_limits():
        set_max_pixels(1000)
        with pytest.raises(InputError, match="has 96 x 64 pixels, more than the limit"):
            paint_video(clip, tmp_path / "out.webm", "monet")


@pytest.mark.parametrize(
    ("target", "options", "problem", "sentence"),
    [
        ("out.avi", {}, UsageError, "name a file that ends in one of .webm, .mkv, .mp4, .m4v, .mov"),
        ("out", {}, UsageError, "name a file that ends in one of"),
        (
            "out.webm",
            {"codec": "h264"},
            UsageError,
            "a .webm file cannot hold h264; name a file that ends in .mkv or .mp4",
        ),
        ("out.mov", {}, UsageError, "a .mov file cannot hold vp9; .* or add --codec h264"),
        ("out.webm", {"codec": "theora"}, UsageError, "the codec must be one of vp9, av1, h264"),
        ("out.webm", {"start": 1.0, "end": 1.0}, UsageError, "the end .1 s. must be later than the start"),
        ("out.webm", {"start": -1.0}, UsageError, "the start must be between 0 and"),
        ("out.webm", {"steady": 1.5}, UsageError, "steady must be between 0 and 1"),
        ("out.webm", {"max_size": 3}, UsageError, "max_size must be between 16 and"),
        ("out.webm", {"start": 100.0}, InputError, "has no frame between 100 s and its end; it is 2.4 s long"),
        ("no/out.webm", {}, OutputError, "the folder .*no does not exist"),
        ("folder.webm", {}, OutputError, "a folder has that name"),
        ("there.webm", {}, OutputError, "already exists; add --overwrite"),
    ],
)
def test_what_cannot_be_written_is_refused(
    target: str, options: dict[str, Any], problem: type[SfumatoError], sentence: str, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder.webm").mkdir()
    (tmp_path / "there.webm").write_text("old")
    with pytest.raises(problem, match=sentence):
        paint_video(clip, tmp_path / target, "monet", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.webm", "there.webm"]
    assert (tmp_path / "there.webm").read_text() == "old"


def test_the_video_itself_is_not_replaced(clip: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    for target in (clip, link):
        with pytest.raises(UsageError, match="is the video itself"):
            paint_video(clip, target, "monet", overwrite=True)


def test_subtitles_that_the_format_cannot_hold_are_left_out_with_a_remark(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "source.mkv", times=range(3), subtitles=[(0.0, 0.1, "Hello")], subtitle_codec="dvd_subtitle"
    )
    result = write_video(VideoSource.probe(source), tmp_path / "out.webm", Same(), {})
    assert result.remarks == ("the subtitle track 1 is left out, because this format cannot hold dvdsub",)
    assert (len(facts_of(tmp_path / "out.webm").times), facts_of(tmp_path / "out.webm").tracks) == (3, [])
    assert write_video(VideoSource.probe(source), tmp_path / "out.mkv", Same(), {}).remarks == ()
    assert facts_of(tmp_path / "out.mkv").tracks[0][0] == "subtitle"


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(clip: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        paint_video(clip, tmp_path / "out.webm", "monet")


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = [{folder!r}, {above!r}]
from test_bad_input import Same
from sfumato.errors import OutputError
from sfumato.video.pipeline import write_video
from sfumato.video.reading import VideoSource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    write_video(VideoSource.probe(sys.argv[1]), Path(sys.argv[2]), Same(), {{}})
except OutputError as problem:
    print(problem)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_is_told_and_nothing_half_written_stays(clip: Path, tmp_path: Path) -> None:
    """The limit lets the segments pass and not the whole (or not even a segment), as a disk that fills up does."""
    target = tmp_path / "out.mp4"
    write_video(VideoSource.probe(clip), target, Same(), {})
    size = target.stat().st_size
    target.unlink()
    script = FULL.format(folder=str(Path(__file__).parent), above=str(Path(__file__).parents[1]))
    for limit in (size - 2000, size // 8):
        command = [sys.executable, "-c", script, str(clip), str(target), str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.startswith("cannot write "), done.stderr
        assert "File too large" in done.stdout
        assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.parts"]
    write_video(VideoSource.probe(clip), target, Same(), {})
    assert len(facts_of(target).times) == 60


@pytest.mark.parametrize("missing", ["av", "cv2"])
def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    missing: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"needs the extra 'video', which is not installed"):
        paint_video(clip, tmp_path / "out.webm", "monet")
