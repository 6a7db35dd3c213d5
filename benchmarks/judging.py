"""Measure the reliability of small sets, the coverage of intervals, and the speed of `sfumato evaluate`.

usage: judging.py [small] [intervals] [speed PHOTOS PAINTINGS]

* ``small``: FID, KID and FID∞ between two samples of one distribution (64 features with a falling spectrum), by N. The
  true value is 0. FID is reported with the bias that `bias_of_fid` predicts, the others with how often the interval
  contains 0.
* ``intervals``: of 2000 simulated crossed designs, how often the 95 % interval contains the true value.
* ``speed``: 500 pairs (20 photos, 25 paintings) of 256 x 256, suite quick: seconds and peak memory of the command.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from sfumato.errors import UsageError
from sfumato.image import read_image, resize, write_image
from sfumato.quality.anchors import colour_and_bands
from sfumato.quality.features import Features
from sfumato.quality.frechet import Moments, bias_of_fid, fid, fid_infinity
from sfumato.quality.intervals import crossed_interval
from sfumato.quality.kernel import kid
from sfumato.quality.pairs import pairs_of

WIDTH, REPEATS = 64, 60


def small() -> None:
    scale = np.arange(1, WIDTH + 1) ** -0.5
    print(f"{WIDTH} features, {REPEATS} repeats; truth 0 throughout")
    print(f"{'N':>6} {'FID':>8} {'foretold':>9} {'KID holds 0':>12} {'FID∞':>8} {'holds 0':>8}")
    for n in (100, 200, 500, 1000, 2000, 5000):
        plain, kernel, limits, holds = [], [], [], []
        for repeat in range(REPEATS if n <= 1000 else REPEATS // 4):
            rng = np.random.default_rng([repeat, n])
            x, y = (Features("simulated", rng.standard_normal((n, WIDTH)) * scale) for _ in range(2))
            plain.append(fid(Moments.of(x), Moments.of(y)).value)
            found = kid(x, y, subsets=2, size=50).estimate
            kernel.append(found.low <= 0 <= found.high)
            try:
                limit = fid_infinity(x, y, seed=repeat)
            except UsageError:
                continue
            limits.append(limit.value)
            holds.append(limit.low <= 0 <= limit.high)
        foretold = bias_of_fid(Moments.of(x), n, n).value
        at_infinity = f"{np.mean(limits):8.3f} {np.mean(holds):8.0%}" if limits else f"{'refused':>17}"
        print(f"{n:6} {np.mean(plain):8.3f} {foretold:9.3f} {np.mean(kernel):12.0%} {at_infinity}", flush=True)


def intervals() -> None:
    print("of 2000 crossed designs, the share whose 95 % interval holds the truth")
    for shape in ((5, 12), (10, 40), (20, 20)):
        for split in ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (1 / 3, 1 / 3, 1 / 3), (0.1, 0.1, 0.8)):
            hits = 0
            for repeat in range(2000):
                rng = np.random.default_rng([repeat, *shape])
                parts = [rng.standard_normal(some) for some in ((shape[0], 1), (1, shape[1]), shape)]
                y = 3 + sum(np.sqrt(share) * part for share, part in zip(split, parts, strict=True))
                found = crossed_interval(y)
                hits += found.low <= 3 <= found.high
            named = zip(split, ("styles", "photos", "rest"), strict=True)
            message = ", ".join(f"{share:.0%} {name}" for share, name in named)
            print(f"{shape[0]:3} x {shape[1]:<3} variance of {message:34} {hits / 2000:.1%}", flush=True)


def speed(photos: Path, paintings: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, source, count in (("c", photos, 20), ("s", paintings, 25)):
            files = sorted(source.rglob("*.jpg"))
            for i, path in enumerate(files[:: max(1, len(files) // count)][:count]):
                write_image(resize(read_image(path), 256, 256), folder / name / f"{name}{i}.png")
        for pair in pairs_of(folder / "c", folder / "s"):
            picture = colour_and_bands(read_image(pair.content), read_image(pair.style))
            write_image(picture, folder / "o" / f"{pair.name}.png")
        command = [sys.executable, "-m", "sfumato", "evaluate", "--content", "c", "--style", "s", "--stylized", "o"]
        began = perf_counter()
        subprocess.run([*command, "--report", "r"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        seconds = perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        began = perf_counter()
        subprocess.run([*command, "--report", "r"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        again = perf_counter() - began
        pairs = len(list((folder / "o").iterdir()))
    print(
        f"speed     {pairs} pairs of 256 x 256, quick: {seconds:.0f} s, {peak:.2f} GB; again, all kept: {again:.0f} s"
    )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "small" in arguments:
        small()
    if "intervals" in arguments:
        intervals()
    if "speed" in arguments:
        at = arguments.index("speed")
        speed(Path(arguments[at + 1]), Path(arguments[at + 2]))
