"""Helpers of benchmarks on a manifest's splits: rows of a folder, small pictures, the evaluator, the jackknife.

As a command it writes unseen pairs for `sfumato evaluate`: unseen.py PHOTOS STYLES OUT_DIR [--paintings 12] [--each 5]
"""

from __future__ import annotations

import argparse
import csv
import math
import shutil
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np

from sfumato.image import Picture, read_image, resize
from sfumato.quality.backbones import EfficientNetLite0
from sfumato.quality.features import Features
from sfumato.quality.kernel import kid


def rows_of(folder: Path, manifest: Path | None, split: str) -> list[Path]:
    """Return the pictures of a split in a folder, sorted; the default manifest is manifest.csv above the folder."""
    manifest = manifest or folder.parent / "manifest.csv"
    with manifest.open(newline="") as file:
        paths = [manifest.parent / row["file"] for row in csv.DictReader(file) if row["split"] == split]
    return sorted(path for path in paths if folder.resolve() in path.resolve().parents)


@cache
def judge() -> EfficientNetLite0:
    """Return the evaluator network, created once; no training uses it."""
    return EfficientNetLite0()


def small(path: Path, side: int) -> Picture:
    """Read a picture (1, 3, h, w), reduced to at most this short side."""
    picture = read_image(path)
    height, width = picture.shape[2:]
    scale = side / min(height, width)
    return picture if scale >= 1 else resize(picture, round(height * scale), round(width * scale))


def seen(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Return EfficientNet-Lite0 features (N, D) of pictures (1, 3, h, w)."""
    return np.stack([judge().pooled(picture).features for picture in pictures])


def named(features: np.ndarray) -> Features:
    return Features(EfficientNetLite0.name, features)


def kid_value(a: np.ndarray, b: np.ndarray) -> float:
    """Return the KID of two sets of features (N, D)."""
    return kid(named(a), named(b), subsets=2).estimate.value


def kid_interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Return the KID of two sets of features (N, D), and its 95 % interval by the jackknife."""
    estimate = kid(named(a), named(b), subsets=2).estimate
    return estimate.value, estimate.low, estimate.high


def jackknife(value: Callable[[np.ndarray], float], count: int) -> float:
    """Return the jackknife variance of a function of the kept indices, leaving out one of `count` at a time."""
    everyone = np.arange(count)
    return float(np.var([value(np.delete(everyone, i)) for i in everyone])) * (count - 1)


def half_interval(*variances: float) -> float:
    """Return half of a 95 % interval for the sum of these variances."""
    return 1.96 * math.sqrt(sum(variances))


def lay_out(photos: Path, styles: Path, out: Path, paintings: int, each: int) -> int:
    """Write pairs of `validation` rows: one painting each of `paintings` artists, evenly spread, with `each` photos.

    Writes OUT/pairs.csv and copies of the pictures to OUT/content and OUT/style, and returns the number of pairs.
    """
    first: dict[str, Path] = {}
    for path in rows_of(styles, None, "validation"):
        first.setdefault(path.parent.name, path)
    artists = sorted(first)[:: max(1, len(first) // paintings)][:paintings]
    scenes = rows_of(photos, None, "validation")
    for name in ("content", "style"):
        (out / name).mkdir(parents=True, exist_ok=True)
    rows = []
    for i, artist in enumerate(artists):
        shutil.copy(first[artist], out / "style")
        for photo in (scenes[(i * each + j) * 7 % len(scenes)] for j in range(each)):
            shutil.copy(photo, out / "content")
            rows.append((photo.name, first[artist].name))
    with (out / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("content", "style"), *rows])
    return len(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=lay_out.__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("styles", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--paintings", type=int, default=12)
    parser.add_argument("--each", type=int, default=5)
    print(lay_out(**vars(parser.parse_args())), "pairs")
