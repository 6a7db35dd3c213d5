"""Compare ways to paint like one painter: KID to unseen works, and how much of the photo is kept.

usage: painters.py PHOTOS STYLES OUT --painters NAME ... [--ways WAY=PATH ...] [--count 40] [--side 320]
                   [--show PHOTO ...]

The photos, and the works that KID compares with, are `validation` rows of the manifest (manifest.csv above PHOTOS and
above STYLES); the works that the ways know are its `train` rows. STYLES has a folder for each painter. The ways are:

photo     the photo unchanged
colour    the photo with the colours of one work (`quality.anchors.colour_transfer`), the works in turn
bank      quality standard, with all works of the painter as the style
WAY=PATH  a model of the kind collection, or a folder of pictures named PHOTO.png; {} in PATH stands for the painter.
          Painters without such a path are left out

Each picture is painted once, to OUT/PAINTER/WAY/PHOTO.png; delete it to paint it anew. OUT/figures.json has figures,
OUT/PAINTER.png a sheet: of some of the photos, or of the photos of `--show`, which are not measured. KID uses features
of EfficientNet-Lite0, which no training uses, and has its jackknife interval. The row `works` is the KID of the known
works, the best possible value. The other figures are means over photos:

content   content distance to the photo (0: unchanged)
copied    correlation with the photo of the finest octave of luma (1: recoloured; 0: painted anew)
kept      the same of detail of 4 to 8 pixels (higher: objects stay in place)
grid      checkerboard at periods of 2 and 4 pixels, output minus photo (0: as the photo; 1: ten times as strong)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from judge import checkerboard
from unseen import judge, kid_interval, rows_of, seen, small

from sfumato import Style, Stylizer
from sfumato.image import Picture, read_image, write_image
from sfumato.quality.anchors import colour_transfer
from sfumato.quality.backbones import EfficientNetLite0
from sfumato.quality.similarity import content_distance, copied, kept
from sfumato.sheet import contact_sheet

SHOWN, CELL = 8, 256  # photos on a sheet, at most, and pixels of a cell


def even(paths: list[Path], count: int) -> list[Path]:
    """Return at most `count` of the paths, at even intervals."""
    return [paths[i * len(paths) // count] for i in range(count)] if count < len(paths) else paths


def painter_of(way: str, path: Path, works: list[Path], side: int) -> Callable[[Path, int], Picture]:
    """Return the function that paints the photo with that number in one way."""
    if way == "photo":
        return lambda photo, _: small(photo, side)
    if way == "colour":
        return lambda photo, number: colour_transfer(small(photo, side), small(works[number % len(works)], side))
    if way == "bank":
        stylizer = Stylizer()
        style = Style.from_images(works, stylizer=stylizer)
        return lambda photo, _: stylizer(small(photo, side), style, quality="standard")
    if (path / "card.json").exists():
        model = Stylizer(path)
        return lambda photo, _: model(small(photo, side))
    return lambda photo, _: read_image(path / f"{photo.stem}.png")


def paint(folder: Path, photos: list[Path], path: Path, works: list[Path], side: int) -> list[Picture]:
    """Return the pictures of the way that the folder is named after, in 8 bits; those that it lacks are painted."""
    files = [folder / f"{photo.stem}.png" for photo in photos]
    missing = [number for number, file in enumerate(files) if not file.exists()]
    if missing:
        painted = painter_of(folder.name, path, works, side)
        folder.mkdir(parents=True, exist_ok=True)
        for number in missing:
            write_image(painted(photos[number], number), files[number])
    return [read_image(file) for file in files]


def measures(pictures: list[Picture], photos: list[Picture]) -> dict[str, float]:
    """Return the means of the measures of a picture and its photo."""
    rows = []
    for picture, photo in zip(pictures, photos, strict=True):
        ours, theirs = judge().features(picture), judge().features(photo)
        content = np.mean([content_distance(ours[k], theirs[k]) for k in EfficientNetLite0.CONTENT])
        grid = checkerboard(picture) - checkerboard(photo)
        rows.append((float(content), copied(picture, photo), kept(picture, photo), grid))
    names = ("content", "copied", "kept", "grid")
    return dict(zip(names, np.mean(rows, 0).round(3).tolist(), strict=True))


def rounded(values: Iterable[float]) -> list[float]:
    return [round(value, 3) for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for argument in ("photos", "styles", "out"):
        parser.add_argument(argument, type=Path)
    parser.add_argument("--painters", nargs="+", required=True)
    parser.add_argument("--ways", nargs="+", default=[], metavar="WAY=PATH")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--show", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    side, out = arguments.side, arguments.out
    photos = even(rows_of(arguments.photos, None, "validation"), arguments.count)
    originals = [small(path, side) for path in photos]
    manifest = arguments.styles.parent / "manifest.csv"
    ways = {"photo": "", "colour": "", "bank": ""} | dict(way.split("=", 1) for way in arguments.ways)
    found: dict[str, dict[str, dict[str, object]]] = {}
    for name in arguments.painters:
        works, unseen = (rows_of(arguments.styles / name, manifest, split) for split in ("train", "validation"))
        real = seen(small(path, side) for path in unseen)
        known = seen(small(path, side) for path in works)
        found[name], sheet = {"works": {"kid": rounded(kid_interval(known, real))}}, []
        for way, pattern in ways.items():
            path = Path(pattern.replace("{}", name))
            if pattern and not path.exists():
                continue
            pictures = paint(out / name / way, photos, path, works, side)
            kid = rounded(kid_interval(seen(pictures), real))
            found[name][way] = {"kid": kid, **measures(pictures, originals)}
            print(name, way, json.dumps(found[name][way]), flush=True)
            sheet.append(paint(out / name / way, arguments.show or even(photos, SHOWN), path, works, side))
        rows = [list(row) for row in zip(*sheet, strict=True)]
        write_image(contact_sheet(rows, [""] * len(rows), list(found[name])[1:], CELL), out / f"{name}.png")
    (out / "figures.json").write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
