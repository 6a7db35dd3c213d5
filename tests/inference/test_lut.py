"""Tables of colours: fitted smoothly, near the paintings' colours, and read by others as we mean them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ImageFilter

from sfumato import InputError, OutputError, Style, Stylizer, UsageError
from sfumato.image import Photo, Picture, read_image, to_pil, to_uint8, write_image
from sfumato.inference.cube import Lut
from sfumato.inference.lut import fitted, make_lut, neutral_pictures
from sfumato.inference.oklab import linear_to_oklab, to_linear
from support import assert_one_sentence, run, scene


@pytest.fixture(scope="module")
def shipped() -> Stylizer:
    return Stylizer(threads=1)


@pytest.fixture(scope="module")
def dusk(shipped: Stylizer) -> Style:
    """A style of dark blue to orange."""
    waves = scene(96, 96, 5)
    light = waves.mean(1, keepdims=True)
    return Style.from_image(
        np.concatenate([0.05 + light, 0.1 + 0.7 * light, 0.8 - 0.7 * light], 1).clip(0, 1).astype(np.float32),
        "dusk",
        shipped,
    )


@pytest.fixture(scope="module")
def table(shipped: Stylizer, dusk: Style) -> Lut:
    return make_lut(dusk, [scene(96, 120, seed) for seed in range(2)], stylizer=shipped)


def quantile_distance(one: Picture, other: Picture) -> float:
    """The distance of two distributions of colours: the mean over directions of that of their quantiles."""
    directions = np.random.default_rng(0).normal(size=(32, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shares = np.linspace(0.01, 0.99, 50)
    first, second = (np.quantile(directions @ each[0].reshape(3, -1), shares, axis=1) for each in (one, other))
    return float(np.abs(first - second).mean())


def read_by_pillow(path: Path) -> ImageFilter.Color3DLUT:
    """The table as Pillow's filter, read without Sfumato."""
    lines = path.read_text("ascii").splitlines()
    size = next(int(line.split()[1]) for line in lines if line.startswith("LUT_3D_SIZE"))
    rows = [float(value) for line in lines if line[0].isdigit() for value in line.split()]
    return ImageFilter.Color3DLUT(size, rows)


def test_a_photo_gets_the_colours_of_its_painting(shipped: Stylizer, dusk: Style, table: Lut) -> None:
    photo = scene(96, 120, 7)
    painted = shipped(photo, dusk)
    assert quantile_distance(table(photo), painted) < 0.4 * quantile_distance(photo, painted)


def test_it_works_without_photos(shipped: Stylizer, dusk: Style) -> None:
    style = Style("dusk", dusk.code)  # without pictures, so that drafts are painted
    table = make_lut(style, stylizer=shipped, size=17)
    photo = scene(96, 120, 7)
    painted = shipped(photo, style)
    assert quantile_distance(table(photo), painted) < 0.6 * quantile_distance(photo, painted)


def test_gradients_stay_gradients(table: Lut) -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)
    for ends in ([0, 0, 0], [1, 1, 1]), ([0.2, 0.1, 0.05], [1, 0.85, 0.75]), ([0, 0, 0.4], [0.7, 0.85, 1]):
        low, high = (np.array(end, np.float32)[:, None, None] for end in ends)
        mapped = table((low + (high - low) * ramp)[None])[0, :, 0]
        steps = np.diff(mapped, axis=1)
        assert np.abs(steps).max() < 5 / 255  # no banding: a level becomes at most five
        assert np.abs(np.diff(steps, axis=1)).max() < 2 / 255
        light = linear_to_oklab(to_linear(mapped[:, None]))[0, 0]
        assert np.diff(light).min() > -1e-3  # lighter stays lighter


def test_greys_get_one_tint_by_tone(table: Lut) -> None:
    dark, light = table(np.full((1, 3, 1, 1), 0.25, np.float32)), table(np.full((1, 3, 1, 1), 0.75, np.float32))
    assert dark[0, 2, 0, 0] > dark[0, 0, 0, 0]  # the style's shadows are blue, its lights orange
    assert light[0, 0, 0, 0] > light[0, 2, 0, 0]


def test_equal_colours_need_no_change() -> None:
    colours = linear_to_oklab(to_linear(np.random.default_rng(0).random((3, 5000)).astype(np.float32)))
    colours[0] = 0.5 + 0.3 * np.sin(np.arange(5000))
    same = fitted(colours, colours, 9)
    inner = np.s_[2:7, 2:7, 2:7]
    assert np.abs(same.table - Lut.identity(9).table)[inner].max() < 0.08


def test_the_identity_changes_nothing() -> None:
    photo = scene(20, 30)
    np.testing.assert_allclose(Lut.identity(5)(photo), photo, atol=1e-6)


def test_strength_mixes_with_the_identity(table: Lut) -> None:
    photo = scene(20, 30)
    np.testing.assert_allclose(table.weakened(0)(photo), photo, atol=1e-6)
    np.testing.assert_allclose(table.weakened(0.5)(photo), (photo + table(photo)) / 2, atol=1e-5)


def test_a_file_is_read_alike_by_pillow(tmp_path: Path, table: Lut) -> None:
    table.save(tmp_path / "look.cube")
    photo = scene(40, 60, 3)
    theirs = np.asarray(to_pil(photo).filter(read_by_pillow(tmp_path / "look.cube")), int)
    ours = to_uint8(table(Photo(to_uint8(photo)).picture()))
    assert np.abs(theirs - ours).max() <= 2  # Pillow computes with 16-bit integers
    assert (tmp_path / "look.cube").read_text().startswith('TITLE "Sfumato dusk"\n')


def test_a_photo_keeps_its_depth_and_transparency(table: Lut) -> None:
    deep = Photo((scene(30, 40)[0].transpose(1, 2, 0) * 65535).astype(np.uint16), np.full((30, 40), 9, np.uint16))
    mapped = table.on_photo(deep)
    assert mapped.pixels.dtype == np.uint16
    assert mapped.alpha is deep.alpha
    assert len(np.unique(mapped.pixels)) > 1500


def test_titles_cannot_break_the_file(tmp_path: Path) -> None:
    Lut(Lut.identity(2).table, 'a"\nLUT_3D_SIZE 9\n\x1b[31m').save(tmp_path / "a.cube")
    assert read_by_pillow(tmp_path / "a.cube").size == (2, 2, 2)


def test_neutral_pictures_have_all_colours() -> None:
    colours: npt.NDArray[np.float32] = np.concatenate([each.reshape(3, -1) for each in neutral_pictures(2, 96)], 1)
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert (np.quantile(colours, 0.05, axis=1) < 0.2).all()
    assert (np.quantile(colours, 0.95, axis=1) > 0.7).all()


def test_the_command_writes_the_table_and_a_preview(tmp_path: Path) -> None:
    write_image(scene(70, 90, 2), tmp_path / "photo.png")
    out = tmp_path / "look.cube"
    photo = tmp_path / "photo.png"
    done = run("lut", "--style", "monet", "-o", out, "--photo", photo, "--size", 9, "--preview", photo)
    assert done.exit_code == 0, done.stderr
    assert read_by_pillow(out).size == (9, 9, 9)
    preview = read_image(tmp_path / "look-preview.png")
    assert preview.shape == (1, 3, 70, 180)
    np.testing.assert_allclose(preview[..., :90], read_image(photo), atol=1e-6)
    assert np.abs(preview[..., 90:] - preview[..., :90]).mean() > 0.02
    assert_one_sentence(run("lut", "--style", "monet", "-o", out), OutputError.exit_code, "already exists")


@pytest.mark.parametrize("head", [b"\0\0\0\x20ftypisom", b"\x1a\x45\xdf\xa3"], ids=["MP4", "WebM"])
def test_a_video_is_refused_with_what_to_give(head: bytes, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(head + bytes(60))
    done = run("lut", "--style", "monet", "-o", tmp_path / "look.cube", "--photo", clip)
    assert_one_sentence(done, InputError.exit_code, "it is a video; save one of its frames as a picture")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "look.png"], "must name a .cube file"),
        (["-o", "look.cube", "--size", 1], "size"),
        (["-o", "look.cube", "--strength", 1.5], "strength"),
    ],
)
def test_wrong_options_are_refused(arguments: list[object], sentence: str) -> None:
    assert_one_sentence(run("lut", "--style", "monet", *arguments), UsageError.exit_code, sentence)
