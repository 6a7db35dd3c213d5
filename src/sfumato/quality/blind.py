"""A blind test of methods: people choose between two pictures without knowing which methods made them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from sfumato.errors import UsageError
from sfumato.files import atomic_file
from sfumato.html import render
from sfumato.image import Picture, as_jpeg_text, read_image, resize, thumbnail_size
from sfumato.quality.pairs import Pair
from sfumato.quality.votes import FORMAT
from sfumato.text import as_utf8

QUESTION = "Which picture is the better painting of the photo in the style of the style picture?"
_QUALITY = 92  # JPEG quality of the page's pictures


@dataclass(frozen=True)
class BlindTrial:
    """One question of the test: two methods' pictures of a pair, and their sides."""

    pair: Pair
    left: str
    right: str


def plan_trials(
    methods: Sequence[str], pairs: Sequence[Pair], seed: int = 0, count: int | None = None
) -> list[BlindTrial]:
    """Draw the trials of a blind test, in random order.

    Any two methods meet equally often, each method is on the left equally often, and every pair is shown equally
    often, all to within one. Two methods meet at most once on a pair.

    Args:
        methods: Names of the methods, 2 or more.
        pairs: The pairs of photo and style picture.
        seed: Seed of the random order and sides.
        count: Number of trials; None takes all.

    Raises:
        UsageError: There are fewer than two methods, no pair, or fewer trials than ``count``.
    """
    if len(methods) < 2 or not pairs:
        raise UsageError(f"a blind test needs 2 methods and 1 pair or more, but has {len(methods)} and {len(pairs)}")
    duels = list(combinations(methods, 2))
    total = len(duels) * len(pairs)
    count = total if count is None else count
    if not 1 <= count <= total:
        raise UsageError(
            f"{len(methods)} methods and {len(pairs)} pairs make 1 to {total} trials, but {count} are requested"
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
            trials.append(BlindTrial(pairs[order[dealt % len(pairs)]], one, other))
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
    overwrite: bool = True,
) -> str:
    """Write the test as one HTML file that works offline, whole or not at all.

    The page shows a photo, a style picture and two methods' pictures at a time, stores the votes in the browser, and
    exports them as ``votes-<id>.json`` for `votes.read_votes`. The names of methods and files are in the page in
    base64, because the exported votes contain them: they are not visible, but not secret either.

    Args:
        path: The HTML file.
        methods: Functions that return a method's picture of a pair, ``(1, 3, H, W)``, by method; called once per pair.
        pairs: The pairs of photo and style picture.
        question: The question on the page and in the votes. Decide on it before anybody sees a picture.
        seed: Seed of the order and the sides; see `plan_trials`.
        count: Number of trials; None takes all.
        side: Longer side of photos and style pictures in pixels, 64 to 4096; they are never enlarged. Stylised pictures
            are resized to their photo, so that the size does not reveal the method.
        overwrite: Whether to replace an existing file.

    Returns:
        The page's id, a hash of its trials, pictures and question, which the votes contain.

    Raises:
        UsageError: The trials cannot be planned, the question is empty, or ``side`` is out of range.
        OutputError: The file cannot be written, or exists and must not be replaced.
    """
    if not question.strip():
        raise UsageError("a blind test needs a question; decide on it before anybody sees a picture")
    if not 64 <= side <= 4096:
        raise UsageError(f"the longer side of the page's pictures must be 64 to 4096 pixels, but is {side}")
    trials = plan_trials(list(methods), pairs, seed, count)
    pictures: list[str] = []  # in the order of their first use, which does not reveal the method
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
    html = render("blind.html", data=data)
    with atomic_file(path, overwrite) as out:
        out.write(as_utf8(html))
    return page


def _add(pictures: list[str], x: Picture, size: tuple[int, int]) -> int:
    """Append a picture as a JPEG in base64, and return its index."""
    pictures.append(as_jpeg_text(resize(x, *size), _QUALITY, subsampling=0))
    return len(pictures) - 1
