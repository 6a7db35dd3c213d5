"""Keep Studio at 95 % of the load that it can bear, and watch its memory and its answers.

usage: load.py [--minutes 60] [--clients 8] [--workers 2] [--database URL]

First each client asks for drafts one after another for a minute or more: jobs that end in a second are the peak. Then
the clients together ask at 95 % of that, by the clock, for the given time. No answer may be an error, each accepted job
must end once with one picture, and the memory of server, workers and painters in the last third must be within 10 % of
that in the first, of the time after the first tenth. Everything runs on one machine: clients take a part of the peak.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from running_studio import Running, studio
from studio import _account, _wait_for_end, draft_request, drawn, rss

ENDED = ("done", "failed", "cancelled")


class Clients:
    """Clients of one Studio, each with its photo."""

    def __init__(self, running: Running, headers: dict[str, str], count: int) -> None:
        self.running, self.headers, self.count = running, headers, count
        self.accepted: list[str] = []
        self.ended: list[float] = []
        self.problems: Counter[str] = Counter()
        self.asked = 0
        self._lock = threading.Lock()

    def run(self, seconds: float, pause: float = 0.0) -> list[dict[str, float]]:
        """Ask for drafts for so long, each ``pause`` seconds one of the clients; 0: each as fast as it can.

        Returns:
            The megabytes of each part of Studio, each second.
        """
        began = time.monotonic()
        end = began + seconds
        turns = iter(range(10**9))

        def client(number: int) -> None:
            with httpx2.Client(base_url=f"{self.running.url}/api/v1", headers=self.headers, timeout=60) as http:
                file = {"file": ("a.jpg", drawn(number, 320, 240))}
                photo = self._answer(http.post("/pictures", files=file, data={"kind": "photo"}))["id"]
                while True:
                    with self._lock:
                        turn = next(turns)
                    due = began + turn * pause
                    if max(due, time.monotonic()) >= end:
                        return
                    time.sleep(max(0.0, due - time.monotonic()))
                    self._draft(http, photo)

        threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(self.count)]
        for thread in threads:
            thread.start()
        memory = []
        while time.monotonic() < end:
            memory.append({part: rss(ids) / 1e6 for part, ids in self.running.processes().items()})
            time.sleep(1)
        for thread in threads:
            thread.join(120)
        return memory

    def _draft(self, http: httpx2.Client, photo: str) -> None:
        with self._lock:
            self.asked += 1
            number = self.asked
        try:
            job = self._answer(http.post("/jobs", json={**draft_request(photo, number), "slot": None}))
            self.accepted.append(job["id"])
            while job["state"] not in ENDED:
                time.sleep(0.1)
                job = self._answer(http.get(f"/jobs/{job['id']}"))
            self.ended.append(time.monotonic())
            if job["state"] == "done":
                http.get(f"/pictures/{job['result']['picture']}/thumb").raise_for_status()
            else:
                self.problems[f"{job['state']}: {job['error']}"] += 1
        except (httpx2.HTTPError, KeyError) as problem:
            self.problems[repr(problem)[:200]] += 1

    def _answer(self, answer: httpx2.Response) -> Any:
        answer.raise_for_status()
        return answer.json()


def flatness(memory: list[dict[str, float]]) -> dict[str, str]:
    """Return the megabytes of each part in the first and the last third after the first tenth, and their change."""
    kept = memory[len(memory) // 10 :]
    third = max(1, len(kept) // 3)
    found = {}
    for part in kept[0]:
        first, last = (statistics.mean(each[part] for each in some) for some in (kept[:third], kept[-third:]))
        found[part] = f"{first:.0f} MB, then {last:.0f} MB ({last / first - 1 if first else 0:+.1%})"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--database", default="")
    asked = parser.parse_args()
    with studio(asked.database, "--workers", str(asked.workers)) as running:
        headers = running.log_in()
        clients = Clients(running, headers, asked.clients)
        clients.run(20)  # the painters load their models
        clients.ended.clear()
        seconds = max(60.0, 6 * asked.minutes)
        began = time.monotonic()
        clients.run(seconds)
        peak = len(clients.ended) / (max(clients.ended) - began)
        print(f"peak: {peak:.2f} drafts/s of {asked.clients} clients in {seconds:.0f} s", flush=True)
        clients.ended.clear()
        began = time.monotonic()
        memory = clients.run(60 * asked.minutes, 1 / (0.95 * peak))
        rate = len(clients.ended) / (max(clients.ended) - began)
        print(
            f"{asked.minutes:g} minutes at 95 %: {rate:.2f} drafts/s ended ({rate / peak:.0%} of the peak)", flush=True
        )
        _wait_for_end(running.url, headers, clients.accepted)
        account = _account(running.url, headers, clients.accepted)
        found = flatness(memory)
        print(json.dumps({"memory": found, "problems": clients.problems, "jobs": account}, indent=1))
        log = (running.data.parent / "log").read_text()
        errors = [line for line in log.splitlines() if '"level": "error"' in line.lower() or "Traceback" in line]
        print(f"errors in the log: {len(errors)}", *errors[:3], sep="\n")
    kept = [float(text.rpartition("(")[2].rstrip("%)")) for text in found.values()]
    good = not clients.problems and not errors and account["ended"] == {"done": account["accepted"]}
    good &= not any(value for key, value in account.items() if "picture" in key or key == "errors")
    good &= max(map(abs, kept)) <= 10
    print("good" if good else "NOT good")
    sys.exit(not good)


if __name__ == "__main__":
    main()
