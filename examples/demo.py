"""Paint three sample photos in several built-in styles, and make a sheet of them; `make demo` runs it.

    python examples/demo.py [FOLDER]      (default: out/demo)

The photos are free ones of the scikit-image wheel: Eileen Collins (NASA, public domain), Chelsea the cat
(Stefan van der Walt, CC0) and a cup of coffee (Rachel Michetti, CC0).
"""

import importlib.util
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from sfumato import Style, Stylizer
from sfumato.assets import style_names
from sfumato.errors import SfumatoError, UsageError
from sfumato.image import read_image, resize, write_image
from sfumato.sheet import contact_sheet

PHOTOS = ("astronaut", "chelsea", "coffee")
STYLES = ("starry-night", "great-wave", "composition-vii", "klimt", "book-of-kells", "song-landscape")
SIDE = 320  # pixels, of the longer side: small pictures are painted fast, and their strokes show on the sheet


def sample_photos() -> dict[str, Path]:
    """Return the files of the photos. scikit-image is located but not imported; only its files are needed."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise UsageError("the demo's photos come with scikit-image: pip install --no-deps scikit-image")
    return {name: Path(package.origin).parent / "data" / f"{name}.png" for name in PHOTOS}


def small_copy(picture: np.ndarray) -> np.ndarray:
    """Shrink a picture ``(1, 3, H, W)`` to `SIDE` pixels on its longer side."""
    height, width = picture.shape[2:]
    scale = SIDE / max(height, width)
    return resize(picture, round(height * scale), round(width * scale))


def main(out: Path) -> None:
    console = Console(highlight=False)
    out.mkdir(parents=True, exist_ok=True)
    photos = sample_photos()
    # The showpieces first; whatever else ships fills up the row.
    shipped = style_names()
    names = [name for name in STYLES if name in shipped]
    names = (names + [name for name in shipped if name not in names])[: len(STYLES)]

    started = perf_counter()
    stylizer = Stylizer()
    rows: list[list[np.ndarray]] = []
    times: list[tuple[str, float]] = []
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("painting", total=len(photos) * len(names))
        for photo, path in photos.items():
            picture = small_copy(read_image(path))
            rows.append([picture])
            for name in names:
                began = perf_counter()
                painted = stylizer(picture, Style.named(name))
                times.append((f"{photo}-{name}.png", perf_counter() - began))
                write_image(painted, out / times[-1][0])
                rows[-1].append(painted)
                bar.advance(task)
    sheet = out / "contact-sheet.png"
    write_image(contact_sheet(rows, list(photos), ["photo", *names], cell=SIDE), sheet)

    for file, seconds in times:
        console.print(f"  {seconds:6.2f} s  {out / file}")
    console.print(f"\n{len(times)} pictures in {perf_counter() - started:.1f} s, all of them on [bold]{sheet}[/bold]\n")
    sfumato = Path(sys.executable).parent / "sfumato"
    command = sfumato.relative_to(Path.cwd()) if sfumato.is_relative_to(Path.cwd()) else "sfumato"
    console.print("Try next:")
    for example in (
        "styles",
        f"stylize YOUR_PHOTO.jpg --style {names[0]} -o painted.png",
        "stylize YOUR_PHOTO.jpg --style ANY_PICTURE.jpg --strength 0.6 -o painted.png",
    ):
        console.print(f"  {command} {example}", soft_wrap=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
    except SfumatoError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
