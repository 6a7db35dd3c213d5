"""Seal pictures and videos, read them with the c2pa library's own reader, and change them.

usage: credentials.py [--count 100] [--json FILE]

The pictures are drafts of the pictures that ship, in the built-in styles, in PNG, JPEG, WebP and TIFF; the videos have
a few drawn frames, in MP4 and MOV. For each format:

* read: how many the c2pa library accepts, with other settings than Sfumato's: its defaults (Valid), and strict ones
  that trust the root (Trusted).
* pixel, ingredient, statement: how many of the files with one bit changed there are told as just that.
* same: how many have the pixels and the recipe of the marked file without credentials.
* bytes and CPU time: what credentials add to a file, and take (sealing less marking and
  writing, with the line in the log).

Then the log: how many of its lines are found when they are removed, changed, or cut off.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import c2pa
import numpy as np

from sfumato.assets import ledger, picture_path, style_names
from sfumato.image import Photo, read_photo, read_recipe, shrink, write_photo
from sfumato.inference.options import PaintOptions
from sfumato.inference.pipeline import Pipeline
from sfumato.inference.stylizer import Stylizer
from sfumato.provenance import credentials
from sfumato.provenance.keys import Keys, anchors, log_path
from sfumato.provenance.log import read_log
from sfumato.provenance.seal import Seal, mark_photo
from sfumato.provenance.verify import meaning
from sfumato.video.opening import load_av

PICTURES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "tiff": "image/tiff"}
VIDEOS = {"mp4": "video/mp4", "mov": "video/quicktime"}
SIDE = 320  # pixels of the longer side
CHANGED = (
    "the pixels or the metadata were changed after signing",
    "the video or its metadata were changed after signing",
)
SOURCE = "what they say about a source was changed after signing"
STATEMENT = "what they state was changed after signing (org.sfumato.seal)"


def paintings(count: int) -> Iterator[tuple[Photo, bytes]]:
    """Yield drafts, and the files of what they were painted from."""
    stylizer, entries, names = Stylizer(), ledger(), style_names()
    for number in range(count):
        path = picture_path(entries[number % len(entries)])
        pipeline = Pipeline(names[number % len(names)], PaintOptions(quality="draft", seed=number), stylizer=stylizer)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        photo = shrink(read_photo(path), SIDE - number)
        yield pipeline(photo, photo_sha256=digest).picture, path.read_bytes()


def clip(number: int, format: str) -> bytes:
    """A video of a few frames."""
    av, buffer, rng = load_av(), io.BytesIO(), np.random.default_rng(number)
    buffer.name = f"clip.{format}"
    with av.open(buffer, "w", format=format) as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96 + 2 * (number % 20), 64, "yuv420p"
        for _ in range(3 + number % 5):
            coarse = rng.integers(0, 256, (8, 12, 3), np.uint8).repeat(8, 0).repeat(8 + 2, 1)
            frame = np.ascontiguousarray(np.resize(coarse, (64, stream.width, 3)))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
    return buffer.getvalue()


def accepted(content: bytes, media_type: str, root: str) -> bool:
    """Whether the library accepts a file with its own settings, and with strict ones that trust the root."""
    plain = c2pa.Reader(media_type, io.BytesIO(content)).get_validation_state()
    settings = {
        "verify": {"verify_trust": True, "verify_after_reading": True, "strict_v1_validation": True},
        "trust": {"trust_anchors": root},
    }
    with c2pa.Context.from_dict(settings) as context:
        strict = c2pa.Reader(media_type, io.BytesIO(content), context=context).get_validation_state()
    return (plain, strict) == ("Valid", "Trusted")


def told(content: bytes, root: str) -> list[str]:
    found = credentials.read(io.BytesIO(content), root)
    return [] if found is None or found.state != "invalid" else [meaning(each) for each in found.failures]


def flipped(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def changes(content: bytes, plain: bytes, title: bytes) -> tuple[bytes, bytes, bytes]:
    """A sealed file with one bit changed: among the coded pixels, in the title of an ingredient, in the statement."""
    share = next(s for s in (0.5, 0.6, 0.7, 0.4, 0.8) if plain[int(len(plain) * s) :][:24] in content)
    pixels = content.index(plain[int(len(plain) * share) :][:24]) + 12
    begin = content.index(b"c2pa.assertions")
    statement = content.index(b"model_sha256", begin) + 20  # in the hash
    return flipped(content, pixels), flipped(content, content.index(title, begin)), flipped(content, statement)


def measure(
    name: str, items: Iterator[tuple[bytes, bytes, bytes, float, bool]], media_type: str, root: str
) -> dict[str, object]:
    """Return the figures of a format; items are content, the plain file, the title of an ingredient, seconds, same."""
    count = dict.fromkeys(("files", "read", "pixel", "ingredient", "statement", "same"), 0)
    added, seconds = [], []
    for content, plain, title, took, same in items:
        pixel, ingredient, statement = changes(content, plain, title)
        count["files"] += 1
        count["read"] += accepted(content, media_type, root)
        count["pixel"] += any(words in told(pixel, root) for words in CHANGED)
        count["ingredient"] += SOURCE in told(ingredient, root)
        count["statement"] += STATEMENT in told(statement, root)
        count["same"] += same
        added.append(len(content) - len(plain))
        seconds.append(took)
    figures = {**count, "bytes": round(statistics.median(added)), "cpu_ms": round(1000 * statistics.median(seconds), 1)}
    print(f"{name:5}", *(f"{key} {value:>5}" for key, value in figures.items()), flush=True)
    return figures


def timed(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def pictures(
    seal: Seal, format: str, made: list[tuple[Photo, bytes]]
) -> Iterator[tuple[bytes, bytes, bytes, float, bool]]:
    for photo, source in made:
        plain, began = io.BytesIO(), time.process_time()
        sealed = seal.seal_photo(photo, format, source=source)
        took = time.process_time() - began
        began = time.process_time()
        write_photo(mark_photo(photo, sealed.id)[0], plain, format)
        took, content = took - (time.process_time() - began), sealed.content
        same = np.array_equal(read_photo(content).pixels, read_photo(plain.getvalue()).pixels)
        found = credentials.read(io.BytesIO(content), "")
        title = next(each.title for each in found.ingredients if each.relationship == "inputTo")
        yield (
            content,
            plain.getvalue(),
            title.encode(),
            took,
            same and read_recipe(content) == photo.metadata.recipe,
        )


def videos(
    seal: Seal, format: str, recipes: list[dict[str, object]], folder: Path
) -> Iterator[tuple[bytes, bytes, bytes, float, bool]]:
    for number, recipe in enumerate(recipes):
        plain, out, path = clip(number, format), io.BytesIO(), folder / f"source.{format}"
        path.write_bytes(clip(number + 1000, format))
        whole = {"kind": "video", "painting": recipe}
        took = timed(
            lambda plain=plain, out=out, path=path, whole=whole: seal.seal_video(io.BytesIO(plain), out, whole, path)
        )
        frames = [
            [each.to_ndarray(format="rgb24") for each in load_av().open(io.BytesIO(file)).decode(video=0)]
            for file in (plain, out.getvalue())
        ]
        found = credentials.read(out, "")
        title = next(each.title for each in found.ingredients if each.relationship == "inputTo")
        yield out.getvalue(), plain, title.encode(), took, np.array_equal(*frames)


def check_log(seal: Seal) -> dict[str, object]:
    """Remove, change and cut each line of the log."""
    folder, path = seal.keys.folder, log_path(seal.keys.folder)

    def problems() -> list[str]:
        found = read_log(folder)
        return [] if found is None else found.problems

    whole = path.read_bytes().splitlines(keepends=True)
    took = timed(problems)
    step = max(1, len(whole) // 100)
    count = dict.fromkeys(("tried", "removed", "changed", "cut"), 0)
    for number in range(0, len(whole), step):
        count["tried"] += 1
        line = whole[number]
        for name, lines in (
            ("removed", [*whole[:number], *whole[number + 1 :]]),
            ("changed", [*whole[:number], flipped(line, len(line) // 3), *whole[number + 1 :]]),
            ("cut", whole[:number]),
        ):
            path.write_bytes(b"".join(lines))
            count[name] += bool(problems())
    path.write_bytes(b"".join(whole))
    assert problems() == []
    figures = {"lines": len(whole), **count, "cpu_ms_per_line": round(1000 * took / len(whole), 3)}
    print("log  ", *(f"{key} {value}" for key, value in figures.items()))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    made = list(paintings(options.count))
    recipes = [dict(photo.metadata.recipe or {}) for photo, _ in made]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        seal = Seal(Keys.open(folder / "provenance"))
        root = anchors(folder / "provenance")
        figures: dict[str, object] = {"c2pa": c2pa.sdk_version(), "count": options.count}
        for format, media_type in PICTURES.items():
            figures[format] = measure(format, pictures(seal, format, made), media_type, root)
        for format, media_type in VIDEOS.items():
            figures[format] = measure(format, videos(seal, format, recipes, folder), media_type, root)
        figures["log"] = check_log(seal)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
