"""Measure how near the outputs of a collection are to its artist: KID on unseen works and photos.

usage: artists.py PHOTOS ARTIST_FOLDER MODEL [MODEL ...] [--manifest CSV] [--side 320]
                  [--sheet FILE.png]

Both folders are restricted to the `validation` rows of the manifest (default: manifest.csv above PHOTOS). KID uses
features of EfficientNet-Lite0, which no training uses. The ratio is KID(outputs) / KID(photos). Its interval is from
the jackknife, which leaves out a photo with its output, or a work.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from unseen import half_interval, jackknife, kid_value, rows_of, seen, small

from sfumato.image import write_image
from sfumato.inference import Stylizer
from sfumato.sheet import contact_sheet


def ratio(painted: np.ndarray, photos: np.ndarray, works: np.ndarray) -> tuple[float, float, float]:
    """Return KID(painted, works) / KID(photos, works), and a 95 % interval."""

    def value(keep: np.ndarray, of_works: np.ndarray) -> float:
        return kid_value(painted[keep], works[of_works]) / kid_value(photos[keep], works[of_works])

    all_photos, all_works = np.arange(len(photos)), np.arange(len(works))
    half = half_interval(
        jackknife(lambda keep: value(keep, all_works), len(photos)),
        jackknife(lambda keep: value(all_photos, keep), len(works)),
    )
    middle = value(all_photos, all_works)
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
    photos, works = (
        [small(path, arguments.side) for path in rows_of(folder, arguments.manifest, "validation")]
        for folder in (arguments.photos, arguments.artist)
    )
    of_photos, of_works = seen(photos), seen(works)
    found = {"artist": arguments.artist.name, "photos": len(photos), "works": len(works)}
    found["kid_of_photos"] = round(kid_value(of_photos, of_works), 4)
    rows = [photos[::9][:10]]
    for path in arguments.models:
        stylizer = Stylizer(path)
        painted = [stylizer(photo) for photo in photos]
        features = seen(painted)
        middle, low, high = ratio(features, of_photos, of_works)
        found[path.name] = {
            "kid": round(kid_value(features, of_works), 4),
            "ratio": [round(x, 3) for x in (middle, low, high)],
        }
        rows.append(painted[::9][:10])
    print(json.dumps(found, indent=1))
    if arguments.sheet:
        cells = [list(row) for row in zip(*rows, strict=True)]
        titles = ["photo", *(path.name for path in arguments.models)]
        write_image(contact_sheet(cells, [""] * len(cells), titles, 240), arguments.sheet)


if __name__ == "__main__":
    main()
