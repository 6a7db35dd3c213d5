"""Write sample pictures of the page, paintings in the public domain that ship with Sfumato.

    python web/tools/samples.py OUT

The third sample, `web/site/samples/room.webp`, is drawn by `tools/drawn_room.py`, which takes minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sfumato.inference.style_pictures import built_in_pictures

SAMPLES = {"portrait": "pearl-earring", "ship": "fighting-temeraire"}
LONG_SIDE = 1024


def write(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, style in SAMPLES.items():
        picture = built_in_pictures(style)[0].picture
        image = Image.fromarray(np.rint(picture[0].transpose(1, 2, 0) * 255).astype(np.uint8))
        image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
        image.save(out / f"{name}.webp", quality=80, method=6)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("name the folder to write: python web/tools/samples.py OUT")
    write(Path(sys.argv[1]))
