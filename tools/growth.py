"""Samples over training time, for the docs: free photos in works' styles by weights of several steps.

usage: growth.py GALLERY OUT.jpg LABEL=MODEL.safetensors [LABEL=MODEL.safetensors ...]

GALLERY holds the pictures of works that `tools/styles.csv` names; they are read and not shown. The photos are those of
`examples/demo.py`.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from demo import sample_photos  # noqa: E402

from sfumato.checkpoint import load_model  # noqa: E402
from sfumato.data.batches import STYLE_THUMBNAIL  # noqa: E402
from sfumato.image import Picture, read_image, resize, thumbnail_size, write_image  # noqa: E402
from sfumato.networks.model import StyleTransferModel  # noqa: E402
from sfumato.sheet import contact_sheet  # noqa: E402

PAIRS = (
    ("astronaut", "impression-sunrise"),
    ("chelsea", "starry-night"),
    ("chelsea", "the-scream"),
    ("coffee", "the-kiss"),
)
SHORT = 400  # pixels


def small(path: Path, short: int) -> Picture:
    picture = read_image(path)
    return resize(picture, *thumbnail_size(*picture.shape[2:], short, 2 * short))


@torch.no_grad()
def paint(model: StyleTransferModel, photo: Path, work: Path) -> Picture:
    picture = torch.from_numpy(small(photo, SHORT))
    thumbnail, style = (torch.from_numpy(small(path, STYLE_THUMBNAIL)) for path in (photo, work))
    painted: Picture = model(picture, thumbnail, style).clamp(0, 1).numpy()
    return painted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+", metavar="LABEL=FILE")
    arguments = parser.parse_args()
    with (ROOT / "tools" / "styles.csv").open(newline="", encoding="utf-8") as file:
        works = {row["name"]: arguments.gallery / Path(row["picture"]).name for row in csv.DictReader(file)}
    photos = sample_photos()
    rows = [[small(photos[photo], SHORT) for photo, _ in PAIRS]]
    for entry in arguments.models:
        model, _ = load_model(Path(entry.partition("=")[2]))
        assert isinstance(model, StyleTransferModel), f"{entry} paints no style by its code"
        rows.append([paint(model, photos[photo], works[style]) for photo, style in PAIRS])
    labels = ["photo", *(entry.partition("=")[0] for entry in arguments.models)]
    write_image(contact_sheet(rows, labels, [style for _, style in PAIRS], 240), arguments.out, quality=80)


if __name__ == "__main__":
    main()
