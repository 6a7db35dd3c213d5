"""Paint videos one after another in one process, and watch its memory, its open files and what it leaves.

usage: soak.py [--hours 24] [--size 96]

Each round runs the command `sfumato video` on a drawn clip of 24 frames with sound: another style, another container.
Memory and open files are taken after each round. Of all rounds after the first tenth, which fill caches, the last third
must be within 10 % of the first third, with as many open files, and no file may be left but the videos.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from support import run
from video_clips import facts_of, write_clip

STYLES = ("monet", "great-wave", "starry-night", "klimt")
SUFFIXES = ("webm", "mkv", "mp4", "mov")
CODECS = {"webm": "vp9", "mkv": "vp9", "mp4": "vp9", "mov": "h264"}


def measured() -> tuple[float, int]:
    """Return the megabytes and the open files of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd"))


def soak(folder: Path, seconds: float, size: int) -> list[tuple[float, int]]:
    """Paint until the time is over; return what was measured after each round."""
    clip = write_clip(folder / "in.mp4", size=(size, size * 2 // 3), times=range(24), sounds=["aac"], scenes=[12])
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        number = len(found)
        suffix = SUFFIXES[number % 4]
        out = folder / f"out.{suffix}"
        style = STYLES[number // 4 % 4]
        result = run("video", clip, "--style", style, "--codec", CODECS[suffix], "--threads", 1, "-o", out)
        assert result.exit_code == 0, result.stderr
        assert len(facts_of(out).times) == 24
        out.unlink()
        left = sorted(path.name for path in folder.iterdir())
        assert left == ["in.mp4"], left
        found.append(measured())
        print(json.dumps({"round": number, "mb": round(found[-1][0]), "files": found[-1][1]}), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--size", type=int, default=96, help="width of the clip")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), 3600 * asked.hours, asked.size)
    kept = found[len(found) // 10 :]
    third = len(kept) // 3
    if third < 3:
        raise SystemExit(f"only {len(found)} rounds: give it more time")
    first, last = (statistics.mean(mb for mb, _ in some) for some in (kept[:third], kept[-third:]))
    files = {count for _, count in kept}
    flat = abs(last / first - 1) <= 0.1 and len(files) == 1
    change = f"{first:.0f} MB in the first third, {last:.0f} MB in the last ({last / first - 1:+.1%})"
    print(f"{len(found)} videos; {change}; open files {sorted(files)}; {'flat' if flat else 'NOT flat'}")
    sys.exit(not flat)


if __name__ == "__main__":
    main()
