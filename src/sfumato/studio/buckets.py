"""Token buckets: how often something may happen, with short bursts."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict

from sfumato.studio.problems import RefusedError

_MOST = 10_000  # buckets that are kept; the one that was used longest ago is forgotten, which refills it


class Buckets:
    """One bucket for each key, such as an account or an address.

    Args:
        burst: times that it may happen at once.
        rate: times a second in the long run.
    """

    def __init__(self, burst: float, rate: float) -> None:
        self.burst = burst
        self.rate = rate
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, sentence: str) -> None:
        """Count one time.

        Raises:
            RefusedError: it happened too often; the answer says when to try again.
        """
        at = time.monotonic()
        with self._lock:
            level, then = self._levels.pop(key, (self.burst, at))
            level = min(self.burst, level + (at - then) * self.rate)
            self._levels[key] = (level - 1 if level >= 1 else level, at)
            if len(self._levels) > _MOST:
                self._levels.popitem(last=False)
        if level < 1:
            raise RefusedError(429, sentence, retry=max(1, math.ceil((1 - level) / self.rate)))
