"""Progress of a painting: the completed share, and the current step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sfumato.errors import UsageError

#: Callback, called with the completed share, from 0 to 1, which never falls, and the next step in a few words.
Progress: TypeAlias = Callable[[float, str], object]


def check_progress(progress: object) -> None:
    """Raise UsageError for anything but a function and None."""
    if progress is not None and not callable(progress):
        raise UsageError(
            f"progress must be a function of the completed share and the next step, but is {progress!r:.80}"
        )


def portion(progress: Progress | None, start: float, end: float) -> Progress | None:
    """Return the progress of a part of the work, whose shares 0 to 1 become ``start`` to ``end`` of the whole."""
    if progress is None:
        return None
    whole = progress
    return lambda share, doing: whole(start + (end - start) * share, doing)


class Work:
    """The progress of one painting among those that make up a picture.

    `plan` sets the total amount in any unit, `did` adds to the completed amount.
    """

    def __init__(self, progress: Progress | None, together: list[Work]) -> None:
        """Create the work of one painting; ``together`` lists all paintings of the picture, with equal weights."""
        self._progress, self._together = progress, together
        self._planned = self._done = 0.0

    @classmethod
    def of(cls, paintings: int, progress: Progress | None) -> list[Work]:
        """Return the work of each of several paintings that make up one picture."""
        together: list[Work] = []
        together.extend(cls(progress, together) for _ in range(paintings))
        return together

    @property
    def share(self) -> float:
        """The completed share of this painting, from 0 to 1."""
        return min(1.0, self._done / self._planned) if self._planned else 0.0

    def plan(self, amount: float) -> None:
        """Set the total amount, before the first step."""
        self._planned = amount

    def begin(self, doing: str) -> None:
        """Report the next step. An exception that the callback raises ends the painting."""
        if self._progress is not None:
            self._progress(sum(work.share for work in self._together) / len(self._together), doing)

    def did(self, amount: float) -> None:
        """Add to the completed amount."""
        self._done += amount
