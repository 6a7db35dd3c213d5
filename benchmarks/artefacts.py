"""Measure how well the detectors of sfumato.quality.artefacts separate planted defects from clean pictures.

usage: artefacts.py PHOTOS PAINTINGS [--pictures N] [--trim SHARE] [--jobs N]

Both are folders, searched recursively. One line for each detector gives the area under the ROC curve between clean
pictures and the same pictures with a planted defect, and the 95th percentile of the values of clean pictures; first for
single pictures, then for a mild stylisation compared with its photo. ``--trim`` cuts a share off every side: scans of
paintings and old photographs have margins, which the detectors report as frames.
"""

from __future__ import annotations

import argparse
import importlib.util
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import numpy as np

from sfumato.image import READABLE, read_image
from sfumato.quality import artefacts

Scores = dict[tuple[str, bool], tuple[float, float]]  # of a detector, without and with the photo: clean and planted


@cache
def planting() -> ModuleType:
    """Return the module of the tests that plants defects."""
    path = Path(__file__).parents[1] / "tests" / "quality" / "test_artefacts.py"
    spec = importlib.util.spec_from_file_location("planting", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores(numbered: tuple[int, Path], trim: float) -> Scores:
    number, path = numbered
    tool, found = planting(), {}
    photo = read_image(path)
    cut_y, cut_x = round(photo.shape[2] * trim), round(photo.shape[3] * trim)
    photo = photo[:, :, cut_y : photo.shape[2] - cut_y, cut_x : photo.shape[3] - cut_x]
    styled = tool.recoloured(photo, np.random.default_rng([number, 0]))
    for index, name in enumerate(tool.EVERY):
        detector = getattr(artefacts, name)
        for given, x in ((False, photo), (True, styled)):
            if given or name in tool.ALONE:
                planted, _ = tool.PLANTERS[name](x, photo, 1.0, np.random.default_rng([number, 1 + index]))
                beside = (photo,) if given else ()
                found[name, given] = detector(x, *beside).value, detector(planted, *beside).value
    return found


def measure(photos: Path, paintings: Path, pictures: int, trim: float, jobs: int) -> None:
    auc = planting().auc
    table: list[list[Scores]] = []
    with ProcessPoolExecutor(jobs) as pool:
        for folder in (photos, paintings):
            paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in READABLE)
            paths = [paths[k] for k in np.random.default_rng(0).permutation(len(paths))[:pictures]]
            table.append(list(pool.map(partial(scores, trim=trim), enumerate(paths), chunksize=2)))
    print(f"{'detector':18}{'photo given':13}{'AUC photos':>11}{'paintings':>11}{'clean 95 %':>15}{'planted 50 %':>14}")
    for name, given in table[0][0]:
        columns = [np.array([one[name, given] for one in half]) for half in table]
        areas = [auc(column[:, 0], column[:, 1]) for column in columns]
        high = " ".join(f"{np.quantile(column[:, 0], 0.95):6.2f}" for column in columns)
        middle = " ".join(f"{np.median(column[:, 1]):6.2f}" for column in columns)
        print(
            f"{name:18}{'yes' if given else 'no':13}{areas[0]:11.3f}{areas[1]:11.3f}{high:>15}{middle:>14}", flush=True
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--pictures", type=int, default=100, help="of each kind")
    parser.add_argument("--trim", type=float, default=0.0)
    parser.add_argument("--jobs", type=int, default=1)
    measure(**vars(parser.parse_args()))
