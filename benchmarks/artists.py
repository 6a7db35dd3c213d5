"""Do a collection's pictures come nearer to its artist? KID to works and from photos that training did not see.

usage: artists.py PHOTOS ARTIST_FOLDER MODEL [MODEL ...] [--manifest CSV] [--side 320] [--sheet FILE.png]

The `validation` rows of the manifest (default: manifest.csv above PHOTOS) are used of both folders. KID is of
EfficientNet-Lite0's features, which no training has seen. The ratio is KID(pictures) / KID(photos), its interval by the
jackknife, a photo with its picture, or a work, left out at a time.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from pathlib import Path

import numpy as np

from sfumato.image import read_image, resize, write_image
from sfumato.inference import Stylizer
from sfumato.quality.backbones import EfficientNetLite0
from sfumato.quality.distribution import Features, kid
from sfumato.sheet import contact_sheet


def small(path: Path, side: int) -> np.ndarray:
    picture = read_image(path)
    height, width = picture.shape[2:]
    scale = side / min(height, width)
    return picture if scale >= 1 else resize(picture, round(height * scale), round(width * scale))


def ratio(painted: np.ndarray, photos: np.ndarray, works: np.ndarray) -> tuple[float, float, float]:
    """KID(painted, works) / KID(photos, works), and a 95 % interval."""

    def value(keep: np.ndarray, of_works: np.ndarray) -> float:
        found = [
            kid(
                Features(EfficientNetLite0.name, x[keep]), Features(EfficientNetLite0.name, works[of_works]), subsets=2
            ).figure.value
            for x in (painted, photos)
        ]
        return found[0] / found[1]

    all_photos, all_works = np.arange(len(photos)), np.arange(len(works))
    variance = 0.0
    for count, at in ((len(photos), 0), (len(works), 1)):
        left_out = []
        for i in range(count):
            keep = [all_photos, all_works]
            keep[at] = np.delete(keep[at], i)
            left_out.append(value(keep[0], keep[1]))
        variance += float(np.var(left_out)) * (count - 1)
    middle, half = value(all_photos, all_works), 1.96 * math.sqrt(variance)
    return middle, middle - half, middle + half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("artist", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    manifest = arguments.manifest or arguments.photos.parent / "manifest.csv"
    with manifest.open(newline="") as file:
        apart = {manifest.parent / row["file"] for row in csv.DictReader(file) if row["split"] == "validation"}
    photos, works = (
        [small(path, arguments.side) for path in sorted(folder.iterdir()) if path in apart]
        for folder in (arguments.photos, arguments.artist)
    )
    eye = EfficientNetLite0()

    def seen(pictures: list[np.ndarray]) -> np.ndarray:
        return np.stack([eye.pooled(picture).features for picture in pictures])

    of_photos, of_works = seen(photos), seen(works)
    found = {"artist": arguments.artist.name, "photos": len(photos), "works": len(works)}
    found["kid_of_photos"] = round(
        kid(Features(EfficientNetLite0.name, of_photos), Features(EfficientNetLite0.name, of_works)).figure.value, 4
    )
    rows = [photos[::9][:10]]
    for path in arguments.models:
        stylizer = Stylizer(path)
        painted = [stylizer(photo, None) for photo in photos]
        features = seen(painted)
        middle, low, high = ratio(features, of_photos, of_works)
        value = kid(Features(EfficientNetLite0.name, features), Features(EfficientNetLite0.name, of_works)).figure.value
        found[path.name] = {"kid": round(value, 4), "ratio": [round(x, 3) for x in (middle, low, high)]}
        rows.append(painted[::9][:10])
    print(json.dumps(found, indent=1))
    if arguments.sheet:
        cells = [list(row) for row in zip(*rows, strict=True)]
        titles = ["photo", *(path.name for path in arguments.models)]
        write_image(contact_sheet(cells, [""] * len(cells), titles, 240), arguments.sheet)


if __name__ == "__main__":
    main()
