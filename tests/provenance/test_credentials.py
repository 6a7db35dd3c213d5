"""Content credentials: valid for other readers, without names, and every change is told."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image

from sealing import INGREDIENT, MEDIA_TYPES, RECIPE, painted, plain_bytes, with_changed_pixels, with_changed_text
from sfumato.errors import OutputError
from sfumato.image import read_photo, read_recipe
from sfumato.provenance import credentials
from sfumato.provenance.keys import Keys, anchors
from sfumato.provenance.seal import Seal
from sfumato.provenance.verify import meaning
from support import pixels
from video_clips import write_clip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.open(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def seal(keys: Keys) -> Seal:
    return Seal(keys)


def states(content: bytes, media_type: str, root: str) -> list[str]:
    """The verdicts of the c2pa library with its defaults, and with strict settings and our root as a trust list."""
    found = [c2pa.Reader(media_type, io.BytesIO(content)).get_validation_state()]
    strict: dict[str, Any] = {
        "verify": {"verify_trust": True, "verify_after_reading": True, "strict_v1_validation": True},
        "trust": {"trust_anchors": root},
    }
    with c2pa.Context.from_dict(strict) as context:
        found.append(c2pa.Reader(media_type, io.BytesIO(content), context=context).get_validation_state())
    return found


def told(content: bytes, root: str) -> tuple[str, list[str]]:
    found = credentials.read(io.BytesIO(content), root)
    assert found is not None
    return found.state, [meaning(each) for each in found.failures]


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_other_readers_accept_ten_of_ten(format: str, keys: Keys, seal: Seal) -> None:
    root = anchors(keys.folder)
    for number in range(10):
        photo = painted(number, 60 + number, 80 + 3 * number)
        source = plain_bytes(painted(number + 100), "jpg")
        content = seal.seal_photo(photo, format, source=source).content
        assert states(content, MEDIA_TYPES[format], root) == ["Valid", "Trusted"]
        assert np.array_equal(read_photo(content).pixels, read_photo(plain_bytes(photo, format)).pixels)
        assert read_recipe(content) == photo.metadata.recipe


@pytest.mark.parametrize(("suffix", "media_type"), [("mp4", "video/mp4"), ("mov", "video/quicktime")])
def test_other_readers_accept_videos(suffix: str, media_type: str, keys: Keys, seal: Seal, tmp_path: Path) -> None:
    for number in range(10 if suffix == "mp4" else 2):
        clip = write_clip(tmp_path / f"{number}.{suffix}", times=range(3 + number))
        out = io.BytesIO()
        with clip.open("rb") as file:
            assert seal.seal_video(file, out, {**RECIPE, "kind": "video"}, clip) == ()
        content = out.getvalue()
        assert states(content, media_type, anchors(keys.folder)) == ["Valid", "Trusted"]
        found = content.index(b"mdat") + 40
        changed = content[:found] + bytes([content[found] ^ 1]) + content[found + 1 :]
        state, why = told(changed, anchors(keys.folder))
        assert (state, why[0]) == ("invalid", "the video or its metadata were changed after signing")


@pytest.mark.parametrize("format", MEDIA_TYPES)
@pytest.mark.parametrize(
    ("what", "text", "words"),
    [
        ("pixels", b"", "the pixels or the metadata were changed after signing"),
        ("ingredient", INGREDIENT, "what they say about a source was changed after signing"),
        ("statement", b"decoder-of-the-test", "what they state was changed after signing (org.sfumato.seal)"),
    ],
)
def test_changes_are_told(format: str, what: str, text: bytes, words: str, keys: Keys, seal: Seal) -> None:
    photo = painted(1, decoder_sha256="decoder-of-the-test")
    content = seal.seal_photo(photo, format).content
    root = anchors(keys.folder)
    assert told(content, root) == ("trusted", [])
    if what == "pixels":
        changed = with_changed_pixels(content, plain_bytes(photo, format))
    else:
        begin = content.index(b"c2pa.assertions")
        changed = content[:begin] + with_changed_text(content[begin:], text)
    state, why = told(changed, root)
    assert state == "invalid"
    assert words in why


def test_a_changed_signature_and_a_damaged_manifest_are_told(keys: Keys, seal: Seal) -> None:
    content = seal.seal_photo(painted(2), "jpg").content
    root = anchors(keys.folder)
    at = content.rindex(b"Sfumato signer") + 2  # in the certificate
    changed = content[:at] + b"X" + content[at + 1 :]
    assert told(changed, root)[0] == "invalid"
    assert told(content.replace(b"jumd", b"jumx"), root)[0] == "invalid"


def test_what_they_say(keys: Keys, seal: Seal) -> None:
    photo = painted(
        3,
        model="grandma",
        styles=[
            {"name": "holiday-in-rome", "code": "BBBB", "pictures": [{"sha256": "ef" * 32, "weight": 1.0}]},
            {"name": "monet:0.5 + klimt:0.5", "code": "CCCC"},
        ],
        masks=["12" * 32],
    )
    source = plain_bytes(painted(4), "png")
    content = seal.seal_photo(photo, "png", source=source).content
    found = credentials.read(io.BytesIO(content), anchors(keys.folder))
    assert found is not None
    assert found.state == "trusted"
    assert found.actions == ("c2pa.opened", "c2pa.edited")
    assert found.source_types == ("compositeWithTrainedAlgorithmicMedia",)
    assert found.generator.startswith("Sfumato ")
    by_hash = {each.sha256: each for each in found.ingredients}
    assert by_hash[hashlib.sha256(source).hexdigest()].relationship == "parentOf"
    assert "cd" * 32 not in by_hash
    assert by_hash["ef" * 32].licence == "not stated"
    assert any("public domain" in each.licence and "Klimt" in each.title for each in found.ingredients)
    assert found.seal is not None
    assert found.seal["strength"] == 0.75
    assert found.seal["styles"] == ["the user's own", "monet:0.5 + klimt:0.5"]
    assert "model" not in found.seal
    manifest = c2pa.Reader("image/png", io.BytesIO(content)).json()
    assert "holiday" not in manifest
    assert "grandma" not in manifest


def test_no_name_of_user_machine_or_path(keys: Keys, seal: Seal, tmp_path: Path) -> None:
    secret = tmp_path / "secret-name.jpg"
    secret.write_bytes(plain_bytes(painted(5), "jpg"))
    content = seal.seal_photo(painted(6), "png", source=secret).content
    manifest = c2pa.Reader("image/png", io.BytesIO(content)).detailed_json() + keys.chain.decode("ascii")
    for word in ("secret-name", str(tmp_path)):
        assert word not in manifest
    # As a whole word: a short host name stands by chance in Base64.
    assert not re.search(rf"(?<![\w+/]){re.escape(socket.gethostname())}(?![\w+/=])", manifest)
    names = [each.rfc4514_string() for cert in keys.certificates for each in (cert.subject, cert.issuer)]
    assert {re.sub(r"[0-9a-f]{8}", "ID", name) for name in names} == {
        r"CN=Sfumato signer ID,O=Sfumato\, self-made",
        r"CN=Sfumato root,O=Sfumato\, self-made",
    }


@pytest.mark.parametrize("is_damaged", [False, True])
def test_only_the_hash_of_the_source_goes_in(is_damaged: bool, seal: Seal, keys: Keys) -> None:
    first = seal.seal_photo(painted(7, quality="secret-of-the-source"), "jpg").content
    if is_damaged:
        first = with_changed_text(first, INGREDIENT)
    assert b"secret-of-the-source" in first
    second = seal.seal_photo(painted(8), "png", source=first).content
    assert states(second, "image/png", anchors(keys.folder)) == ["Valid", "Trusted"]
    assert b"secret-of-the-source" not in second
    assert len(json.loads(c2pa.Reader("image/png", io.BytesIO(second)).json())["manifests"]) == 1
    found = credentials.read(io.BytesIO(second), anchors(keys.folder))
    assert found is not None
    [source] = [each for each in found.ingredients if each.relationship == "parentOf"]
    assert source == credentials.Ingredient("photo", "parentOf", hashlib.sha256(first).hexdigest(), "", False)


def test_a_finished_photo_is_no_work_of_a_model(seal: Seal, keys: Keys) -> None:
    photo = painted(10)
    photo.metadata.recipe.clear()
    photo.metadata.recipe.update({"kind": "photo", "finish": [{"contrast": 0.2}]})
    found = credentials.read(io.BytesIO(seal.seal_photo(photo, "png").content), "")
    assert found is not None
    assert found.state == "valid"
    assert found.source_types == ("humanEdits",)


def test_formats_without_credentials(keys: Keys) -> None:
    assert credentials.read(io.BytesIO(b"BM" + bytes(100)), "") is None
    assert credentials.read(io.BytesIO(plain_bytes(painted(), "png")), "") is None
    with pytest.raises(OutputError, match="cannot hold content credentials"):
        credentials.sign(io.BytesIO(b"BM" + bytes(100)), io.BytesIO(), credentials.Statement({}), keys)


def test_saving_again_removes_them(seal: Seal, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    seal.write_photo(painted(11), path)
    Image.open(path).save(tmp_path / "b.png")
    assert credentials.read(io.BytesIO((tmp_path / "b.png").read_bytes()), "") is None
    assert np.array_equal(pixels(path), pixels(tmp_path / "b.png"))
