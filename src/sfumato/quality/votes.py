"""People's votes from the pages of `quality.blind`, and what they say together."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError, UsageError, first_line
from sfumato.files import read_json
from sfumato.quality.intervals import Interval, bradley_terry, share_interval

FORMAT = "sfumato-votes-1"
CHOICES = ("left", "right", "same")
#: That are counted together: more than any test of ours, and little enough to be ranked at once.
MAX_VOTES = 10_000
MAX_METHODS = 64

_MAX_BYTES = 16_000_000  # of a file: far more than so many votes have
_MAX_SECONDS = 1e9  # of a vote
_EXACT = 1_000  # votes up to which binomial coefficients are summed as whole numbers


@dataclass(frozen=True)
class Vote:
    """What a person chose.

    Attributes:
        content, style: names of the photo and the style picture.
        left, right: the methods.
        choice: ``"left"``, ``"right"`` or ``"same"``.
        seconds: how long it took.
        page, question: of the page that asked.
        voter: who, if they said so.
    """

    content: str
    style: str
    left: str
    right: str
    choice: str
    seconds: float
    page: str
    question: str
    voter: str | None = None


def read_votes(paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[Vote]:
    """The votes of several files, one person's each; of one, where one path is given.

    Raises:
        InputError: a file cannot be read, is damaged, of another format or empty, answers another question than the
            first, or holds the beginning of another's votes (somebody exported twice); or there are more than
            `MAX_VOTES` votes or `MAX_METHODS` methods.
        UsageError: no file.
    """
    named = [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    if not named:
        raise UsageError("there are no files of votes; name those that the page exported")
    files = {path: _read(path) for path in dict.fromkeys(named)}
    first = named[0]
    for path, votes in files.items():
        if votes[0].question != files[first][0].question:
            raise InputError(f"{path} answers another question than {first}; evaluate them apart")
    for (one, some), (other, more) in combinations(files.items(), 2):
        both = zip(some, more, strict=False)
        if all(replace(a, voter=None) == replace(b, voter=None) for a, b in both):  # to a hundredth of a second
            raise InputError(f"{one} and {other} hold the same votes; name the longer one only")
    found = [vote for votes in files.values() for vote in votes]
    if len(found) > MAX_VOTES:
        raise InputError(f"there are {len(found):,} votes, and {MAX_VOTES:,} are counted at most; name fewer files")
    methods = {name for vote in found for name in (vote.left, vote.right)}
    if len(methods) > MAX_METHODS:
        raise InputError(f"the votes name {len(methods):,} methods, and {MAX_METHODS} are ranked at most")
    return found


def _read(path: Path) -> list[Vote]:
    try:
        found = read_json(path, _MAX_BYTES)
    except FileNotFoundError as problem:
        raise InputError(f"cannot read the votes in {path}: {problem.strerror}; check the name") from problem
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or f"it is damaged ({first_line(problem)})"
        raise InputError(f"cannot read the votes in {path}: {reason}; export them again") from problem
    kind = found.get("format") if isinstance(found, dict) else None
    if kind != FORMAT:
        raise InputError(f"{path} is no file of votes: its format is {reprlib.repr(kind)}, not {FORMAT!r}")
    page, question, voter, votes = (found.get(name) for name in ("page", "question", "voter", "votes"))
    if not (isinstance(page, str) and isinstance(question, str) and isinstance(voter, str | None)):
        raise InputError(f"{path} lacks its page or its question; export the votes again")
    if not isinstance(votes, list) or not votes:
        raise InputError(f"{path} holds no vote; vote first, then export")
    if len(votes) > MAX_VOTES:
        raise InputError(f"{path} holds {len(votes):,} votes, and {MAX_VOTES:,} are counted at most")
    return [_vote(path, i, vote, page, question, voter) for i, vote in enumerate(votes, 1)]


def _vote(path: Path, i: int, found: Any, page: str, question: str, voter: str | None) -> Vote:
    names = ("content", "style", "left", "right", "choice")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        raise InputError(f"vote {i} in {path} is damaged: it needs {', '.join(names)}; export the votes again")
    content, style, left, right, choice = (found[name] for name in names)
    if choice not in CHOICES:
        raise InputError(f"vote {i} in {path} chose {reprlib.repr(choice)}, which is none of {', '.join(CHOICES)}")
    if left == right:
        raise InputError(f"vote {i} in {path} is between {reprlib.repr(left)} and itself; remove it")
    seconds = found.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_SECONDS:
        value = reprlib.repr(seconds)
        raise InputError(f"vote {i} in {path} took {value} seconds, which is no time; export the votes again")
    return Vote(content, style, left, right, choice, float(seconds), page, question, voter)


@dataclass(frozen=True)
class Standing:
    """A method's place.

    Attributes:
        strength: Bradley and Terry's, log scale, mean 0 over the methods, with its 95 % interval.
        win_rate: share of its votes that it won; half of one where there was no difference.
        votes: how many it was in.
    """

    method: str
    strength: Interval
    win_rate: float
    votes: int


@dataclass(frozen=True)
class Duel:
    """Votes between two methods: won by the one, by the other, and by neither."""

    one: str
    other: str
    won: int
    lost: int
    same: int


@dataclass(frozen=True)
class Tally:
    """What the votes say together.

    Attributes:
        standings: the strongest method first.
        duels: any two methods that met, in the order of the standings.
        votes: how many there are.
        same: share of votes that saw no difference.
        left: share of the decided votes that chose the left picture, with its 95 % interval (Wilson's): 0.5 where
            sides do not matter. ``None`` where none was decided.
        left_p: two-sided exact binomial p of that share being 0.5.
        agreement: of two votes on the same two pictures, how often they are alike; ``None`` where nothing was judged
            twice.
        seconds: median time of a vote.
        question: what was asked.
    """

    standings: tuple[Standing, ...]
    duels: tuple[Duel, ...]
    votes: int
    same: float
    left: Interval | None
    left_p: float
    agreement: float | None
    seconds: float
    question: str


def tally(votes: Sequence[Vote]) -> Tally:
    """Counts votes and ranks the methods.

    "No difference" is half a win for each. A method that won or lost every vote has a finite strength with a wide
    interval: a weak prior stands in for the votes that are lacking (see `bradley_terry`). Intervals take votes for
    independent, and are too narrow where one person cast many.

    Raises:
        UsageError: no vote, or methods that no chain of votes connects.
    """
    if not votes:
        raise UsageError("there are no votes to count")
    names = sorted({name for vote in votes for name in (vote.left, vote.right)})
    index = {name: i for i, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    same = np.zeros_like(wins)
    for vote in votes:
        i, j = index[vote.left], index[vote.right]
        if vote.choice == "same":
            same[[i, j], [j, i]] += 1
        else:
            wins[(i, j) if vote.choice == "left" else (j, i)] += 1
    _check_connected(names, wins + wins.T + same)
    halves = wins + same / 2
    ranking = bradley_terry(halves)
    order = [int(i) for i in np.argsort(-ranking.strengths, kind="stable")]
    meetings = halves + halves.T
    standings = tuple(
        Standing(
            names[i],
            Interval(float(ranking.strengths[i]), float(ranking.low[i]), float(ranking.high[i])),
            float(halves[i].sum() / meetings[i].sum()),
            int(meetings[i].sum()),
        )
        for i in order
    )
    duels = tuple(
        Duel(names[i], names[j], int(wins[i, j]), int(wins[j, i]), int(same[i, j]))
        for i, j in combinations(order, 2)
        if meetings[i, j]
    )
    lefts, rights = (sum(vote.choice == side for vote in votes) for side in ("left", "right"))
    decided = lefts + rights
    return Tally(
        standings,
        duels,
        len(votes),
        1 - decided / len(votes),
        share_interval(lefts / decided, decided) if decided else None,
        _even_odds_p(lefts, decided),
        _agreement(votes),
        float(np.median([vote.seconds for vote in votes])),
        votes[0].question,
    )


def _check_connected(names: Sequence[str], meetings: npt.NDArray[np.float64]) -> None:
    reached, fresh = {0}, {0}
    while fresh:
        fresh = {int(j) for i in fresh for j in np.flatnonzero(meetings[i])} - reached
        reached |= fresh
    if apart := [name for i, name in enumerate(names) if i not in reached]:
        raise UsageError(
            f"no chain of votes connects {reprlib.repr(names[0])} with {reprlib.repr(apart[0])}, so they have no "
            "common scale; collect votes between their groups"
        )


def _even_odds_p(k: int, n: int) -> float:
    """Two-sided exact p of k heads in n throws of a fair coin; 1 where n is 0."""
    k = min(k, n - k)
    if n <= _EXACT:
        return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / (1 << n))
    # The last term by logarithms, and the others as shares of it: each is i / (n - i + 1) of the one above it.
    log_last = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    share = total = 1.0
    for i in range(k, 0, -1):
        share *= i / (n - i + 1)
        total += share
        if share < 1e-17 * total:
            break
    return min(1.0, 2 * math.exp(log_last) * total)


def _agreement(votes: Sequence[Vote]) -> float | None:
    winners: dict[tuple[str, str, frozenset[str]], dict[str, int]] = {}
    for vote in votes:
        earlier = winners.setdefault((vote.content, vote.style, frozenset({vote.left, vote.right})), {})
        winner = {"left": vote.left, "right": vote.right, "same": ""}[vote.choice]
        earlier[winner] = earlier.get(winner, 0) + 1
    alike = sum(math.comb(n, 2) for earlier in winners.values() for n in earlier.values())
    twos = sum(math.comb(sum(earlier.values()), 2) for earlier in winners.values())
    return alike / twos if twos else None
