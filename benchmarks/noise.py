"""Measure generated pictures of noise models: KID to paintings, and diversity.

usage: noise.py STYLES MODEL [MODEL ...] [--manifest CSV] [--count 300] [--sheet FILE.png]

KID (on features of EfficientNet-Lite0, with its jackknife interval) is between `--count` pictures of each model, with
seed 0, and squares from the `validation` paintings of the manifest (default: manifest.csv above STYLES) at the size
of the model. The row `training` uses as many squares from the training paintings, which is the best possible value.
The row `grey` uses plain squares of their mean colours. Diversity is the mean distance of pairs of a model's
features, relative to that of paintings (1: outputs differ as much as paintings).
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from unseen import named, rows_of, seen

from sfumato.image import read_image, resize, write_image
from sfumato.inference.imagine import Imaginer
from sfumato.quality.features import Features
from sfumato.quality.kernel import kid
from sfumato.sheet import contact_sheet


def square(path: Path, side: int) -> np.ndarray:
    picture = read_image(path)
    short = min(picture.shape[2:])
    top, left = ((length - short) // 2 for length in picture.shape[2:])
    return resize(np.ascontiguousarray(picture[:, :, top : top + short, left : left + short]), side, side)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()

    def enlarged(pictures: list[np.ndarray]) -> Features:
        return named(seen(resize(picture, 160, 160) for picture in pictures))  # features were learnt at 224 pixels

    def mean_distances(features: Features) -> float:
        return float(np.mean([np.linalg.norm(a - b) for a, b in pairwise(features.arrays)]))

    models = [Imaginer(path) for path in arguments.models]
    side = models[0](models[0].z(0)).shape[-1]
    unseen, known = (rows_of(arguments.styles, arguments.manifest, split) for split in ("validation", "train"))
    paintings = [square(path, side) for path in unseen]
    trained = [square(path, side) for path in known[:: max(1, len(known) // arguments.count)]]
    real = enlarged(paintings)
    plain = enlarged([np.broadcast_to(x.mean((2, 3), keepdims=True), x.shape).copy() for x in trained])
    sheet = [paintings[:10]]
    sets = {"training": enlarged(trained), "grey": plain}
    for path, model in zip(arguments.models, models, strict=True):
        pictures = [model(model.z(0, index)) for index in range(arguments.count)]
        sets[path.name] = enlarged(pictures)
        sheet.append(pictures[:10])
    for name, features in sets.items():
        estimate = kid(features, real, subsets=2).estimate
        values = [round(v, 4) for v in (estimate.value, estimate.low, estimate.high)]
        print(
            json.dumps({name: {"kid": values, "diversity": round(mean_distances(features) / mean_distances(real), 3)}}),
            flush=True,
        )
    if arguments.sheet:
        cells = [list(row) for row in zip(*sheet, strict=True)]
        titles = ["painting", *(path.name for path in arguments.models)]
        write_image(contact_sheet(cells, [""] * len(cells), titles, 128), arguments.sheet)


if __name__ == "__main__":
    main()
