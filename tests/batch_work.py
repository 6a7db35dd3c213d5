"""What tests of batches share; other processes call its functions, and so must be able to import them."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sfumato import PaintOptions, Style
from sfumato.batch.batching import paint_batch, with_recipes
from sfumato.batch.jobs import Plan, plan
from sfumato.batch.outcomes import Outcome
from sfumato.batch.painter import Spec, install
from sfumato.batch.records import open_records
from sfumato.batch.running import Engine
from sfumato.image import Picture, write_image


def double(items: Sequence[int]) -> list[int]:
    return [2 * item for item in items]


def process_number(items: Sequence[int]) -> list[int]:
    time.sleep(0.05)
    return [os.getpid() for _ in items]


def page_faults(items: Sequence[int]) -> list[float]:
    """The page faults for each array of 2 MB that is made, filled and freed: 512 if its memory is not kept."""
    count = 20
    np.ones(2**18)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        np.ones(2**18)
    return [(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / count for _ in items]


def die_at(deadly: Sequence[int], log: str, items: Sequence[int]) -> list[int]:
    """Kill this process at a deadly item; count the calls of each item by lines of a file."""
    for item in items:
        with open(log, "a") as file:
            file.write(f"{item}\n")
        if item in deadly:
            os.kill(os.getpid(), signal.SIGKILL)
    return list(items)


def die_once(item: int, flag: str, items: Sequence[int]) -> list[int]:
    if item in items and not os.path.exists(flag):
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return list(items)


def small(seed: int, height: int = 24, width: int = 32) -> Picture:
    """A tiny photo of a few coarse colours."""
    coarse = np.random.default_rng(seed).random((1, 3, 3, 4)).astype(np.float32)
    return np.asarray(coarse.repeat(height // 3, 2).repeat(width // 4, 3))


def save_photos(folder: Path, count: int, first: int = 0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        write_image(small(number), path)
    return paths


@contextmanager
def threads(count: int = 1) -> Iterator[Engine]:
    """An engine in this process."""
    with ThreadPoolExecutor(count) as pool:
        yield Engine("threads", pool, lambda: count)


def spec_of(found: Plan, target: str | Path, style: str = "monet", **others: Any) -> Spec:
    """The spec of a batch of drafts."""
    options = PaintOptions(quality="draft", strength=others.pop("strength", 1.0))
    styles = {name: [Style.named(name or style)] for name in ["", *found.styles]}
    skips = not (found.is_table or found.is_shards)
    return with_recipes(Spec(found.source, str(target), styles, options, skips_results=skips, **others))


def paint(
    source: str | Path, target: str | Path, report: Path, format: str | None = None, **others: Any
) -> list[Outcome]:
    """Run a whole batch in this process."""
    found = plan(str(source), str(target), format)
    run_id, content = spec_of(found, target, shard_format=format, **others).packed()
    install(run_id, content)
    with threads() as engine, open_records(report) as records:
        return list(paint_batch(found, run_id, engine, records))


def states(outcomes: Sequence[Outcome]) -> dict[str, str]:
    return {outcome.photo: outcome.status for outcome in outcomes}


def manifest(report: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (report / "manifest.jsonl").read_text().splitlines()]
