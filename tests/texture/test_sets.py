"""Sets of maps: roles by name, colour painted, the rest byte for byte or following the strokes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfumato import InputError, OutputError, UsageError
from sfumato.image import read_image
from sfumato.inference.seamless import MAX_SEAM_RATIO, seam_ratios
from sfumato.texture.sets import MapFile
from support import assert_one_sentence, files, run, scene
from texture_models import image


def wave(seed: int) -> np.ndarray:
    """A picture that repeats."""
    y, x = np.mgrid[0:72, 0:72] * (2 * np.pi / 72)
    rng = np.random.default_rng(seed)
    return np.stack([0.5 + 0.3 * np.sin(x * a + y * b) for a, b in rng.integers(1, 5, (3, 2))])[None].astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "set"
    source.mkdir()
    for seed, name in enumerate(("albedo", "normal", "roughness", "height", "ao")):
        (source / f"bricks_{name}.png").write_bytes(image(wave(seed)))
    (source / "license.txt").write_text("CC0")
    return source


@pytest.mark.parametrize(
    ("name", "set_", "role", "directx"),
    [
        ("bricks_albedo", "bricks", "colour", False),
        ("Bricks075A_1K-PNG_Color", "bricks075a_1k-png", "colour", False),
        ("Bricks075A_1K-PNG_NormalDX", "bricks075a_1k-png", "normal", True),
        ("brick_wall_diff_1k", "brick_wall_1k", "colour", False),
        ("brick_wall_nor_gl_1k", "brick_wall_1k", "normal", False),
        ("wood base color", "wood", "colour", False),
        ("stone-height", "stone", "height", False),
        ("stone_Displacement", "stone", "height", False),
        ("my_color_Roughness", "my_color", "roughness", False),
        ("albedo", "", "colour", False),
        ("metal_ao", "metal_ao", "other", False),
        ("protocol", "protocol", "other", False),
    ],
)
def test_names_tell_roles(name: str, set_: str, role: str, directx: bool) -> None:
    path = Path(f"{name}.png")
    assert MapFile.of(path) == MapFile(path, set_, role, directx)  # type: ignore[arg-type]


def test_only_the_colour_map_changes(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    done = run("texture", folder, "--style", "monet", "--quality", "draft", "-o", out)
    assert done.exit_code == 0, done.stderr
    assert files(out) == files(folder)
    changed = [name for name in files(out) if (out / name).read_bytes() != (folder / name).read_bytes()]
    assert changed == ["bricks_albedo.png"]
    assert max(seam_ratios(read_image(out / "bricks_albedo.png"))) <= MAX_SEAM_RATIO


def test_maps_follow_where_asked(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    done = run("texture", folder, "--style", "monet", "--quality", "draft", "-o", out, "--follow")
    assert done.exit_code == 0, done.stderr
    same = [name for name in files(out) if (out / name).read_bytes() == (folder / name).read_bytes()]
    assert same == ["bricks_ao.png", "license.txt"]
    normal = 2 * read_image(out / "bricks_normal.png")[0] - 1
    np.testing.assert_allclose(np.linalg.norm(normal, axis=0), 1, atol=0.02)
    for name in ("normal", "height", "roughness"):
        assert max(seam_ratios(read_image(out / f"bricks_{name}.png"))) <= MAX_SEAM_RATIO


def test_a_set_without_normals_gets_them(tmp_path: Path, folder: Path) -> None:
    (folder / "bricks_normal.png").unlink()
    one, other = tmp_path / "gl", tmp_path / "dx"
    for out, more in ((one, []), (other, ["--directx"])):
        done = run("texture", folder, "--style", "monet", "--quality", "draft", "-o", out, "--follow", *more)
        assert done.exit_code == 0, done.stderr
    found = read_image(one / "bricks_normal.png"), read_image(other / "bricks_normal_dx.png")
    np.testing.assert_allclose(found[0][0, 1] + found[1][0, 1], 1, atol=0.01)
    np.testing.assert_array_equal(found[0][0, 0], found[1][0, 0])


def test_maps_cannot_follow_two_colour_maps(tmp_path: Path, folder: Path) -> None:
    (folder / "bricks_color.png").write_bytes(image(wave(7)))
    done = run("texture", folder, "--style", "monet", "-o", tmp_path / "out", "--follow")
    assert_one_sentence(done, UsageError.exit_code, "bricks_albedo.png and ")
    assert "bricks_color.png are colour maps of one set" in done.stderr
    assert not (tmp_path / "out").exists()


def test_new_normals_replace_nothing_and_are_checked_first(tmp_path: Path, folder: Path) -> None:
    (folder / "bricks_normal.png").unlink()
    out = tmp_path / "out"
    out.mkdir()
    (out / "bricks_normal.png").write_bytes(b"mine")
    done = run("texture", folder, "--style", "monet", "-o", out, "--follow")
    assert_one_sentence(done, OutputError.exit_code, "bricks_normal.png already exists; add --overwrite")
    assert files(out) == ["bricks_normal.png"]


def test_single_files_are_a_set_too(tmp_path: Path, folder: Path) -> None:
    maps = [folder / "bricks_albedo.png", folder / "bricks_ao.png"]
    done = run("texture", *maps, "--style", "monet", "--quality", "draft", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert files(tmp_path / "out") == ["bricks_albedo.png", "bricks_ao.png"]


def test_sources_are_never_replaced(tmp_path: Path, folder: Path) -> None:
    before = (folder / "bricks_albedo.png").read_bytes()
    done = run("texture", folder, "--style", "monet", "-o", folder, "--overwrite")
    assert_one_sentence(done, OutputError.exit_code, "would replace its source")
    assert (folder / "bricks_albedo.png").read_bytes() == before
    out = tmp_path / "out"
    out.mkdir()
    (out / "bricks_ao.png").write_bytes(b"mine")
    assert_one_sentence(run("texture", folder, "--style", "monet", "-o", out), OutputError.exit_code, "already exists")


@pytest.mark.parametrize(("source", "sentence"), [("none", "no such file"), ("empty", "has no colour map")])
def test_what_is_no_set_is_refused(tmp_path: Path, source: str, sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    done = run("texture", tmp_path / source, "--style", "monet", "-o", tmp_path / "out")
    assert_one_sentence(done, InputError.exit_code, sentence)


def test_small_maps_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "a_albedo.png"
    source.write_bytes(image(scene(4, 4)))
    done = run("texture", source, "--style", "monet", "-o", tmp_path / "out")
    assert done.exit_code == 0
    assert "too few to paint" in done.stderr
    assert (tmp_path / "out" / source.name).read_bytes() == source.read_bytes()
