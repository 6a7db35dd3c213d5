"""Measure the invisible mark: what it survives, how visible and how fast it is, and that it raises no false alarm.

usage: mark.py paint PHOTOS FOLDER [--count 100] [--standard 20]
       mark.py survive FOLDER --out FILE.jsonl [--only CHANGE ...]
       mark.py alarms FOLDER ... --out FILE.jsonl [--count 10000]
       mark.py speed
       mark.py report FILE.jsonl

`paint` paints photos in the built-in styles, every second one enlarged to 640 pixels first: `--count` drafts, and
`--standard` of them in that quality too. `survive` marks each picture of a folder, changes it and looks for the mark.
A picture without a found mark counts half of its bits as right.
`alarms` looks for marks in pictures without one: all files of the folders, then random crops of them (scaled, turned)
and drawn pictures (noise, gradients, stripes) until there are `--count`.

Both write a line per picture and go on where they stopped when they are called again, so they may be stopped at any
time; run them with `nice`. Times are CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sfumato.assets import ledger, picture_path
from sfumato.provenance.mark import embed, find

KEY = b"benchmark"
Change = Callable[[Image.Image], Image.Image]


def saved(kind: str, quality: int) -> Change:
    def change(image: Image.Image) -> Image.Image:
        held = io.BytesIO()
        image.save(held, kind, quality=quality)
        return Image.open(held).convert("RGB")

    return change


def sized(ratio: float) -> Change:
    return lambda image: image.resize(
        (round(image.width * ratio), round(image.height * ratio)), Image.Resampling.LANCZOS
    )


def cropped(share: float, x: float = 0.37, y: float = 0.71) -> Change:
    """Keep a share of each side; odd offsets."""

    def change(image: Image.Image) -> Image.Image:
        width, height = round(image.width * share), round(image.height * share)
        left, top = int((image.width - width) * x), int((image.height - height) * y)
        return image.crop((left, top, left + width, top + height))

    return change


def turned(degrees: float) -> Change:
    return lambda image: image.rotate(degrees, Image.Resampling.BICUBIC)


def transposed(how: Image.Transpose) -> Change:
    return lambda image: image.transpose(how)


def then(*changes: Change) -> Change:
    def change(image: Image.Image) -> Image.Image:
        for one in changes:
            image = one(image)
        return image

    return change


def screenshot(ratio: float, paper: str = "white") -> Change:
    """Show the picture on a page of a browser, with a bar above and text beside and below it."""

    def change(image: Image.Image) -> Image.Image:
        image = sized(ratio)(image)
        page = Image.new("RGB", (max(1366, image.width + 500), max(768, image.height + 240)), paper)
        draw = ImageDraw.Draw(page)
        draw.rectangle((0, 0, page.width, 78), "#dee1e6")
        draw.rounded_rectangle((110, 44, page.width - 90, 70), 12, "white")
        draw.text((130, 50), "https://example.org/paintings/17", "black")
        for y in range(110, page.height - 30, 22):
            start = 430 if y < 150 + image.height else 40
            draw.text((start + image.width * (start > 40), y), "A painting, and some words about it. " * 9, "#333333")
        page.paste(image, (397, 131))
        return page

    return change


CHANGES: dict[str, Change] = {
    "unchanged": lambda image: image,
    "JPEG 75": saved("JPEG", 75),
    "JPEG 50": saved("JPEG", 50),
    "JPEG 30": saved("JPEG", 30),
    "WebP 80": saved("WEBP", 80),
    "half": sized(0.5),
    "half, JPEG 75": then(sized(0.5), saved("JPEG", 75)),
    "crop 80 %": cropped(0.8),
    "crop 80 %, JPEG 50": then(cropped(0.8), saved("JPEG", 50)),
    "crop 80 %, half": then(cropped(0.8), sized(0.5)),
    "JPEG 75, half, crop 80 %, WebP 80": then(saved("JPEG", 75), sized(0.5), cropped(0.8), saved("WEBP", 80)),
    "crop 80 %, half, JPEG 75": then(cropped(0.8), sized(0.5), saved("JPEG", 75)),
    "crop 60 %": cropped(0.6),
    "x 0.63": sized(0.63),
    "x 1.37, JPEG 75": then(sized(1.37), saved("JPEG", 75)),
    "x 2, JPEG 75": then(sized(2), saved("JPEG", 75)),
    "turned by 2": turned(2),
    "turned by -1, crop 90 %, JPEG 75": then(turned(-1), cropped(0.9, 0.5, 0.5), saved("JPEG", 75)),
    "turned by 10, crop 80 %, JPEG 75": then(turned(10), cropped(0.8, 0.5, 0.5), saved("JPEG", 75)),
    "turned by 90, JPEG 75": then(transposed(Image.Transpose.ROTATE_90), saved("JPEG", 75)),
    "turned by 180, JPEG 75": then(transposed(Image.Transpose.ROTATE_180), saved("JPEG", 75)),
    "mirrored, JPEG 75": then(transposed(Image.Transpose.FLIP_LEFT_RIGHT), saved("JPEG", 75)),
    "crop 80 %, WebP 80": then(cropped(0.8), saved("WEBP", 80)),
    "screenshot": screenshot(1),
    "screenshot, JPEG 90": then(screenshot(1), saved("JPEG", 90)),
    "screenshot at 80 %": screenshot(0.8, "#f0f0f0"),
    "screenshot at 80 %, JPEG 90": then(screenshot(0.8, "#f0f0f0"), saved("JPEG", 90)),
    "screenshot at 125 %": screenshot(1.25),
    "screenshot at 125 %, JPEG 90": then(screenshot(1.25), saved("JPEG", 90)),
    "brighter by 10 %": lambda image: image.point(lambda value: min(255, value * 1.1)),
}


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def number_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def lines(path: Path) -> list[dict[str, object]]:
    """A last line that was cut off is left out."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]


def searched(pixels: np.ndarray) -> tuple[object, float]:
    start = time.process_time()
    found = find(pixels, KEY)
    return found, round(time.process_time() - start, 3)


def survive(folder: Path, out: Path, only: list[str]) -> None:
    done = {(line["file"], line["change"]) for line in lines(out)}
    for path in sorted(folder.glob("*.png")):
        wanted = [name for name in only or CHANGES if (path.name, name) not in done]
        if not wanted:
            continue
        pixels, number = pixels_of(path), number_of(path.name)
        start = time.process_time()
        marked = embed(pixels, number, KEY)
        cost = round(time.process_time() - start, 3)
        psnr = 10 * np.log10(255**2 / np.mean((marked.astype(float) - pixels) ** 2))
        for name in wanted:
            found, seconds = searched(np.asarray(CHANGES[name](Image.fromarray(marked))))
            right = "no" if found is None else "yes" if found.number == number else "wrong"
            bits = 32 if found is None else 64 - (found.number ^ number).bit_count()  # as if guessed
            line = {
                "file": path.name,
                "change": name,
                "right": right,
                "bits": bits,
                "psnr": round(float(psnr), 2),
                "embed": cost,
            }
            with out.open("a", encoding="utf-8") as stream:
                stream.write(
                    json.dumps({**line, "find": seconds, "score": round(found.score, 1) if found else 0}) + "\n"
                )


def unmarked(folders: list[Path], count: int) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".jpg", ".png")]
    for i in range(count):
        if i < len(files):
            yield str(files[i]), lambda path=files[i]: pixels_of(path)
        elif i % 4:
            yield f"crop {i}", lambda i=i: part(files, i)
        else:
            yield f"drawn {i}", lambda i=i: drawn(i)


def part(files: list[Path], i: int) -> np.ndarray:
    rng = np.random.default_rng(i)
    image = Image.fromarray(pixels_of(files[rng.integers(len(files))]))
    image = cropped(rng.uniform(0.6, 1), rng.uniform(), rng.uniform())(image)
    return np.asarray(then(sized(rng.uniform(0.8, 1.6)), turned(rng.uniform(-5, 5)))(image))


def drawn(i: int) -> np.ndarray:
    """Noise of some colour, a gradient, or stripes (which repeat, as the mark does)."""
    rng = np.random.default_rng(i)
    y, x = np.mgrid[:256, :320]
    kind = i // 4 % 3
    if kind == 0:
        noise = np.fft.fft2(rng.standard_normal((256, 320)))
        radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(320)) + 0.002
        luma = np.fft.ifft2(noise / radius ** rng.uniform(0, 2)).real
        luma = 128 + rng.uniform(5, 60) * luma / luma.std()
    elif kind == 1:
        luma = 128 + rng.uniform(-0.4, 0.4) * (x - 160) + rng.uniform(-0.4, 0.4) * (y - 128)
    else:
        angle = rng.uniform(0, np.pi)
        luma = 128 + 60 * np.sin(2 * np.pi * rng.uniform(0.01, 0.2) * (x * np.cos(angle) + y * np.sin(angle)))
    return np.repeat(np.clip(np.rint(luma), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def alarms(folders: list[Path], out: Path, count: int) -> None:
    done = {line["file"] for line in lines(out)}
    for name, made in unmarked(folders, count):
        if name not in done:
            found, seconds = searched(made())
            line = {"file": name, "alarm": found is not None, "find": seconds, "score": found.score if found else 0}
            with out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")


def report(path: Path) -> None:
    found = lines(path)
    seconds = np.array([line["find"] for line in found])
    if "alarm" in found[0]:
        raised = [line["file"] for line in found if line["alarm"]]
        print(
            f"{len(found)} unmarked pictures, {len(raised)} false alarms {raised}; find: median {np.median(seconds)} s"
        )
        return
    psnr = {line["file"]: line["psnr"] for line in found}
    low, median, high = np.percentile(list(psnr.values()), [0, 50, 100])
    print(f"{len(psnr)} pictures, PSNR {low} to {high}, median {median}")
    for name in CHANGES:
        these = [line for line in found if line["change"] == name]
        if these:
            right, wrong = (sum(line["right"] == word for line in these) for word in ("yes", "wrong"))
            cost = np.median([line["find"] for line in these])
            bits = sum(line["bits"] for line in these) / len(these) / 64
            print(f"{name:34s} {right}/{len(these)} right, {wrong} wrong; bits {bits:.2%}; find: median {cost:.2f} s")


def speed() -> None:
    painting = Image.fromarray(pixels_of(picture_path(ledger()[0])))
    for width, height in ((512, 512), (4000, 3000)):
        pixels = np.asarray(painting.resize((width, height), Image.Resampling.BICUBIC))
        start = time.process_time()
        marked = embed(pixels, 1, KEY)
        cost = time.process_time() - start
        print(f"{width} x {height}: embed {cost:.2f} s", end="")
        part = np.asarray(cropped(0.8)(Image.fromarray(marked)))
        for name, shown in (("unchanged", marked), ("cropped", part), ("no mark", pixels)):
            found, seconds = searched(shown)
            print(f", {name} {seconds:.2f} s ({'found' if found else 'none'})", end="")
        print()


def paint(photos: Path, folder: Path, count: int, standard: int) -> None:
    from sfumato.assets import style_names
    from sfumato.image import write_image
    from sfumato.inference import Stylizer

    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(photos.glob("*.jpg"))
    files = files[:: max(1, len(files) // count)][:count]
    names, stylizer = style_names(), Stylizer()
    jobs = [(i, "draft") for i in range(count)] + [(i, "standard") for i in range(0, count, max(1, count // standard))]
    for i, quality in jobs:
        out = folder / f"{quality}-{i:03d}.png"
        if not out.exists():
            photo = Image.fromarray(pixels_of(files[i]))
            photo = sized(640 / max(photo.size))(photo) if i % 2 else photo
            write_image(stylizer(photo, names[i % len(names)], quality=quality), out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("paint")
    one.add_argument("photos", type=Path)
    one.add_argument("folder", type=Path)
    one.add_argument("--count", type=int, default=100)
    one.add_argument("--standard", type=int, default=20)
    one = commands.add_parser("survive")
    one.add_argument("folder", type=Path)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--only", nargs="*", default=[])
    one = commands.add_parser("alarms")
    one.add_argument("folders", type=Path, nargs="+")
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--count", type=int, default=10_000)
    commands.add_parser("speed")
    one = commands.add_parser("report")
    one.add_argument("path", type=Path)
    given = vars(parser.parse_args())
    globals()[given.pop("command")](**given)


if __name__ == "__main__":
    main()
