"""Styles over time: which styles a video is painted in at a given second, and with which weights."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sfumato.checks import check_range
from sfumato.errors import UsageError
from sfumato.inference.style import Style

#: Latest time of a style in seconds; also the limit of all times that users give.
MAX_SECONDS = 1_000_000.0
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,6}):(\d{1,2}(?:\.\d+)?)")


def parse_seconds(text: str, name: str) -> float:
    """Return a time in seconds: ``"90"``, ``"90s"``, ``"1.5"``, ``"1:30"`` or ``"0:01:30.5"``.

    Args:
        text: the time as the user wrote it.
        name: of the option in an error.

    Raises:
        UsageError: it is no time, is negative, or is later than `MAX_SECONDS`.
    """
    clock = _CLOCK.fullmatch(text)
    try:
        if clock is not None:
            hours, minutes, seconds = clock.groups(default="0")
            found = 3600.0 * int(hours) + 60 * int(minutes) + float(seconds)
        else:
            found = float(text.removesuffix("s"))
    except ValueError:
        raise UsageError(f"{name} must be a time, such as 90, 1:30 or 0:01:30, but is {text[:40]!r}") from None
    if not math.isfinite(found):
        raise UsageError(f"{name} must be a time, such as 90, 1:30 or 0:01:30, but is {text[:40]!r}")
    return check_range(found, 0.0, MAX_SECONDS, name)


@dataclass(frozen=True)
class Schedule:
    """Styles with the times at which each of them is shown alone; between two times, one turns into the other.

    ::

        Schedule(((0.0, Style.named("monet")), (5.0, Style.named("klimt"))))

    Before the first time there is the first style, after the last time the last one. To show a style for some seconds,
    give it twice: ``(0, a), (4, a), (5, b)``.

    Attributes:
        keys: time in seconds, from 0 at the start of the source video, and style; the times rise.

    Raises:
        UsageError: there is no style, or the times do not rise.
    """

    keys: Sequence[tuple[float, Style]]

    def __post_init__(self) -> None:
        if not self.keys:
            raise UsageError("a video needs at least one style")
        times = [check_range(seconds, 0.0, MAX_SECONDS, "the time of a style") for seconds, _ in self.keys]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise UsageError("the times of the styles must rise, as in --style monet:0s --style klimt:5s")
        object.__setattr__(self, "keys", tuple((float(seconds), style) for seconds, style in self.keys))

    @classmethod
    def of(cls, style: Style | Schedule) -> Schedule:
        """Return the schedule of a single style; a schedule is returned unchanged."""
        return style if isinstance(style, Schedule) else cls(((0.0, style),))

    @property
    def styles(self) -> list[Style]:
        """The style of each key, in order."""
        return [style for _, style in self.keys]

    def at(self, seconds: float) -> list[tuple[Style, float]]:
        """Return the styles at a time with their weights: one style, or two whose weights add up to 1.

        Args:
            seconds: time from the start of the source video.
        """
        if seconds <= self.keys[0][0]:
            return [(self.keys[0][1], 1.0)]
        for (begin, first), (end, second) in pairwise(self.keys):
            if seconds < end:
                weight = (seconds - begin) / (end - begin)
                if first is second or weight == 0:
                    return [(first, 1.0)]
                return [(first, 1.0 - weight), (second, weight)]
        return [(self.keys[-1][1], 1.0)]
