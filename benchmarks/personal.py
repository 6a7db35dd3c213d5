"""Measure how well personal styles are learned. The four `person` artists of the manifest stand in for persons.

usage: personal.py instant|banks|mixes|preference DATA [--cache FOLDER] [--photos 2] [--side 256] [--seeds 3]

DATA has manifest.csv and its pictures. A person likes 15 works of one artist, in three disjoint draws, and
dislikes 15 `train` works; the artist's other works are held out. (Of renoir there are 48: the draws
together leave 3, and each draw holds out the 33 works that it does not contain; the others alike.) No model was trained
on these artists, and nothing was chosen on them. The evaluator is EfficientNet-Lite0, which is not used in learning.

instant      Photos painted with the heaviest centre, and with one random liked work: distance of the evaluator's
             statistics to the held-out works (`quality.style.statistics_distance`, its mean over them), and content.
banks        Learned as by `sfumato personal`, with dislikes: photos painted with the liked pictures themselves
             (quality standard), and with their mean code (draft): distance to the held-out works in style and texture.
mixes        Likes of two artists, 15 of each: number of centres, and log density of held-out works of both.
preference   A person whose utility is minus the distance to the mean of the held-out works in the evaluator's
             statistics, and who answers one question in ten wrongly. The ranked works are by other artists.

Prints JSON: [value, low, high] with 95 % intervals. --cache stores codes and the evaluator's statistics.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from unseen import judge

from sfumato.image import Picture, read_image, resize, thumbnail_size
from sfumato.inference import Style, Stylizer
from sfumato.personal.centres import Centre, centres
from sfumato.personal.gathering import gather
from sfumato.personal.mixture import fit_mixture
from sfumato.personal.preference_model import PreferenceModel, chance, next_question
from sfumato.personal.service import create
from sfumato.personal.space import StyleSpace
from sfumato.quality.intervals import Interval, crossed_interval_of, mean_interval
from sfumato.quality.similarity import content_distance
from sfumato.quality.style import StyleStatistics, luma_view, mean_distances, statistics_distance, texture_distance
from sfumato.style_code import StyleCode

LIKES, DRAWS = 15, 3
SIDE = 256  # pixels: short side at which the judge looks at paintings
SLIPS = 0.1
MOST = 60  # questions


@dataclass(frozen=True)
class Work:
    file: str
    artist: str
    split: str


class Data:
    """The works of the manifest, their codes and the evaluator's statistics, each computed once."""

    def __init__(self, folder: Path, cache: Path | None) -> None:
        self.folder, self.cache = folder, cache
        with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.works = [
            Work(row["file"], row["file"].split("/")[1], row["split"])
            for row in rows
            if row["file"].startswith("style/") and row["split"] in ("person", "train")
        ]
        self.photos = [folder / row["file"] for row in rows if row["split"] == "probe"]
        self.stylizer = Stylizer()
        self.space = StyleSpace.load()
        self._kept: dict[str, dict[str, np.ndarray]] = {}

    def of(self, artist: str) -> list[Work]:
        return [work for work in self.works if work.artist == artist]

    def shown(self, artist: str, draw: int, count: int) -> list[Path]:
        """Return the photos of a draw; each artist has other photos."""
        at = self.persons.index(artist) * 5 + draw * count
        return [self.photos[(at + i) % len(self.photos)] for i in range(count)]

    @property
    def persons(self) -> list[str]:
        return sorted({work.artist for work in self.works if work.split == "person"})

    @property
    def others(self) -> list[Work]:
        return [work for work in self.works if work.split == "train"]

    def codes(self, works: Sequence[Work]) -> list[StyleCode]:
        size = self.stylizer.card.code_size

        def encode(work: Work) -> np.ndarray:
            code = self.stylizer.encode(self.folder / work.file)
            return np.concatenate([code.vector, code.channel_stats])

        name = f"codes-{self.stylizer.card.digest[:12]}"
        return [StyleCode(x[:size], self.stylizer.card.model, x[size:]) for x in self._each(name, works, encode)]

    def judged(self, works: Sequence[Work]) -> np.ndarray:
        """Return ``(N, D)``, the evaluator's statistics, in which squared distances are relative: see `layers`."""

        def look(work: Work) -> np.ndarray:
            return statistics(judge().features(small(read_image(self.folder / work.file), SIDE)))

        return np.stack(self._each(f"judge-{SIDE}", works, look))

    def _each(self, name: str, works: Sequence[Work], make: Any) -> list[np.ndarray]:
        if name not in self._kept:
            path = self.cache / f"{name}.npz" if self.cache else None
            self._kept[name] = dict(np.load(path)) if path and path.is_file() else {}
        kept = self._kept[name]
        if missing := [work for work in works if work.file not in kept]:
            kept.update({work.file: make(work).astype(np.float32) for work in missing})
            if self.cache:
                self.cache.mkdir(parents=True, exist_ok=True)
                np.savez(self.cache / f"{name}.npz", **kept)
        return [kept[work.file] for work in works]


def statistics(features: dict[str, np.ndarray]) -> np.ndarray:
    """Return the means and deviations of channels, layer by layer, as `quality.style.StyleStatistics` has them."""
    flat = [f.reshape(len(f), -1).astype(np.float64) for f in features.values()]
    return np.concatenate([np.concatenate([f.mean(1), np.sqrt(f.var(1) + 1e-6)]) for f in flat])


LAYERS = (32, 48, 80, 224)  # statistics of the judge's strides 2, 4, 8 and 16


def units(paintings: np.ndarray) -> np.ndarray:
    """``(D,)``: divided by it, the squared distance of statistics is `statistics_distance` with the spread of these
    paintings ``(N, D)`` for its scale.
    """
    parts = np.split(paintings, np.cumsum(LAYERS)[:-1], axis=1)
    return np.concatenate(
        [
            np.full(n, math.sqrt(2 * part.var(0, ddof=1).mean() * n * len(LAYERS)))
            for n, part in zip(LAYERS, parts, strict=True)
        ]
    )


def small(picture: Picture, side: int) -> Picture:
    return resize(picture, *thumbnail_size(picture.shape[2], picture.shape[3], side, 2 * side))


def draws(data: Data, artist: str) -> Iterable[tuple[list[Work], list[Work], list[Work], np.random.Generator]]:
    """Yield liked, held-out and disliked works of each draw, and a random generator."""
    works = data.of(artist)
    order = np.random.default_rng([6, data.persons.index(artist)]).permutation(len(works))
    for draw in range(DRAWS):
        rng = np.random.default_rng([6, data.persons.index(artist), draw])
        chosen = set(order[draw * LIKES : (draw + 1) * LIKES].tolist())
        yield (
            [works[i] for i in sorted(chosen)],
            [works[i] for i in range(len(works)) if i not in chosen],
            [data.others[i] for i in rng.permutation(len(data.others))[:LIKES]],
            rng,
        )


def figure(interval: Interval, digits: int = 3) -> list[float]:
    return [round(value, digits) for value in (interval.value, interval.low, interval.high)]


def as_ratio(logs: Interval) -> Interval:
    return Interval(*(math.exp(value) for value in (logs.value, logs.low, logs.high)))


# ---- instant ---------------------------------------------------------------------------------------------------------


def instant(data: Data, photos: int, side: int) -> dict[str, Any]:
    unit = units(data.judged(data.others))
    rows: list[dict[str, Any]] = []
    for artist in data.persons:
        for draw, (liked, held, disliked, rng) in enumerate(draws(data, artist)):
            codes, target = data.codes(liked), data.judged(held) / unit
            found = centres(codes, data.codes(disliked), data.space)
            for photo in data.shown(artist, draw, photos):
                picture = small(read_image(photo), side)
                seen = judge().features(small(picture, SIDE))
                row = {"artist": artist, "photo": photo.stem, "centres": len(found)}
                for name, code in (("centre", found[0].code), ("one", codes[int(rng.integers(len(codes)))])):
                    features = judge().features(small(data.stylizer(picture, Style(name, code)), SIDE))
                    away = target - statistics(features) / unit
                    content = [content_distance(features[layer], seen[layer]) for layer in judge().CONTENT]
                    row |= {
                        f"{name}_style": float((away**2).sum(1).mean()),
                        f"{name}_to_mean": float((away.mean(0) ** 2).sum()),
                        f"{name}_content": float(np.mean(content)),
                    }
                rows.append(row)

    def ratio(what: str) -> list[float]:
        logs = [math.log(row[f"centre_{what}"] / row[f"one_{what}"]) for row in rows]
        artists, pictures = [row["artist"] for row in rows], [row["photo"] for row in rows]
        return figure(as_ratio(crossed_interval_of(logs, artists, pictures)))

    def means(what: str) -> dict[str, list[float]]:
        return {
            artist: [round(float(np.mean([row[f"{n}_{what}"] for row in rows if row["artist"] == artist])), 3)
                     for n in ("centre", "one")]
            for artist in data.persons
        }  # fmt: skip

    return {
        "pictures": 2 * len(rows),
        "style_ratio": ratio("style"),
        "style_to_mean_ratio": ratio("to_mean"),
        "content_ratio": ratio("content"),
        "style_by_artist_centre_one": means("style"),
        "content_by_artist_centre_one": means("content"),
        "draws_with_several_centres": sum(row["centres"] > 1 for row in rows) // photos,
    }


# ---- banks -----------------------------------------------------------------------------------------------------------


def banks(data: Data, photos: int, side: int) -> dict[str, Any]:
    def measure_defects(picture: Picture) -> StyleStatistics:
        x = small(picture, SIDE)
        return StyleStatistics.of(judge().name, judge().features(x), judge().features(luma_view(x)))

    units = mean_distances(
        [measure_defects(read_image(data.folder / work.file)) for work in data.others[:: len(data.others) // 24]]
    )
    distances = {"style": (statistics_distance, units[0]), "texture": (texture_distance, units[1])}
    rows: list[dict[str, Any]] = []
    for artist in data.persons:
        own = {work: measure_defects(read_image(data.folder / work.file)) for work in data.of(artist)}
        for draw, (liked, held, disliked, _) in enumerate(draws(data, artist)):
            with tempfile.TemporaryDirectory() as store:
                os.environ["SFUMATO_PERSONAL"] = store
                paths = [[data.folder / work.file for work in works] for works in (liked, disliked)]
                create("person", gather(*paths, data.stylizer), data.stylizer)
                style = Style.named("person")
                shown = [small(read_image(photo), side) for photo in data.shown(artist, draw, photos)]
                row: dict[str, Any] = {"artist": artist, "draw": draw, "pictures": len(style.pictures)}
                for quality in ("draft", "standard"):
                    seen = [measure_defects(data.stylizer(photo, style, quality=quality)) for photo in shown]
                    for name, (distance, unit) in distances.items():
                        found = [distance(one, own[work], unit) for one in seen for work in held]
                        row[f"{quality}_{name}"] = round(float(np.mean(found)), 3)
            row["nearer"] = all(row[f"standard_{name}"] < row[f"draft_{name}"] for name in distances)
            rows.append(row)
    return {"draws": len(rows), "nearer_in_both": sum(row["nearer"] for row in rows), "rows": rows}


# ---- mixes -----------------------------------------------------------------------------------------------------------


def mixes(data: Data) -> dict[str, Any]:
    taken = {artist: list(draws(data, artist)) for artist in data.persons}
    between = data.space.between.astype(np.float64)
    rows, pure = [], {}
    for artist, each in taken.items():
        pure[artist] = [len(centres(data.codes(liked), (), data.space)) for liked, *_ in each]
    for a, b in itertools.combinations(data.persons, 2):
        for draw in range(2):
            (liked_a, held_a, *_), (liked_b, held_b, *_) = taken[a][draw], taken[b][draw]
            order = np.random.default_rng([draw]).permutation(2 * LIKES)
            works = [(liked_a + liked_b)[i] for i in order]
            found = centres(data.codes(works), (), data.space)
            x, trust = data.space.places(data.codes(works)), np.ones(len(works))
            out = data.space.places(data.codes(held_a[:30] + held_b[:30]))
            two, one = (fit_mixture(x, trust, between, k).log_density(out) for k in (2, 1))
            pure_members = [
                max(sum(works[i].artist == artist for i in centre.members) for artist in (a, b)) for centre in found
            ]
            rows.append(
                {
                    "artists": [a, b],
                    "centres": len(found),
                    "with_their_own": round(sum(pure_members) / len(works), 2),
                    "nats_a_work": round(float((two - one).mean()), 2),
                }
            )
    gains = [row["nats_a_work"] for row in rows]
    return {
        "mixes": rows,
        "two_found": sum(row["centres"] == 2 for row in rows),
        "of": len(rows),
        "two_tell_more": sum(gain > 0 for gain in gains),
        "nats_a_work": figure(mean_interval(gains), 2),
        "centres_of_pure_draws": pure,
        "pure_split": sum(count > 1 for counts in pure.values() for count in counts),
    }


# ---- preference ------------------------------------------------------------------------------------------------------


def preference(data: Data, seeds: int) -> dict[str, Any]:
    unit = units(data.judged(data.others))
    judged = data.judged(data.others) / unit
    codes = data.codes(data.others)
    found: dict[str, list[tuple[float, float]]] = {}
    asked = []
    for number, artist in enumerate(data.persons):
        for draw, (liked, held, disliked, _) in enumerate(draws(data, artist)):
            utility = -((judged - (data.judged(held) / unit).mean(0)) ** 2).sum(1)
            likes, dislikes = data.codes(liked), data.codes(disliked)
            known = centres(likes, dislikes, data.space)
            free = [i for i, work in enumerate(data.others) if work not in disliked]
            for seed in range(seeds):
                rng = np.random.default_rng([9, number, draw, seed])
                order = rng.permutation(free)
                pool, test = order[:200], order[200:400]
                pairs = np.array([pair for pair in rng.choice(test, (2000, 2)) if pair[0] != pair[1]])
                measure = AccuracyLog(found, codes, pairs, utility)
                person = Person(utility, codes, rng)
                given = (data.space, likes, dislikes)
                measure("likes_alone", PreferenceModel.fit(*given, found=known))
                for count in (20, 40):
                    answers = [person.answer(*rng.choice(pool, 2, replace=False)) for _ in range(count)]
                    measure(f"random_{count}", PreferenceModel.fit(*given, answers, found=known))
                answers, _ = ask(data.space, likes, dislikes, known, person, pool, 20)
                measure("active_20", PreferenceModel.fit(*given, answers, found=known))
                answers, _ = ask(data.space, [], [], [], person, pool, 20)
                measure("active_20_without_likes", PreferenceModel.fit(data.space, answers=answers))
                answers, questions = ask(data.space, likes, dislikes, known, person, pool, MOST)
                measure("until_it_stops", PreferenceModel.fit(*given, answers, found=known))
                asked.append(questions)
    per_person = DRAWS * seeds  # seeds of one draw are alike: intervals are over draws

    def over_draws(name: str, which: int) -> np.ndarray:
        return np.array([pair[which] for pair in found[name]]).reshape(-1, seeds).mean(1)

    return {
        "persons_draws_seeds": [len(data.persons), DRAWS, seeds],
        "accuracy": {name: figure(mean_interval(over_draws(name, 0))) for name in found},
        "calibration_error": {name: figure(mean_interval(over_draws(name, 1))) for name in found},
        "active_20_less_random_40": figure(mean_interval(over_draws("active_20", 0) - over_draws("random_40", 0))),
        "accuracy_by_person_active_20": {
            artist: round(float(np.mean([a for a, _ in found["active_20"][i * per_person : (i + 1) * per_person]])), 3)
            for i, artist in enumerate(data.persons)
        },
        "questions_until_it_stops": [int(np.min(asked)), float(np.median(asked)), int(np.max(asked))],
    }


@dataclass(frozen=True)
class Person:
    utility: np.ndarray
    codes: Sequence[StyleCode]
    rng: np.random.Generator

    def answer(self, i: int, j: int) -> tuple[StyleCode, StyleCode]:
        """Return the preferred code first, except for wrong answers."""
        first = (self.utility[i] > self.utility[j]) != (self.rng.random() < SLIPS)
        return (self.codes[i], self.codes[j]) if first else (self.codes[j], self.codes[i])


@dataclass(frozen=True)
class AccuracyLog:
    """A record of the accuracy and calibration error of models, by name."""

    found: dict[str, list[tuple[float, float]]]
    codes: Sequence[StyleCode]
    pairs: np.ndarray
    utility: np.ndarray

    def __call__(self, name: str, model: PreferenceModel) -> None:
        self.found.setdefault(name, []).append(accuracy_and_error(model, self.codes, self.pairs, self.utility))


def ask(
    space: StyleSpace,
    likes: Sequence[StyleCode],
    dislikes: Sequence[StyleCode],
    known: Sequence[Centre],
    person: Person,
    pool: np.ndarray,
    most: int,
) -> tuple[list[tuple[StyleCode, StyleCode]], int]:
    candidates = [person.codes[i] for i in pool]
    answers: list[tuple[StyleCode, StyleCode]] = []
    asked: list[tuple[int, int]] = []
    while len(answers) < most:
        model = PreferenceModel.fit(space, likes, dislikes, answers, found=known)
        pair = next_question(model, candidates, asked)
        if pair is None:
            break
        asked.append(pair)
        answers.append(person.answer(int(pool[pair[0]]), int(pool[pair[1]])))
    return answers, len(answers)


def accuracy_and_error(
    model: PreferenceModel, codes: Sequence[StyleCode], pairs: np.ndarray, utility: np.ndarray
) -> tuple[float, float]:
    """Return the share of pairs in the true order, and the expected calibration error (ten bins, Guo et al. 2017)."""
    used = sorted(set(pairs.ravel().tolist()))
    place = {i: k for k, i in enumerate(used)}
    aspects = model.aspects([codes[i] for i in used])
    rows = np.stack([aspects[place[i]] - aspects[place[j]] for i, j in pairs.tolist()])
    odds = chance(rows @ model.mean, ((rows @ model.covariance) * rows).sum(1))
    right = (odds > 0.5) == (utility[pairs[:, 0]] > utility[pairs[:, 1]])
    sure = np.maximum(odds, 1 - odds)
    bins = np.minimum(((sure - 0.5) * 20).astype(int), 9)
    error = sum(abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist()))
    return float(right.mean()), float(error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("instant", "banks", "mixes", "preference"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--photos", type=int, default=2, help="a draw")
    parser.add_argument("--side", type=int, default=256, help="pixels: the photos' shorter side")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    data = Data(arguments.data, arguments.cache)
    if arguments.what == "instant":
        result = instant(data, arguments.photos, arguments.side)
    elif arguments.what == "banks":
        result = banks(data, arguments.photos, arguments.side)
    elif arguments.what == "mixes":
        result = mixes(data)
    else:
        result = preference(data, arguments.seeds)
    print(json.dumps({"what": arguments.what, "model": data.stylizer.card.model, **result}, indent=1))


if __name__ == "__main__":
    main()
