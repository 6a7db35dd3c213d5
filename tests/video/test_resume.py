"""Interrupted runs: what they leave, and how they go on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sfumato.errors import OutputError
from sfumato.files import digest
from sfumato.video import parts
from sfumato.video.pipeline import SEGMENT_FRAMES, VideoResult, write_video
from sfumato.video.reading import TRAIL, VideoSource
from sfumato.video.scenes import SceneDetector
from video_clips import Levels, facts_of, pictures_of, write_clip

TIMES = [0, 2, 3, *range(7, 200)]  # uneven, and more than four segments


class Trailing:
    """Mixes each frame with the painting before it, and marks scenes: depends on all that was painted."""

    def __init__(self, stop_at: int | None = None, problem: type[BaseException] = KeyboardInterrupt) -> None:
        self.stop_at, self.problem = stop_at, problem
        self.painted = 0
        self.before: npt.NDArray[np.float64] | None = None

    def look(self, _frame: Levels) -> None:
        pass

    def paint(self, frame: Levels, starts_scene: bool, seconds: float, _look: Any = None) -> Levels:
        if self.painted == self.stop_at:
            raise self.problem
        self.painted += 1
        mixed = frame / 2 + (frame if starts_scene or self.before is None else self.before) / 2
        mixed[-4:] = 255 * (seconds % 1)
        self.before = mixed
        return mixed.astype(np.uint8)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {"before": self.before.copy(), "painted": np.array(self.painted)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.before = state["before"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.mp4"
    return write_clip(
        path, times=TIMES, unit=Fraction(1, 25), sounds=["aac"], scenes=[48, 60, 143], options={"crf": "20", "bf": "3"}
    )


def paint(source: Path, target: Path, painter: Trailing | None = None, **options: Any) -> VideoResult:
    recipe = options.pop("recipe", {"kind": "video"})
    return write_video(
        VideoSource.probe(source, 0, options.pop("begin", 0.0)), target, painter or Trailing(), recipe, **options
    )


@pytest.fixture(scope="module")
def unbroken(source: Path) -> Path:
    target = source.with_name("unbroken.mp4")
    paint(source, target)
    return target


def same(one: Path, other: Path) -> bool:
    """Whether two results are equal byte by byte, and so frame by frame."""
    return digest(one, 2**40) == digest(other, 2**40)


@pytest.mark.parametrize("stop_at", [0, 1, SEGMENT_FRAMES - 1, SEGMENT_FRAMES, SEGMENT_FRAMES + 1, 150, 195])
def test_a_stopped_run_goes_on_at_the_last_whole_segment(
    stop_at: int, source: Path, unbroken: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        paint(source, target, Trailing(stop_at))
    assert not target.exists()
    painter = Trailing()
    result = paint(source, target, painter)
    assert result.resumed % SEGMENT_FRAMES == 0
    assert stop_at - result.resumed <= 2 * SEGMENT_FRAMES  # the one being painted, and at most one being encoded
    assert painter.painted == len(TIMES) - result.resumed
    assert result.frames == len(TIMES)
    assert same(target, unbroken)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"]


def test_a_run_that_is_stopped_again_and_again_arrives(source: Path, unbroken: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    for _ in range(20):
        try:
            paint(source, target, Trailing(2 * SEGMENT_FRAMES + 5))
            break
        except KeyboardInterrupt:
            continue
    assert same(target, unbroken)


def test_a_part_of_a_video_is_resumed(source: Path, tmp_path: Path) -> None:
    paint(source, tmp_path / "whole.mp4", begin=1.5)
    with pytest.raises(KeyboardInterrupt):
        paint(source, tmp_path / "out.mp4", Trailing(100), begin=1.5)
    assert paint(source, tmp_path / "out.mp4", begin=1.5).resumed > 0
    assert same(tmp_path / "out.mp4", tmp_path / "whole.mp4")


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".ts", "libx264"), (".mpg", "mpeg1video"), (".avi", "mpeg4"), (".mkv", "libx264")]
)
def test_formats_that_are_hard_to_search_give_the_same_frames(suffix: str, codec: str, tmp_path: Path) -> None:
    options = {"g": "12", "bf": "2"}
    path = write_clip(tmp_path / f"source{suffix}", times=range(70), codec=codec, scenes=[40], options=options)
    whole = list(VideoSource.probe(path).frames(SceneDetector))
    part = list(VideoSource.probe(path, 0, whole[31].seconds).frames(SceneDetector))
    trail = [(frame.pts, frame.check) for frame in whole[35 - TRAIL : 35]]
    rest = list(VideoSource.probe(path).frames(SceneDetector, trail))
    for frames, begin in ((part, 31), (rest, 35)):
        assert [(frame.pts, frame.check) for frame in frames] == [(frame.pts, frame.check) for frame in whole[begin:]]
    assert [frame.starts_scene for frame in rest] == [frame.starts_scene for frame in whole[35:]]
    assert len(whole) == 70


def test_a_failed_encoder_or_a_cancelled_run_can_be_resumed(source: Path, unbroken: Path, tmp_path: Path) -> None:
    class CancelledError(Exception):
        pass

    def cancel(share: float, doing: str) -> None:
        if share > 0.6:
            raise CancelledError

    target = tmp_path / "out.mp4"
    with pytest.raises(CancelledError):
        paint(source, target, progress=cancel)
    assert paint(source, target).resumed > 0
    assert same(target, unbroken)


@pytest.mark.parametrize("changed", ["recipe", "source", "codec"])
def test_parts_of_another_recipe_or_source_are_not_used(changed: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        paint(source, target, Trailing(150), recipe={"source": "a", "seed": 0})
    other: dict[str, Any] = {
        "recipe": {"source": "b" if changed == "source" else "a", "seed": int(changed == "recipe")}
    }
    other |= {"codec": "av1"} if changed == "codec" else {}
    assert paint(source, target, **other).resumed == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"]  # the parts of both are removed


def test_parts_are_not_used_where_that_is_asked(source: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        paint(source, tmp_path / "out.mp4", Trailing(150))
    assert paint(source, tmp_path / "out.mp4", resume=False).resumed == 0


@pytest.mark.parametrize("name", ["state.npz", "000000.npz"])
@pytest.mark.parametrize("harm", ["cut", "removed"])
def test_damaged_parts_are_painted_again_or_named(
    name: str, harm: str, source: Path, unbroken: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        paint(source, target, Trailing(150))
    (file,) = parts.parts_folder(target).glob(f"*/{name}")
    file.write_bytes(file.read_bytes()[:100]) if harm == "cut" else file.unlink()
    if (name, harm) == ("000000.npz", "cut"):
        with pytest.raises(Exception, match=r"000000.npz is damaged .* delete .*out.mp4.parts and paint"):
            paint(source, target)
    else:
        assert paint(source, target).resumed == 0
        assert same(target, unbroken)


def test_files_of_others_in_the_folder_of_parts_stay(source: Path, tmp_path: Path) -> None:
    folder = parts.parts_folder(tmp_path / "out.mp4")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    paint(source, tmp_path / "out.mp4")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_two_runs_to_one_file_do_not_meet(source: Path, unbroken: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"

    def second(share: float, doing: str) -> None:
        if 0.5 < share < 0.9:
            with pytest.raises(OutputError, match=r"another sfumato is painting .*out.mp4 now; wait for it"):
                paint(source, target)

    paint(source, target, progress=second)
    assert same(target, unbroken)


def test_a_lock_of_a_folder_that_was_just_removed_is_not_taken_for_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with parts.claimed(target) as folder:
        parts.remove(folder)
        with parts.claimed(target) as again:
            (again / "0123456789abcdef").mkdir()
            with pytest.raises(OutputError, match="another sfumato"), parts.claimed(target):
                pass
        assert again.is_dir()


SCRIPT = """
import sys; sys.path[:0] = {folders!r}
from test_resume import Trailing, paint
from pathlib import Path
class Slow(Trailing):
    def paint(self, *arguments):
        import time; time.sleep(0.004)
        return super().paint(*arguments)
paint(Path(sys.argv[1]), Path(sys.argv[2]), Slow())
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_gives_the_same_file(source: Path, unbroken: Path, tmp_path: Path) -> None:
    """kill -9 at 20 moments of one painting, from the start of the process to the joining."""
    target = tmp_path / "out.mp4"
    command = [
        sys.executable,
        "-c",
        SCRIPT.format(folders=[str(each) for each in Path(__file__).parents[:2]]),
        str(source),
        str(target),
    ]
    began = time.monotonic()
    subprocess.run(command, check=True)
    took = time.monotonic() - began
    target.unlink()
    rng, kills = np.random.default_rng(0), 0
    while kills < 20:
        process = subprocess.Popen(command)
        time.sleep(took * rng.uniform(0.3, 1.0))
        process.kill()
        if process.wait() == -9:
            kills += 1
            assert not target.exists() or same(target, unbroken)
        else:
            assert same(target, unbroken)
            target.unlink()
    target.unlink(missing_ok=True)  # a run that was killed after the joining leaves its parts
    subprocess.run(command, check=True)
    assert same(target, unbroken)
    assert len(pictures_of(target)) == len(facts_of(source).times)
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == ["out.mp4"]
