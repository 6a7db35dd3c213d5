"""Simulate a batch with 1 to 1,000 workers from measured parts: pictures a second, and what limits them.

usage: batch_simulation.py [--parts benchmarks/batch_parts.json] [--plot docs/batch-growth.svg] [--table]

The parts are what `benchmarks/batch.py parts` prints. The network and the store are assumptions, written out in
`STORES`. `--table` prints the table of docs/batch.md.

The model, event by event: one process hands out chunks and records results, one at a time (`call` seconds for a chunk,
`record` for each picture in it). A worker starts (`start`), takes a chunk, and for each picture waits for the store
(`latency` for each request, and its turn at the shared bandwidth), paints, and writes. It keeps one chunk waiting, as
the engine dask does, so that it is idle only where the process cannot keep up. The size of chunks is the one that
`sfumato.batch.running` chooses.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from sfumato.batch.running import _CHUNK_SECONDS, _MAX_CHUNK, _SECONDS_PER_WORKER

WORKERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Work:
    """A picture: bytes read and written, seconds of one core."""

    name: str
    photo_bytes: int
    result_bytes: int
    paint: float


@dataclass(frozen=True)
class Store:
    """Where pictures lie: bytes a second that all workers share, seconds for a request, requests for a picture."""

    name: str
    bandwidth: float
    latency: float
    requests: int = 3  # is it there, read, write


STORES = (
    Store("shared disk, 1 Gbit/s", 1.1e8, 0.001),
    Store("file server, 10 Gbit/s", 1.1e9, 0.001),
    Store("object store, 100 Gbit/s, 30 ms", 1.2e10, 0.030),
)
PARTS = Path(__file__).with_name("batch_parts.json")


@dataclass(frozen=True)
class Result:
    """Pictures a second of N workers, and the shares of the time that each part was busy."""

    workers: int
    rate: float
    handing_out: float
    store: float
    painting: float

    @property
    def limit(self) -> str:
        """What limits the rate."""
        shares = {"the workers": self.painting, "the store": self.store, "the process": self.handing_out}
        return max(shares, key=lambda name: shares[name])


def simulate(work: Work, store: Store, workers: int, call: float, record: float, start: float) -> Result:
    """Simulate until each worker has painted for a while; the start is left out of the rate."""
    chunk_seconds = max(_CHUNK_SECONDS, _SECONDS_PER_WORKER * 2 * workers)
    size = max(1, min(round(chunk_seconds / work.paint), _MAX_CHUNK))
    seconds = 6 * max(chunk_seconds, size * work.paint) + 20 * work.paint + 2 * workers * call
    process_free = store_free = 0.0
    busy_process = busy_store = busy_painting = 0.0
    begin, end = start + seconds / 2, start + seconds
    done = 0
    order = count()
    events: list[tuple[float, int, int, str, int]] = []
    ready = [0] * workers  # chunks that wait at each worker
    idle = [True] * workers
    for worker in range(workers):
        for _ in range(2):
            heapq.heappush(events, (start * worker / workers / 10, next(order), worker, "ask", 0))
    while events:
        now, _, worker, what, left = heapq.heappop(events)
        if now > end:
            break
        if what == "ask":  # the process takes back the results of a chunk and hands out the next
            cost = call + record * size
            process_free = max(process_free, now) + cost
            busy_process += cost if now > begin else 0
            heapq.heappush(events, (process_free, next(order), worker, "chunk", 0))
        elif what == "chunk":
            ready[worker] += 1
            if idle[worker]:
                idle[worker] = False
                heapq.heappush(events, (max(now, start), next(order), worker, "read", size))
        elif what == "read":
            cost = work.photo_bytes / store.bandwidth
            store_free = max(store_free, now) + cost
            busy_store += cost if now > begin else 0
            delay = store.latency * (store.requests - 1)
            heapq.heappush(events, (store_free + delay, next(order), worker, "paint", left))
        elif what == "paint":
            busy_painting += work.paint if now > begin else 0
            heapq.heappush(events, (now + work.paint, next(order), worker, "write", left))
        elif what == "write":
            cost = work.result_bytes / store.bandwidth
            store_free = max(store_free, now) + cost
            busy_store += cost if now > begin else 0
            heapq.heappush(events, (store_free + store.latency, next(order), worker, "next", left - 1))
        else:
            done += now > begin
            if left:
                heapq.heappush(events, (now, next(order), worker, "read", left))
                continue
            ready[worker] -= 1
            heapq.heappush(events, (now, next(order), worker, "ask", 0))
            if ready[worker]:
                heapq.heappush(events, (now, next(order), worker, "read", size))
            else:
                idle[worker] = True
    span = end - begin
    shares = (busy_process / span, busy_store / span, busy_painting / span / workers)
    return Result(workers, done / span, *(min(share, 1.0) for share in shares))


def cases(parts: dict[str, Any]) -> Iterator[tuple[Work, Store, list[Result]]]:
    for name in ("draft 256", "draft 1024", "standard 1024"):
        values = parts[name]
        work = Work(name, int(values["photo_bytes"]), int(values["result_bytes"]), values["paint"])
        fixed = [float(parts[key]) for key in ("call dask", "record", "start")]
        for store in STORES:
            yield work, store, [simulate(work, store, workers, *fixed) for workers in WORKERS]


def table(work: Work, store: Store, results: list[Result]) -> str:
    lines = [f"{work.name} pixels, {work.paint:.3g} s a picture; {store.name}"]
    first = results[0].rate
    for each in results:
        lines.append(
            f"{each.workers:6} workers {each.rate:9.1f} pictures/s  x {each.rate / first:6.1f}  busy: workers "
            f"{each.painting:4.0%}, store {each.store:4.0%}, process {each.handing_out:4.0%}  limit: {each.limit}"
        )
    return "\n".join(lines)


def markdown(found: list[tuple[Work, Store, list[Result]]], parts: dict[str, Any]) -> str:
    """Return the table of docs/batch.md."""
    shown = [WORKERS.index(number) for number in (1, 10, 100, 1000)]
    lines = [
        "| picture | store | 1 worker | 10 | 100 | 1,000 | grows until | then limited by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for work, store, results in found:
        first = results[0].rate
        good = [each for each in results if each.rate >= 0.9 * first * each.workers]
        end = "beyond 1,000" if good[-1] is results[-1] else f"{good[-1].workers} workers"
        limit = "" if good[-1] is results[-1] else results[-1].limit
        rates = " | ".join(f"{float(f'{results[at].rate:.2g}'):,g}" for at in shown)
        lines.append(f"| {work.name}² | {store.name} | {rates} | {end} | {limit} |")
    call, paint = parts["call dask"], parts["draft 256"]["paint"]
    lines += [
        "",
        f"A call costs the process {1000 * call:.1f} ms. With one picture a call, drafts of 256² would stop growing at "
        f"{paint / call:.0f} workers.",
    ]
    return "\n".join(lines)


_COLOURS = {"draft 256": "#2a6f97", "draft 1024": "#c1663a", "standard 1024": "#5a7d3a"}
_DASHES = ("2 3", "7 4", "")


def plot(found: list[tuple[Work, Store, list[Result]]]) -> str:
    """Return a plot, both axes logarithmic, as SVG."""
    left, top, width, height = 64, 20, 520, 400
    low, high = 0.1, 20_000

    def x(workers: float) -> float:
        return left + width * math.log10(workers) / 3

    def y(rate: float) -> float:
        return top + height * (1 - math.log(max(rate, low) / low) / math.log(high / low))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 230} {top + height + 56}" '
        'font-family="sans-serif" font-size="13">',
        "<title>Pictures a second by number of workers, simulated</title>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for power in range(4):
        at = x(10**power)
        parts.append(f'<path d="M{at:.0f} {top}V{top + height}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.0f}" y="{top + height + 20}" text-anchor="middle">{10**power:,}</text>')
    for power in range(-1, 5):
        at = y(10**power)
        parts.append(f'<path d="M{left} {at:.0f}H{left + width}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.0f}" text-anchor="end">{10.0**power:,g}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 44}" text-anchor="middle">workers</text>')
    parts.append(f'<text x="14" y="{top + height / 2}" transform="rotate(-90 14 {top + height / 2})" '
                 'text-anchor="middle">pictures a second</text>')  # fmt: skip
    for work, store, results in found:
        points = " ".join(f"{x(each.workers):.1f},{y(each.rate):.1f}" for each in results)
        dash = _DASHES[STORES.index(store)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[work.name]}" stroke-width="2.5" '
                     f'stroke-dasharray="{dash}"/>')  # fmt: skip
    at = top + 14
    for name, colour in _COLOURS.items():
        parts.append(f'<path d="M{left + width + 16} {at - 4}h36" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{left + width + 60}" y="{at}">{name}² pixels</text>')
        at += 24
    at += 12
    for label, dash in zip(("1 Gbit/s", "10 Gbit/s", "100 Gbit/s, 30 ms"), _DASHES, strict=True):
        parts.append(f'<path d="M{left + width + 16} {at - 4}h36" stroke="#444" stroke-width="2.5" '
                     f'stroke-dasharray="{dash}"/>')  # fmt: skip
        parts.append(f'<text x="{left + width + 60}" y="{at}">{label}</text>')
        at += 24
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=Path, default=PARTS)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    parts = json.loads(arguments.parts.read_text())
    found = list(cases(parts))
    print(markdown(found, parts) if arguments.table else "\n\n".join(table(*each) for each in found))
    if arguments.plot:
        arguments.plot.write_text(plot(found))


if __name__ == "__main__":
    main()
