"""What does the adversarial term bring? KID to paintings that training did not see, of models that differ in it.

usage: adversarial.py PHOTOS STYLES MODEL MODEL [...] [--manifest CSV] [--refine N] [--short 256] [--sheet FILE.png]

Each `validation` painting of the manifest (default: manifest.csv above PHOTOS) is given to the next `validation` photo,
and each model paints all of these pairs. KID (of EfficientNet-Lite0's features, which no training has seen) is between
what a model painted and the paintings; content is the distance of instance-normalised relu3_1 features of VGG19 from
the photo. Every other model is compared with the first: differences with 95 % intervals, by the jackknife over
paintings (KID, where a painting goes with its picture) and over pairs (content).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from pathlib import Path

import numpy as np

from sfumato.image import read_image, thumbnail, write_image
from sfumato.inference import Style, Stylizer
from sfumato.quality.backbones import EfficientNetLite0
from sfumato.quality.similarity import content_distance
from sfumato.sheet import contact_sheet


def mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased MMD² with KID's kernel (Bińkowski et al. 2018), over all of two sets of features (N, D)."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    def within(a: np.ndarray) -> float:
        k, n = kernel(a, a), len(a)
        return float((k.sum() - np.trace(k)) / (n * (n - 1)))

    return within(x) + within(y) - 2 * float(kernel(x, y).mean())


def difference(x: np.ndarray, first: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """KID of x less that of `first`, both (N, D) to the paintings (N, D) that they were made with; half an interval."""

    def value(keep: np.ndarray) -> float:
        return mmd(x[keep], real[keep]) - mmd(first[keep], real[keep])

    everyone = np.arange(len(x))
    left_out = [value(np.delete(everyone, i)) for i in everyone]
    return value(everyone), 1.96 * math.sqrt(float(np.var(left_out)) * (len(x) - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("styles", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--refine", type=int, default=0)
    parser.add_argument("--short", type=int, default=256)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    manifest = arguments.manifest or arguments.photos.parent / "manifest.csv"
    with manifest.open(newline="") as file:
        apart = sorted(manifest.parent / row["file"] for row in csv.DictReader(file) if row["split"] == "validation")
    photo_files, style_files = (
        [path for path in apart if folder.resolve() in path.resolve().parents]
        for folder in (arguments.photos, arguments.styles)
    )
    paintings = [thumbnail(read_image(path), arguments.short) for path in style_files]
    photos = [thumbnail(read_image(photo_files[i % len(photo_files)]), arguments.short) for i in range(len(paintings))]
    eye, shipped = EfficientNetLite0(), Stylizer()
    real = np.stack([eye.pooled(picture).features for picture in paintings])
    seen = [shipped.look(photo)[1] for photo in photos]

    features, contents, rows = [], [], [photos[::15][:10], paintings[::15][:10]]
    found: dict[str, object] = {"pairs": len(photos), "refine": arguments.refine}
    found["kid_of_photos"] = round(mmd(np.stack([eye.pooled(photo).features for photo in photos]), real), 4)
    for path in arguments.models:
        stylizer = Stylizer(path)
        painted = [
            stylizer(photo, Style.from_image(painting, stylizer=stylizer), refine=arguments.refine)
            for photo, painting in zip(photos, paintings, strict=True)
        ]
        features.append(np.stack([eye.pooled(picture).features for picture in painted]))
        contents.append(np.array([content_distance(shipped.look(p)[1], s) for p, s in zip(painted, seen, strict=True)]))
        figures: dict[str, object] = {
            "kid": round(mmd(features[-1], real), 4),
            "content": round(float(contents[-1].mean()), 4),
        }
        if len(features) > 1:
            kid, half = difference(features[-1], features[0], real)
            gap = contents[-1] - contents[0]
            figures["kid_less_the_first"] = [round(v, 4) for v in (kid, kid - half, kid + half)]
            spread = 1.96 * float(gap.std(ddof=1)) / math.sqrt(len(gap))
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
