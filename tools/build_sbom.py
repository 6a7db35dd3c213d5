"""The list of what a build is made of, as CycloneDX 1.6 (SBOM); build_cards.py writes it."""

from __future__ import annotations

import json
import uuid
from importlib import metadata
from typing import Any

import build_ledger
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sfumato import __version__

NOT_FOR_USERS = {"dev", "docs"}  # extras of pyproject.toml
TYPES = {"weights": "machine-learning-model", "picture": "data", "style": "data", "script": "file"}
ROOT = f"pkg:pypi/sfumato@{__version__}"


def sbom() -> dict[str, Any]:
    """The packages that are installed here for Sfumato and its extras, and the files of the ledger."""
    lines = build_ledger.read()["lines"]
    stated = {line["name"]: line["licence"] for line in lines if line["kind"] == "package"}
    needs = installed()
    packages = [_package(name, stated) for name in sorted(needs.keys() - {"sfumato"})]
    files = [
        {
            "type": TYPES[line["kind"]],
            "bom-ref": line["file"],
            "name": line["file"],
            "author": line["author"],
            "hashes": [{"alg": "SHA-256", "content": line["sha256"]}],
            "licenses": [{"license": {"name": line["licence"]}}],
        }
        for line in lines
        if line.get("file")
    ]
    main = {"type": "application", "bom-ref": ROOT, "name": "sfumato", "version": __version__, "purl": ROOT}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([packages, files])).urn,
        "version": 1,
        "metadata": {"component": {**main, "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": [*packages, *files],
        "dependencies": [
            {"ref": _reference(name), "dependsOn": sorted(map(_reference, needs[name]))} for name in sorted(needs)
        ],
    }


def installed() -> dict[str, set[str]]:
    """The packages that Sfumato and its extras for users lead to, and the installed ones that each needs."""
    found: dict[str, set[str]] = {}
    waiting = [
        ("sfumato", frozenset(set(metadata.metadata("sfumato").get_all("Provides-Extra") or ()) - NOT_FOR_USERS))
    ]
    done = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in done:
            continue
        done.add((name, extras))
        found.setdefault(name, set())
        for text in metadata.requires(name) or ():
            need = Requirement(text)
            other = canonicalize_name(need.name)
            asked = not need.marker or any(need.marker.evaluate({"extra": extra}) for extra in extras or {""})
            if asked and _version(other):
                found[name].add(other)
                waiting.append((other, frozenset(need.extras)))
    found["sfumato"].discard("sfumato")
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _reference(name: str) -> str:
    return ROOT if name == "sfumato" else f"pkg:pypi/{name}@{_version(name)}"


def _package(name: str, stated: dict[str, str]) -> dict[str, Any]:
    """A package as a component: its licence as the ledger states it, or as its own metadata does."""
    found = metadata.metadata(name)
    classifiers = [
        each.rpartition(" :: ")[2] for each in found.get_all("Classifier") or () if each.startswith("License")
    ]
    own = found.get("License-Expression") or (found.get("License") or "").partition("\n")[0] or ", ".join(classifiers)
    return {
        "type": "library",
        "bom-ref": _reference(name),
        "name": name,
        "version": metadata.version(name),
        "purl": _reference(name),
        "licenses": [{"license": {"name": stated.get(name) or own or "not stated"}}],
    }
