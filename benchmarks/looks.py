"""Sheets of photos under built-in styles, to be looked at: six styles a sheet.

usage: looks.py OUT_DIR PHOTO... [--styles N] [--model DIR] [--cell PX]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import track

from sfumato import Style, Stylizer
from sfumato.assets import style_names
from sfumato.image import read_image, resize, thumbnail_size, write_image
from sfumato.sheet import contact_sheet

COLUMNS = 6  # styles a sheet
SIDE = 768  # pixels: photos are painted at no more than that on their shorter side


def looks(out: Path, photos: list[Path], styles: int, model: Path | None, cell: int) -> list[Path]:
    """Write the sheets OUT/looks-1.png, ...; returns their paths."""
    stylizer = Stylizer(model)
    names = style_names()[:styles]
    pictures = [read_image(path) for path in photos]
    pictures = [resize(x, *thumbnail_size(x.shape[2], x.shape[3], SIDE, 2 * SIDE)) for x in pictures]
    sheets = []
    for first in track(range(0, len(names), COLUMNS), "painting sheets"):
        some = names[first : first + COLUMNS]
        rows = [[x, *(stylizer(x, Style.named(name)) for name in some)] for x in pictures]
        sheets.append(out / f"looks-{first // COLUMNS + 1}.png")
        write_image(contact_sheet(rows, [path.stem for path in photos], ["photo", *some], cell), sheets[-1])
    return sheets


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--styles", type=int, default=24)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cell", type=int, default=320)
    print(*looks(**vars(parser.parse_args())), sep="\n")
