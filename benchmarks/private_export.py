"""Measure what the file of a shared personal style reveals of the liked pictures, and what hiding it costs.

usage: private_export.py attack|cost [--pictures 6] [--gap N ...] [--noise X ...] [--sheet FILE] [--photos DIR]

The liked pictures are built-in paintings, all in the public domain. The attacker knows the file, the networks, the size
of the picture, and the paintings of other artists, from which they learn how neighbouring places look. The file is that
of a style of one liked picture, the worst case: with more pictures, the attacker must also tell them apart.

attack   SSIM of the luma of the best reconstruction with the picture, at a short side of 128 and 256 pixels:
         in order    all places, with their positions, decoded: what an unprotected file would give
         shuffled    all places without positions, put together as a jigsaw
         private     the places of `sfumato personal export --private`, the same
         flat        a picture of one colour, the liked picture's mean: what knowing nothing scores
         thumbnail   a blurred copy of 12 pixels that the attacker is given, enlarged
         helped      the private places, placed with the help of that thumbnail
         "private over flat" is (private - flat) / (1 - flat): 1 for the picture itself, 0 for knowing nothing, since
         the SSIM of a smooth painting with one colour is far from 0.
         It also prints how often the likeliest neighbour to the right is the true one, of all places and of the
         private ones, and by chance; and how often whoever has a picture recognises it as the liked one.
cost     photos painted with the pictures themselves, and with the private file's places: style, texture of the
         evaluator (1: as far as another painting), and the project's own distance of style codes.
--sheet writes the pictures of the attack side by side. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from unseen import judge

from sfumato.assets import ledger, picture_path
from sfumato.image import Picture, read_image, resize, write_image
from sfumato.inference import Style, Stylizer
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.matching import Array
from sfumato.inference.pixel_readers import ArrayReader
from sfumato.inference.places import as_rows, decode_places, encode_region, enter
from sfumato.inference.style_bank import GAP, NOISE, thinned
from sfumato.inference.style_distance import style_distance
from sfumato.inference.style_pictures import StylePicture
from sfumato.quality.similarity import ssim
from sfumato.quality.style import StyleStatistics, mean_distances, statistics_distance, texture_distance
from sfumato.sheet import contact_sheet

VICTIMS = ("monet", "cezanne", "pissarro", "hokusai", "sisley", "van-gogh")
TEACHERS = ("degas", "rembrandt", "munch", "klimt", "kandinsky")  # of the attacker
SIDES = (128, 256)
THUMBNAIL = 12  # pixels of the short side
DIRECTIONS = 64
MOST_MATCHED = 2600  # places that are matched one to one; the assignment takes the third power
ROUNDS = 8
JIGSAWS = ("shuffled", "private")


@lru_cache(1)
def networks() -> FeatureNetworks:
    return FeatureNetworks(threads=1)


def works(styles: Sequence[str], each: int) -> list[Path]:
    """Return the first pictures of built-in styles."""
    return [
        picture_path(entry)
        for style in styles
        for entry in [entry for entry in ledger() if entry.style == style][:each]
    ]


def at(path: Path, short: int) -> Picture:
    """Return a picture with its short side at so many pixels, of whole places."""
    picture = read_image(path)
    factor = short / min(picture.shape[2:])
    height, width = (round(side * factor / 4) * 4 for side in picture.shape[2:])
    return np.clip(resize(picture, height, width), 0, 1)


def encode(picture: Picture) -> Array:
    return encode_region(networks(), ArrayReader(picture), slice(0, picture.shape[2]), slice(0, picture.shape[3]))


def decode(vectors: Array, chosen: Any, size: tuple[int, int]) -> Picture:
    places = np.ascontiguousarray(vectors[chosen].T.reshape(-1, *size))
    return np.clip(decode_places(networks(), enter(networks(), places)), 0, 1)


def thumbnail(picture: Picture) -> Picture:
    height, width = picture.shape[2:]
    factor = THUMBNAIL / min(height, width)
    return np.clip(resize(resize(picture, round(height * factor), round(width * factor)), height, width), 0, 1)


class Prediction:
    """A linear prediction of places, and how far it errs in each direction."""

    def __init__(self, given: Sequence[Array], wanted: Sequence[Array]) -> None:
        x, y = self._with_one(np.concatenate(given)), np.concatenate(wanted)
        square = x.T @ x
        square[np.diag_indices_from(square)] += 1e-3 * np.trace(square) / len(square)
        self.matrix = np.linalg.solve(square, x.T @ y)
        self.precision = 1 / np.sqrt(((x @ self.matrix - y) ** 2).mean(0) + 1e-6)

    def costs(self, given: Array, candidates: Array) -> Array:
        """Return how badly each candidate ``(M, D)`` fits each prediction: ``(N, M)``."""
        a, b = (self._with_one(given) @ self.matrix) * self.precision, candidates * self.precision
        return np.asarray((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, np.float32)

    @staticmethod
    def _with_one(x: Array) -> Array:
        return np.hstack([x, np.ones((len(x), 1), np.float32)])


class Attacker:
    """Puts places without positions together again, by what they learnt from other paintings at one size."""

    def __init__(self, short: int) -> None:
        pictures = [at(path, short) for path in works(TEACHERS, 3)]
        places = [encode(each) for each in pictures]
        rows = np.concatenate([as_rows(each) for each in places])
        self.mean, scale = rows.mean(0), rows.std(0) + 1e-3
        some = ((rows - self.mean) / scale)[:: max(1, len(rows) // 4000)]
        self.basis = np.linalg.svd(some, full_matrices=False)[2][:DIRECTIONS].T / scale[:, None]
        maps = [self.seen(as_rows(each)).T.reshape(DIRECTIONS, *each.shape[1:]) for each in places]
        given = [self.seen(as_rows(encode(thumbnail(each)))) for each in pictures]
        flat = [self._flat(each) for each in maps]
        around = [self._around(each) for each in maps]
        self.maps = maps
        self._beside: dict[int, tuple[Prediction, Prediction]] = {}
        self.middle = Prediction(around, flat)
        self.first = Prediction(given, flat)
        self.helped = Prediction([np.hstack(each) for each in zip(around, given, strict=True)], flat)

    def seen(self, rows: Array) -> Array:
        return np.asarray((rows - self.mean) @ self.basis, np.float32)

    @staticmethod
    def _flat(planes: Array) -> Array:
        return planes.reshape(len(planes), -1).T

    @staticmethod
    def _around(planes: Array) -> Array:
        padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
        four = (padded[:, 1:-1, :-2], padded[:, 1:-1, 2:], padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
        return np.concatenate(four).reshape(4 * len(planes), -1).T

    def blind(self, vectors: Array, size: tuple[int, int], gap: int = 1) -> list[Any]:
        """Return answers without help, as indices of the place at each position.

        The places are one of every ``gap`` x ``gap``. Like a jigsaw they are put together to a small grid, whose cells
        are then repeated; and from there, each position is settled with its neighbours.
        """
        candidates = self.seen(vectors)
        right, below = (prediction.costs(candidates, candidates) for prediction in self.beside(gap))
        rows, columns = min(
            ((-(-size[0] // gap) - i, -(-size[1] // gap) - j) for i in (0, 1) for j in (0, 1)),
            key=lambda grid: abs(grid[0] * grid[1] - len(vectors)),
        )
        grid = grown(right, below, rows, columns)
        down, across = (np.minimum(np.arange(n) // gap, m - 1) for n, m in zip(size, (rows, columns), strict=True))
        chosen = grid[np.ix_(down, across)].ravel()
        return [chosen, self._settled(chosen, candidates, size, None)]

    def beside(self, gap: int) -> tuple[Prediction, Prediction]:
        """Return the predictions of the places that lie ``gap`` to the right and below."""
        if gap not in self._beside:
            x = self.maps
            self._beside[gap] = (
                Prediction([self._flat(m[:, :, :-gap]) for m in x], [self._flat(m[:, :, gap:]) for m in x]),
                Prediction([self._flat(m[:, :-gap]) for m in x], [self._flat(m[:, gap:]) for m in x]),
            )
        return self._beside[gap]

    def with_help(self, vectors: Array, given: Picture) -> list[Any]:
        """Return two answers with the help of a blurred copy of the picture."""
        candidates, places = self.seen(vectors), encode(given)
        hint = self.seen(as_rows(places))
        first = assigned(self.first.costs(hint, candidates))
        return [first, self._settled(first, candidates, places.shape[1:], hint)]

    def _settled(self, chosen: Any, candidates: Array, size: tuple[int, ...], hint: Array | None) -> Any:
        """Choose each place anew by its four neighbours, some times."""
        for _ in range(ROUNDS):
            around = self._around(candidates[chosen].T.reshape(DIRECTIONS, *size))
            if hint is None:
                chosen = assigned(self.middle.costs(around, candidates))
            else:
                chosen = assigned(self.helped.costs(np.hstack([around, hint]), candidates))
        return chosen


def grown(right: Array, below: Array, rows: int, columns: int) -> Any:
    """Put a jigsaw together: from one piece, always the surest next one, until a grid of that size is full.

    ``right[i, j]`` and ``below[i, j]`` are how badly piece j fits to the right of, or below, piece i. Where pieces are
    missing, some are used again.
    """
    fits = {}
    for (down, across), costs in {(0, 1): right, (1, 0): below}.items():
        np.fill_diagonal(costs, np.inf)
        seconds = [np.partition(costs, 1, axis)[1 if axis == 0 else slice(None)] for axis in (0, 1)]
        ratio = (costs / (seconds[0][None] + 1) + costs / (seconds[1][:, 1:2] + 1)) / 2
        fits[down, across], fits[-down, -across] = ratio, ratio.T
    start = int(np.argmin(right.min(1)))
    placed, used = {(0, 0): start}, np.zeros(len(right), bool)
    used[start] = True
    edge: dict[tuple[int, int], list[Any]] = {}  # position: summed costs, neighbours, best piece, its cost

    def look(at: tuple[int, int]) -> None:
        costs = np.where(used, np.inf, edge[at][0])
        edge[at][2] = int(costs.argmin())
        edge[at][3] = float(costs[edge[at][2]]) / edge[at][1] ** 1.5

    def widen(at: tuple[int, int]) -> None:
        for (down, across), fit in fits.items():
            there = at[0] + down, at[1] + across
            if there not in placed:
                entry = edge.setdefault(there, [np.zeros(len(right), np.float32), 0, 0, 0.0])
                entry[0] = entry[0] + fit[placed[at]]
                entry[1] += 1
                look(there)

    widen((0, 0))
    while len(placed) < rows * columns:
        if used.all():
            used[:] = False
            for each in edge:
                look(each)
        top, left = (min(each[i] for each in placed) for i in (0, 1))
        bottom, far = (max(each[i] for each in placed) for i in (0, 1))
        open_ = {
            each: entry
            for each, entry in edge.items()
            if max(bottom, each[0]) - min(top, each[0]) < rows and max(far, each[1]) - min(left, each[1]) < columns
        }
        at = min(open_, key=lambda each: open_[each][3])
        piece = edge.pop(at)[2]
        placed[at], used[piece] = piece, True
        for each, entry in edge.items():
            if entry[2] == piece:
                look(each)
        widen(at)
    top, left = (min(each[i] for each in placed) for i in (0, 1))
    return np.array([[placed[top + i, left + j] for j in range(columns)] for i in range(rows)])


def assigned(costs: Array) -> Any:
    """Return the candidate of each position; each is used once where there are enough of them."""
    positions, candidates = costs.shape
    if candidates < 0.9 * positions or positions > MOST_MATCHED:
        return costs.argmin(1)
    return linear_sum_assignment(np.hstack([costs, costs]))[1] % candidates


def attack(pictures: Sequence[Path], gap: int, noise: float, sheet: Path | None) -> dict[str, Any]:
    """Attack the style of each picture; return the SSIM of each reconstruction."""
    found: dict[str, Any] = {}
    rows: dict[str, list[Picture]] = {}
    guesses: dict[int, list[dict[str, float]]] = {}
    for short in SIDES:
        attacker = Attacker(short)
        guesses[short] = [guessed(attacker, pictures, short, 1, 0), guessed(attacker, pictures, short, gap, noise)]
        for path in pictures:
            picture = at(path, short)
            places, rng = encode(picture), np.random.default_rng([7, short])
            size = places.shape[1], places.shape[2]
            rows_all = as_rows(places)
            private = thinned(networks(), [StylePicture.of(read_image(path))], gap, noise).places(short)
            mixed = rows_all[rng.permutation(len(rows_all))]
            hint = thumbnail(picture)
            made = {
                "in order": [decode(rows_all, np.arange(len(rows_all)), size)],
                "shuffled": [decode(mixed, each, size) for each in attacker.blind(mixed, size)],
                "private": [decode(private, each, size) for each in attacker.blind(private, size, gap)],
                "flat": [np.broadcast_to(picture.mean((2, 3), keepdims=True), picture.shape)],
                "thumbnail": [hint],
                "helped": [decode(private, each, size) for each in attacker.with_help(private, hint)],
            }
            tries = {
                name: [each for x in several for each in (x, aligned(x, picture))] if name in JIGSAWS else several
                for name, several in made.items()
            }
            best = {name: max(several, key=lambda x: ssim(x, picture)) for name, several in tries.items()}
            values = {name: round(float(ssim(x, picture)), 3) for name, x in best.items()}
            values["private over flat"] = round((values["private"] - values["flat"]) / (1 - values["flat"]), 3)
            found[f"{path.stem} at {short}"] = values | {"places": len(private), "of": len(rows_all)}
            print(json.dumps({f"{path.stem} at {short}": values}), flush=True)
            if short == SIDES[-1]:
                rows[path.stem] = [picture, *best.values()]
    if sheet:
        write_image(contact_sheet(list(rows.values()), list(rows), ["the liked picture", *made], cell=320), sheet)
    return {"pictures": found, "neighbours": guesses, "recognised": recognised(pictures, gap, noise)}


def guessed(attacker: Attacker, pictures: Sequence[Path], short: int, gap: int, noise: float) -> dict[str, float]:
    """Return how often the likeliest right neighbour of a place is the true one, and how often by chance."""
    right, rng, found = attacker.beside(gap)[0], np.random.default_rng(5), []
    for path in pictures:
        grid = encode(at(path, short))[:, ::gap, ::gap]
        rows = as_rows(grid)
        candidates = attacker.seen(rows + (noise * rows.std(0) * rng.standard_normal(rows.shape)).astype(np.float32))
        costs = right.costs(candidates, candidates)
        np.fill_diagonal(costs, np.inf)
        number = np.arange(len(rows)).reshape(grid.shape[1:])
        found.append([(costs[number[:, :-1]].argmin(-1) == number[:, 1:]).mean(), 1 / len(rows)])
    right_ones, chance = np.mean(found, 0)
    return {"gap": gap, "right": round(float(right_ones), 3), "chance": round(float(chance), 4)}


def aligned(picture: Picture, wanted: Picture) -> Picture:
    """Return a picture moved, around its borders, to where it correlates best: SSIM does not see a moved jigsaw."""
    a, b = (np.fft.rfft2(x[0].mean(0) - x.mean()) for x in (picture, wanted))
    found = np.fft.irfft2(b * a.conj(), s=picture.shape[2:])
    return np.roll(picture, np.unravel_index(int(found.argmax()), found.shape), (2, 3))


def recognised(pictures: Sequence[Path], gap: int, noise: float) -> str:
    """Return how often the liked picture is the one whose places are nearest to those of the file."""
    hits, kept = 0, {path: as_rows(encode(at(path, 128))) for path in pictures}
    for path in pictures:
        style = thinned(networks(), [StylePicture.of(read_image(path))], gap, noise)
        vectors = style.places(128)

        def apart(other: Path, vectors: Array = vectors) -> float:
            theirs = kept[other]
            squares = (vectors**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * vectors @ theirs.T
            return float(squares.min(1).mean())

        hits += min(kept, key=apart) == path
    return f"{hits} of {len(pictures)}"


def cost(kinds: Sequence[str], liked: int, photos: Sequence[Path], variants: Sequence[tuple[int, float]]) -> Any:
    """Paint photos with liked pictures and with private places; return mean distances to the liked pictures."""
    stylizer = Stylizer(threads=1)

    def judged(picture: Picture) -> StyleStatistics:
        factor = 256 / min(picture.shape[2:])
        size = (round(side * factor) for side in picture.shape[2:])
        return StyleStatistics.of_picture(judge(), np.clip(resize(picture, *size), 0, 1))

    sets = {kind: works([kind], liked) for kind in kinds}
    wanted = {kind: [judged(read_image(path)) for path in paths] for kind, paths in sets.items()}
    styles, textures = mean_distances([each for several in wanted.values() for each in several])
    found: dict[str, list[list[float]]] = {}
    for kind, paths in sets.items():
        style = Style.from_images(paths, kind, stylizer)
        shared = {
            f"gap {gap}, noise {noise}": Style(
                kind, style.code, pictures=(thinned(networks(), style.pictures, gap, noise),)
            )
            for gap, noise in variants
        }
        for path in photos:
            photo = at(path, 320)
            origin = stylizer.encode(photo)
            for name, each in {"the pictures": style, **shared, "draft": style}.items():
                made = stylizer(photo, each, quality="draft" if name == "draft" else "standard")
                seen = judged(made)
                near = [
                    (statistics_distance(seen, theirs, styles), texture_distance(seen, theirs, textures))
                    for theirs in wanted[kind]
                ]
                own = style_distance(stylizer.encode(made), style.code, origin)
                found.setdefault(name, []).append([*np.mean(near, 0), own])
    means = {name: np.mean(values, 0) for name, values in found.items()}
    return {
        name: {
            kind: [round(float(value), 4), f"{value / before - 1:+.1%}"]
            for kind, value, before in zip(("style", "texture", "own"), mean, means["the pictures"], strict=True)
        }
        for name, mean in means.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("attack", "cost"))
    parser.add_argument("--pictures", type=int, default=len(VICTIMS), help="liked pictures that are attacked")
    parser.add_argument("--liked", type=int, default=4, help="pictures of a style whose cost is measured")
    parser.add_argument("--gap", type=int, nargs="+", default=[GAP])
    parser.add_argument("--noise", type=float, nargs="+", default=[NOISE])
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--photos", type=Path, help="folder of photos, for cost")
    parser.add_argument("--count", type=int, default=2, help="photos")
    given = parser.parse_args()
    if given.what == "cost" and given.photos is None:
        parser.error("name a folder of photos with --photos")
    if given.what == "attack":
        print(
            json.dumps(attack(works(VICTIMS[: given.pictures], 1), given.gap[0], given.noise[0], given.sheet), indent=1)
        )
    else:
        variants = [(gap, noise) for gap in given.gap for noise in given.noise]
        photos = sorted(given.photos.glob("*.jpg"))[: given.count]
        print(json.dumps(cost(VICTIMS[: given.pictures], given.liked, photos, variants), indent=1))


if __name__ == "__main__":
    main()
