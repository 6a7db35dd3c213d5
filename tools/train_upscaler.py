"""Train the network that `sfumato finish --upscale 2` runs, and export it to where it ships.

usage: train_upscaler.py DATA [--steps 9000] [--seed 0] [--threads 1] [--out DIR]

DATA holds manifest.csv (columns file, split, licence) and the pictures that it names, photos in content/ and paintings
in style/; the `train` rows are used, photos and paintings alike. A crop is reduced to half its size (bicubic,
antialiased), and the network is to undo that: L1, Adam, half a cosine. About a quarter of an hour on one thread. What
came of it: benchmarks/upscaling.py. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.assets import weights_dir
from sfumato.data.folders import TrainingPicture, load_folder
from sfumato.export.upscaler import export_upscaler
from sfumato.networks.upscaler import SCALE, Upscaler

SIDE = 56  # pixels of a crop
BATCH = 16
SHORT = 320  # pixels on the short side that pictures are held with
RATE, LAST_RATE = 1e-3, 1e-5


class Crops:
    """Batches by seed and step: photos and paintings in turn; half of the crops are of a picture that was first reduced
    by up to a half (what JPEG left in small pictures is not to be learnt as detail), turned and mirrored any way.
    """

    def __init__(self, photos: list[TrainingPicture], paintings: list[TrainingPicture], seed: int) -> None:
        self.kinds = [[torch.from_numpy(picture.pixels) for picture in kind] for kind in (photos, paintings)]
        self.seed = seed

    def batch(self, step: int) -> Tensor:
        """(BATCH, 3, SIDE, SIDE) in [0, 1]."""
        rng = np.random.default_rng([self.seed, step])
        return torch.stack([self._crop(self.kinds[row % 2], rng, row % 4 < 2) for row in range(BATCH)])

    @staticmethod
    def _crop(pictures: list[Tensor], rng: np.random.Generator, reduced: bool) -> Tensor:
        picture = pictures[int(rng.integers(len(pictures)))]
        region = round(SIDE * (rng.uniform(1.0, 2.0) if reduced else 1.0))
        top, left = (int(rng.integers(side - region + 1)) for side in picture.shape[1:])
        x = picture[:, top : top + region, left : left + region].float() / 255
        if region > SIDE:
            x = F.interpolate(x[None], (SIDE, SIDE), mode="bicubic", antialias=True)[0].clamp(0, 1)
        x = x.rot90(int(rng.integers(4)), (1, 2))
        return x.flip(2) if rng.random() < 0.5 else x


def train(crops: Crops, steps: int, seed: int) -> Upscaler:
    torch.manual_seed(seed)
    model = Upscaler()
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    began, total = perf_counter(), 0.0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LAST_RATE + (RATE - LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2
        target = crops.batch(step)
        small = F.interpolate(target, scale_factor=1 / SCALE, mode="bicubic", antialias=True).clamp(0, 1)
        loss = F.l1_loss(model(small), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        if (step + 1) % 200 == 0:
            print(f"step {step + 1}  L1 {total / 200:.5f}  {perf_counter() - began:.0f} s", flush=True)
            total = 0.0
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=weights_dir().with_name("upscaler"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    manifest = arguments.data / "manifest.csv"
    photos, paintings = (
        load_folder(arguments.data / kind, manifest, short=SHORT, least=1, minimum_side=2 * SIDE)
        for kind in ("content", "style")
    )
    for report in (photos, paintings):
        print("\n".join(report.lines()), flush=True)
    model = train(Crops(photos.pictures, paintings.pictures, arguments.seed), arguments.steps, arguments.seed)
    with manifest.open(newline="", encoding="utf-8") as file:
        licences = {row["file"]: row["licence"] for row in csv.DictReader(file)}
    used = [picture.path.relative_to(arguments.data).as_posix() for picture in photos.pictures + paintings.pictures]
    kinds = Counter("public domain paintings" if licences[n].startswith("public domain") else licences[n] for n in used)
    card = {
        "training": {
            "steps": arguments.steps,
            "seed": arguments.seed,
            "batch": BATCH,
            "crop": SIDE,
            "loss": "L1",
            "content_digest": photos.digest,
            "style_digest": paintings.digest,
        },
        "data": {
            "photos": len(photos.pictures),
            "paintings": len(paintings.pictures),
            "licences": dict(kinds.most_common()),
            "hashes": "training_pictures.csv: SHA-256, source and licence of each picture",
        },
        "licence": {
            "code": "Apache-2.0",
            "weights": "see NOTICE: trained on photos of research data sets, some for non-commercial use only",
        },
    }
    print("differs from torch by", export_upscaler(model, arguments.out, card))


if __name__ == "__main__":
    main()
