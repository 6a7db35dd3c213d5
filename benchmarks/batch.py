"""Measure `sfumato batch`: against separate processes, by number of workers, with killed workers, on two hosts.

usage: batch.py compare [--pictures 1000] [--side 320]
       batch.py grow [--pictures 400] [--side 256]
       batch.py kill [--pictures 300] [--side 160] [--engine dask]
       batch.py hosts [--pictures 200] [--side 256]
       batch.py parts

compare  Dask with two workers against two separate `sfumato stylize` with half of the folder each
grow     one and two workers, with the engines local and dask
kill     `kill -9` of five workers during a run: every picture must be painted exactly once
hosts    two hosts made of network namespaces paint one folder (root and iproute2 are needed)
parts    the seconds, mostly of the processor, from which batch_simulation.py computes the growth, as JSON

Pictures a second are given twice: of the whole command, and steady, from the tenth to the ninetieth of a hundred
results, which leaves out start and end. The seconds of the processor for a picture, of all processes together, do not
depend on what else the machine does. Each command takes less than four minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from sfumato.image import write_image
from support import scene
from two_hosts import NoNamespacesError, start_dask, two_hosts

SFUMATO = [sys.executable, "-m", "sfumato"]
DRAFT = ["--style", "monet", "--quality", "draft"]
ENVIRONMENT = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def save_photos(folder: Path, count: int, side: int) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        write_image(scene(side, side, number), path)
    return paths


def rates(began: float, ended: float, folder: Path) -> tuple[float, float]:
    """Return the pictures a second of a whole command, and steady, by the times of the files."""
    times = sorted(path.stat().st_mtime for path in folder.rglob("*.jpg"))
    low, high = len(times) // 10, len(times) * 9 // 10
    return len(times) / (ended - began), (high - low) / (times[high] - times[low])


def run(*commands: Sequence[str]) -> tuple[float, float, float]:
    """Run commands at the same time; return when they began, when the last one ended, and their processor's seconds."""
    before = _processor()
    began = time.time()
    processes = [subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) for command in commands]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit("a command failed")
    return began, time.time(), _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(target: Path, *commands: Sequence[str]) -> tuple[float, float, float]:
    """Run commands; return pictures a second whole and steady, and pictures a second of the processor."""
    began, ended, processor = run(*commands)
    whole, steady = rates(began, ended, target)
    return whole, steady, whole * (ended - began) / processor


def batch(source: Path, target: Path, *options: str) -> tuple[float, float, float]:
    """Run a batch; return the same."""
    return measured(target, [*SFUMATO, "batch", str(source), str(target), *DRAFT, *options])


def compare(root: Path, pictures: int, side: int) -> None:
    photos = save_photos(root / "in", pictures, side)
    for half in (0, 1):
        (root / f"half{half}").mkdir()
        for photo in photos[half::2]:
            os.link(photo, root / f"half{half}" / photo.name)
    (root / "alone").mkdir()
    commands = [
        [
            *SFUMATO,
            "stylize",
            str(root / f"half{half}"),
            "-o",
            str(root / "alone" / str(half)),
            "--threads",
            "1",
            *DRAFT,
        ]
        for half in (0, 1)
    ]
    names = ("whole", "steady", "a second of the processor")
    alone = measured(root / "alone", *commands)
    print("two processes:", ", ".join(f"{one:.2f} {name}" for one, name in zip(alone, names, strict=True)), flush=True)
    found = batch(root / "in", root / "dask", "--engine", "dask", "--workers", "2")
    shares = [
        f"{mine:.2f} {name} (x {mine / theirs:.3f})" for mine, theirs, name in zip(found, alone, names, strict=True)
    ]
    print("dask:", ", ".join(shares))


def grow(root: Path, pictures: int, side: int) -> None:
    save_photos(root / "in", pictures, side)
    for engine in ("local", "dask"):
        one, two = (
            batch(root / "in", root / f"{engine}{workers}", "--engine", engine, "--workers", str(workers))
            for workers in (1, 2)
        )
        print(f"{engine}: 1 worker {one[1]:.2f} pictures/s, 2 workers {two[1]:.2f}: x {two[1] / one[1]:.2f} steady, "
              f"x {two[0] / one[0]:.2f} whole", flush=True)  # fmt: skip


def kill(root: Path, pictures: int, side: int, engine: str, kills: int = 5) -> None:
    save_photos(root / "in", pictures, side)
    command = [*SFUMATO, "batch", str(root / "in"), str(root / "out"), *DRAFT, "--engine", engine, "--workers", "2"]
    process = subprocess.Popen([*command, "--json"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    moments = sorted(random.Random(0).sample(range(pictures // 10, pictures * 8 // 10), kills))
    for moment in moments:
        while process.poll() is None and len(list((root / "out").glob("*.jpg"))) < moment:
            time.sleep(0.05)
        while process.poll() is None and not (found := _workers(process.pid)):
            time.sleep(0.05)
        found[0].kill()
        print(f"killed a worker after {moment} pictures", flush=True)
    out, _ = process.communicate()
    lines = [json.loads(line) for line in out.splitlines()]
    counts = Counter(line["target"] for line in lines)
    manifest = [
        json.loads(line) for line in (root / "out" / "batch-report" / "manifest.jsonl").read_text().splitlines()
    ]
    written = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (root / "out").glob("*.jpg")}
    assert process.returncode == 0
    assert len(counts) == len(written) == len(manifest) == pictures
    assert set(counts.values()) == {1}
    assert {line["target"]: line["sha256"] for line in manifest} == written
    print(f"{kills} workers killed: {pictures} pictures, each once in the results and in the manifest "
          f"({dict(Counter(line['status'] for line in lines))})")  # fmt: skip


def _workers(parent: int) -> list[psutil.Process]:
    found = psutil.Process(parent).children(recursive=True)
    return [each for each in found if any("spawn_main" in word for word in each.cmdline())]


def hosts(root: Path, pictures: int, side: int) -> None:
    save_photos(root / "in", pictures, side)
    try:
        with two_hosts() as (one, two):
            engine = start_dask((one, two), root / "log")
            time.sleep(10)
            command = [*SFUMATO, "batch", str(root / "in"), str(root / "out"), *DRAFT, "--engine", engine]
            began = time.time()
            done = one.run(*command)
            whole, steady = rates(began, time.time(), root / "out")
    except NoNamespacesError as problem:
        raise SystemExit(f"no network namespaces here: {problem}") from problem
    print(done.stderr.strip())
    lines = [json.loads(line) for line in (root / "out" / "batch-report" / "manifest.jsonl").read_text().splitlines()]
    host_of = {int(number): host for number, host in re.findall(r"worker (\d+) was (\S+):\d+", done.stderr)}
    counts = Counter(host_of[line["worker"]] for line in lines)
    print(f"{dict(counts)} of {pictures}; {whole:.2f} pictures/s whole, {steady:.2f} steady")


# ---- parts -----------------------------------------------------------------------------------------------------------


def median_time(call: Callable[[], Any], times: int, clock: Callable[[], float] = time.process_time) -> float:
    """Return the median seconds of a call, without the first one; those of the processor, by default."""
    call()
    found = []
    for _ in range(times):
        began = clock()
        call()
        found.append(clock() - began)
    return statistics.median(found)


def parts(root: Path) -> None:
    from batch_work import double
    from sfumato import PaintOptions, Pipeline, Stylizer
    from sfumato.batch.engines import open_engine
    from sfumato.batch.outcomes import Outcome
    from sfumato.batch.places import Place
    from sfumato.batch.records import open_records

    found: dict[str, Any] = {}
    pipeline = Pipeline("monet", PaintOptions(quality="draft"), stylizer=Stylizer(threads=1))
    standard = Pipeline("monet", PaintOptions(quality="standard"), stylizer=Stylizer(threads=1))
    place = Place(str(root))
    for side, one, times in ((256, pipeline, 15), (1024, pipeline, 5), (256, standard, 2), (1024, standard, 1)):
        name = f"{'draft' if one is pipeline else 'standard'} {side}"
        write_image(scene(side, side, 1, length=20 * side / 256), root / "photo.jpg")
        content = (root / "photo.jpg").read_bytes()
        result = one(root / "photo.jpg")
        result.save(root / "result.jpg")
        made = (root / "result.jpg").read_bytes()
        found[name] = {
            "photo_bytes": len(content),
            "result_bytes": len(made),
            "paint": median_time(lambda one=one: one(root / "photo.jpg").save(root / "result.jpg"), times),
            "read": median_time(lambda: place.read("photo.jpg", 2**30), 20, time.perf_counter),
            "hash": median_time(lambda c=content: hashlib.sha256(c).hexdigest(), 20),
            "write": median_time(lambda m=made: place.write("written.jpg", m), 20, time.perf_counter),
        }
    script = (
        "from sfumato import Pipeline, PaintOptions, Stylizer; import numpy as np; o = PaintOptions(quality='draft')\n"
        "Pipeline('monet', o, stylizer=Stylizer(threads=1))(np.zeros((1, 3, 64, 64), 'f4'))"
    )
    found["start"] = median_time(lambda: run([sys.executable, "-c", script]), 2, _processor)
    with open_records(root / "report") as records:
        numbers = iter(range(10**6))

        def record() -> None:
            name = f"folder/{next(numbers)}.jpg"
            records.add(Outcome(name, name, "painted", "a" * 64, "b" * 64, "c" * 64, 10**5, 0.1, "host:1"))

        found["record"] = median_time(lambda: [record() for _ in range(1000)], 5) / 1000
    for engine in ("local", "dask"):
        with open_engine(engine, "0" * 64, b"", workers=2) as workers:
            from sfumato.batch import running

            calls = 1500  # enough for some seconds
            list(running.run(range(50), workers, double))
            size, running._MAX_CHUNK = running._MAX_CHUNK, 1
            began = time.process_time()  # of this process, in which Dask's scheduler is too
            list(running.run(range(calls), workers, double))
            found[f"call {engine}"] = (time.process_time() - began) / calls
            running._MAX_CHUNK = size
    print(json.dumps(_rounded(found), indent=1))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {"compare": (1000, 320), "grow": (400, 256), "kill": (300, 160), "hosts": (200, 256), "parts": (0, 0)}
    parser.add_argument("what", choices=defaults)
    parser.add_argument("--pictures", type=int)
    parser.add_argument("--side", type=int)
    parser.add_argument("--engine", default="dask", choices=("local", "dask"))
    arguments = parser.parse_args()
    pictures, side = defaults[arguments.what]
    pictures, side = arguments.pictures or pictures, arguments.side or side
    root = Path(tempfile.mkdtemp(prefix="sfumato-batch-"))
    try:
        if arguments.what == "parts":
            parts(root)
        elif arguments.what == "kill":
            kill(root, pictures, side, arguments.engine)
        else:
            {"compare": compare, "grow": grow, "hosts": hosts}[arguments.what](root, pictures, side)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
