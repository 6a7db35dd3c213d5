"""How far a picture is, told while it is painted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sfumato.errors import UsageError

#: Is called with the share that is done, from 0 to 1, which never falls, and with what is being done, in a few words.
Progress: TypeAlias = Callable[[float, str], object]


def check_progress(progress: object) -> None:
    """Raise UsageError for anything but a function and None."""
    if progress is not None and not callable(progress):
        raise UsageError(
            f"progress must be a function of the share that is done and what is done next, but is {progress!r:.80}"
        )


def portion(progress: Progress | None, start: float, end: float) -> Progress | None:
    """Return the progress of a part of the work, which is what ``progress`` is told from ``start`` to ``end``."""
    if progress is None:
        return None
    whole = progress
    return lambda share, doing: whole(start + (end - start) * share, doing)


class Work:
    """One painting's share of the work on a picture: it plans an amount, in any unit, and then does it in steps."""

    def __init__(self, progress: Progress | None, together: list[Work]) -> None:
        """``together``: all paintings of the picture, this one among them; each counts alike."""
        self._progress, self._together = progress, together
        self._planned = self._done = 0.0

    @classmethod
    def of(cls, paintings: int, progress: Progress | None) -> list[Work]:
        """The work of so many paintings that make one picture."""
        together: list[Work] = []
        together.extend(cls(progress, together) for _ in range(paintings))
        return together

    @property
    def share(self) -> float:
        return min(1.0, self._done / self._planned) if self._planned else 0.0

    def plan(self, amount: float) -> None:
        """Before the first step: what will have been done at the end."""
        self._planned = amount

    def begin(self, doing: str) -> None:
        """Tells what is done next. What `progress` raises ends the painting."""
        if self._progress is not None:
            self._progress(sum(work.share for work in self._together) / len(self._together), doing)

    def did(self, amount: float) -> None:
        self._done += amount
