from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from c2pa_signing import make_chain
from sfumato.data.folders import load_folder
from sfumato.errors import InputError, UsageError
from sfumato.image import read_photo, reservation
from sfumato.inference import Stylizer
from sfumato.personal.inspection import inspect_pictures

PLUS = 'xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"'
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
VOCABULARY = "http://ns.useplus.org/ldf/vocab/"


def packet(inner: str = "", attributes: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {PLUS} xmlns:tdm="http://www.w3.org/ns/tdmrep#" {attributes}>{inner}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def picture(seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((80, 72), Image.Resampling.BICUBIC)


def mark_of(path: Path) -> str | None:
    return reservation(path, read_photo(path).metadata)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize(
    ("xmp", "mark"),
    [
        (packet(attributes=f'plus:DataMining="{VOCABULARY}DMI-PROHIBITED"'), "DataMining"),
        (packet(f"<plus:DataMining>{VOCABULARY}DMI-PROHIBITED-GENAIMLTRAINING</plus:DataMining>"), "DataMining"),
        (packet(f'<plus:DataMining rdf:resource="{VOCABULARY}DMI-PROHIBITED-AIMLTRAINING"/>'), "DataMining"),
        (packet(f"<plus:DataMining>{VOCABULARY}DMI-PROHIBITED-SEECONSTRAINT</plus:DataMining>"), "DataMining"),
        (packet(f"<plus:DataMining>{VOCABULARY}DMI-ALLOWED</plus:DataMining>"), None),
        (packet(f"<plus:DataMining>{VOCABULARY}DMI-UNSPECIFIED</plus:DataMining>"), None),
        (packet("<tdm:reservation>1</tdm:reservation>"), "tdm-reservation"),
        (packet(attributes='tdm:reservation="0"'), None),
        (packet(), None),
        (packet("<plus:DataMining>cut"), None),
    ],
)
def test_marks_in_xmp(tmp_path: Path, suffix: str, xmp: bytes, mark: str | None) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        picture().save(path, pnginfo=info)
    elif suffix == "tiff":
        picture().save(path, tiffinfo={700: xmp})
    else:
        picture().save(path, xmp=xmp)
    assert mark_of(path) == mark


@pytest.mark.parametrize(("value", "mark"), [("1", "tdm-reservation"), ("0", None)])
def test_a_mark_as_a_text_of_png(tmp_path: Path, value: str, mark: str | None) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("tdm-reservation", value)
    picture().save(tmp_path / "a.png", pnginfo=info)
    assert mark_of(tmp_path / "a.png") == mark


def marked(path: Path, seed: int) -> None:
    picture(seed).save(path, xmp=packet(attributes=f'plus:DataMining="{VOCABULARY}DMI-PROHIBITED"'))


def test_training_leaves_marked_pictures_out_and_counts_them_in_one_sentence(tmp_path: Path) -> None:
    for seed in range(3):
        picture(seed).save(tmp_path / f"free-{seed}.jpg")
    for seed in range(3, 5):
        marked(tmp_path / f"marked-{seed}.jpg", seed)
    report = load_folder(tmp_path, short=64, min_pictures=2)
    assert [each.path.name for each in report.pictures] == [f"free-{seed}.jpg" for seed in range(3)]
    assert "  left out: 2 pictures that are marked as not for training" in report.lines()


def test_a_personal_style_is_not_learnt_from_marked_pictures(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "free.jpg")
    marked(tmp_path / "marked.jpg", 1)
    found = inspect_pictures([tmp_path / "free.jpg", tmp_path / "marked.jpg"], Stylizer(threads=1))
    assert [each.path.name for each in found.pictures] == ["free.jpg"]
    [remark] = found.remarks
    assert (remark.kind, remark.left_out) == ("reserved", True)
    assert remark.text == "marked.jpg is left out: its owner marked it as not for training (DataMining)"


MANIFEST = """file,split,licence
a.jpg,train,CC0
b.jpg,train,CC-BY-SA-4.0 (a person)
c.jpg,train,BSDS500: non-commercial research/education
d.jpg,train,
e.jpg,validation,ImageNet terms (research)
"""


@pytest.mark.parametrize(
    ("licences", "names", "others"), [(None, "abcd", 0), ("free", "a", 3), ("commercial", "ab", 2)]
)
def test_training_on_some_licences_only(tmp_path: Path, licences: str | None, names: str, others: int) -> None:
    for seed, name in enumerate("abcde"):
        picture(seed).save(tmp_path / f"{name}.jpg")
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    report = load_folder(tmp_path, tmp_path / "manifest.csv", short=64, min_pictures=1, licences=licences)
    assert "".join(each.path.stem for each in report.pictures) == names
    assert report.other_licences == others
    assert any(f"none that is known: {others}" in line for line in report.lines()) == bool(others)
    with pytest.raises(InputError, match="training needs at least 5"):
        load_folder(tmp_path, tmp_path / "manifest.csv", short=64, min_pictures=5, licences=licences)


def test_without_a_manifest_no_licence_is_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only a manifest says"):
        load_folder(tmp_path, short=64, min_pictures=1, licences="free")


def signed(entries: dict[str, dict[str, str]]) -> bytes:
    """A JPEG with a C2PA manifest, signed by a certificate of this test."""
    c2pa = pytest.importorskip("c2pa")
    chain, key = make_chain()
    data = io.BytesIO()
    picture().save(data, "JPEG")
    manifest = {
        "claim_generator_info": [{"name": "test", "version": "1"}],
        "format": "image/jpeg",
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE}]}},
            {"label": "cawg.training-mining", "data": {"entries": entries}},
        ],
    }
    out = io.BytesIO()
    info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, key, None)
    settings = {"version_major": 1, "builder": {"thumbnail": {"enabled": False}}}
    with c2pa.Context.from_dict(settings) as context, c2pa.Signer.from_info(info) as signer:
        c2pa.Builder.from_json(json.dumps(manifest), context=context).sign(signer, "image/jpeg", data, out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("entries", "mark"),
    [
        ({"cawg.ai_generative_training": {"use": "notAllowed"}}, "training-mining"),
        ({"cawg.ai_training": {"use": "constrained"}}, "training-mining"),
        ({"cawg.ai_training": {"use": "allowed"}, "cawg.ai_inference": {"use": "notAllowed"}}, None),
    ],
)
def test_marks_in_a_c2pa_manifest(tmp_path: Path, entries: Any, mark: str | None) -> None:
    (tmp_path / "a.jpg").write_bytes(signed(entries))
    assert mark_of(tmp_path / "a.jpg") == mark


def test_without_the_package_the_words_of_a_manifest_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    for words, mark in ((b"jumb cawg.training-mining notAllowed", "training-mining"), (b"jumb c2pa.claim", None)):
        picture().save(tmp_path / "a.png")
        with open(tmp_path / "a.png", "ab") as file:
            file.write(words)
        assert mark_of(tmp_path / "a.png") == mark
