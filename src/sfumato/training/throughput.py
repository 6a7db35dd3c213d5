"""Where a run's time goes, and what would make it faster."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

#: What to try where most of the time, or more than it should, goes into a lap.
ADVICE = {
    "generator": "The networks are what takes the time: a GPU, a smaller crop or a narrower model would help",
    "discriminator": "The discriminator takes the most: fewer of its scales or channels, or a larger "
    "adversarial.penalty_every, would help",
    "data": "Cutting and fitting pictures takes much: a smaller `short_side`, or crops_per_photo above 0, would help",
    "targets": "Features of pictures met for the first time take much: crops_per_photo above 0 keeps them",
    "matching": "Comparing the features of photos and paintings takes much: a smaller crop would help",
    "sharing": "Waiting for the other processes takes much: fewer processes, a larger batch or a faster network "
    "between machines would help",
    "monitor": "The monitor takes much: --set probe_every to more steps",
    "validation": "Validation takes much: --set validate_every to more steps, or validation_pairs to fewer",
    "other": "Logs, samples and checkpoints take much: --set sample_every and checkpoint_every to more steps",
}
#: From this share on, a lap that is not the networks' own is the bottleneck even where theirs are larger.
TOO_MUCH = 0.2
_NETWORKS = ("generator", "discriminator")


@dataclass
class StepTimer:
    """Seconds spent by name: since the last report, and in all."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    all_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    last: float = field(default_factory=time.perf_counter)

    def record(self, name: str) -> None:
        """The time since the last call went into `name`."""
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.all_seconds[name] += now - self.last
        self.last = now

    def shares(self) -> dict[str, float]:
        """Share of each name since the last report, and a fresh start of that."""
        shares = {name: round(share, 3) for name, share in _shares(self.seconds).items()}
        self.seconds.clear()
        return shares

    def restart(self) -> None:
        """Forget all: what was timed so far was not the run."""
        self.seconds.clear()
        self.all_seconds.clear()
        self.last = time.perf_counter()


@dataclass(frozen=True)
class Throughput:
    """What a run has got through: pictures a second, and the share of each lap, the largest first."""

    pictures_per_second: float
    shares: dict[str, float]

    @property
    def bottleneck(self) -> str:
        """The lap that holds the run up."""
        others = {name: share for name, share in self.shares.items() if name not in _NETWORKS and share >= TOO_MUCH}
        return max(others or self.shares, key=lambda name: self.shares[name])

    def lines(self) -> list[str]:
        """The report in words."""
        text = ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items() if share >= 0.005)
        return [
            f"Throughput: {self.pictures_per_second:.1f} pictures a second. Of the time: {text}.",
            f"{ADVICE[self.bottleneck]}.",
        ]


def throughput(timer: StepTimer, pictures: int) -> Throughput | None:
    """Of a run that has seen so many pictures; None where there was no time."""
    seconds = sum(timer.all_seconds.values())
    if not pictures or not seconds:
        return None
    shares = _shares(timer.all_seconds)
    return Throughput(pictures / seconds, dict(sorted(shares.items(), key=lambda item: -item[1])))


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    total = sum(seconds.values()) or 1.0
    return {name: s / total for name, s in seconds.items()}
