"""Measure Studio: how soon it starts, how it bears many clients, and whether it loses jobs when its parts are killed.

usage: studio.py start
       studio.py load [--clients 50] [--minutes 10] [--database URL]
       studio.py faults [--kills 30] [--seed 0] [--database URL | --postgresql]

start   seconds from `sfumato studio` until its page is served, and from an upload to the first draft
load    clients that each upload a photo, ask for a draft, watch it and look at their gallery: lost and doubled jobs,
        seconds of reads, and the memory of all processes over time
faults  `kill -9` of the server, a worker, a painter or the database at random moments while jobs run: every accepted
        job must end once, and the store must hold exactly the pictures that the database names
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgresql import Postgresql
from running_studio import studio


def drawn(seed: int, width: int, height: int) -> bytes:
    """Draw a JPEG of soft colours."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    path = Path(tempfile.mkstemp(suffix=".jpg")[1])
    small.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)
    try:
        return path.read_bytes()
    finally:
        path.unlink()


def draft_request(photo: str, number: int) -> dict[str, Any]:
    """Return the request for a draft of a photo."""
    styles = ("monet", "great-wave", "starry-night", "klimt")
    return {
        "kind": "paint",
        "photo": photo,
        "styles": [{"style": styles[number % len(styles)]}],
        "options": {"quality": "draft", "seed": number},
        "preview": True,
    }


def measure_start() -> None:
    """Print the seconds until the page is served and until a first draft is there."""
    with studio() as running:
        while True:
            with suppress(httpx2.TransportError):
                httpx2.get(running.url).raise_for_status()
                break
            time.sleep(0.01)
        page = time.perf_counter() - running.began
        headers = running.log_in()
        time.sleep(3)  # a person looks at the page before dropping a photo
        with httpx2.Client(base_url=f"{running.url}/api/v1", headers=headers) as http:
            for megapixels, (width, height) in {"2": (1600, 1200), "12": (4000, 3000)}.items():
                began = time.perf_counter()
                photo = http.post(
                    "/pictures", files={"file": ("a.jpg", drawn(1, width, height))}, data={"kind": "photo"}
                )
                photo.raise_for_status()
                uploaded = time.perf_counter() - began
                job = http.post("/jobs", json=draft_request(photo.json()["id"], 0)).json()
                while job["state"] in ("queued", "running"):
                    time.sleep(0.02)
                    job = http.get(f"/jobs/{job['id']}").json()
                whole = time.perf_counter() - began
                print(
                    f"{megapixels} megapixels: uploaded in {uploaded:.2f} s, draft {job['state']} after {whole:.2f} s"
                )
    print(f"page served {page:.2f} s after the command")


def rss(ids: list[int]) -> int:
    """Return the resident bytes of processes."""
    total = 0
    for one in ids:
        with suppress(OSError, IndexError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def measure_load(clients: int, minutes: float, database: str) -> None:
    """Run many clients at once, and print what they met."""
    with studio(database, "--workers", "2") as running:
        headers = running.log_in()
        end = time.monotonic() + 60 * minutes
        reads: list[float] = []
        accepted: list[str] = []
        refused: Counter[int] = Counter()
        memory: list[dict[str, int]] = []

        def client(number: int) -> None:
            rng = random.Random(number)
            with httpx2.Client(base_url=f"{running.url}/api/v1", headers=headers, timeout=60) as http:

                def read(path: str) -> Any:
                    began = time.perf_counter()
                    answer = http.get(path)
                    reads.append(time.perf_counter() - began)
                    if answer.is_error:
                        refused[answer.status_code] += 1
                        return None
                    return answer.json() if answer.headers["content-type"].startswith("application/json") else None

                answer = http.post(
                    "/pictures", files={"file": ("a.jpg", drawn(number, 320, 240))}, data={"kind": "photo"}
                )
                while answer.is_error and time.monotonic() < end:
                    refused[answer.status_code] += 1
                    time.sleep(2)
                    answer = http.post(
                        "/pictures", files={"file": ("a.jpg", drawn(number, 320, 240))}, data={"kind": "photo"}
                    )
                photo = answer.json()["id"]
                count = 0
                while time.monotonic() < end:
                    asked = http.post("/jobs", json={**draft_request(photo, count), "slot": None})
                    count += 1
                    if asked.is_error:
                        refused[asked.status_code] += 1
                        time.sleep(1)
                        continue
                    job = asked.json()
                    accepted.append(job["id"])
                    while job and job["state"] in ("queued", "running") and time.monotonic() < end:
                        time.sleep(rng.uniform(0.5, 1.5))
                        job = read(f"/jobs/{job['id']}") or job
                    read("/pictures?kind=preview&limit=20")
                    if job and (job["result"] or {}).get("picture"):
                        read(f"/pictures/{job['result']['picture']}/thumb")
                    time.sleep(rng.uniform(0.5, 2))

        threads = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(clients)]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            memory.append({part: rss(ids) // 2**20 for part, ids in running.processes().items()})
            time.sleep(max(1.0, 60 * minutes / 60))
        for thread in threads:
            thread.join(90)
        took = sorted(reads)
        print(
            f"{len(took)} reads: median {1000 * statistics.median(took):.0f} ms, "
            f"p95 {1000 * took[int(0.95 * len(took))]:.0f} ms"
        )
        print(f"refused: {dict(refused)}")
        third = max(1, len(memory) // 3)
        for part in memory[0]:
            early, late = (
                statistics.mean(m[part] for m in some) for some in (memory[third : 2 * third], memory[-third:])
            )
            print(f"{part}: {early:.0f} MB in the second third, {late:.0f} MB in the last")
        _wait_for_end(running.url, headers, accepted)
        print(json.dumps(_account(running.url, headers, accepted), indent=1))


def _get(http: httpx2.Client, path: str, **query: Any) -> Any:
    """Return what the service answers, after a pause where it asks for one."""
    while (answer := http.get(path, params=query)).status_code == 429:
        time.sleep(float(answer.headers["Retry-After"]))
    answer.raise_for_status()
    return answer.json()


def _wait_for_end(url: str, headers: dict[str, str], jobs: list[str]) -> None:
    """Wait until all jobs have ended."""
    left = set(jobs)
    with httpx2.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60) as http:
        end = time.monotonic() + 600
        while left and time.monotonic() < end:
            for job in list(left):
                if _get(http, f"/jobs/{job}")["state"] not in ("queued", "running"):
                    left.discard(job)
            time.sleep(0.5)


def _account(url: str, headers: dict[str, str], jobs: list[str], kind: str = "preview") -> dict[str, Any]:
    """Count how the accepted jobs ended, and how many pictures each of them made."""
    with httpx2.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60) as http:
        ended = {job: _get(http, f"/jobs/{job}") for job in jobs}
        pictures: Counter[str] = Counter()
        before = None
        while True:
            found = _get(http, "/pictures", kind=kind, limit=200, **({"before": before} if before else {}))
            pictures.update(each["job"] for each in found["items"])
            before = found["next"]
            if before is None:
                break
    states = Counter(job["state"] for job in ended.values())
    done = [job for job, found in ended.items() if found["state"] == "done"]
    return {
        "accepted": len(jobs),
        "ended": dict(states),
        "done without a picture": sum(pictures[job] == 0 for job in done),
        "done with more than one": sum(pictures[job] > 1 for job in done),
        "pictures of jobs that are not done": sum(n for job, n in pictures.items() if job in ended and job not in done),
        "errors": sorted({found["error"] for found in ended.values() if found["error"]}),
    }


def measure_faults(kills: int, seed: int, database: str, own_server: bool) -> dict[str, Any]:
    """Kill parts of Studio at random moments, print whether every accepted job ended once, and return that."""
    rng = random.Random(seed)
    server = None
    if own_server:
        server = Postgresql(Path(f"/tmp/sfumato-pg-{os.getpid()}"))
        server.start()
        server.create("studio")
        database = server.url("studio")
    with studio(database, "--workers", "2") as running:
        headers = running.log_in()
        with httpx2.Client(base_url=f"{running.url}/api/v1", headers=headers, timeout=30) as http:
            photo = http.post(
                "/pictures", files={"file": ("a.jpg", drawn(1, 640, 480))}, data={"kind": "photo"}
            ).json()["id"]
        accepted: dict[str, str] = {}  # job by idempotency key
        stop = threading.Event()

        def submit() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                key = f"key-{seed}-{number}"
                while not stop.is_set():  # the same key until it is answered
                    with suppress(httpx2.TransportError, ValueError, KeyError):
                        request = {**draft_request(photo, number), "slot": None}
                        answer = httpx2.post(
                            f"{running.url}/api/v1/jobs",
                            json=request,
                            headers={**headers, "Idempotency-Key": key},
                            timeout=20,
                        )
                        if answer.status_code == 202:
                            accepted[key] = answer.json()["id"]
                            break
                    time.sleep(0.2)
                time.sleep(0.3)

        thread = threading.Thread(target=submit, daemon=True)
        thread.start()
        struck: Counter[str] = Counter()
        parts = ["server", "worker", "painter", *(["database"] if server else [])]
        for _ in range(kills):
            time.sleep(rng.uniform(0.5, 4))
            part = rng.choice(parts)
            if part == "database" and server is not None:
                server.stop("immediate")
                time.sleep(rng.uniform(0, 3))
                server.start()
            elif part == "server":
                for one in running.processes()["server"]:
                    os.kill(one, signal.SIGKILL)
                running.process.wait()
                time.sleep(rng.uniform(0, 2))
                running.start()
            else:
                alive = running.processes()[part]
                if not alive:
                    continue
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(alive), signal.SIGKILL)
            struck[part] += 1
            print(f"{sum(struck.values())}: killed {part}; {len(accepted)} jobs accepted", flush=True)
        stop.set()
        thread.join()
        time.sleep(2)
        _wait_for_end(running.url, headers, list(accepted.values()))
        found = _account(running.url, headers, list(accepted.values()))
        found["killed"] = dict(struck)
        found["jobs for more than one key"] = len(accepted) - len(set(accepted.values()))
        print(json.dumps(found, indent=1))
    if server is not None:
        server.stop()
        shutil.rmtree(server.folder)
    return found


def main() -> None:
    """Run the named measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("start")
    load = kinds.add_parser("load")
    load.add_argument("--clients", type=int, default=50)
    load.add_argument("--minutes", type=float, default=10)
    load.add_argument("--database", default="")
    faults = kinds.add_parser("faults")
    faults.add_argument("--kills", type=int, default=30)
    faults.add_argument("--seed", type=int, default=0)
    faults.add_argument("--database", default="")
    faults.add_argument("--postgresql", action="store_true", help="with a server of its own, which is killed too")
    asked = parser.parse_args()
    if asked.kind == "start":
        measure_start()
    elif asked.kind == "load":
        measure_load(asked.clients, asked.minutes, asked.database)
    else:
        measure_faults(asked.kills, asked.seed, asked.database, asked.postgresql)


if __name__ == "__main__":
    main()
