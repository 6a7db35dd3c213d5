"""The votes from the pages of `quality.blind`, and their evaluation."""

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
#: Limits of one evaluation: larger than any of our tests, and small enough to be ranked without delay.
MAX_VOTES = 10_000
MAX_METHODS = 64

_MAX_BYTES = 16_000_000  # size of a file: far more than `MAX_VOTES` votes need
_MAX_SECONDS = 1e9  # time of one vote
_EXACT = 1_000  # votes up to which binomial coefficients are summed as whole numbers


@dataclass(frozen=True)
class Vote:
    """One person's vote in one trial.

    Attributes:
        content: File name of the photo.
        style: File name of the style picture.
        left: Method of the left picture.
        right: Method of the right picture.
        choice: ``"left"``, ``"right"`` or ``"same"``.
        seconds: Time that the person took.
        page: Id of the page.
        question: Question of the page.
        voter: Name of the person; None if not given.
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
    """Read the votes of one or several files, each of one person.

    Raises:
        InputError: A file cannot be read, is damaged, has another format or no vote, answers another question than the
            first, or starts with the same votes as another file (two exports of one person); or there are more than
            `MAX_VOTES` votes or `MAX_METHODS` methods.
        UsageError: There is no file.
    """
    named = [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    if not named:
        raise UsageError("there are no files of votes; name the files that the page exported")
    files = {path: _read(path) for path in dict.fromkeys(named)}
    first = named[0]
    for path, votes in files.items():
        if votes[0].question != files[first][0].question:
            raise InputError(f"{path} answers another question than {first}; evaluate them separately")
    for (one, some), (other, more) in combinations(files.items(), 2):
        both = zip(some, more, strict=False)
        # Votes contain their time to a hundredth of a second, so two people never cast equal ones.
        if all(replace(a, voter=None) == replace(b, voter=None) for a, b in both):
            raise InputError(f"{one} and {other} hold the same votes; name the longer one only")
    found = [vote for votes in files.values() for vote in votes]
    if len(found) > MAX_VOTES:
        raise InputError(f"there are {len(found):,} votes, but at most {MAX_VOTES:,} are allowed; name fewer files")
    methods = {name for vote in found for name in (vote.left, vote.right)}
    if len(methods) > MAX_METHODS:
        raise InputError(
            f"the votes name {len(methods):,} methods, but at most {MAX_METHODS} are allowed; name fewer files"
        )
    return found


def _read(path: Path) -> list[Vote]:
    """Read and check one file of votes."""
    try:
        found = read_json(path, _MAX_BYTES)
    except FileNotFoundError as problem:
        raise InputError(f"cannot read the votes in {path}: {problem.strerror}; check the name") from problem
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or f"it is damaged ({first_line(problem)})"
        raise InputError(f"cannot read the votes in {path}: {reason}; export them again") from problem
    kind = found.get("format") if isinstance(found, dict) else None
    if kind != FORMAT:
        raise InputError(
            f"{path} is no file of votes: its format is {reprlib.repr(kind)}, not {FORMAT!r}; name an exported file"
        )
    page, question, voter, votes = (found.get(name) for name in ("page", "question", "voter", "votes"))
    if not (isinstance(page, str) and isinstance(question, str) and isinstance(voter, str | None)):
        raise InputError(f"{path} lacks the page's id or its question; export the votes again")
    if not isinstance(votes, list) or not votes:
        raise InputError(f"{path} holds no vote; vote first, then export")
    if len(votes) > MAX_VOTES:
        raise InputError(f"{path} holds {len(votes):,} votes, but at most {MAX_VOTES:,} are allowed; remove some")
    return [_vote(path, i, vote, page, question, voter) for i, vote in enumerate(votes, 1)]


def _vote(path: Path, i: int, found: Any, page: str, question: str, voter: str | None) -> Vote:
    """Check one vote of a file; ``i`` counts from 1."""
    names = ("content", "style", "left", "right", "choice")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        raise InputError(f"vote {i} in {path} is damaged: it needs {', '.join(names)}; export the votes again")
    content, style, left, right, choice = (found[name] for name in names)
    if choice not in CHOICES:
        raise InputError(
            f"the choice of vote {i} in {path} is {reprlib.repr(choice)}, but must be one of {', '.join(CHOICES)}"
        )
    if left == right:
        raise InputError(f"vote {i} in {path} is between {reprlib.repr(left)} and itself; remove it")
    seconds = found.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_SECONDS:
        value = reprlib.repr(seconds)
        raise InputError(
            f"vote {i} in {path} took {value} seconds, but this must be a number of 0 or more; export the votes again"
        )
    return Vote(content, style, left, right, choice, float(seconds), page, question, voter)


@dataclass(frozen=True)
class Standing:
    """The rank of one method.

    Attributes:
        method: Name of the method.
        strength: Bradley-Terry strength on a log scale, mean 0 over the methods, with its 95 % interval.
        win_rate: Share of its votes that the method won; "no difference" counts as half a win.
        votes: Number of votes with this method.
    """

    method: str
    strength: Interval
    win_rate: float
    votes: int


@dataclass(frozen=True)
class Duel:
    """The votes between two methods: ``won`` by ``one``, ``lost`` to ``other``, and ``same`` without a difference."""

    one: str
    other: str
    won: int
    lost: int
    same: int


@dataclass(frozen=True)
class Tally:
    """The evaluation of all votes.

    Attributes:
        standings: The methods, strongest first.
        duels: The votes between any two methods that met, in the order of the standings.
        votes: Number of votes.
        same: Share of votes without a difference.
        left: Share of the decided votes for the left picture, with its 95 % interval (Wilson's): 0.5 where the side
            has no influence. None where no vote was decided.
        left_p: Two-sided exact binomial p-value of this share being 0.5.
        agreement: Share of equal votes among all pairs of votes on the same two pictures; None without such pairs.
        seconds: Median time of a vote.
        question: The question of the page.
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
    """Count votes and rank the methods.

    "No difference" is half a win for each method. A weak prior gives a method that won or lost every vote a finite
    strength with a wide interval (see `bradley_terry`). Intervals assume independent votes, and are too narrow where
    one person cast many.

    Raises:
        UsageError: There is no vote, or no chain of votes connects two methods.
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
    """Check that chains of votes connect all methods, without which they have no common scale."""
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
    """Return the two-sided exact p-value of k heads in n throws of a fair coin; 1 where n is 0."""
    k = min(k, n - k)
    if n <= _EXACT:
        return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / (1 << n))
    # The largest term comes from logarithms; the term i - 1 is i / (n - i + 1) times the term i.
    log_last = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    share = total = 1.0
    for i in range(k, 0, -1):
        share *= i / (n - i + 1)
        total += share
        if share < 1e-17 * total:
            break
    return min(1.0, 2 * math.exp(log_last) * total)


def _agreement(votes: Sequence[Vote]) -> float | None:
    """Return the share of equal votes among all pairs of votes on the same two pictures; None without such a pair."""
    winners: dict[tuple[str, str, frozenset[str]], dict[str, int]] = {}
    for vote in votes:
        earlier = winners.setdefault((vote.content, vote.style, frozenset({vote.left, vote.right})), {})
        winner = {"left": vote.left, "right": vote.right, "same": ""}[vote.choice]
        earlier[winner] = earlier.get(winner, 0) + 1
    alike = sum(math.comb(n, 2) for earlier in winners.values() for n in earlier.values())
    twos = sum(math.comb(sum(earlier.values()), 2) for earlier in winners.values())
    return alike / twos if twos else None
