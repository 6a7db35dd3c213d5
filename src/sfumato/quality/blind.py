"""A blind test of methods: people choose between two pictures at a time and do not know whose they are."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError, UsageError
from sfumato.files import atomic_file
from sfumato.image import Picture, as_jpeg_text, read_image, resize, thumbnail_size
from sfumato.quality.intervals import Interval, bradley_terry, share_interval
from sfumato.quality.pairs import Pair

FORMAT = "sfumato-votes-1"
QUESTION = "Which picture is the better painting of the photo in the style of the style picture?"
CHOICES = ("left", "right", "same")
_QUALITY = 92  # of the page's JPEGs


# ---- the page --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """Two methods' pictures of a pair, as they are laid side by side."""

    pair: Pair
    left: str
    right: str


def plan_trials(methods: Sequence[str], pairs: Sequence[Pair], seed: int = 0, count: int | None = None) -> list[Trial]:
    """Draws what is shown, in its order.

    Any two methods meet equally often, each as often on the left, and every pair is shown equally often: all to within
    one. No two methods meet twice on a pair.

    Args:
        count: trials; all that there are by default.

    Raises:
        UsageError: fewer than two methods, no pair, or more trials than there are.
    """
    if len(methods) < 2 or not pairs:
        raise UsageError(f"a blind test needs 2 methods and 1 pair or more, but has {len(methods)} and {len(pairs)}")
    duels = list(combinations(methods, 2))
    total = len(duels) * len(pairs)
    count = total if count is None else count
    if not 1 <= count <= total:
        raise UsageError(
            f"{len(methods)} methods and {len(pairs)} pairs make 1 to {total} trials, but {count} are asked"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pairs))
    trials = []
    dealt = 0
    for place, duel in enumerate(rng.permutation(len(duels))):
        share = count // len(duels) + (place < count % len(duels))
        swapped = rng.permutation((np.arange(share) + rng.integers(2)) % 2)
        for swap in swapped:
            one, other = duels[duel][::-1] if swap else duels[duel]
            trials.append(Trial(pairs[order[dealt % len(pairs)]], one, other))
            dealt += 1
    return [trials[i] for i in rng.permutation(count)]


def write_page(
    path: Path,
    methods: Mapping[str, Callable[[Pair], Picture]],
    pairs: Sequence[Pair],
    question: str = QUESTION,
    seed: int = 0,
    count: int | None = None,
    side: int = 512,
) -> str:
    """Writes the test as one HTML file, whole or not at all, that needs no network.

    It shows a photo, a style picture and two methods' pictures at a time, keeps the votes in the browser, and saves
    them as ``votes-<id>.json``, which `read_votes` reads.

    Args:
        methods: what gives each method's picture of a pair, ``(1, 3, H, W)``; each is asked for once.
        pairs: what the methods painted.
        question: what is asked, on the page and in the votes. State it before anybody looks.
        seed: of what is shown, in which order and on which side; see `plan_trials`.
        count: trials; all that there are by default.
        side: pixels, longer side of the photos and style pictures, which are never enlarged. Stylised pictures are
            brought to their photo's size, so that no size tells whose they are.

    The names of methods and files lie in the page in base64, so that the votes can bear them: not to be read at a
    glance, but no secret from who looks for them.

    Returns:
        The page's id, a hash of its trials, pictures and question, which its votes bear.

    Raises:
        UsageError: trials that cannot be planned, no question, or a side outside 64 to 4096.
    """
    if not question.strip():
        raise UsageError("a blind test needs a question; state it before anybody looks")
    if not 64 <= side <= 4096:
        raise UsageError(f"the longer side of the page's pictures must be 64 to 4096 pixels, but is {side}")
    trials = plan_trials(list(methods), pairs, seed, count)
    pictures: list[str] = []  # in the order of their first use, which does not tell whose they are
    numbers: dict[tuple[str, Path | Pair], int] = {}
    sizes: dict[Path, tuple[int, int]] = {}

    def file(path: Path) -> int:
        if ("", path) not in numbers:
            picture = read_image(path)
            sizes[path] = thumbnail_size(picture.shape[2], picture.shape[3], side, side)
            numbers["", path] = _add(pictures, picture, sizes[path])
        return numbers["", path]

    def painted(method: str, pair: Pair) -> int:
        if (method, pair) not in numbers:
            numbers[method, pair] = _add(pictures, methods[method](pair), sizes[pair.content])
        return numbers[method, pair]

    shown = [
        [file(t.pair.content), file(t.pair.style), painted(t.left, t.pair), painted(t.right, t.pair)] for t in trials
    ]
    key = [[t.pair.content.name, t.pair.style.name, t.left, t.right] for t in trials]
    digests = [hashlib.sha256(picture.encode()).hexdigest() for picture in pictures]
    page = hashlib.sha256(json.dumps([question, key, shown, digests]).encode()).hexdigest()[:12]
    data = {
        "format": FORMAT,
        "page": page,
        "question": question,
        "key": base64.b64encode(json.dumps(key).encode()).decode(),
        "trials": shown,
        "pictures": pictures,
    }
    # "<" could end the script element.
    block = json.dumps(data).replace("<", "\\u003c")
    parts = {"question": escape(question), "style": _STYLE, "script": _SCRIPT, "data": block}
    html = re.sub(r"\{(question|style|script|data)\}", lambda found: parts[found[1]], _PAGE)
    with atomic_file(path) as out:
        out.write(html.encode())
    return page


def _add(pictures: list[str], x: Picture, size: tuple[int, int]) -> int:
    """Appends a picture as a JPEG in base64; its number."""
    pictures.append(as_jpeg_text(resize(x, *size), _QUALITY, subsampling=0))
    return len(pictures) - 1


_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.4 system-ui,sans-serif;margin:0 auto;padding:.5em 1em;max-width:1100px;text-align:center}
h1{font-size:1.25em;margin:.3em}p{margin:.3em}figure{margin:0}figcaption{font-size:.85em}
img{display:block;margin:0 auto;max-width:100%;height:auto;object-fit:contain}
.row{display:grid;grid-template-columns:1fr 1fr;gap:.5em;margin:.5em 0}
.given img{max-height:24vh}.made img{max-height:52vh}
.votes{position:sticky;bottom:0;display:flex;flex-wrap:wrap;gap:.5em;justify-content:center;padding:.5em;
background:Canvas}
button{font:inherit;min-height:44px;padding:0 1.2em}input{font:inherit;max-width:12em}
[hidden]{display:none}
@media (max-width:600px){.made{grid-template-columns:1fr}.votes{gap:.3em}.votes button{flex:1 1 auto;padding:0 .3em}}
"""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none';img-src data:;style-src 'unsafe-inline';script-src 'unsafe-inline'">
<title>Which picture?</title>
<style>{style}</style>
<main>
<h1>{question}</h1>
<p id="progress" role="status"></p>
<div id="trial">
<div class="row given">
<figure><img id="photo" alt="The photo"><figcaption>Photo</figcaption></figure>
<figure><img id="style" alt="The style picture"><figcaption>Style picture</figcaption></figure>
</div>
<div class="row made">
<figure><img id="left" alt="Picture A"><figcaption>A</figcaption></figure>
<figure><img id="right" alt="Picture B"><figcaption>B</figcaption></figure>
</div>
</div>
<div class="votes">
<button type="button" id="vote-left">← A</button>
<button type="button" id="vote-same">↓ No difference</button>
<button type="button" id="vote-right">B →</button>
<button type="button" id="undo">Undo</button>
</div>
<p>Keys: ← A, → B, ↓ no difference, Backspace to undo.</p>
<p><label>Your name, if you like: <input id="voter" autocomplete="off"></label>
<button type="button" id="export">Export votes</button></p>
</main>
<script type="application/json" id="page">{data}</script>
<script>{script}</script>
</html>
"""

# `state.votes[i]` is the choice and the seconds of trial i; the trial shown is the first without a vote.
_SCRIPT = """
"use strict";
const at = id => document.getElementById(id);
const page = JSON.parse(at("page").textContent);
const place = "sfumato-votes-" + page.page;
const state = {voter: "", votes: []};
let since = 0;
try {
  Object.assign(state, JSON.parse(localStorage.getItem(place)));
} catch { /* a browser that keeps nothing: the votes last as long as the page is open */ }

function keep() {
  try { localStorage.setItem(place, JSON.stringify(state)); } catch { /* as above */ }
}

function show() {
  const done = state.votes.length, all = page.trials.length, open = done < all;
  at("progress").textContent = open ? `${done + 1} of ${all}`
    : `All ${all} are judged, thank you. Export the votes and send the file to who asked you.`;
  at("trial").hidden = !open;
  for (const choice of ["left", "same", "right"]) at("vote-" + choice).disabled = !open;
  at("undo").disabled = at("export").disabled = done === 0;
  if (open) ["photo", "style", "left", "right"].forEach((id, i) => {
    at(id).src = "data:image/jpeg;base64," + page.pictures[page.trials[done][i]];
  });
  else at("export").focus();
  since = performance.now();
}

function vote(choice) {
  if (state.votes.length === page.trials.length) return;
  state.votes.push([choice, Math.round((performance.now() - since) / 10) / 100]);
  keep();
  show();
}

function undo() {
  if (!state.votes.length) return;
  state.votes.pop();
  keep();
  show();
}

function save() {
  const bytes = Uint8Array.from(atob(page.key), letter => letter.charCodeAt(0));
  const key = JSON.parse(new TextDecoder().decode(bytes));
  const file = {format: page.format, page: page.page, question: page.question};
  if (state.voter) file.voter = state.voter;
  file.votes = state.votes.map(([choice, seconds], i) => {
    const [content, style, left, right] = key[i];
    return {content, style, left, right, choice, seconds};
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], {type: "application/json"}));
  link.download = `votes-${page.page}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

for (const choice of ["left", "same", "right"]) at("vote-" + choice).addEventListener("click", () => vote(choice));
at("undo").addEventListener("click", undo);
at("export").addEventListener("click", save);
at("voter").value = state.voter;
at("voter").addEventListener("input", () => { state.voter = at("voter").value.trim(); keep(); });
document.addEventListener("keydown", event => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.target === at("voter")) return;
  const choice = {ArrowLeft: "left", ArrowDown: "same", ArrowRight: "right"}[event.key];
  if (!choice && event.key !== "Backspace") return;
  event.preventDefault();
  if (choice) vote(choice); else undo();
});
show();
"""


# ---- the votes -------------------------------------------------------------------------------------------------------


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


def read_votes(paths: Sequence[Path]) -> list[Vote]:
    """The votes of several files, one person's each.

    Raises:
        InputError: a file cannot be read, is damaged, of another format or empty, answers another question than the
            first, or holds the beginning of another's votes (somebody exported twice).
        UsageError: no file.
    """
    if not paths:
        raise UsageError("there are no files of votes; name those that the page exported")
    files = {path: _read(path) for path in dict.fromkeys(paths)}
    first = paths[0]
    for path, votes in files.items():
        if votes[0].question != files[first][0].question:
            raise InputError(f"{path} answers another question than {first}; evaluate them apart")
    for (one, some), (other, more) in combinations(files.items(), 2):
        both = zip(some, more, strict=False)
        if all(replace(a, voter=None) == replace(b, voter=None) for a, b in both):  # to a hundredth of a second
            raise InputError(f"{one} and {other} hold the same votes; name the longer one only")
    return [vote for votes in files.values() for vote in votes]


def _read(path: Path) -> list[Vote]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        reason = getattr(problem, "strerror", None) or "it is damaged"
        raise InputError(f"cannot read the votes in {path}: {reason}; export them again") from problem
    kind = found.get("format") if isinstance(found, dict) else None
    if kind != FORMAT:
        raise InputError(f"{path} is no file of votes: its format is {kind!r}, not {FORMAT!r}")
    page, question, voter, votes = (found.get(name) for name in ("page", "question", "voter", "votes"))
    if not (isinstance(page, str) and isinstance(question, str) and isinstance(voter, str | None)):
        raise InputError(f"{path} lacks its page or its question; export the votes again")
    if not isinstance(votes, list) or not votes:
        raise InputError(f"{path} holds no vote; vote first, then export")
    return [_vote(path, i, vote, page, question, voter) for i, vote in enumerate(votes, 1)]


def _vote(path: Path, i: int, found: Any, page: str, question: str, voter: str | None) -> Vote:
    names = ("content", "style", "left", "right", "choice")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        raise InputError(f"vote {i} in {path} is damaged: it needs {', '.join(names)}; export the votes again")
    content, style, left, right, choice = (found[name] for name in names)
    if choice not in CHOICES:
        raise InputError(f"vote {i} in {path} chose {choice!r}, which is none of {', '.join(CHOICES)}")
    if left == right:
        raise InputError(f"vote {i} in {path} is between {left!r} and itself; remove it")
    seconds = found.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise InputError(f"vote {i} in {path} took {seconds!r} seconds, which is no time; export the votes again")
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
            f"no chain of votes connects {names[0]!r} with {apart[0]!r}, so they have no common scale; "
            "collect votes between their groups"
        )


def _even_odds_p(k: int, n: int) -> float:
    """Two-sided exact p of k heads in n throws of a fair coin; 1 where n is 0."""
    tail = sum(math.comb(n, i) for i in range(min(k, n - k) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _agreement(votes: Sequence[Vote]) -> float | None:
    winners: dict[tuple[str, str, frozenset[str]], dict[str, int]] = {}
    for vote in votes:
        seen = winners.setdefault((vote.content, vote.style, frozenset({vote.left, vote.right})), {})
        winner = {"left": vote.left, "right": vote.right, "same": ""}[vote.choice]
        seen[winner] = seen.get(winner, 0) + 1
    alike = sum(math.comb(n, 2) for seen in winners.values() for n in seen.values())
    twos = sum(math.comb(sum(seen.values()), 2) for seen in winners.values())
    return alike / twos if twos else None
