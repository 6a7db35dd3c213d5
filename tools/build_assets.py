"""Make what ships in the package from a trained run: the ONNX bundle, the built-in styles, the list of picture hashes,
the index of the training paintings' styles, the style space.

usage: build_assets.py RUN DATA [--model-id ID] [--newest]
       build_assets.py RUN DATA --collection NAME
       build_assets.py RUN DATA --decoder NAME
       build_assets.py RUN DATA --noise NAME
       build_assets.py DATA --only-index
       build_assets.py DATA --only-space

With --collection the run is of one painter, and becomes the model of that name (`sfumato stylize --model NAME`).

With --decoder the run is of the kind matching, and becomes what paints the qualities standard and best: the newest
checkpoint, for validation does not see what the discriminator adds. RUN may also be a model.safetensors.

With --noise the run is of the kind noise, on features, and becomes what `sfumato imagine` uses by default. Its copy of
the decoder is left out, because the decoder ships already.

DATA holds manifest.csv (columns file, split, licence, source, artist, title) and the pictures it names. Works are
encoded from `gallery/`, artists as the mean code of their `train` pictures. Needs the extra `train`; the index or the
space alone, which belong to the bundle that is there, do not. The space (`sfumato.personal.space`) is learnt from looks
and measured parts, which stay the same when the generator is trained again, but stands on the card like the index, and
a whole run writes a new card: it makes all.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from pathlib import Path

import build_ledger

from sfumato.inference import Style, Stylizer
from sfumato.inference.nearest import CARD_KEY, TrainingStyles, Work
from sfumato.personal import space
from sfumato.personal.space import StyleSpace
from sfumato.style_code import StyleCode

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "src" / "sfumato" / "assets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("data", type=Path)
    parser.add_argument("--model-id", default="base-3")
    parser.add_argument("--newest", action="store_true", help="the newest checkpoint, and not the best by validation")
    parser.add_argument("--only-index", action="store_true", help="make the index again, and nothing else")
    parser.add_argument("--only-space", action="store_true", help="make the style space again, and nothing else")
    parser.add_argument("--collection", metavar="NAME", help="the run is of one painter")
    parser.add_argument("--decoder", metavar="ID", help="the run is of the kind matching; its model's id")
    parser.add_argument("--noise", metavar="ID", help="the run is of the kind noise; its model's id")
    arguments = parser.parse_args()
    if arguments.run is None and not (arguments.only_index or arguments.only_space):
        parser.error("name the run and the data")

    with (arguments.data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        manifest = {row["file"]: row for row in csv.DictReader(file)}
    train = [name for name, row in manifest.items() if row["split"] == "train"]
    paintings = {name: manifest[name] for name in train if name.startswith("style/")}
    bundle = ASSETS / "weights" / "base"
    if arguments.only_index or arguments.only_space:
        codes = encode(bundle, arguments.data, paintings)
        if arguments.only_index:
            write_index(bundle, codes, paintings)
        if arguments.only_space:
            write_space(bundle, codes, paintings)
        return

    from sfumato.checkpoint import new_directory
    from sfumato.export.onnx import export_run

    bundle.parent.mkdir(parents=True, exist_ok=True)
    if arguments.decoder:
        bundle = bundle.with_name("matching")
        print(export_run(arguments.run, bundle, arguments.decoder, newest=True))
        _complete_card(bundle / "card.json", manifest, train)
        return
    if arguments.noise:
        bundle = bundle.with_name("noise")
        print(export_run(arguments.run, bundle, arguments.noise, newest=True))
        (bundle / "decoder.onnx").unlink()
        _complete_card(bundle / "card.json", manifest, list(paintings))
        return
    if arguments.collection:
        bundle = bundle.with_name(arguments.collection)
        print(export_run(arguments.run, bundle, arguments.collection))
        training = json.loads((bundle / "card.json").read_text("utf-8"))["training"]
        seen = [name for name in train if name.startswith("content/")]
        seen += _painted_by(training["style_digest"], train, arguments.data)
        _complete_card(bundle / "card.json", manifest, seen)
        return
    print(export_run(arguments.run, bundle, arguments.model_id, newest=arguments.newest))
    _complete_card(bundle / "card.json", manifest, train)

    hashes = {name: hashlib.sha256((arguments.data / name).read_bytes()).hexdigest() for name in train}
    _check_claim(json.loads((bundle / "card.json").read_text("utf-8"))["training"], hashes)
    build_ledger.write_training(arguments.data)

    codes = encode(bundle, arguments.data, paintings)
    write_index(bundle, codes, paintings)
    write_space(bundle, codes, paintings)

    stylizer = Stylizer(bundle)
    with (
        (ROOT / "tools" / "styles.csv").open(newline="", encoding="utf-8") as file,
        new_directory(ASSETS / "styles") as out,
    ):
        for row in csv.DictReader(file):
            names = (
                [row["picture"]] if row["kind"] == "work" else [n for n in train if n.startswith(row["picture"] + "/")]
            )
            style = Style.from_images([arguments.data / n for n in names], row["name"], stylizer)
            about = {
                **{key: row[key] for key in ("kind", "artist", "year")},
                "title": row["title"] or f"mean of {len(names)} works",
                "licence": manifest[names[0]]["licence"],
                "source": manifest[names[0]]["source"] if len(names) == 1 else f"mean of {len(names)} works",
            }
            style.code.save(out / f"{row['name']}.safetensors", about)
    print(len(list((ASSETS / "styles").iterdir())), "styles")


def encode(bundle: Path, data: Path, paintings: dict[str, dict[str, str]]) -> list[StyleCode]:
    """The codes of the training paintings, given as rows of the manifest by file."""
    stylizer = Stylizer(bundle)
    return [stylizer.encode(data / name) for name in paintings]


def write_index(bundle: Path, codes: list[StyleCode], paintings: dict[str, dict[str, str]]) -> None:
    """The index of the training paintings."""
    works = [Work(row["artist"], row["title"], row["source"], row["licence"]) for row in paintings.values()]
    index = TrainingStyles.of(codes, works)
    _note(bundle, CARD_KEY, index.save(bundle))
    print(len(works), "training paintings, the median distance", round(index.median, 2))


def write_space(bundle: Path, codes: list[StyleCode], paintings: dict[str, dict[str, str]]) -> None:
    """The style space: what tells the artists of the training paintings apart, each of whom has a folder."""
    found = StyleSpace.of(codes, [name.rpartition("/")[0] for name in paintings])
    _note(bundle, space.CARD_KEY, found.save(bundle))
    print("style space of", len(found), "directions, variances between artists", found.between.round(1).tolist())


def _note(bundle: Path, key: str, digest: str) -> None:
    """Notes a file's hash on the card, apart from those of the graphs: it decides no pixel, and recipes stay valid."""
    path = bundle / "card.json"
    card = {**json.loads(path.read_text("utf-8")), key: digest}
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _painted_by(digest: str, train: list[str], data: Path) -> list[str]:
    """The folder of paintings that a run was trained on, by the hash of all."""
    folders: dict[str, list[str]] = {}
    for name in train:
        if name.startswith("style/"):
            folders.setdefault(name.rpartition("/")[0], []).append(name)
    for names in folders.values():
        digests = sorted(hashlib.sha256((data / name).read_bytes()).hexdigest() for name in names)
        if hashlib.sha256("".join(digests).encode()).hexdigest() == digest:
            return names
    raise SystemExit("the run was trained on other paintings than one painter's `train` rows of the manifest")


def _check_claim(training: dict[str, str], hashes: dict[str, str]) -> None:
    """The run must have seen exactly the pictures that the card and the list of hashes will name."""
    for kind in ("content", "style"):
        digests = sorted(digest for name, digest in hashes.items() if name.startswith(f"{kind}/"))
        if hashlib.sha256("".join(digests).encode()).hexdigest() != training[f"{kind}_digest"]:
            raise SystemExit(f"the run was trained on other {kind} pictures than the manifest's `train` rows")


def _complete_card(path: Path, manifest: dict[str, dict[str, str]], train: list[str]) -> None:
    card = json.loads(path.read_text("utf-8"))
    licences: dict[str, int] = {}
    for name in train:
        licence = manifest[name]["licence"]
        kind = "public domain paintings" if licence.startswith("public domain") else licence
        licences[kind] = licences.get(kind, 0) + 1
    card["data"] = {
        "photos": sum(n.startswith("content/") for n in train),
        "paintings": sum(n.startswith("style/") for n in train),
        "licences": dict(sorted(licences.items(), key=lambda item: -item[1])),
        "hashes": "training_pictures.csv: SHA-256, source and licence of each picture",
    }
    photos = "see NOTICE: trained on photos of research data sets, some for non-commercial use only"
    features = "trained on paintings in the public domain, by features of VGG19 and of the shipped decoder; see NOTICE"
    card["licence"] = {"code": "Apache-2.0", "weights": photos if card["data"]["photos"] else features}
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
