"""Break things while Sfumato works: nothing may be lost, doubled or half-written, and the same command must go on.

usage: faults.py [kill disk database clock two ...] [--rounds 3] [--seed 0] [--faketime PATH]

kill      `kill -9` of `sfumato stylize` (a folder), `batch` and `video` at random moments, and the same command again
disk      the same commands on a disk that gets full (a tmpfs, so root is needed), which then is made larger
database  benchmarks/studio.py faults: `kill -9` of Studio's server, workers, painters and PostgreSQL, started again
clock     Studio while the clock of the machine jumps by up to 30 days in both directions, and commands that are killed
          and go on a day earlier or later; needs libfaketimeMT.so.1 of Debian's package libfaketime (give its path)
two       two of each command into one target at the same time, and two servers on one store

After each fault every file that is there is compared with that of an undisturbed run, byte for byte. A moment is drawn
from seed and round. A line of JSON is printed for each fault, and the exit code is 1 where something was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from running_studio import Running
from studio import _account, _wait_for_end, draft_request, drawn, measure_faults
from support import save_scenes
from video_clips import write_clip

SFUMATO = [sys.executable, "-m", "sfumato"]
DRAFT = ["--style", "monet", "--quality", "draft"]
EXIT = 4  # of commands that cannot write


@dataclass
class Work:
    """A command that writes files, what it writes undisturbed, and how long that takes."""

    name: str
    words: list[str]
    out: str  # below a folder
    whole: dict[str, bytes]
    seconds: float = 0.0

    def start(self, folder: Path, **environment: str) -> subprocess.Popen[str]:
        command = [*SFUMATO, *self.words, str(folder / self.out)]
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )

    def run(self, folder: Path, **environment: str) -> tuple[int, str]:
        """Run to the end; return exit code and what was said."""
        process = self.start(folder, **environment)
        _, told = process.communicate(timeout=900)
        return process.returncode, told

    def wrong(self, folder: Path, is_whole: bool) -> list[str]:
        """Name the files that differ from the undisturbed ones; with ``is_whole`` also what is missing or left over."""
        found = results(folder / self.out)
        faults = [f"{name} differs" for name, data in found.items() if self.whole.get(name) != data]
        if is_whole:
            faults += [f"{name} is missing" for name in self.whole.keys() - found.keys()]
            hidden = [path.name for path in folder.rglob("*") if path.name.startswith(".") and path.name != ".lock"]
            faults += [f"{name} is left over" for name in [*hidden, *(p.name for p in folder.glob("*.parts"))]]
        return faults


def results(out: Path) -> dict[str, bytes]:
    """Return the pictures or the video at a target, by name."""
    return {path.name: path.read_bytes() for path in paths_of(out)}


def paths_of(out: Path) -> list[Path]:
    paths = [out] if out.is_file() else sorted(out.rglob("*"))
    return [path for path in paths if path.suffix in (".png", ".mp4") and not path.name.startswith(".")]


def all_work(folder: Path) -> list[Work]:
    """Make photos and a clip, and run each command once undisturbed."""
    save_scenes(folder / "photos", 12, 5)
    clip = write_clip(folder / "in.mp4", times=range(100), sounds=["aac"], scenes=[30, 60])
    found = [
        Work("stylize", ["stylize", str(folder / "photos"), *DRAFT, "--threads", "1", "-o"], "painted", {}),
        Work("batch", ["batch", *DRAFT, "--workers", "2", "--engine", "local", str(folder / "photos")], "batch", {}),
        Work("video", ["video", str(clip), "--style", "monet", "--threads", "1", "-o"], "out.mp4", {}),
    ]
    whole = folder / "whole"
    whole.mkdir()
    for work in found:
        began = time.monotonic()
        code, told = work.run(whole)
        assert code == 0, told
        work.seconds = time.monotonic() - began
        work.whole = results(whole / work.out)
        assert work.whole, work.name
    return found


def kill(
    works: list[Work],
    rng: random.Random,
    rounds: int,
    folder: Path,
    between: Callable[[], None] = lambda: None,
    **environment: str,
) -> Iterator[Any]:
    for work in works:
        place = folder / f"kill-{work.name}"
        place.mkdir()
        killed, faults = 0, []
        for _ in range(rounds):
            process = work.start(place, **environment)
            time.sleep(rng.uniform(0.2, 1.0) * work.seconds)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += process.returncode == -signal.SIGKILL
            time.sleep(0.5)  # workers end with their parent
            faults += work.wrong(place, False)
            if process.returncode == 0:  # it was done: there must be work again
                for path in paths_of(place / work.out):
                    path.unlink()
            between()
        code, told = work.run(place, **environment)
        faults += work.wrong(place, True) + ([told] if code else [])
        yield {"fault": "kill -9", "of": work.name, "times": killed, "wrong": faults}


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Callable[[int], None]]:
    """A disk of so many kilobytes at a new folder; provides what gives it another size."""
    place.mkdir()

    def mount(size: int, *options: str) -> None:
        words = ["-t", "tmpfs", "-o", ",".join([*options, f"size={size}k"]), "tmpfs", str(place)]
        subprocess.run(["mount", *words], check=True)

    mount(kilobytes)
    try:
        yield lambda size: mount(size, "remount")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def disk(works: list[Work], rng: random.Random, rounds: int, folder: Path) -> Iterator[Any]:
    for work in works:
        size = sum(map(len, work.whole.values())) // 1024
        for number in range(rounds):
            place = folder / f"disk-{work.name}-{number}"
            kilobytes = max(8, int(size * rng.uniform(0.05, 0.9)))
            with small_disk(place, kilobytes) as resize:
                code, told = work.run(place)
                faults = work.wrong(place, False)
                if code != EXIT or "Traceback" in told or "No space left on device" not in told:
                    faults.append(f"exit code {code}: {told[-500:]}")
                resize(100_000)
                again, more = work.run(place)
                faults += work.wrong(place, True) + ([more] if again else [])
            of = f"{work.name}, {kilobytes} of about {size} kB"
            yield {"fault": "full disk", "of": of, "code": code, "told": told.strip()[-160:], "wrong": faults}


def database(works: list[Work], rng: random.Random, rounds: int, folder: Path) -> Iterator[Any]:
    found = measure_faults(3 * rounds, rng.randrange(10**6), "", True)
    yield {"fault": "database and processes", "of": "Studio", **found, "wrong": lost(found)}


def lost(found: dict[str, Any]) -> list[str]:
    """Return what the account of jobs shows to be lost or doubled."""
    wrong = [f"{value} {key}" for key, value in found.items() if ("picture" in key or "more than one" in key) and value]
    if found["ended"] != {"done": found["accepted"]}:
        wrong.append(f"{found['accepted']} jobs were accepted, and they ended so: {found['ended']}")
    return wrong


def ask(
    servers: list[Running], keys: list[dict[str, str]], count: int, between: Callable[[int], None]
) -> dict[str, Any]:
    """Ask servers of one store for drafts in turn; return how the jobs ended."""
    photos, jobs = [], []
    for running, headers in zip(servers, keys, strict=True):
        answer = httpx2.post(
            f"{running.url}/api/v1/pictures",
            files={"file": ("a.jpg", drawn(1, 320, 240))},
            data={"kind": "photo"},
            headers=headers,
            timeout=60,
        )
        photos.append(answer.raise_for_status().json()["id"])
    for number in range(count):
        which = number % len(servers)
        request = {
            **draft_request(photos[which], number),
            "slot": None,
            "preview": False,
        }  # those are kept for days only
        url = f"{servers[which].url}/api/v1/jobs"
        answer = httpx2.post(url, json=request, headers=keys[which], timeout=60)
        jobs.append(answer.raise_for_status().json()["id"])
        between(number)
    _wait_for_end(servers[0].url, keys[0], jobs)
    return _account(servers[0].url, keys[0], jobs, "result")


def clock(works: list[Work], rng: random.Random, rounds: int, folder: Path, faketime: str) -> Iterator[Any]:
    offset = folder / "offset"

    def jump(to: float) -> None:
        offset.with_suffix(".new").write_text(f"{to:+.0f}\n")
        os.replace(offset.with_suffix(".new"), offset)

    jump(0)
    environment = {
        "LD_PRELOAD": faketime,
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # a clock that is set leaves the monotonic one alone
        "FAKETIME_DONT_RESET": "1",
    }
    os.environ.update(environment)
    try:
        running = Running(folder / "clock" / "data", 0, "", "--workers", "2")
    finally:
        for name in environment:
            del os.environ[name]
    jumps: list[int] = []

    def between(number: int) -> None:
        if number % 4 == 3:
            jumps.append(rng.choice([-1, 1]) * rng.choice([90, 3600, 86_400, 30 * 86_400]))
            jump(sum(jumps))
        time.sleep(rng.uniform(0, 1))

    try:
        found = ask([running], [running.log_in()], 8 * rounds, between)
    finally:
        running.stop()
    yield {"fault": "clock jumps", "of": "Studio", "jumps": jumps, **found, "wrong": lost(found)}
    for found in kill(works, rng, rounds, folder / "clock", lambda: jump(rng.choice([-1, 1]) * 86_400), **environment):
        yield {**found, "fault": "clock a day off after each kill -9"}


def two(works: list[Work], rng: random.Random, rounds: int, folder: Path) -> Iterator[Any]:
    for work in works:
        place = folder / f"two-{work.name}"
        place.mkdir()
        processes = []
        for _ in range(2):
            processes.append(work.start(place))
            time.sleep(rng.uniform(0, 0.5) * work.seconds)
        told = [process.communicate(timeout=900)[1].strip() for process in processes]
        codes = [process.returncode for process in processes]
        faults = work.wrong(place, True)
        if 0 not in codes or any("Traceback" in each for each in told):
            faults += told
        said = [each[-160:] for each, code in zip(told, codes, strict=True) if code]
        yield {"fault": "two at once", "of": work.name, "codes": codes, "told": said, "wrong": faults}
    data = folder / "two" / "data"
    servers = [Running(data, 0, "", "--workers", "1")]
    try:
        try:
            servers.append(Running(data, 0, "", "--workers", "1"))
        except SystemExit as refused:
            yield {"fault": "two at once", "of": "Studio", "told": str(refused)[-200:], "wrong": []}
            return
        found = ask(servers, [each.log_in() for each in servers], 6 * rounds, lambda _: None)
    finally:
        for each in servers:
            each.stop()
    yield {"fault": "two at once", "of": "Studio", **found, "wrong": lost(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {"kill": kill, "disk": disk, "database": database, "clock": clock, "two": two}
    parser.add_argument("kinds", nargs="*", default=[*kinds], metavar="KIND")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faketime", default="/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
    asked = parser.parse_args()
    count: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        works = all_work(folder) if {*asked.kinds} - {"database"} else []
        for kind in asked.kinds:
            rng = random.Random(f"{kind} {asked.seed}")
            more = {"faketime": asked.faketime} if kind == "clock" else {}
            for name in ("clock", "two"):
                (folder / name).mkdir(exist_ok=True)
            for found in kinds[kind](works, rng, asked.rounds, folder, **more):  # type: ignore[operator]
                print(json.dumps(found), flush=True)
                count["wrong" if found["wrong"] else "good"] += 1
    print(dict(count))
    sys.exit(count["wrong"] > 0)


if __name__ == "__main__":
    main()
