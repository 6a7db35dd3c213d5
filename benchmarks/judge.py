"""Compute the table of docs/results.md: evaluate stylised pairs with a network that no training uses.

usage: judge.py --pairs PAIRS.csv --content DIR --style DIR [--short PX] [--json OUT] NAME=DIR|NAME=IDENTITY ...

PAIRS.csv has the columns content,style (file names in the two folders). The picture of a method for a pair is
DIR/<content stem>__<style stem>.png or .jpg (`benchmarks/pairs.py` makes those of a model); IDENTITY evaluates the
unchanged photos. Each figure is a mean over pairs with a 95 % interval: percentiles of 500 bootstrap draws over styles.

content   distance of instance-normalised EfficientNet-Lite0 features to the photo's, strides 8 and 16 (0: unchanged)
style     distance of channel statistics to the painting's, strides 2 to 16 (1: like any other painting)
texture   the same of Gram matrices of the luma at equal contrast (1: like any other painting)
strokes   distance of each place of the output to the nearest place of the painting, strides 4 and 8, of the same luma
          (0: as one half of a painting to its other half; 1: as another painting)
variety   the same of each place of the painting to the nearest place of the output
top1      share of outputs whose nearest painting by style is their own
ssim      structural similarity of the luma with the photo's (for reference; not a measure of quality)
copied    correlation with the photo of the octave of luma between 0 and 1 pixels (1: recoloured; 0: painted anew)
kept      the same between 4 and 8 pixels (higher: objects stay in place)
grid      checkerboard: log10 of the spectrum's peaks at periods 2 and 4 over their surroundings, output minus photo, at
          the output's own size (0: like the photo; 1: ten times)

The measures are those of `sfumato.quality`. Four things differ from `sfumato evaluate`, to stay comparable with earlier
figures: all but grid are taken at a short side of PX (384) pixels, to which pictures are resized in 8
bits, small ones enlarged too, and outputs brought to their photo's size; SSIM is taken there and not at the picture's
own size; grid is of one spectrum of the whole picture, where the detector of `sfumato evaluate` uses windows and gives
a map; and intervals treat only styles as the sample, where those of `sfumato evaluate` also treat photos as one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from unseen import judge

from sfumato.errors import SfumatoError, UsageError
from sfumato.image import Picture, as_image, read_image, to_pil
from sfumato.quality.backbones import EfficientNetLite0
from sfumato.quality.pairs import Pair, read_pairs, stylized_pictures
from sfumato.quality.similarity import content_distance, copied, kept, ssim
from sfumato.quality.strokes import (
    LocalScale,
    Places,
    half_distance,
    local_distances,
    neighbours,
    places,
)
from sfumato.quality.style import (
    StyleStatistics,
    luma_view,
    mean_distances,
    retrieval_rank,
    statistics_distance,
    texture_distance,
)

ARROWS = {
    "content": "↓", "style": "↓", "texture": "↓", "strokes": "↓", "variety": "↓", "top1": "↑", "ssim": "",
    "copied": "↓", "kept": "↑", "grid": "↓",
}  # fmt: skip
DRAWS = 500


@lru_cache(32)
def original(path: Path) -> Image.Image:
    """Read a file in 8-bit sRGB."""
    return to_pil(read_image(path))


def at(path: Path, short: int | None = None, size: tuple[int, int] | None = None) -> Picture:
    """Return (1, 3, H, W), resized by Pillow in 8 bits, to a short side or to a size (width, height)."""
    image = original(path)
    if short is not None:
        scale = short / min(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return as_image(image if size in (None, image.size) else image.resize(size, Image.Resampling.LANCZOS))


def size_of(x: Picture) -> tuple[int, int]:
    return x.shape[3], x.shape[2]


def checkerboard(x: Picture) -> float:
    """Return the mean log10 of peak over surrounding median, at periods 2 and 4 along rows, columns and both."""
    grey = x[0].mean(0)
    height, width = (side // 4 * 4 for side in grey.shape)
    grey = grey[:height, :width] * np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    found = []
    for part in (2, 4):
        for row, column in ((height // part, 0), (0, width // part), (height // part, width // part)):
            around = np.roll(power, (8 - row, 8 - column), (0, 1))[:17, :17]
            found.append(np.log10((around[7:10, 7:10].max() + 1e-9) / (np.median(around) + 1e-9)))
    return float(np.mean(found))


class Paintings:
    """All paintings of the pairs, sorted by name; distances are relative to them."""

    def __init__(self, pairs: list[Pair], folder: Path, short: int) -> None:
        self.names = sorted({pair.style.name for pair in pairs})
        if len(self.names) < 2:
            raise UsageError("the pairs have one painting, and distances relative to others need two; add another")
        backbone = judge()
        self.statistics: dict[str, StyleStatistics] = {}
        self.places: dict[str, Places] = {}
        halves = []
        for name in self.names:
            x = at(folder / name, short)
            view = backbone.features(luma_view(x))
            self.statistics[name] = StyleStatistics.of(backbone.name, backbone.features(x), view)
            self.places[name] = places(view)
            halves.append(half_distance(lambda half: backbone.features(half, 8), x))
        self.scales = mean_distances(list(self.statistics.values()))
        both = [(self.places[self.names[i]], self.places[self.names[j]]) for i, j in neighbours(len(self.names))]
        self.local = LocalScale.of(halves, [float(np.mean(local_distances(a, b))) for a, b in both])


def measure_defects(pair: Pair, output: Path, paintings: Paintings, short: int) -> dict[str, float]:
    """Return the measures of one picture."""
    backbone, name = judge(), pair.style.name
    photo = at(pair.content, short)
    x = at(output, size=size_of(photo)) if output != pair.content else photo
    own = at(output) if output != pair.content else photo  # photos themselves: no grid by definition
    beside = at(pair.content, size=size_of(own))
    seen, of_photo, view = backbone.features(x), backbone.features(photo), backbone.features(luma_view(x))
    statistics = StyleStatistics.of(backbone.name, seen, view)
    there, back = local_distances(places(view), paintings.places[name])
    of_statistics, of_gram = paintings.scales
    rank = retrieval_rank(statistics, paintings.statistics, name, of_statistics)
    return {
        "content": float(np.mean([content_distance(seen[k], of_photo[k]) for k in EfficientNetLite0.CONTENT])),
        "style": statistics_distance(statistics, paintings.statistics[name], of_statistics),
        "texture": texture_distance(statistics, paintings.statistics[name], of_gram),
        "strokes": paintings.local.relative(there),
        "variety": paintings.local.relative(back),
        "top1": float(rank == 1),
        "ssim": ssim(x, photo),
        "copied": copied(x, photo),
        "kept": kept(x, photo),
        "grid": checkerboard(own) - checkerboard(beside),
    }


def with_interval(values: list[float], styles: list[str], rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the mean over pairs, and its 95 % interval by the bootstrap over styles."""
    names = sorted(set(styles))
    of_style = [[v for v, style in zip(values, styles, strict=True) if style == name] for name in names]
    sums, counts = np.array([sum(some) for some in of_style]), np.array([len(some) for some in of_style])
    draws = [rng.choice(len(names), len(names)) for _ in range(DRAWS)]
    low, high = np.percentile([sums[draw].sum() / counts[draw].sum() for draw in draws], [2.5, 97.5])
    return float(np.mean(values)), float(low), float(high)


def judged(
    pairs: list[Pair], files: Mapping[Pair, Path], paintings: Paintings, short: int
) -> dict[str, tuple[float, float, float]]:
    """Return all measures of one method, with their intervals."""
    rows = [measure_defects(pair, files[pair], paintings, short) for pair in pairs]
    rng, styles = np.random.default_rng(0), [pair.style.name for pair in pairs]
    return {key: with_interval([row[key] for row in rows], styles, rng) for key in ARROWS}


def main(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    pairs = read_pairs(arguments.pairs, arguments.content, arguments.style)
    methods: dict[str, Mapping[Pair, Path]] = {}
    for text in arguments.methods:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder) or name in methods:
            raise UsageError(f"methods are named NAME=DIR or NAME=IDENTITY, each once; {text!r} does not fit")
        identity = folder == "IDENTITY"
        methods[name] = {p: p.content for p in pairs} if identity else stylized_pictures(pairs, Path(folder))
    paintings = Paintings(pairs, arguments.style, arguments.short)
    say(f"strokes and variety: {paintings.local}\n")
    say(f"| | {' | '.join(f'{key} {arrow}'.rstrip() for key, arrow in ARROWS.items())} |\n|---{'|---' * len(ARROWS)}|")
    result = {}
    for name, files in methods.items():
        figures = judged(pairs, files, paintings, arguments.short)
        cells = [f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in figures.values()]
        say(f"| {name} | {' | '.join(cells)} |")
        result[name] = {"pairs": len(pairs)} | {key: [round(v, 4) for v in some] for key, some in figures.items()}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("pairs", "content", "style"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--short", type=int, default=384)
    parser.add_argument("--json", type=Path)
    parser.add_argument("methods", nargs="+")
    try:
        main(parser.parse_args(), lambda text: print(text, flush=True))
    except SfumatoError as problem:
        sys.exit(f"judge.py: {problem}")
