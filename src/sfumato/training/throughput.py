"""The time that each part of a run takes, and advice to make the run faster."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Advice for the part of a run that is its bottleneck.
ADVICE = {
    "generator": "The generator takes most of the time: a GPU, a smaller crop or a narrower model would help",
    "discriminator": "The discriminator takes most of the time: fewer of its scales or channels, or a larger "
    "adversarial.penalty_every, would help",
    "data": "Cropping and resizing pictures takes much time: a smaller `short_side`, or crops_per_photo above 0, "
    "would help",
    "targets": "Computing features of new crops takes much time: crops_per_photo above 0 caches them",
    "matching": "Matching the features of photos and paintings takes much time: a smaller crop would help",
    "sharing": "Waiting for the other processes takes much time: fewer processes, a larger batch or a faster network "
    "between machines would help",
    "monitor": "The monitor takes much time: --set probe_every to more steps",
    "validation": "Validation takes much time: --set validate_every to more steps, or validation_pairs to fewer",
    "other": "Logs, samples and checkpoints take much time: --set sample_every and checkpoint_every to more steps",
}
#: A part other than the networks with at least this share of the time is the bottleneck.
TOO_MUCH = 0.2
_NETWORKS = ("generator", "discriminator")


@dataclass
class StepTimer:
    """The seconds spent in each part of a run, by name."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # since the last report
    all_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # in total
    last: float = field(default_factory=time.perf_counter)  # time of the last call of `record`

    def record(self, name: str) -> None:
        """Add the time since the last call to the part `name`."""
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.all_seconds[name] += now - self.last
        self.last = now

    def shares(self) -> dict[str, float]:
        """Return each part's share of the time since the last call of this method."""
        shares = {name: round(share, 3) for name, share in _shares(self.seconds).items()}
        self.seconds.clear()
        return shares

    def restart(self) -> None:
        """Forget all times, which were not part of the run."""
        self.seconds.clear()
        self.all_seconds.clear()
        self.last = time.perf_counter()


@dataclass(frozen=True)
class Throughput:
    """The throughput of a run."""

    pictures_per_second: float
    shares: dict[str, float]  # share of the time by part, the largest first

    @property
    def bottleneck(self) -> str:
        """The part of the run that limits its throughput."""
        others = {name: share for name, share in self.shares.items() if name not in _NETWORKS and share >= TOO_MUCH}
        return max(others or self.shares, key=lambda name: self.shares[name])

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        text = ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items() if share >= 0.005)
        return [
            f"Throughput: {self.pictures_per_second:.1f} pictures a second. Shares of the time: {text}.",
            f"{ADVICE[self.bottleneck]}.",
        ]


def throughput(timer: StepTimer, pictures: int) -> Throughput | None:
    """Return the throughput of a run after `pictures` samples; None before the first one."""
    seconds = sum(timer.all_seconds.values())
    if not pictures or not seconds:
        return None
    shares = _shares(timer.all_seconds)
    return Throughput(pictures / seconds, dict(sorted(shares.items(), key=lambda item: -item[1])))


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    total = sum(seconds.values()) or 1.0
    return {name: s / total for name, s in seconds.items()}
