"""Is an adapted style nearer to a person's taste than the instant one? Works that learning did not see, paired.

usage: personal_adapt.py DATA OUT_DIR [--only N] [--split person] [--artists NAME,...] [--steps N] [--photos 12]
                         [--side 320] [--works 32] [--model DIR] [--threads N]

DATA holds manifest.csv, content/ and style/. Stand-ins for people are the artists of the split `person`, of whom no
model has seen a work: three disjoint draws of 15 liked works each, the others held out (at most --works of them).
Photos are of the split `validation`; the adapter learns on photos of `train`. Both styles are painted as users get
them, refined, with --side pixels on the short side, and judged at 256. EfficientNet-Lite0, which no learning uses,
judges: the mean distance to the held-out works in style and texture (1: as far as paintings are from each other), the
distance to their mean statistics (`_of_mean`: without what the works differ among themselves, which no picture can be
nearer than), that of the pictures' mean statistics to theirs (`_of_sets`: also without what the pictures differ among
themselves, as FID has it), and content. `least` is what a style would have whose pictures differ among themselves as
the instant one's do, with the mean statistics of the liked works: nearer comes only who makes pictures more alike. Of
several centres each photo takes the one that suits it. --steps 0 adapts nothing, and tells what could be gained. A draw
that is done is kept as OUT_DIR/ARTIST-N.json and not done again; --only N does no more than N others. The summary goes
to OUT_DIR/summary.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from unseen import judge, reduced, rows_of, small

from sfumato.files import atomic_file
from sfumato.image import Picture
from sfumato.inference import Stylizer
from sfumato.inference.taste import Taste
from sfumato.personal.adapt import STEPS, Outcome, adapt
from sfumato.personal.profile import centres
from sfumato.quality.intervals import crossed_interval_of
from sfumato.quality.similarity import content_distance
from sfumato.quality.style import (
    Layout,
    StyleStatistics,
    content_leak,
    luma_view,
    spread,
    statistics_distance,
    texture_distance,
)

LIKED, DRAWS = 15, 3
JUDGED = 256  # pixels, short side
BY_PHOTO = ("style", "texture", "style_of_mean", "texture_of_mean", "content")
MEASURED = (*BY_PHOTO, "style_of_sets", "texture_of_sets")
GAIN, MARGIN = 0.10, 1.05  # what is asked for of style and texture, and of content


def statistics(picture: Picture) -> StyleStatistics:
    return StyleStatistics.of_picture(judge(), picture)


class Figures:
    """Measures pictures of photos against held-out works."""

    def __init__(
        self,
        photos: Sequence[Picture],
        works: Sequence[Picture],
        liked: Sequence[Picture],
        paintings: Sequence[Picture],
    ) -> None:
        self.photos = [(small, judge().features(small)) for small in (reduced(photo, JUDGED) for photo in photos)]
        self.works = [statistics(work) for work in works]
        self.middle = StyleStatistics.mean(self.works)
        self.liked = StyleStatistics.mean([statistics(reduced(one, JUDGED)) for one in liked])
        self.style, self.texture = spread([statistics(painting) for painting in paintings])

    def of(self, painted: Sequence[Picture], liked: Sequence[Layout]) -> dict[str, list[float]]:
        """By photo."""
        found: dict[str, list[float]] = {name: [] for name in (*BY_PHOTO, "leak")}
        every = []
        for large, (photo, theirs) in zip(painted, self.photos, strict=True):
            picture = reduced(large, JUDGED)
            ours = judge().features(picture)
            seen = StyleStatistics.of(judge().name, ours, judge().features(luma_view(picture)))
            every.append(seen)
            found["style"].append(float(np.mean([statistics_distance(seen, work, self.style) for work in self.works])))
            found["texture"].append(float(np.mean([texture_distance(seen, work, self.texture) for work in self.works])))
            found["style_of_mean"].append(statistics_distance(seen, self.middle, self.style))
            found["texture_of_mean"].append(texture_distance(seen, self.middle, self.texture))
            content = [content_distance(ours[layer], theirs[layer]) for layer in judge().CONTENT]
            found["content"].append(float(np.mean(content)))
            found["leak"].append(max(content_leak(picture, photo, layout) for layout in liked))
        mean = StyleStatistics.mean(every)
        for kind, distance, scale in (
            ("style", statistics_distance, self.style),
            ("texture", texture_distance, self.texture),
        ):
            found[f"{kind}_of_sets"] = [distance(mean, self.middle, scale)]
            own = np.mean(found[kind]) - found[f"{kind}_of_sets"][0]  # of the works, and of the pictures
            found[f"least_{kind}"] = [float(own + distance(self.liked, self.middle, scale))]
        return found


def draw(data: Path, artist: str, number: int, options: argparse.Namespace) -> dict[str, object]:
    """One draw: learnt, painted and measured."""
    every = rows_of(data / "style" / artist, data / "manifest.csv", options.split)
    order = np.random.default_rng([0xADA, len(every)]).permutation(len(every)).tolist()
    chosen = order[LIKED * number : LIKED * (number + 1)]
    others = [i for i in order if i not in chosen][: options.works]
    liked = [small(every[i], 320) for i in chosen]
    photos, scenes = (
        [small(path, options.side) for path in rows[:: max(1, len(rows) // count)][:count]]
        for rows, count in (
            (rows_of(data / "content", None, "validation"), options.photos),
            (rows_of(data / "content", None, "train"), 40),
        )
    )
    paintings = rows_of(data / "style", data / "manifest.csv", "validation")
    measure = Figures(
        photos,
        [small(every[i], JUDGED) for i in others],
        liked,
        [small(path, JUDGED) for path in paintings[:: max(1, len(paintings) // 16)][:16]],
    )
    stylizer = Stylizer(options.model, options.threads)
    began = time.perf_counter()
    found = centres([stylizer.encode(picture) for picture in liked])
    instant_seconds = time.perf_counter() - began
    codes, weights = [centre.code for centre in found], [centre.weight for centre in found]
    outcome = Outcome(tuple(codes), None, "not adapted")
    if options.steps:
        outcome = adapt(stylizer, codes, weights, liked, scenes, steps=options.steps, seed=number)
    tastes = {"instant": Taste("instant", tuple(codes), tuple(weights))}
    if outcome.kept:
        changed = {} if outcome.adapter is None else outcome.adapter.tensors()
        tastes["adapted"] = Taste("adapted", outcome.codes, tuple(weights), adapter=changed)
    layouts = [Layout.of(picture) for picture in liked]
    figures = {
        name: measure.of([stylizer(photo, taste.style_for(stylizer, photo)) for photo in photos], layouts)
        for name, taste in tastes.items()
    }
    figures.setdefault("adapted", figures["instant"])  # refused: the instant style stays
    return {
        "artist": artist,
        "draw": number,
        "model": stylizer.card.model,
        "centres": len(codes),
        "steps": outcome.steps,
        "held_out": len(others),
        "seconds": {"instant": round(instant_seconds, 1), "adapted": round(outcome.seconds, 1)},
        "kept": outcome.kept,
        "why": outcome.why,
        "guard": {name: {k: round(v, 4) for k, v in of.items()} for name, of in outcome.figures.items()},
        "bytes": outcome.adapter.size if outcome.adapter else 0,
        "figures": figures,
    }


def change(done: Mapping[str, dict[str, list[float]]], name: str) -> float:
    """Of a draw's mean figure, adapted against instant, less 1."""
    return float(np.mean(done["adapted"][name]) / np.mean(done["instant"][name]) - 1)


def summary(draws: Sequence[dict]) -> dict[str, object]:
    rows, values = [], {name: ([], [], []) for name in BY_PHOTO}
    for done in draws:
        figures = done["figures"]
        row = {f"{name}_change": round(change(figures, name), 4) for name in MEASURED}
        for name in ("style", "texture"):
            least, instant = (np.mean(figures["instant"][key]) for key in (f"least_{name}", name))
            row[f"{name}_change_at_most"] = round(float(least / instant - 1), 4)
        row["leak"] = round(max(figures["adapted"]["leak"]), 3)
        for key, of in (("asked_for", ""), ("asked_for_of_mean", "_of_mean"), ("asked_for_of_sets", "_of_sets")):
            nearer = all(row[f"{name}{of}_change"] <= -GAIN for name in ("style", "texture"))
            row[key] = nearer and row["content_change"] <= MARGIN - 1
        rows.append({"artist": done["artist"], "draw": done["draw"], "kept": done["kept"], **row})
        for name, (paired, of, photos) in values.items():
            scale = np.mean(figures["instant"][name])
            for i, (a, b) in enumerate(zip(figures["adapted"][name], figures["instant"][name], strict=True)):
                paired.append((a - b) / scale)
                of.append(f"{done['artist']}-{done['draw']}")
                photos.append(str(i))
    means = {}
    if len(draws) > 1:
        for name, (paired, of, photos) in values.items():
            found = crossed_interval_of(paired, of, photos)
            means[name] = [round(x, 4) for x in (found.value, found.low, found.high)]
    return {
        "draws": len(draws),
        "as_asked_for": sum(row["asked_for"] for row in rows),
        "as_asked_for_of_mean": sum(row["asked_for_of_mean"] for row in rows),
        "as_asked_for_of_sets": sum(row["asked_for_of_sets"] for row in rows),
        "could_be_as_asked_for": sum(
            all(row[f"{name}_change_at_most"] <= -GAIN for name in ("style", "texture")) for row in rows
        ),
        "kept": sum(row["kept"] for row in rows),
        "change": means,
        "rows": rows,
        "seconds": [done["seconds"]["adapted"] for done in draws],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", type=int, default=10**6)
    parser.add_argument("--artists", default="")
    parser.add_argument("--split", default="person", help="of the artists, which stand in for people")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--works", type=int, default=32)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, help="that paint: 1 where draws are done side by side, each on a core")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    artists = sorted({path.parent.name for path in rows_of(options.data / "style", None, options.split)})
    left = options.only
    for number in range(DRAWS):
        for artist in artists:
            path = options.out / f"{artist}-{number}.json"
            if path.exists() or left < 1 or artist not in (options.artists.split(",") if options.artists else artists):
                continue
            left -= 1
            done = draw(options.data, artist, number, options)
            with atomic_file(path) as file:
                file.write(json.dumps(done, indent=1).encode())
            print(artist, number, done["why"], flush=True)
    draws = [json.loads(path.read_text()) for path in sorted(options.out.glob("*-[0-9].json"))]
    text = json.dumps(summary(draws), indent=1)
    (options.out / "summary.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
