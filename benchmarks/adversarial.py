"""Measure the effect of the adversarial term: KID to unseen paintings, for models that differ in it.

usage: adversarial.py PHOTOS STYLES MODEL MODEL [...] [--manifest CSV] [--short 256] [--sheet FILE.png]

Each `validation` painting of the manifest (default: manifest.csv above PHOTOS) is paired with the next `validation`
photo, and each model paints all pairs. KID (on features of EfficientNet-Lite0, which no training uses) is between the
outputs of a model and the paintings. Content is the distance of instance-normalised relu3_1 features of VGG19 from
the photo. Every other model is compared with the first: differences with 95 % intervals, by the jackknife over
paintings (KID, where a painting is left out with its output) and over pairs (content).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from unseen import half_interval, jackknife, kid_value, rows_of, seen

from sfumato.image import read_image, thumbnail, write_image
from sfumato.inference import Style, Stylizer
from sfumato.quality.similarity import content_distance
from sfumato.sheet import contact_sheet


def difference(x: np.ndarray, first: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Return the KID of x minus that of `first`, both (N, D) to the paintings (N, D), and half of its interval."""

    def value(keep: np.ndarray) -> float:
        return kid_value(x[keep], real[keep]) - kid_value(first[keep], real[keep])

    return value(np.arange(len(x))), half_interval(jackknife(value, len(x)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("styles", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--short", type=int, default=256)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    photo_files, style_files = (
        rows_of(folder, arguments.manifest, "validation") for folder in (arguments.photos, arguments.styles)
    )
    paintings = [thumbnail(read_image(path), arguments.short) for path in style_files]
    photos = [thumbnail(read_image(photo_files[i % len(photo_files)]), arguments.short) for i in range(len(paintings))]
    shipped = Stylizer()
    real = seen(paintings)
    of_photos = [shipped.encode_full(photo)[1] for photo in photos]

    features, contents, rows = [], [], [photos[::15][:10], paintings[::15][:10]]
    found: dict[str, object] = {"pairs": len(photos)}
    found["kid_of_photos"] = round(kid_value(seen(photos), real), 4)
    for path in arguments.models:
        stylizer = Stylizer(path)
        painted = [
            stylizer(photo, Style.from_image(painting, stylizer=stylizer), quality="draft")
            for photo, painting in zip(photos, paintings, strict=True)
        ]
        features.append(seen(painted))
        contents.append(
            np.array([content_distance(shipped.encode_full(p)[1], s) for p, s in zip(painted, of_photos, strict=True)])
        )
        figures: dict[str, object] = {
            "kid": round(kid_value(features[-1], real), 4),
            "content": round(float(contents[-1].mean()), 4),
        }
        if len(features) > 1:
            kid, half = difference(features[-1], features[0], real)
            gap = contents[-1] - contents[0]
            figures["kid_less_the_first"] = [round(v, 4) for v in (kid, kid - half, kid + half)]
            spread = half_interval(float(gap.var(ddof=1)) / len(gap))
            figures["content_less_the_first"] = [round(float(gap.mean()) + d, 4) for d in (0, -spread, spread)]
        found[path.name] = figures
        rows.append(painted[::15][:10])
        print(json.dumps({path.name: figures}), flush=True)
    print(json.dumps(found, indent=1))
    if arguments.sheet:
        cells = [list(row) for row in zip(*rows, strict=True)]
        titles = ["photo", "painting", *(path.name for path in arguments.models)]
        write_image(contact_sheet(cells, [""] * len(cells), titles, 240), arguments.sheet)


if __name__ == "__main__":
    main()
