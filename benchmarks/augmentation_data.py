"""The data of `augmentation.py`: PACS, Fashion-MNIST with shifts, and stylised copies of training photos."""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from sfumato.assets import style_names
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer

DOMAINS = ("art_painting", "cartoon", "sketch")
SHIFTS = ("drawn", "cloth", "noisy")
POOL = 40  # training photos of a class
FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class Setting:
    """How stylised copies are made and mixed in."""

    quality: str = "standard"
    least: float = 0.5  # of the strength, which is drawn from here to 1
    share: float = 0.5


@dataclass(frozen=True)
class Data:
    """Pictures as (N, side, side, 3) uint8, and labels.

    ``styles`` are the unlabelled pictures of each target; ``tests`` holds (pictures, labels) by domain.
    """

    name: str
    copies: int  # of each photo
    photos: np.ndarray
    labels: np.ndarray
    styles: dict[str, np.ndarray]
    style_labels: dict[str, np.ndarray]
    tests: dict[str, tuple[np.ndarray, np.ndarray]]


def pacs(folder: Path, side: int = 80) -> Data:
    classes = sorted(path.name for path in (folder / "photo").iterdir())

    def read(domain: str, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        pictures, labels = [], []
        for label, name in enumerate(classes):
            paths = sorted((folder / domain / name).glob("*.jpg"))
            order = np.random.default_rng([label, len(domain)]).permutation(len(paths))
            for place in order[begin:end]:
                with Image.open(paths[place]) as picture:
                    pictures.append(np.asarray(picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)))
                labels.append(label)
        return np.stack(pictures), np.array(labels)

    styles = {domain: read(domain, 0, 24) for domain in DOMAINS}
    tests = {"photo": read("photo", 60, 80)} | {domain: read(domain, 24, 80) for domain in DOMAINS}
    photos, labels = read("photo", 0, POOL)
    return Data(
        "pacs", 2, photos, labels, {d: s[0] for d, s in styles.items()}, {d: s[1] for d, s in styles.items()}, tests
    )


def fashion(side: int = 64) -> Data:
    def read(name: str, header: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((FASHION / name).read_bytes()), np.uint8, offset=header)

    pictures, labels = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28), read("train-labels-idx1-ubyte.gz", 8)
    test, test_labels = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28), read("t10k-labels-idx1-ubyte.gz", 8)
    pool = np.concatenate([np.flatnonzero(labels == label)[:POOL] for label in range(10)])
    others = np.setdiff1d(np.arange(20_000, 20_100), pool)

    def enlarged(x: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(np.pad(x, 2)).resize((side, side), Image.Resampling.BICUBIC))

    def shifted(x: np.ndarray, shift: str, first: int) -> np.ndarray:
        seeded = ((each, np.random.default_rng(i)) for i, each in enumerate(x, first))
        return np.stack([SHIFTED[shift](enlarged(each), rng) for each, rng in seeded])

    def clean(x: np.ndarray) -> np.ndarray:
        return np.stack([enlarged(each)[..., None].repeat(3, -1) for each in x])

    tests = {"clean": (clean(test[:1000]), test_labels[:1000].astype(int))}
    tests |= {shift: (shifted(test[:1000], shift, 0), test_labels[:1000].astype(int)) for shift in SHIFTS}
    styles = {shift: shifted(pictures[others], shift, 1000) for shift in SHIFTS}
    unused = dict.fromkeys(SHIFTS, labels[others].astype(int))
    return Data("fashion", 1, clean(pictures[pool]), labels[pool].astype(int), styles, unused, tests)


def blurred(x: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def levels(x: np.ndarray) -> np.ndarray:
    return np.round(np.clip(x, 0, 1) * 255).astype(np.uint8)


def drawn(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink on paper: outlines, and hatching where the cloth is dark."""
    rows, columns = np.mgrid[: x.shape[0], : x.shape[1]]
    edges = np.clip(np.abs(blurred(x, 0.7) - blurred(x, 2)) * 6, 0, 1)
    tone, angle = blurred(x, 1), rng.uniform(0, np.pi)
    lines = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / 5) > 0.5
    ink = np.maximum(edges, 0.7 * lines * (tone > 0.08) * (tone < 0.5))
    paper = rng.uniform([0.88, 0.85, 0.75], [1, 0.98, 0.92]) + rng.normal(0, 0.02, (*x.shape, 1))
    return levels(paper * (1 - 0.9 * ink[..., None]))


def cloth(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tinted clothes on striped or chequered cloth."""
    rows, columns = np.mgrid[: x.shape[0], : x.shape[1]]
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 14)
    along = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / period)
    across = np.sin((rows * np.cos(angle) - columns * np.sin(angle)) * 2 * np.pi / period)
    pattern = np.sign(along * across if rng.random() < 0.5 else along)[..., None] * rng.uniform(0.1, 0.25)
    ground = rng.uniform(0.2, 0.8, 3) + pattern + rng.normal(0, 0.04, (*x.shape, 1))
    over = blurred(np.where(x > 10, 255, 0).astype(np.uint8), 0.7)[..., None]
    return levels(over * (x[..., None] / 255 * rng.uniform(0.5, 1, 3)) + (1 - over) * ground)


def noisy(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Low contrast and strong noise, as in a dark photo."""
    return levels(blurred(x, 1)[..., None] * 0.5 + 0.2 + rng.normal(0, 0.18, (*x.shape, 3)))


SHIFTED = {"drawn": drawn, "cloth": cloth, "noisy": noisy}


def own_colours(x: np.ndarray, style: np.ndarray) -> np.ndarray:
    y, s = x.astype(np.float32) / 255, style.astype(np.float32) / 255
    return levels((y - y.mean((0, 1))) / (y.std((0, 1)) + 1e-3) * s.std((0, 1)) + s.mean((0, 1)))


@cache
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


@cache
def built_in() -> list[Style]:
    return [Style.named(name) for name in style_names()]


def copies(data: Data, look: str, setting: Setting, out: Path) -> np.ndarray:
    """Return the copies of all photos (N, copies, side, side, 3); ``look`` is built-in, a target, or colours-TARGET."""
    file = out / "copies" / f"{data.name}-{look}-{setting.quality}-{setting.least:g}.npy"
    if file.exists():
        return np.load(file)
    made = np.empty((len(data.photos), data.copies, *data.photos.shape[1:]), np.uint8)
    for index, photo in enumerate(data.photos):
        for number in range(data.copies):
            rng = np.random.default_rng([index, number])
            strength, target = float(rng.uniform(setting.least, 1)), look.removeprefix("colours-")
            picture = data.styles[target][rng.integers(len(data.styles[target]))] if target in data.styles else None
            if picture is not None and look != target:
                made[index, number] = own_colours(photo, picture)
                continue
            style = rng.choice(built_in()) if picture is None else Style.from_image(picture, "own", stylizer())  # type: ignore[arg-type]
            painted = stylizer()(photo, style, strength, quality=setting.quality)  # type: ignore[arg-type]
            made[index, number] = levels(painted[0].transpose(1, 2, 0))
        if index % 40 == 0:
            print(file.stem, index, round(time.process_time()), flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part.npy")
    np.save(partial, made)
    partial.replace(file)
    return made
