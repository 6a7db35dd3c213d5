from __future__ import annotations

import copy
import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(scope="module")
def tools() -> Iterator[dict[str, Any]]:
    """The modules tools/build_ledger.py, build_sbom.py and build_cards.py, by name."""
    names = ("build_ledger", "build_sbom", "build_cards")  # each may import those before it
    modules = {}
    for name in names:
        spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
        assert spec is not None
        modules[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[name])
    yield modules
    for name in names:
        del sys.modules[name]


@pytest.fixture
def build_ledger(tools: dict[str, Any]) -> Any:
    return tools["build_ledger"]


def test_the_ledger_is_complete(build_ledger: Any) -> None:
    assert build_ledger.check() == []


def test_each_kind_of_thing_has_lines(build_ledger: Any) -> None:
    kinds = [line["kind"] for line in build_ledger.read()["lines"]]
    assert set(kinds) == set(build_ledger.KINDS)
    assert kinds.count("style") == 33
    assert kinds.count("picture") == 76


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda line: line.pop("licence"), "the field licence is missing"),
        (lambda line: line.update(source=""), "the field source is missing or empty"),
        (lambda line: line.pop("died"), "the field died is missing"),
        (lambda line: line.update(died=None), "nothing says when Ivan Aivazovsky died"),
        (lambda line: line.update(sha256="0" * 64), "its SHA-256 is not that of the ledger"),
        (lambda line: line.update(kind="thing"), "its kind is not one of"),
        (lambda line: line.update(commercial=None), "commercial is not what its licence says"),
        (lambda line: line.update(file="assets/pictures/other.webp"), "the file is missing"),
        (lambda line: line.update(died=1973), "died in 1973; state in `statement`"),
    ],
)
def test_a_fault_in_a_line_is_told(build_ledger: Any, change: Any, fault: str) -> None:
    ledger = copy.deepcopy(build_ledger.read())
    change(ledger["lines"][0])
    assert any(fault in each for each in build_ledger.check(ledger))


def test_a_work_that_is_still_protected_may_ship_with_a_statement(build_ledger: Any) -> None:
    ledger = copy.deepcopy(build_ledger.read())
    ledger["lines"][0] |= {"died": 1973, "statement": "licensed by the heirs, letter of 2026-01-02"}
    assert build_ledger.check(ledger) == []


def test_works_were_protected_when_they_were_younger(build_ledger: Any) -> None:
    assert any("Henri Matisse died in 1954" in each for each in build_ledger.check(year=2024))


def test_a_file_without_a_line_is_told(build_ledger: Any, tmp_path: Path) -> None:
    for part in ("assets", "studio/pages/vendor"):
        shutil.copytree(build_ledger.PACKAGE / part, tmp_path / part)
    assert build_ledger.check(package=tmp_path) == []
    (tmp_path / "assets" / "pictures" / "new.webp").write_bytes(b"a picture")
    (tmp_path / "assets" / "weights" / "base" / "new.onnx").write_bytes(b"a graph")
    assert build_ledger.check(package=tmp_path) == [
        "assets/pictures/new.webp: the ledger has no line for it",
        "assets/weights/base/new.onnx: the ledger has no line for it",
    ]


def test_a_package_without_a_line_is_told(build_ledger: Any) -> None:
    ledger = copy.deepcopy(build_ledger.read())
    ledger["lines"] = [line for line in ledger["lines"] if line["name"] != "numpy"]
    assert build_ledger.check(ledger) == ["numpy: tools/packages.csv has no row for it"]


def test_a_model_that_saw_other_pictures_is_told(build_ledger: Any) -> None:
    ledger = copy.deepcopy(build_ledger.read())
    ledger["models"]["base-3"]["photos_sha256"] = "0" * 64
    assert build_ledger.check(ledger) == ["base-3: it saw other photos than training_pictures.csv lists"]


def test_licences_are_those_that_the_installed_packages_state(build_ledger: Any) -> None:
    """Of packages that state an SPDX expression: each of its words is in the ledger's line."""
    compared = 0
    for line in build_ledger.packages():
        try:
            stated = str(metadata.metadata(line["name"]).json.get("license_expression", ""))
        except metadata.PackageNotFoundError:
            continue
        if stated:
            words = {word for word in re.split(r"[ ()]+", stated) if word not in ("AND", "OR", "WITH", "")}
            assert {word for word in words if "exception" not in word} <= set(re.split(r"[ ();]+", line["licence"])), (
                line
            )
            compared += 1
    assert compared > 5


def test_the_model_card_is_that_of_the_ledger(tools: dict[str, Any]) -> None:
    text = tools["build_cards"].CARD.read_text("utf-8")
    assert tools["build_cards"].with_data(text) == text
    assert tools["build_cards"].with_data(text.replace("| 833 |", "| 834 |")) == text


def test_the_data_card_describes_the_list(tools: dict[str, Any], build_ledger: Any) -> None:
    card = tools["build_cards"].data_card()
    [file], [records] = card["distribution"], card["recordSet"]
    assert file["sha256"] == build_ledger.hashed(build_ledger.TRAINING)["sha256"]
    assert [field["name"] for field in records["field"]] == list(build_ledger.rows(build_ledger.TRAINING)[0])


@pytest.mark.filterwarnings("default")  # of the packages that it uses
def test_the_data_card_is_valid_croissant(tools: dict[str, Any], build_ledger: Any, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    shutil.copy(build_ledger.TRAINING, tmp_path)
    (tmp_path / "croissant.json").write_text(json.dumps(tools["build_cards"].data_card()))
    records = list(mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json")).records("pictures"))
    assert len(records) == 3008


def test_the_sbom_names_packages_and_files_once(tools: dict[str, Any]) -> None:
    found = tools["build_sbom"].sbom()
    references = [part["bom-ref"] for part in found["components"]]
    assert len(references) == len(set(references))
    names = {part["name"] for part in found["components"]}
    assert {"numpy", "pillow", "assets/weights/base/generator.onnx"} <= names
    assert "pytest" not in names
    assert all(part["licenses"][0]["license"]["name"] != "not stated" for part in found["components"])
    known = {*references, tools["build_sbom"].ROOT}
    assert all({each["ref"], *each["dependsOn"]} <= known for each in found["dependencies"])


def test_the_sbom_is_valid_cyclonedx(tools: dict[str, Any]) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(tools["build_sbom"].sbom())) is None
