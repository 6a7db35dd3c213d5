"""Mutated files of every format through the reader: a photo or one sentence, soon, and in little memory."""

from __future__ import annotations

import importlib.util
import resource
import struct
import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import InputError
from sfumato.image import Photo, read_photo, read_recipe, write_photo
from sfumato.metadata import Metadata

SECONDS, BYTES = 20, 1e9  # that one file may take
FIELDS = [
    struct.pack(f, v)
    for v in (0, 1, 255, 65_535, 2**31 - 1, 2**32 - 1)
    for f in ("<I", ">I", "<H", ">H")
    if v < 65_536 or f[1] == "I"
]


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
            ("planes", np.moveaxis(colours, 2, 0).copy(), {"planarconfig": "separate"}),
        ):
            buffer = BytesIO()
            tifffile.imwrite(buffer, levels, photometric="rgb", **options)
            found[name] = buffer.getvalue()
    return found


def mutated(files: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    names = sorted(files)
    for case in range(count):
        rng = np.random.default_rng([seed, case])
        name = names[case % len(names)]
        data = bytearray(files[name])
        for _ in range(rng.integers(1, 4)):
            end = min(len(data), 250) if rng.random() < 0.6 else len(data)  # headers are where most can go wrong
            start, span = int(rng.integers(0, max(1, end))), int(rng.integers(1, 40))
            match rng.integers(0, 6):
                case 0:
                    data[start : start + span] = rng.bytes(span)
                case 1:
                    del data[start:]
                case 2:
                    del data[start : start + span]
                case 3:
                    data[start:start] = data[start : start + span]
                case 4:
                    field = FIELDS[rng.integers(0, len(FIELDS))]
                    data[start : start + len(field)] = field
                case _:
                    for place in rng.integers(0, max(1, end), 3):
                        if place < len(data):
                            data[place] ^= 1 << int(rng.integers(0, 8))
        yield f"{name}, case {case}", bytes(data)


def look_at(count: int, seed: int) -> None:
    files = originals()
    for name, data in files.items():
        assert read_photo(data).width == 56, name
    outcomes = {"read": 0, "refused": 0}
    limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + BYTES
    for name, data in mutated(files, count, seed):
        began = time.process_time()
        for read in (read_recipe, read_photo):
            said = ""
            try:
                read(data)
            except InputError as problem:
                said = str(problem)
            assert "\n" not in said, name
        outcomes["refused" if said else "read"] += 1
        assert time.process_time() - began < SECONDS, name
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < limit, name
    assert min(outcomes.values()) > count / 10, outcomes


def test_some_mutated_pictures() -> None:
    look_at(400, 11)


@pytest.mark.slow
def test_many_mutated_pictures() -> None:
    look_at(5000, 12)
