"""The container of glTF: what is read is written again, and damaged or hostile files are refused in a sentence."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import InputError
from sfumato.texture.container import read_gltf, to_glb
from sfumato.texture.meshes import triangles_of
from support import scene
from texture_models import data_address, document, glb, image, opened, strips

PICTURE = image(scene(32, 48))


@pytest.fixture
def made() -> tuple[dict[str, Any], bytes]:
    return document([PICTURE])


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def check_equal(path: Path) -> None:
    """A model read and written again has the same triangles and images."""
    model = read_gltf(path)
    points, places, corners = strips()
    triangles = triangles_of(model, {0: 0})[0]
    np.testing.assert_array_equal(triangles.points, points[corners])
    np.testing.assert_array_equal(triangles.places, places[corners])
    assert model.images == [PICTURE]
    again = write(path.with_name("again.glb"), to_glb(model))
    assert opened(again.read_bytes())[1] == [PICTURE]
    triangles = triangles_of(read_gltf(again), {0: 0})[0]
    np.testing.assert_array_equal(triangles.points, points[corners])


def test_a_glb_file(tmp_path: Path, made: tuple[dict[str, Any], bytes]) -> None:
    check_equal(write(tmp_path / "a.glb", glb(*made)))


def test_files_beside_the_model(tmp_path: Path, made: tuple[dict[str, Any], bytes]) -> None:
    text, blob = made
    (tmp_path / "some parts").mkdir()
    write(tmp_path / "some parts" / "a.bin", blob)
    write(tmp_path / "b.png", PICTURE)
    text["buffers"][0]["uri"] = "some%20parts/a.bin"
    text["images"] = [{"uri": "b.png"}]
    check_equal(write(tmp_path / "a.gltf", json.dumps(text).encode()))
    assert opened((tmp_path / "again.glb").read_bytes())[0]["images"][0]["mimeType"] == "image/png"


def test_data_addresses(tmp_path: Path, made: tuple[dict[str, Any], bytes]) -> None:
    text, blob = made
    text["buffers"][0]["uri"] = data_address(blob)
    text["images"] = [{"uri": data_address(PICTURE, "image/png")}]
    check_equal(write(tmp_path / "a.gltf", json.dumps(text).encode()))


def test_views_are_laid_out_anew(tmp_path: Path) -> None:
    text, blob = document([PICTURE, PICTURE])
    text["bufferViews"].append({"buffer": 0, "byteOffset": 4, "byteLength": 24})  # shows a part of the points too
    text["bufferViews"][1]["byteStride"] = 8
    model = read_gltf(write(tmp_path / "a.glb", glb(text, blob + bytes(5000))))  # and bytes that nothing shows
    model.images[0] = b"\x89PNG and more"
    written = read_gltf(write(tmp_path / "b.glb", to_glb(model)))
    assert written.images == [b"\x89PNG and more", PICTURE]
    assert written.view(5) == model.view(5)
    assert written.view(1) == model.view(1)
    assert written.at("bufferViews", 1)["byteStride"] == 8
    assert all(view["byteOffset"] % 4 == 0 for view in written.parts("bufferViews"))
    assert (tmp_path / "b.glb").stat().st_size < len(glb(text, blob))


def test_bytes_that_views_share_are_written_once(tmp_path: Path, made: tuple[dict[str, Any], bytes]) -> None:
    text, blob = made
    text["bufferViews"] += [{"buffer": 0, "byteOffset": 0, "byteLength": len(blob)}] * 2000
    content = to_glb(read_gltf(write(tmp_path / "a.glb", glb(text, blob))))
    assert len(content) < len(glb(text, blob)) + len(PICTURE) + 100_000


@pytest.mark.parametrize(
    "address",
    [
        "../a.bin",
        "/etc/passwd",
        "%2e%2e/a.bin",
        "..\\a.bin",
        "C:\\a.bin",
        "C:a.bin",
        "file:///etc/passwd",
        "http://example.org/a.bin",
        "//example.org/a.bin",
        "parts/../../a.bin",
        "a\0.bin",
        "link/a.bin",
        "",
    ],
)
def test_no_file_outside_the_folder_is_read(tmp_path: Path, made: tuple[dict[str, Any], bytes], address: str) -> None:
    text, blob = made
    folder = tmp_path / "model"
    folder.mkdir()
    write(tmp_path / "a.bin", blob)
    (folder / "link").symlink_to(tmp_path)
    text["buffers"][0]["uri"] = address
    with pytest.raises(InputError, match="folder"):
        read_gltf(write(folder / "a.gltf", json.dumps(text).encode()))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t["asset"].update(version="1.0"), "no glTF 2 file"),
        (lambda t: t.pop("asset"), "no glTF 2 file"),
        (lambda t: t.update(extensionsUsed=["EXT_meshopt_compression"]), "compressed by EXT_meshopt"),
        (lambda t: t.update(bufferViews=3), "bufferViews are not a list"),
        (lambda t: t["images"][0].update(bufferView=99), "refers to bufferViews 99"),
        (lambda t: t["images"][0].update(bufferView=-1), "refers to bufferViews -1"),
        (lambda t: t["images"][0].update(bufferView=True), "refers to bufferViews True"),
        (lambda t: t["images"][0].pop("bufferView"), "image 0 has no bytes"),
        (lambda t: t["buffers"].append({"byteLength": 4}), "buffer 1 has no bytes"),
        (lambda t: t["buffers"][0].update(byteLength=10**9), "of 1000000000 bytes"),
        (lambda t: t["buffers"][0].update(byteLength=-1), "byteLength is -1"),
        (lambda t: t["bufferViews"][3].update(byteOffset=10**8), "ends beyond its buffer"),
        (lambda t: t["bufferViews"][3].update(buffer="0"), "refers to buffer '0'"),
        (lambda t: t["buffers"][0].update(uri="data:text/plain,abc"), "not in base64"),
        (lambda t: t["buffers"][0].update(uri="data:;base64,a"), "not base64"),
        (lambda t: t["buffers"][0].update(uri=7), "not text"),
        (lambda t: t["buffers"][0].update(uri="none.bin"), "cannot read none.bin"),
    ],
)
def test_damage_is_told_in_a_sentence(
    tmp_path: Path, made: tuple[dict[str, Any], bytes], change: Any, sentence: str
) -> None:
    change(made[0])
    with pytest.raises(InputError, match=sentence):
        read_gltf(write(tmp_path / "a.glb", glb(*made)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"glTF",
        struct.pack("<4sII", b"glTF", 1, 12),
        struct.pack("<4sII", b"glTF", 2, 2**32 - 1),
        struct.pack("<4sIII4s", b"glTF", 2, 100, 2**32 - 1, b"JSON"),
        b"[]",
        b"{",
        b'{"asset":{"version":"2.0"},"x":NaN}',
        b'{"asset":{"version":"2.0"},"x":1e999}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_gltf_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError):
        read_gltf(write(tmp_path / "a.gltf", content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_gltf(tmp_path / "none.glb")


@pytest.mark.parametrize(
    ("corners", "kind"),
    [
        (np.array([0, 1, -30000], "<i2"), 5122),
        (np.array([0, 1, -1], "<i2"), 5122),
        (np.array([0, 1, np.nan], "<f4"), 5126),
    ],
)
def test_corners_are_whole_numbers_from_0(tmp_path: Path, corners: np.ndarray, kind: int) -> None:
    points, places, _ = strips()
    text, blob = document([PICTURE], mesh=(points, places, corners))
    text["accessors"][2]["componentType"] = kind
    with pytest.raises(InputError, match="accessor 2 is not of the type SCALAR, or its numbers are of a wrong type"):
        triangles_of(read_gltf(write(tmp_path / "a.glb", glb(text, blob))), {0: 0})


@pytest.mark.parametrize("change", [{"rotation": 10**400}, {"scale": [10**400, 1]}, {"offset": [0, 10**400]}])
def test_numbers_beyond_floats_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    base = {"index": 0, "extensions": {"KHR_texture_transform": change}}
    text, blob = document([PICTURE], {"pbrMetallicRoughness": {"baseColorTexture": base}})
    with pytest.raises(InputError, match="transform of a texture has no numbers"):
        triangles_of(read_gltf(write(tmp_path / "a.glb", glb(text, blob))), {0: 0})


def mutated(value: Any, rng: np.random.Generator) -> Any:
    """A JSON value with one part replaced, removed or repeated."""
    odd = [None, True, -1, 0, 3, 10**30, 1.5, "", "x", [], {}, [[]], {"index": 0}, "\ud800"]
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = list(value)[rng.integers(len(value))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: mutated(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        index = int(rng.integers(len(value)))
        if rng.random() < 0.1:
            return value * 2
        return [*value[:index], mutated(value[index], rng), *value[index + 1 :]]
    return odd[rng.integers(len(odd))]


def test_no_mutation_gives_another_error(tmp_path: Path) -> None:
    from sfumato.texture.models import _colour_images, _images_of_textures, _separate, _wraps

    material = {
        "pbrMetallicRoughness": {
            "baseColorTexture": {
                "index": 0,
                "extensions": {"KHR_texture_transform": {"offset": [0, 1], "rotation": 1}},
            },
            "metallicRoughnessTexture": {"index": 0},
        },
        "normalTexture": {"index": 1},
    }
    text, blob = document([PICTURE, PICTURE], material)
    text["samplers"] = [{"wrapS": 33071}]
    text["textures"][0]["sampler"] = 0
    rng, refused = np.random.default_rng(0), 0
    for number in range(900):
        changed = text
        for _ in range(1 + number % 3):
            changed = mutated(changed, rng)
        path = write(tmp_path / "a.glb", glb(changed, blob))
        try:
            model = read_gltf(path)
            _separate(model)
            images = _images_of_textures(model)
            shown = _colour_images(model, images)
            triangles_of(model, images)
            for textures in shown.values():
                _wraps(model, textures)
            read_gltf(write(path, to_glb(model)))
        except InputError:
            refused += 1
    assert 100 < refused < 800  # of both kinds


def test_no_cut_file_gives_another_error(tmp_path: Path, made: tuple[dict[str, Any], bytes]) -> None:
    content = glb(*made)
    for length in range(0, len(content), 37):
        try:
            to_glb(read_gltf(write(tmp_path / "a.glb", content[:length])))
        except InputError:
            continue
