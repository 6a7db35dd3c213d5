"""Mutated files of every format through the reader: a photo or one sentence, soon, and in little memory."""

from __future__ import annotations

import importlib.util
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mutation import Watch, mutated
from sfumato.image import Photo, read_photo, read_recipe, write_photo
from sfumato.metadata import Metadata


def originals() -> dict[str, bytes]:
    """One small file of each kind that is read here, with a recipe, a profile and Exif where the format has them."""
    rng = np.random.default_rng(2)
    colours = rng.integers(0, 256, (40, 56, 3), np.uint8)
    image, found = Image.fromarray(colours), {}
    kept = Metadata("me", "me", "text", {"DateTime": "2024:05:06 07:08:09"}, (72.0, 72.0), {"a": 1})

    def save(name: str, picture: Image.Image, format: str, **options: object) -> None:
        buffer = BytesIO()
        picture.save(buffer, format, **options)
        found[name] = buffer.getvalue()

    for name in ("png", "jpeg", "webp", "tiff"):
        for dtype in (np.uint8, np.uint16):
            buffer = BytesIO()
            levels = rng.integers(0, np.iinfo(dtype).max, (40, 56, 4), dtype)
            write_photo(Photo(levels[..., :3], levels[..., 3], kept), buffer, name)
            found[f"{name} {levels.itemsize * 8}"] = buffer.getvalue()
    save("progressive", image, "JPEG", progressive=True)
    save("cmyk", image.convert("CMYK"), "JPEG")
    save("gif", image, "GIF", save_all=True, append_images=[image.rotate(180)])
    save("apng", image, "PNG", save_all=True, append_images=[image.rotate(180)])
    save("bmp", image.convert("RGBA"), "BMP")
    save("palette", image.quantize(16), "TIFF", compression="tiff_lzw")
    save("grey 16", Image.fromarray(rng.integers(0, 65_535, (40, 56), np.uint16)), "PNG")
    if importlib.util.find_spec("PIL._avif"):
        save("avif", image, "AVIF")
    if importlib.util.find_spec("tifffile"):
        import tifffile

        for name, levels, options in (
            ("big", colours, {"bigtiff": True, "byteorder": ">"}),
            ("float", (colours / 255).astype(np.float32), {"tile": (16, 16)}),
            ("inks", np.dstack([colours] * 2)[..., :5], {"photometric": "separated", "extrasamples": [2]}),
            ("planes", np.moveaxis(colours, 2, 0).copy(), {"planarconfig": "separate"}),
        ):
            buffer = BytesIO()
            tifffile.imwrite(buffer, levels, **{"photometric": "rgb", **options})  # type: ignore[arg-type]
            found[name] = buffer.getvalue()
    return found


def read_mutated(count: int, seed: int) -> None:
    files, watch = originals(), Watch()
    for name, data in files.items():
        assert read_photo(data).width == 56, name
    for name, data in mutated(files, count, seed):
        watch.read(name, partial(read_recipe, data), partial(read_photo, data))
    assert min(watch.outcomes.values()) > count / 10, watch.outcomes


def test_some_mutated_pictures() -> None:
    read_mutated(400, 11)


@pytest.mark.slow
def test_many_mutated_pictures() -> None:
    read_mutated(5000, 12)
