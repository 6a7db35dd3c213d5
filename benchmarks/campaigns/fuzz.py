"""Fuzz every reader of files: each damaged file must be read, or refused in one sentence, soon and in little memory.

usage: fuzz.py FOLDER [--inputs 10000] [--seed 1]

An input is a real file with bits flipped, parts cut, swapped, repeated or overwritten, lengths changed, or values of
its JSON or text replaced; seed and index give the same one again. Readers take turns. They run in a process of their
own, which is killed when an input takes longer than its limit. FOLDER gets a line of JSON for each input
(results.jsonl) and the inputs that failed (failed/). The same command goes on where it stopped, and prints the table by
reader at its end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

SECONDS, WALL, BYTES = 20.0, 120.0, 1e9  #: of the processor and of the clock, and memory, that one input may take
READY = 600.0  #: seconds in which the readers must be set up


def damaged(door: Any, rng: np.random.Generator) -> bytes:
    """Return a damaged file of a door; of files that are no JSON, one in eight has two of its blocks swapped."""
    if isinstance(door.whole, bytes) and len(door.whole) > 64 and rng.random() < 1 / 8:
        data = bytearray(door.whole)
        span = int(rng.integers(1, min(4096, len(data) // 4)))
        one = int(rng.integers(0, len(data) // 2 - span))
        two = int(rng.integers(len(data) // 2, len(data) - span))
        data[one : one + span], data[two : two + span] = data[two : two + span], data[one : one + span]
        return bytes(data)
    found: bytes = door.file(rng)
    return found


def judged(readers: Sequence[Callable[[bytes], object]], data: bytes) -> dict[str, Any]:
    """Return how the readers end: "read", "refused" or "failed", with what they said and took."""
    from sfumato.errors import SfumatoError

    before, began = _peak(reset=True), time.process_time()
    outcome, said = "read", ""
    for reader in readers:
        try:
            reader(data)
            outcome, said = "read", ""
        except SfumatoError as problem:
            outcome, said = "refused", str(problem)
            if not said.strip() or not said.isprintable() or len(said) > 2000:
                outcome, said = "failed", f"not one sentence: {said[:2000]!r}"
                break
        except BaseException:  # SystemExit and RecursionError are failures too
            outcome, said = "failed", traceback.format_exc()[-3000:]
            break
    seconds, grown = time.process_time() - began, _peak() - before
    if outcome != "failed" and (seconds > SECONDS or grown > BYTES):
        outcome, said = "failed", f"took {seconds:.1f} s of the processor and {grown / 1e6:.0f} MB"
    return {"outcome": outcome, "said": said, "seconds": round(seconds, 3), "mb": round(grown / 1e6)}


def _peak(reset: bool = False) -> int:
    """Return the most bytes that this process has held; with ``reset`` what it holds now, from which it then counts."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    [line] = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def work(pipe: Connection, seed: int) -> None:
    """Set up the readers, send their names, and then answer each index with what came of it."""
    warnings.simplefilter("error")  # a warning of a library is a second sentence
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some readers print what they read
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        os.environ["SFUMATO_PERSONAL"] = str(Path(place) / "answers")
        from doors import all_doors

        doors = all_doors(Path(place), stack)
        names = sorted(doors)
        for kinds in doors.values():
            for door in kinds:
                for read in door.readers:
                    read(door.file(None))  # a good one
        pipe.send(names)
        while (index := pipe.recv()) is not None:
            name = names[index % len(names)]
            rng = np.random.default_rng([seed, index])
            door = doors[name][rng.integers(0, len(doors[name]))]
            data = damaged(door, rng)
            pipe.send(data)  # first, so that it is known if this process dies of it
            pipe.send(judged(door.readers, data))


class Worker:
    """The process that reads."""

    def __init__(self, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, seed))
        self.process.start()
        theirs.close()
        if not self.pipe.poll(READY):
            raise SystemExit("the readers were not set up in time")
        self.names: list[str] = self.pipe.recv()

    def read(self, index: int) -> tuple[bytes, dict[str, Any]]:
        """Return an input and what came of it."""
        data = b""
        try:
            self.pipe.send(index)
            for _ in range(2):
                if not self.pipe.poll(WALL):
                    self.process.kill()
                    return data, {"outcome": "failed", "said": f"no end after {WALL:.0f} s", "seconds": WALL, "mb": 0}
                answer = self.pipe.recv()
                data = answer if isinstance(answer, bytes) else data
            return data, answer
        except (EOFError, OSError):
            self.process.join()
            said = f"the process died, code {self.process.exitcode}"
            return data, {"outcome": "failed", "said": said, "seconds": 0.0, "mb": 0}

    def stop(self) -> None:
        if self.process.is_alive():
            self.pipe.send(None)
            self.process.join(30)
        self.process.kill()


def campaign(folder: Path, inputs: int, seed: int) -> list[dict[str, Any]]:
    """Read the inputs that no result is there for yet; return all results."""
    (folder / "failed").mkdir(parents=True, exist_ok=True)
    path = folder / "results.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {each["index"] for each in found}
    worker: Worker | None = None
    with path.open("a") as results:
        for index in (each for each in range(inputs) if each not in done):
            worker = worker or Worker(seed)
            name = worker.names[index % len(worker.names)]
            data, answer = worker.read(index)
            result = {"index": index, "reader": name, "seed": seed, **answer}
            if answer["outcome"] == "failed":
                kept = folder / "failed" / f"{seed}-{index}-{name.replace(' ', '-')}"
                kept.write_bytes(data)
                print(f"{name}, {index}: {answer['said'].strip().splitlines()[-1]}", flush=True)
            found.append(result)
            results.write(json.dumps(result) + "\n")
            results.flush()
            if not worker.process.is_alive():
                worker = None
    if worker is not None:
        worker.stop()
    return found


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the results by reader, as Markdown."""
    by_reader = defaultdict(list)
    for each in results:
        by_reader[each["reader"]].append(each)
    lines = ["| reader | inputs | read | refused | failed | most s | most MB |", "|---|---|---|---|---|---|---|"]
    for name, some in [*sorted(by_reader.items()), ("**all**", list(results))]:
        counts = [sum(each["outcome"] == kind for each in some) for kind in ("read", "refused", "failed")]
        most = max(each["seconds"] for each in some), max(each["mb"] for each in some)
        lines.append(f"| {name} | {len(some)} | {' | '.join(map(str, counts))} | {most[0]:.1f} | {most[1]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    results = campaign(asked.folder, asked.inputs, asked.seed)
    print(table(results))
    sys.exit(any(each["outcome"] == "failed" for each in results))


if __name__ == "__main__":
    main()
