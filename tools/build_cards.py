"""Make the cards of a build from the ledger: the data part of docs/model-card.md, a data card, and an SBOM.

usage: build_cards.py [--out FOLDER]     write them; `make cards` does so (FOLDER: out/cards)
       build_cards.py --check           report whether the part of docs/model-card.md is that of the ledger

FOLDER gets croissant.json, the data card of the training pictures in the format of MLCommons (Croissant 1.0), the list
that it describes beside it, and sbom.cdx.json, a CycloneDX 1.6 list of the packages that are installed here for
Sfumato, with the weights and pictures that ship.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import build_ledger
import build_sbom

from sfumato import __version__
from sfumato.rights import may_sell

CARD = build_ledger.ROOT / "docs" / "model-card.md"
BEGIN, END = "<!-- from the ledger: tools/build_cards.py -->\n", "<!-- end -->\n"
WORDS = {True: "allow commercial use", False: "allow research only, or no sale", None: "are not known"}
DESCRIPTION = (
    "The photos and paintings that the weights of Sfumato were trained on: SHA-256, licence and source of each. The "
    "pictures themselves are not distributed. The photos come from research data sets, some for non-commercial use "
    "only; the paintings are in the public domain."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=build_ledger.ROOT / "out" / "cards")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    old = CARD.read_text("utf-8")
    new = with_data(old)
    if arguments.check:
        print(
            "the model card is that of the ledger" if old == new else "run tools/build_cards.py: the model card is old"
        )
        sys.exit(old != new)
    CARD.write_text(new, "utf-8")
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.copy(build_ledger.TRAINING, arguments.out)
    for name, card in (("croissant.json", data_card()), ("sbom.cdx.json", build_sbom.sbom())):
        (arguments.out / name).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(arguments.out / name)


def with_data(text: str) -> str:
    """The model card with its data part made again."""
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:start] + "\n".join(data_part()) + "\n" + text[end:]


def data_part() -> Iterator[str]:
    models = build_ledger.read()["models"]
    counts = {name: model["licences"] for name, model in models.items()}
    licences = next(iter(counts.values()))
    without = [name for name, model in models.items() if not model["photos"]]  # check_training knows which paintings
    if any(counts[name] != licences for name in models if name not in without):
        raise SystemExit("the models saw different pictures: the model card needs a table for each")
    others = ", ".join(f"`{name}`" for name in models if name not in without)
    yield f"The models {others} saw the same {sum(licences.values()):,} pictures:"
    yield ""
    yield "| pictures | licence | its terms |"
    yield "|---|---|---|"
    for licence, count in licences.items():
        words = re.sub(r" ?<[^>]*>?´?", "", licence)  # without the addresses of people
        yield f"| {count:,} | {words} | {WORDS[may_sell(licence)]} |"
    yield ""
    for name in without:
        yield f"* `{name}` saw only the {models[name]['paintings']:,} paintings."
    for answer, words in WORDS.items():
        total = sum(count for licence, count in licences.items() if may_sell(licence) is answer)
        yield (
            f"* {total:,} are under terms that {words}."
            if answer is not None
            else f"* Of {total:,}, the terms {words}."
        )


def data_card() -> dict[str, Any]:
    """The training pictures as a Croissant data set."""
    csv = build_ledger.TRAINING
    about = {
        "file": "path in the project's data",
        "sha256": "of the file",
        "large_sha256": "of the larger scan that the decoder saw instead, if there is one",
        "licence": "as its source states it",
        "source": "where the file was found",
        "artist": "of a painting",
        "died": "year of the artist's death, or one after it",
    }
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"pictures/{name}",
            "name": name,
            "description": words,
            "dataType": "sc:Text",
            "source": {"fileObject": {"@id": csv.name}, "extract": {"column": name}},
        }
        for name, words in about.items()
    ]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "sfumato-training-pictures",
        "description": DESCRIPTION,
        "version": __version__,
        "citeAs": f"The Sfumato authors, Sfumato {__version__}: training pictures",
        "license": "Apache-2.0 (the list); each picture has its own licence, in the column licence",
        "creator": {"@type": "sc:Organization", "name": build_ledger.OURS},
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": csv.name,
                "name": csv.name,
                "contentUrl": csv.name,
                "encodingFormat": "text/csv",
                "sha256": build_ledger.hashed(csv)["sha256"],
            }
        ],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "pictures", "name": "pictures", "field": fields}],
    }


# The JSON-LD context that Croissant 1.0 prescribes.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


if __name__ == "__main__":
    main()
