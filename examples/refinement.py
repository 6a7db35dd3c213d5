"""What each step of refinement does: sample photos in built-in styles after 0, 1, 2, 4 and 8 steps, on one sheet.

    python examples/refinement.py [SHEET.jpg]      (default: out/refinement.jpg)

The photos are those of `demo.py`.
"""

import sys
from pathlib import Path

from demo import sample_photos

from sfumato import Style, Stylizer
from sfumato.image import read_image, write_image
from sfumato.sheet import contact_sheet

PAIRS = (("astronaut", "monet"), ("chelsea", "the-scream"), ("coffee", "grande-jatte"))
STEPS = (0, 1, 2, 4, 8)


def main(sheet: Path) -> None:
    stylizer, photos = Stylizer(), sample_photos()
    rows = []
    for photo, style in PAIRS:
        picture = read_image(photos[photo])
        rows.append([picture, *(stylizer(picture, Style.named(style), refine=steps) for steps in STEPS)])
    titles = ["photo", *(f"{steps} steps" for steps in STEPS)]
    sheet.parent.mkdir(parents=True, exist_ok=True)
    write_image(contact_sheet(rows, [style for _, style in PAIRS], titles, 240), sheet, quality=82)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out/refinement.jpg"))
