"""Make sheets of photos in built-in styles, six styles a sheet, and print the values of the artefact detectors.

usage: looks.py OUT_DIR PHOTO... [--styles N] [--model DIR] [--cell PX]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.progress import track

from sfumato import Style, Stylizer
from sfumato.assets import style_names
from sfumato.image import read_image, resize, thumbnail_size, write_image
from sfumato.quality.artefacts import artefacts
from sfumato.sheet import contact_sheet

COLUMNS = 6  # styles a sheet
SIDE = 768  # pixels: photos are painted at no more than that on their shorter side


def looks(out: Path, photos: list[Path], styles: int, model: Path | None, cell: int) -> list[Path]:
    """Write the sheets OUT/looks-1.png, ..., and return their paths."""
    stylizer = Stylizer(model)
    found: dict[str, list[float]] = {}
    names = style_names()[:styles]
    pictures = [read_image(path) for path in photos]
    pictures = [resize(x, *thumbnail_size(x.shape[2], x.shape[3], SIDE, 2 * SIDE)) for x in pictures]
    sheets = []
    for first in track(range(0, len(names), COLUMNS), "painting sheets"):
        some = names[first : first + COLUMNS]
        rows = [[x, *(stylizer(x, Style.named(name)) for name in some)] for x in pictures]
        for photo, *painted in rows:
            for picture in painted:
                for name, artefact in artefacts(picture, photo).items():
                    found.setdefault(name, []).append(artefact.value)
        sheets.append(out / f"looks-{first // COLUMNS + 1}.png")
        write_image(contact_sheet(rows, [path.stem for path in photos], ["photo", *some], cell), sheets[-1])
    for name, values in found.items():
        seen = sum(value > 2 for value in values)
        print(f"{name:17} median {np.median(values):.2f}  most {max(values):.2f}  above 2: {seen} of {len(values)}")
    return sheets


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--styles", type=int, default=24)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cell", type=int, default=320)
    print(*looks(**vars(parser.parse_args())), sep="\n")
