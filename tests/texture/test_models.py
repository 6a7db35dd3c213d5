"""Retextured models: base colours are painted in place, all else stays, and other programs read the file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import InputError, OutputError, PaintOptions, Style, Stylizer, UsageError
from sfumato.inference.seamless import MAX_SEAM_RATIO, seam_ratios
from sfumato.texture.colours import Painter
from sfumato.texture.models import retexture
from support import assert_one_sentence, run, scene
from texture_models import document, glb, image, opened, pixels_of, repeating, strips

BRICKS, BUMPS, ROUGH = (image(scene(64, 64, seed)) for seed in range(3))
MATERIAL = {
    "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": {"index": 2}},
    "normalTexture": {"index": 1, "scale": 0.5},
    "extras": {"mine": [{"index": 5}]},
}


@pytest.fixture(scope="module")
def painter() -> Painter:
    stylizer = Stylizer(threads=1)
    return Painter(stylizer, Style.from_image(scene(90, 80, 5, 0.3), "waves", stylizer), PaintOptions(quality="draft"))


def painted(path: Path, painter: Painter, made: dict[str, Any], blob: bytes, **options: Any) -> Any:
    path.mkdir(exist_ok=True)
    (path / "a.glb").write_bytes(glb(made, blob))
    result = retexture(path / "a.glb", painter, **options)
    return result, *opened(result.glb)


def test_only_the_base_colour_is_painted(tmp_path: Path, painter: Painter) -> None:
    made, blob = document([BRICKS, BUMPS, ROUGH], MATERIAL)
    result, text, images = painted(tmp_path, painter, made, blob)
    assert (result.painted, result.followed, result.remarks) == (1, 0, [])
    assert images[1:] == [BUMPS, ROUGH]  # byte for byte
    assert pixels_of(images[0]).shape == (64, 64, 3)
    assert np.abs(pixels_of(images[0]).astype(int) - pixels_of(BRICKS)).mean() > 5
    assert text["materials"] == made["materials"]
    assert text["meshes"] == made["meshes"]
    assert text["accessors"] == made["accessors"]
    assert text["asset"]["generator"] == "tests"
    assert text["asset"]["extras"]["sfumato"]["style"] == "waves"


def test_other_programs_read_it(tmp_path: Path, painter: Painter) -> None:
    trimesh = pytest.importorskip("trimesh")
    result, _, _ = painted(tmp_path, painter, *document([BRICKS, BUMPS, ROUGH], MATERIAL))
    [mesh] = trimesh.load(io.BytesIO(result.glb), file_type="glb").geometry.values()
    points, places, corners = strips()
    np.testing.assert_allclose(mesh.triangles, points[corners], atol=1e-6)
    np.testing.assert_allclose(mesh.visual.uv[:, 0], places[:, 0], atol=1e-6)
    base = mesh.visual.material.baseColorTexture
    np.testing.assert_array_equal(np.asarray(base.convert("RGB")), pixels_of(opened(result.glb)[1][0]))


def test_maps_follow_the_strokes_where_asked(tmp_path: Path, painter: Painter) -> None:
    result, _, images = painted(tmp_path, painter, *document([BRICKS, BUMPS, ROUGH], MATERIAL), follow=True)
    assert result.followed == 2
    normal = pixels_of(images[1]) / 127.5 - 1
    np.testing.assert_allclose(np.linalg.norm(normal, axis=-1), 1, atol=0.02)
    before, after = (pixels_of(each).astype(int) for each in (ROUGH, images[2]))
    np.testing.assert_array_equal(before[..., [0, 2]], after[..., [0, 2]])  # occlusion and metal
    assert np.abs(before[..., 1] - after[..., 1]).mean() > 1


def test_an_image_that_is_colour_and_data_is_copied_first(tmp_path: Path, painter: Painter) -> None:
    material = {
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": {"index": 0}},
        "occlusionTexture": {"index": 1},
    }
    made, blob = document([BRICKS, BUMPS], material)
    made["textures"][1]["source"] = 0
    _, text, images = painted(tmp_path, painter, made, blob)
    colour = text["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    data = text["materials"][0]["pbrMetallicRoughness"]["metallicRoughnessTexture"]["index"]
    other = text["materials"][0]["occlusionTexture"]["index"]
    assert images[text["textures"][data]["source"]] == BRICKS
    assert images[text["textures"][other]["source"]] == BRICKS
    assert images[text["textures"][colour]["source"]] != BRICKS


def test_emission_stays(tmp_path: Path, painter: Painter) -> None:
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "emissiveTexture": {"index": 1}}
    _, _, images = painted(tmp_path, painter, *document([BRICKS, BUMPS], material))
    assert images[1] == BUMPS


@pytest.mark.parametrize(("format", "start"), [("JPEG", b"\xff\xd8"), ("WEBP", b"RIFF"), ("PNG", b"\x89PNG")])
def test_formats_are_kept(tmp_path: Path, painter: Painter, format: str, start: bytes) -> None:
    made, blob = document([image(scene(64, 64), format)], kinds=[f"image/{format.lower()}"])
    if format == "WEBP":
        made["textures"] = [{"extensions": {"EXT_texture_webp": {"source": 0}}}]
    _, text, images = painted(tmp_path, painter, made, blob)
    assert images[0].startswith(start)
    assert text["images"][0]["mimeType"] == f"image/{format.lower()}"


def test_a_plain_image_replaces_the_compressed_one(tmp_path: Path, painter: Painter) -> None:
    made, blob = document([BRICKS, b"\xabKTX 20 of the old colours"])
    made["textures"] = [{"source": 0, "extensions": {"KHR_texture_basisu": {"source": 1}}}]
    _, text, images = painted(tmp_path, painter, made, blob)
    assert text["textures"] == [{"source": 0}]
    assert images[0] != BRICKS


def test_only_compressed_colours_are_refused(tmp_path: Path, painter: Painter) -> None:
    made, blob = document([b"\xabKTX 20"], kinds=["image/ktx2"])
    made["textures"] = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
    with pytest.raises(InputError, match="only as KTX2"):
        painted(tmp_path, painter, made, blob)


def test_palettes_stay(tmp_path: Path, painter: Painter) -> None:
    small = image(np.zeros((4, 8, 3), np.uint8))
    result, _, images = painted(tmp_path, painter, *document([small]))
    assert images == [small]
    assert "8 x 4 pixels are too few" in result.remarks[0]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", BRICKS[: len(BRICKS) // 2]])
def test_a_damaged_image_is_named(tmp_path: Path, painter: Painter, content: bytes) -> None:
    made, blob = document([content or b"\0"])
    made["images"][0]["name"] = "walls"
    with pytest.raises(InputError, match=r"image 0 \('walls'\) of .*a.glb cannot be read"):
        painted(tmp_path, painter, made, blob)


def test_a_model_without_textures_is_refused(tmp_path: Path, painter: Painter) -> None:
    made, blob = document([BRICKS], {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}})
    with pytest.raises(InputError, match="no base colour texture"):
        painted(tmp_path, painter, made, blob)


def test_background_does_not_bleed_into_islands(tmp_path: Path, painter: Painter) -> None:
    """Two textures that differ only between the islands give the same picture."""
    base = (scene(96, 96, 4)[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    inside = np.zeros((96, 96), bool)
    inside[8:88, 8:40] = inside[8:88, 56:88] = True
    found = []
    for level in (0, 255):
        picture = np.where(inside[..., None], base, np.uint8(level))
        found.append(pixels_of(painted(tmp_path, painter, *document([image(picture)]))[2][0]))
    np.testing.assert_array_equal(found[0], found[1])


def test_colours_meet_at_the_seam_of_the_mesh(tmp_path: Path, painter: Painter) -> None:
    base = np.zeros((128, 128, 3), np.uint8)
    wave = (127 + 90 * np.sin(np.linspace(0, 9, 128))).astype(np.uint8)
    base[:] = np.stack([wave, wave[::-1], np.full(128, 80, np.uint8)], -1)[:, None]  # equal along both edges
    made, blob = document([image(base)])
    levelled = pixels_of(painted(tmp_path, painter, made, blob)[2][0]).astype(int)
    plain = painter.stylizer.paint(image(base), painter.style, painter.options).pixels.astype(int)
    gaps = [np.abs(each[16:112, 51] - each[16:112, 76]).mean() for each in (plain, levelled)]  # at the two edges
    assert gaps[1] < 0.4 * gaps[0]


def test_a_texture_that_repeats_still_does(tmp_path: Path, painter: Painter) -> None:
    base = repeating(96, 96)
    points, _, _ = strips()
    places = points[:, [0, 1]] * 4  # a wall that shows it four times
    _, _, images = painted(tmp_path, painter, *document([image(base)], mesh=strips(points, places)))
    assert max(seam_ratios((pixels_of(images[0]) / 255).transpose(2, 0, 1)[None].astype(np.float32))) <= MAX_SEAM_RATIO


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["accessors"][1].update(sparse={"count": 1}),
        lambda t: t["accessors"][1].pop("bufferView"),
        lambda t: t["meshes"][0]["primitives"][0]["attributes"].pop("TEXCOORD_0"),
        lambda t: t["meshes"][0]["primitives"][0].update(extensions={"KHR_draco_mesh_compression": {"bufferView": 0}}),
    ],
)
def test_meshes_that_cannot_be_read_are_no_obstacle(tmp_path: Path, painter: Painter, change: Any) -> None:
    made, blob = document([BRICKS])
    change(made)
    assert painted(tmp_path, painter, made, blob)[2][0] != BRICKS


@pytest.mark.parametrize(("mode", "corners"), [(5, [0, 1, 2, 3]), (6, [0, 1, 3, 2])])
def test_strips_and_fans(tmp_path: Path, mode: int, corners: list[int]) -> None:
    from sfumato.texture.container import read_gltf
    from sfumato.texture.islands import Islands
    from sfumato.texture.meshes import triangles_of

    points, places, _ = strips()
    made, blob = document([BRICKS], mesh=(points, places, np.array(corners, "<u2")))
    made["meshes"][0]["primitives"][0]["mode"] = mode
    (tmp_path / "a.glb").write_bytes(glb(made, blob))
    islands = Islands.of(triangles_of(read_gltf(tmp_path / "a.glb"), {0: 0})[0], 50, 50)
    assert islands.share == pytest.approx(0.3 * 0.8, abs=0.05)


def test_the_command(tmp_path: Path) -> None:
    made, blob = document([BRICKS, BUMPS, ROUGH], MATERIAL)
    source, out = tmp_path / "a.glb", tmp_path / "b.glb"
    source.write_bytes(glb(made, blob))
    done = run("texture", source, "--style", "monet", "--quality", "draft", "--follow", "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "1 texture painted, 2 maps changed to follow" in done.stdout
    assert json.loads(json.dumps(opened(out.read_bytes())[0]["asset"]["extras"]["sfumato"]))["style"] == "monet"
    assert_one_sentence(run("texture", source, "--style", "monet", "-o", out), OutputError.exit_code, "already exists")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.glb", "-o", "b.gltf"], "is written as one .glb file"),
        (["a.glb", "b.glb", "-o", "c.glb"], "one model is painted at a time"),
        (["a.glb", "-o", "b.glb", "--follow", "--directx"], "in glTF models green points up"),
        (["a.png", "-o", "b.glb"], "maps are written into a folder"),
        (["a.png", "-o", "b", "--directx"], "--directx needs --follow"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], sentence: str) -> None:
    assert_one_sentence(run("texture", *arguments, "--style", "monet"), UsageError.exit_code, sentence)


def test_a_damaged_model_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(b"glTF of no kind")
    done = run("texture", tmp_path / "a.glb", "--style", "monet", "-o", tmp_path / "b.glb")
    assert_one_sentence(done, InputError.exit_code, "glTF version")
    assert not (tmp_path / "b.glb").exists()


@pytest.mark.parametrize("target", ["b.glb", "folder"])
def test_a_model_in_another_format_is_told_what_to_do(target: str, tmp_path: Path) -> None:
    (tmp_path / "a.OBJ").write_text("v 0 0 0\n")
    done = run("texture", tmp_path / "a.OBJ", "--style", "monet", "-o", tmp_path / target)
    assert_one_sentence(done, InputError.exit_code, "File > Export > glTF 2.0")


def test_the_model_itself_is_not_replaced(tmp_path: Path) -> None:
    source = tmp_path / "a.glb"
    source.write_bytes(before := glb(*document([BRICKS])))
    done = run("texture", source, "--style", "monet", "-o", source, "--overwrite")
    assert_one_sentence(done, UsageError.exit_code, "is the model itself; name another file")
    assert source.read_bytes() == before
