"""Make the pictures of the built-in styles: crop, scale and compress the works that tools/style_pictures.csv names.

usage: build_style_pictures.py DATA

DATA holds manifest.csv (columns file, split, licence, source) and the pictures it names. Where large.csv (columns file,
of, sha256) lists a larger scan of the same picture, that one is taken.

Written are, in src/sfumato/assets/pictures, NAME.webp for a style that is one work, NAME-1.webp, NAME-2.webp and so on
for an artist's, and in src/sfumato/assets/ledger.json a line that says of each picture what it is, where it comes from,
under which licence, and the SHA-256 of its file. The same Pillow and libwebp write the same bytes.

tools/style_pictures.csv, a row a picture, in order:

* name: the style, one of tools/styles.csv, which also has its artist;
* file: the picture's name in manifest.csv;
* title, year: of the work;
* crop: pixels taken off the left, top, right and bottom of the scan: borders would be painted as style. Two pixels go
  everywhere, since scans often end in a line of the background;
* proportions: width and height of the work in centimetres, where the scan was squeezed to a square, which is undone;
* note: what the crop removes, where that is more than an edge.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
import tempfile
from pathlib import Path

import build_ledger
from PIL import Image, ImageCms, ImageOps

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "src" / "sfumato" / "assets" / "pictures"
# By kind of style: the greatest short side in pixels, and the greatest file in bytes.
LIMITS = {"work": (768, 110_000), "artist": (512, 65_000)}
# Below the first, WebP smears brush strokes: a picture that is still too large is made smaller instead, in steps of
# STEP pixels. The scans are JPEGs of about the second, and more would only keep their own traces.
QUALITIES = (60, 85)
STEP = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data: Path = parser.parse_args().data

    manifest = {row["file"]: row for row in _rows(data / "manifest.csv")}
    large = {row["of"]: row for row in _rows(data / "large.csv")}
    styles = {row["name"]: row for row in _rows(ROOT / "tools" / "styles.csv")}
    chosen = _rows(ROOT / "tools" / "style_pictures.csv")
    if {row["name"] for row in chosen} != set(styles):
        raise SystemExit("tools/style_pictures.csv and tools/styles.csv name different styles")

    PICTURES.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PICTURES.parent) as folder:
        out = Path(folder) / "pictures"
        out.mkdir()
        ledger = []
        counts: dict[str, int] = {}
        for row in chosen:
            name, about, style = row["name"], manifest[row["file"]], styles[row["name"]]
            if not about["licence"].startswith("public domain"):
                raise SystemExit(f"{row['file']} is not in the public domain: {about['licence']}")
            if about["split"] not in ("train", "gallery"):
                raise SystemExit(f"{row['file']} is kept for judging (split {about['split']})")
            scan = data / row["file"]
            if row["file"] in large:
                scan = data / large[row["file"]]["file"]
                if hashlib.sha256(scan.read_bytes()).hexdigest() != large[row["file"]]["sha256"]:
                    raise SystemExit(f"{scan} is not the file that large.csv lists")
            counts[name] = counts.get(name, 0) + 1
            file = f"{name}.webp" if style["kind"] == "work" else f"{name}-{counts[name]}.webp"
            short, most = LIMITS[style["kind"]]
            written = None
            while written is None:
                picture = prepare(scan, row["crop"], row["proportions"], short)
                written = compress(picture, most)
                short -= STEP
            (out / file).write_bytes(written)
            ledger.append(
                {
                    "file": file,
                    "style": name,
                    "artist": style["artist"],
                    "title": row["title"],
                    "year": row["year"] or style["year"],
                    "source": about["source"],
                    "licence": about["licence"],
                    "original": str(scan.relative_to(data)),
                    "crop": [int(pixels) for pixels in row["crop"].split()],
                    "width": picture.width,
                    "height": picture.height,
                    "bytes": len(written),
                    "sha256": hashlib.sha256(written).hexdigest(),
                }
            )
        shutil.rmtree(PICTURES, ignore_errors=True)
        out.replace(PICTURES)
    build_ledger.write([build_ledger.picture(entry) for entry in ledger])
    print(len(ledger), "pictures,", sum(int(str(entry["bytes"])) for entry in ledger), "bytes")


def prepare(scan: Path, crop: str, proportions: str, short: int) -> Image.Image:
    """A scan as sRGB without its borders, in the proportions of the work, the short side at most `short` pixels.

    `crop` is "left top right bottom" in pixels, `proportions` "WIDTHxHEIGHT" of the work or empty.
    """
    with Image.open(scan) as opened:
        picture = ImageOps.exif_transpose(opened)
        profile = opened.info.get("icc_profile")
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            assert converted is not None  # it is None only when it works in place
            picture = converted
        picture = picture.convert("RGB")
    full_width, full_height = picture.size
    left, top, right, bottom = (int(pixels) for pixels in crop.split())
    picture = picture.crop((left, top, full_width - right, full_height - bottom))
    width, height = map(float, picture.size)
    if proportions:
        true_width, _, true_height = proportions.partition("x")
        stretch = float(true_width) / float(true_height) * full_height / full_width
        # The longer side grows, so that no pixel of the scan is lost.
        width, height = (width * stretch, height) if stretch > 1 else (width, height / stretch)
    scale = min(1.0, short / min(width, height))
    size = (round(width * scale), round(height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS) if size != picture.size else picture


def compress(picture: Image.Image, most: int) -> bytes | None:
    """The picture as WebP without metadata, at the best of `QUALITIES` that needs at most `most` bytes, or None."""
    low, high = QUALITIES
    best = _webp(picture, low)
    if len(best) > most:
        return None
    while low < high:
        quality = (low + high + 1) // 2
        tried = _webp(picture, quality)
        if len(tried) <= most:
            low, best = quality, tried
        else:
            high = quality - 1
    return best


def _webp(picture: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    # Without an explicit empty profile, Pillow would write the one that the scan came with.
    picture.save(stream, "WEBP", quality=quality, method=6, use_sharp_yuv=True, exif=b"", xmp=b"", icc_profile=b"")
    return stream.getvalue()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
