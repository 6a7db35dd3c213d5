"""Seamless textures: the measure, photos that are made seamless, and paintings that repeat, in every quality."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sfumato import InputError, PaintOptions, Pipeline, Recipe, Style, Stylizer, UsageError
from sfumato.image import Photo, Picture, read_image, read_recipe, to_uint8, write_image
from sfumato.inference.seamless import (
    MAX_SEAM_RATIO,
    Frame,
    make_seamless,
    make_seamless_picture,
    seam_ratios,
)
from support import assert_one_sentence, run, scene
from texture_models import repeating as texture


@pytest.fixture(scope="module")
def shipped() -> Stylizer:
    return Stylizer(threads=1)


@pytest.fixture(scope="module")
def waves(shipped: Stylizer) -> Style:
    return Style.from_image(scene(90, 80, 5, 0.3), "waves", shipped)


def as_photo(picture: Picture) -> Photo:
    return Photo(to_uint8(picture))


def test_the_measure_tells_a_seam() -> None:
    whole = texture(160, 128)
    assert max(seam_ratios(whole)) <= MAX_SEAM_RATIO
    down, across = seam_ratios(whole[:, :, :120])
    assert down > 1.5
    assert across < 1.1
    assert max(seam_ratios(np.roll(whole, (31, 17), (2, 3)))) < 1.1  # wherever the texture begins


def test_a_jump_of_brightness_is_a_seam_too() -> None:
    whole = texture(128, 128)
    grain = np.random.default_rng(1).uniform(0, 0.3, (1, 3, 128, 128)).astype(np.float32)
    ramp = np.linspace(0, 0.25, 128, dtype=np.float32)[:, None]
    assert seam_ratios(0.3 * whole + grain + ramp)[0] > 1.5  # hidden in the grain of single rows


def test_what_repeats_is_left_alone() -> None:
    photo = as_photo(texture(96, 120))
    assert make_seamless(photo) is photo


@pytest.mark.parametrize(("height", "width"), [(150, 97), (97, 150), (40, 200)])
def test_a_photo_is_made_to_repeat(height: int, width: int) -> None:
    photo = as_photo(scene(height, width, seed=4))
    assert max(seam_ratios(photo.picture())) > 1.3
    made = make_seamless(photo)
    assert made.pixels.shape == photo.pixels.shape
    assert max(seam_ratios(made.picture())) <= MAX_SEAM_RATIO
    assert make_seamless(made) is made  # so a painting of it changes nothing more


def test_only_the_direction_with_a_seam_is_changed() -> None:
    cut = texture(160, 128)[:, :, :120]
    made = make_seamless_picture(cut)
    assert max(seam_ratios(made)) <= MAX_SEAM_RATIO
    assert np.abs(made.mean((2, 3)) - cut.mean((2, 3))).max() < 0.03


def test_transparency_and_depth_are_kept() -> None:
    photo = as_photo(scene(90, 120, seed=2))
    deep = Photo(
        photo.pixels.astype(np.uint16) * 257,
        np.repeat(np.arange(90, dtype=np.uint16)[:, None] * 700, 120, 1),
    )
    made = make_seamless(deep)
    assert made.pixels.dtype == made.alpha.dtype == np.uint16
    assert made.alpha.shape == (90, 120)
    jump = np.abs(made.alpha[0].astype(int) - made.alpha[-1]).mean()
    assert jump < 0.2 * np.abs(deep.alpha[0].astype(int) - deep.alpha[-1]).mean()


def test_a_framed_picture_that_repeats_is_closed_to_itself() -> None:
    whole = texture(70, 90)
    frame = Frame.of(70, 90)
    framed = frame.wrap(whole, (2, 3))
    assert framed.shape[2:] == (70 + 2 * frame.context + frame.overlap, 90 + 2 * frame.context + frame.overlap)
    np.testing.assert_array_equal(frame.close(framed), whole)


def test_a_framed_picture_with_two_continuations_is_joined() -> None:
    frame = Frame.of(128, 128)
    height, width = (128 + 2 * frame.context + frame.overlap for _ in range(2))
    other = texture(height, width, seed=3)
    closed = frame.close(other)
    assert max(seam_ratios(closed)) <= MAX_SEAM_RATIO
    inner = np.s_[:, :, frame.overlap :, frame.overlap :]
    np.testing.assert_array_equal(closed[inner], other[:, :, *frame.inner][inner])


@pytest.mark.parametrize("quality", ["draft", "standard"])
def test_paintings_repeat(shipped: Stylizer, waves: Style, quality: str) -> None:
    picture = texture(96, 72, seed=5)
    plain = shipped(picture, waves, quality=quality)  # type: ignore[arg-type]
    tiled = shipped(picture, waves, quality=quality, tile=True)  # type: ignore[arg-type]
    assert tiled.shape == picture.shape
    assert max(seam_ratios(tiled)) <= MAX_SEAM_RATIO < max(seam_ratios(plain))
    assert np.abs(tiled - plain).mean() < 0.2


@pytest.mark.slow
def test_refined_paintings_repeat(shipped: Stylizer, waves: Style) -> None:
    tiled = shipped(texture(96, 72, seed=5), waves, quality="best", tile=True)
    assert max(seam_ratios(tiled)) <= MAX_SEAM_RATIO


@pytest.mark.slow
@pytest.mark.parametrize("quality", ["draft", "standard"])
def test_large_paintings_repeat(shipped: Stylizer, waves: Style, quality: str) -> None:
    picture = texture(1100, 1040, seed=6)  # painted at the base size, then at its own
    tiled = shipped(picture, waves, quality=quality, tile=True)  # type: ignore[arg-type]
    assert max(seam_ratios(tiled)) <= MAX_SEAM_RATIO


def test_a_file_and_its_pixels_give_the_same_texture(shipped: Stylizer, waves: Style) -> None:
    photo = as_photo(texture(64, 64))
    options = PaintOptions(quality="draft", tile=True)
    file = shipped.paint(photo, waves, options).pixels
    array = to_uint8(shipped(photo.picture(), waves, quality="draft", tile=True))
    gap = np.abs(file.astype(int) - array)
    assert gap.mean() < 0.3  # levels; the file's are rounded before they are joined, so the cut may differ in places
    assert np.quantile(gap, 0.95) <= 2


def test_masks_and_textures_are_not_combined(shipped: Stylizer, waves: Style) -> None:
    mask = np.ones((64, 64), np.float32)
    with pytest.raises(UsageError, match="cannot be painted with masks"):
        shipped(texture(64, 64), waves, masks=[mask], tile=True, quality="draft")
    with pytest.raises(UsageError, match="cannot be painted with masks"):
        Pipeline(waves, PaintOptions(tile=True), masks=[mask], stylizer=shipped)
    with pytest.raises(UsageError, match="tile must be true or false"):
        PaintOptions(tile=1)  # type: ignore[arg-type]


def test_the_recipe_holds_it(shipped: Stylizer, waves: Style) -> None:
    pipeline = Pipeline(waves, PaintOptions(quality="draft", tile=True), stylizer=shipped)
    result = pipeline(as_photo(scene(64, 80, seed=1)), photo_sha256="ab")
    found = dict(result.picture.metadata.recipe)
    assert found["tile"] is True
    assert pipeline.would_make(found, "ab")
    assert not Pipeline(waves, PaintOptions(quality="draft"), stylizer=shipped).would_make(found, "ab")
    assert Recipe.from_json(found, "it").options.tile
    with pytest.raises(InputError, match="damaged"):
        Recipe.from_json({**found, "tile": "yes"}, "it")
    assert "tile" not in replace(result.recipe, tile=False).to_json()  # so older recipes stay equal


def test_the_command_and_its_replay(tmp_path: Path) -> None:
    write_image(scene(64, 80, seed=1), tmp_path / "photo.png")
    done = run(
        "stylize", tmp_path / "photo.png", "--style", "monet", "--quality", "draft", "--tile", "-o", tmp_path / "a.png"
    )
    assert done.exit_code == 0, done.stderr
    assert max(seam_ratios(read_image(tmp_path / "a.png"))) <= MAX_SEAM_RATIO
    assert read_recipe(tmp_path / "a.png")["tile"] is True
    assert "repeats without a seam" in run("show", tmp_path / "a.png").stdout
    again = run("replay", tmp_path / "a.png", tmp_path / "photo.png", "-o", tmp_path / "b.png")
    assert again.exit_code == 0, again.stderr
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), read_image(tmp_path / "b.png"))
    refused = run(
        "stylize",
        tmp_path / "photo.png",
        "--style",
        "monet",
        "--tile",
        "--mask",
        tmp_path / "photo.png",
        "-o",
        tmp_path / "c.png",
    )
    assert_one_sentence(refused, 2, "cannot be painted with masks")
