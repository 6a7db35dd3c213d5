"""Learn a style from a folder of liked pictures, and paint, finish, evaluate and keep a photo in it.

It prints and runs the commands of docs/personal.md, and made the picture there.

    python examples/my_style.py [--liked FOLDER] [--photo FILE] [--name NAME] [--out FOLDER]

Without a folder of liked pictures it makes some: two of the demo's free photos, in styles of works by van Gogh. The
default photo is Chelsea the cat (Stefan van der Walt, CC0). The style is stored in OUT/personal and not among your own
styles, unless SFUMATO_PERSONAL is set. Evaluation needs the extra quality (docs/install.md).
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from demo import sample_photos

from sfumato import Style, Stylizer
from sfumato.errors import SfumatoError
from sfumato.image import READABLE, read_image, resize, thumbnail, write_image
from sfumato.sheet import contact_sheet

WORKS = ("starry-night", "cafe-terrace", "van-gogh")
CELL = 320  # pixels of a picture on the sheet
FINISH = {"contrast": 0.2, "saturation": 0.2, "warmth": 0.15, "sharpen": 0.3, "upscale": 2}


def some_liked(folder: Path) -> None:
    """Make example pictures instead of a collection: photos painted in styles of one painter."""
    photos, stylizer = sample_photos(), Stylizer()
    for name in ("astronaut", "coffee"):
        small = thumbnail(read_image(photos[name]), 320)
        for work in WORKS:
            write_image(stylizer(small, Style.named(work)), folder / f"{name}-{work}.jpg")


def sfumato(*words: object) -> None:
    """Print and run one command."""
    told = [str(word) for word in words]
    print(f"\n$ sfumato {shlex.join(told)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "sfumato", *told], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def detail(picture: np.ndarray) -> np.ndarray:
    """Crop a quarter of each side, the cat's eye, resized to the width `CELL`."""
    (top, height), (left, width) = ((round(0.28 * side), side // 4) for side in picture.shape[2:])
    return resize(picture[:, :, top : top + height, left : left + width], round(CELL * height / width), CELL)


def sheet(liked: list[Path], photo: Path, painted: Path, finished: Path) -> np.ndarray:
    """Make a sheet with all pictures side by side, and details below."""
    looked_at = [read_image(path) for path in (photo, painted, finished)]
    rows = [[read_image(liked[0]), *looked_at], [read_image(liked[-1]), *map(detail, looked_at)]]
    return contact_sheet(rows, ["whole", "detail"], ["liked", "photo", "painted", "finished"], CELL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--liked", type=Path, help="a folder of pictures that you like")
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--name", default="my-van-gogh")
    parser.add_argument("--out", type=Path, default=Path("out/my-style"))
    arguments = parser.parse_args()
    out, name = arguments.out, arguments.name
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SFUMATO_PERSONAL", str((out / "personal").resolve()))
    liked = arguments.liked or out / "liked"
    if arguments.liked is None and not liked.is_dir():
        some_liked(liked)
    photo = arguments.photo or sample_photos()["chelsea"]

    # Learn, paint, finish.
    sfumato("personal", "new", name, "--like", liked, "--rights", "own")
    painted, finished = out / "painted.png", out / "finished.png"
    sfumato("stylize", photo, "--style", name, "-o", painted, "--overwrite")
    options = [word for option, value in FINISH.items() for word in (f"--{option}", value)]
    sfumato("finish", painted, *options, "-o", finished, "--overwrite")

    # Judge: a picture is named after its pair, so the one picture stands beside each that is liked.
    pairs, photos = out / "judged", out / "photo"
    for folder in (pairs, photos):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    shutil.copy(photo, photos / f"photo{photo.suffix}")
    pictures = sorted(path for path in liked.rglob("*") if path.suffix.lower() in READABLE)
    for picture in pictures:
        shutil.copy(finished, pairs / f"photo__{picture.stem}.png")
    sfumato("evaluate", "--content", photos, "--style", liked, "--stylized", pairs, "--report", out / "report")

    # Keep: the style as one file to share, and in the picture how it was made.
    sfumato("personal", "export", name, "-o", out / f"{name}.sfumato", "--overwrite")
    sfumato("show", finished)

    write_image(sheet(pictures, photo, painted, finished), out / "sheet.jpg", quality=72)
    print(f"\nside by side: {out / 'sheet.jpg'}")


if __name__ == "__main__":
    try:
        main()
    except SfumatoError as error:
        print(f"my_style: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
