"""Measure generated pictures of noise models: KID to paintings, and diversity.

usage: noise.py STYLES MODEL [MODEL ...] [--manifest CSV] [--count 300] [--sheet FILE.png] [--nearest FILE.png]
       noise.py STYLES --objectives STEPS --runs DIR [--manifest CSV] [--count 300] [--sheet FILE.png]

KID (on features of EfficientNet-Lite0, with its jackknife interval) is between `--count` pictures of each model, with
seed 0, and squares from the `validation` paintings of the manifest (default: manifest.csv above STYLES) at the size
of the model. The row `training` uses as many squares from the training paintings, which is the best possible value.
The row `grey` uses plain squares of their mean colours. Diversity is the mean distance of pairs of a model's
features, relative to that of paintings (1: outputs differ as much as paintings). `--nearest` writes a sheet of a few
pictures of the first model, each with the training paintings whose features are nearest.

`--objectives` trains the recipe `tiny` for STEPS steps with each GAN loss, from the same initial weights and with the
same batches, in folders below `--runs` (a folder that exists is not trained again), and measures these models.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from unseen import named, rows_of, seen

from sfumato.image import read_image, resize, write_image
from sfumato.inference.imagine import Imaginer
from sfumato.quality.features import Features
from sfumato.quality.kernel import kid
from sfumato.sheet import contact_sheet

OBJECTIVES = ("bce", "nonsaturating", "lsgan", "hinge", "relativistic")
EXAMINED, NEIGHBOURS = 8, 3  # pictures of `--nearest`, and training paintings beside each


def square(path: Path, side: int) -> np.ndarray:
    picture = read_image(path)
    short = min(picture.shape[2:])
    top, left = ((length - short) // 2 for length in picture.shape[2:])
    return resize(np.ascontiguousarray(picture[:, :, top : top + short, left : left + short]), side, side)


def train_each(losses: Iterable[str], steps: int, styles: Path, manifest: Path, runs: Path) -> list[Path]:
    """Train and export a model with each loss; return their folders."""
    from sfumato.data.folders import load_folder
    from sfumato.export.onnx import export_run
    from sfumato.training.config import load_recipe
    from sfumato.training.loop import Trainer

    found = []
    for loss in losses:
        model = runs / loss
        if not model.exists():
            sets = [f"adversarial.gan_loss={loss}", f"phases=[{{steps={steps},batch=16}}]", "probe_every=0"]
            config = load_recipe("tiny", [*sets, f"checkpoint_every={steps}", f"sample_every={steps}"], "noise")
            paintings = load_folder(styles, manifest, short=config.short_side, min_pictures=2)
            run = Trainer(config, None, paintings, runs / f"{loss}-run", cache=None, cpu=True)
            run.resume()  # if the command was stopped
            run.run(lambda told: None)
            export_run(runs / f"{loss}-run", model, loss)
        found.append(model)
    return found


def write_nearest(
    path: Path, model: Imaginer, known: list[Path], features: Callable[[list[np.ndarray]], Features], side: int
) -> None:
    """Write a sheet of pictures of seed 0, each with the training paintings that are nearest by features."""
    paintings = [square(each, side) for each in known]
    theirs = np.asarray(features(paintings).arrays)
    rows = []
    for index in range(EXAMINED):
        picture = model(model.z(0, index))
        distances = np.linalg.norm(theirs - np.asarray(features([picture]).arrays), axis=1)
        rows.append([picture, *(paintings[i] for i in np.argsort(distances)[:NEIGHBOURS])])
    titles = ["from noise", *(f"nearest {i + 1}" for i in range(NEIGHBOURS))]
    write_image(contact_sheet(rows, [""] * len(rows), titles, side), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--nearest", type=Path)
    parser.add_argument("--objectives", type=int, metavar="STEPS")
    parser.add_argument("--runs", type=Path)
    arguments = parser.parse_args()
    if arguments.objectives:
        manifest = arguments.manifest or arguments.styles.parent / "manifest.csv"
        arguments.models = train_each(OBJECTIVES, arguments.objectives, arguments.styles, manifest, arguments.runs)

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
    if arguments.nearest:
        write_nearest(arguments.nearest, models[0], known, enlarged, side)
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
