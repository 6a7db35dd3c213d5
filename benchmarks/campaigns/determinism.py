"""Paint the same recipes with other numbers of threads and other kernels, and compare the pixels.

usage: determinism.py [--qualities draft standard best] [--photos 6] [--qemu PATH]

The pictures are those of tests/test_golden.py: drawn photos of 160 pixels, each in another style with other options.
The base is one thread with all that the processor has. The others are:

threads     2 and 4 threads
blas        OpenBLAS and NumPy without AVX-512, which have official switches
avx2        the whole process without AVX-512. ONNX Runtime (MLAS) asks the processor itself and has no switch, so the
            process runs on QEMU's processor, which has AVX2 and FMA and no AVX-512. Needs qemu-user-static; give the
            path of qemu-x86_64-static. It is many times slower; QEMU 7.2 crashes in the other qualities.

The same settings must give the same bytes. With other settings a draft may be off by 2 levels of 255 at a pixel. In the
other qualities a nearest neighbour flips here and there, so the golden pictures' tolerance for other kernels holds: a
mean of 2.5 levels (best: 5) and 0.25 of the mean colour.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

SWITCHES = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
NO_AVX512 = "Haswell-noTSX"


def paint(target: Path, qualities: list[str], count: int, threads: int) -> None:
    """Paint the pictures into an .npz file; runs in the process that is to be compared."""
    from threadpoolctl import threadpool_info

    import test_golden as golden
    from sfumato.image import to_uint8
    from sfumato.inference import Stylizer

    stylizer = Stylizer(threads=threads)
    found: dict[str, Any] = {}
    for quality in qualities:
        for number, (name, draw) in enumerate(list(golden.PHOTOS.items())[:count]):
            case = golden.Case(quality, name, golden.STYLES[number], list(golden.OPTIONS)[number % 3])  # type: ignore[arg-type]
            photo = draw()
            options = golden._options(case, *photo.shape[:2])
            found[f"{quality}/{name}"] = to_uint8(stylizer(photo, case.style, quality=quality, **options))
    np.savez(target, **found)
    features = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    blas = sorted({each["architecture"] for each in threadpool_info() if each["internal_api"] == "openblas"})
    print(f"NumPy {'with' if features['X86_V4'] else 'without'} AVX-512, OpenBLAS for {', '.join(blas)}")


def in_process(
    folder: Path, name: str, asked: argparse.Namespace, threads: int, before: tuple[str, ...], **switches: str
) -> dict[str, Any]:
    """Paint in a process of its own; return the pictures."""
    target = folder / f"{name}.npz"
    words = ["--paint", str(target), "--threads", str(threads), "--photos", str(asked.photos)]
    command = [*before, sys.executable, __file__, "--qualities", *asked.qualities, *words]
    began = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": str(threads), **switches}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
    print(f"{name}: {done.stdout.strip()}, {time.perf_counter() - began:.0f} s", flush=True)
    with np.load(target) as file:
        return dict(file)


def compared(base: dict[str, Any], other: dict[str, Any], quality: str, is_same: bool) -> dict[str, Any]:
    """Return how much the pictures of a quality differ, and whether that is within the tolerance."""
    from test_golden import LEVELS, MEAN, SHIFT

    offs = [other[key].astype(int) - base[key] for key in base if key.startswith(quality)]
    most = max(int(abs(off).max()) for off in offs)
    mean = max(float(abs(off).mean()) for off in offs)
    shift = max(float(abs(off.mean((0, 1))).max()) for off in offs)
    if is_same:
        within = most == 0
    elif quality == "draft":
        within = most <= LEVELS
    else:
        within = mean <= MEAN[quality] and shift <= SHIFT  # type: ignore[index]
    equal = sum(not off.any() for off in offs)
    return {"equal": f"{equal} of {len(offs)}", "most": most, "mean": mean, "shift": shift, "within": within}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qualities", nargs="+", default=["draft", "standard", "best"])
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--qemu", help="path of qemu-x86_64-static")
    parser.add_argument("--paint", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.paint:
        paint(asked.paint, asked.qualities, asked.photos, asked.threads)
        return
    good = True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = in_process(folder, "1 thread", asked, 1, ())
        others = {f"{n} threads": (in_process(folder, f"{n} threads", asked, n, ()), False) for n in (2, 4)}
        others["again"] = in_process(folder, "again", asked, 1, ()), True
        others["blas"] = in_process(folder, "blas", asked, 1, (), **SWITCHES), False
        if asked.qemu:
            others["avx2"] = in_process(folder, "avx2", asked, 1, (asked.qemu, "-cpu", NO_AVX512)), False
        print("\n| against 1 thread | quality | bit-equal | most levels | mean | mean colour | within |")
        print("|---|---|---|---|---|---|---|")
        for name, (other, is_same) in others.items():
            for quality in asked.qualities:
                found = compared(base, other, quality, is_same)
                good &= found["within"]
                print(f"| {name} | {quality} | {found['equal']} | {found['most']} | {found['mean']:.3f} | "
                      f"{found['shift']:.3f} | {'yes' if found['within'] else '**no**'} |", flush=True)  # fmt: skip
    print(json.dumps({"within": good}))
    sys.exit(not good)


if __name__ == "__main__":
    main()
