"""The quality standard through `Stylizer` and the commands: styles with pictures, recipes, replay, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfumato import Style, Stylizer, UsageError
from sfumato.image import Photo, Picture, read_image, read_recipe, resize, to_uint8, write_image
from sfumato.inference.options import PaintOptions
from support import assert_one_sentence, pixels, run, scene


@pytest.fixture(scope="module")
def shipped() -> Stylizer:
    return Stylizer(threads=1)


@pytest.fixture(scope="module")
def photo() -> Picture:
    return scene(70, 90, seed=11)


@pytest.fixture(scope="module")
def waves(shipped: Stylizer) -> Style:
    return Style.from_image(scene(90, 80, 5, 0.3), "waves", shipped)


@pytest.fixture
def photo_file(tmp_path: Path, photo: Picture) -> Path:
    write_image(photo, tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_it_paints_the_photo_at_its_own_size(shipped: Stylizer, photo: Picture, waves: Style) -> None:
    painted = shipped(photo, waves, quality="standard")
    assert painted.shape == photo.shape
    assert painted.min() >= 0
    assert painted.max() <= 1
    draft = shipped(photo, waves, quality="draft")
    assert np.abs(painted - draft).mean() > 0.01


@pytest.mark.parametrize("quality", ["draft", "standard"])
def test_threads_decide_no_more_than_rounding(shipped: Stylizer, photo: Picture, waves: Style, quality: str) -> None:
    one, two = (to_uint8(each(photo, waves, quality=quality)).astype(int) for each in (shipped, Stylizer(threads=2)))  # type: ignore[arg-type]
    assert np.abs(one - two).max() <= 1
    assert (one != two).mean() < 0.001


def test_colours_are_the_styles(shipped: Stylizer, photo: Picture) -> None:
    red = np.zeros((1, 3, 96, 96), np.float32)
    red[:, 0] = 0.3 + 0.5 * scene(96, 96, seed=2)[:, 0]
    painted = shipped(photo, Style.from_image(red, "red", shipped), quality="standard")
    assert painted[:, 0].mean() > painted[:, 1:].mean() + 0.3


def test_the_photos_palette_stays_where_it_is_asked_for(shipped: Stylizer, photo: Picture, waves: Style) -> None:
    kept, changed = (shipped(photo, waves, quality="standard", color=color) for color in ("content", "style"))
    distance = [np.abs(x.mean((2, 3)) - photo.mean((2, 3))).max() for x in (kept, changed)]
    assert distance[0] < 0.05 < distance[1]


def test_a_photo_with_alpha_keeps_it(shipped: Stylizer, photo: Picture, waves: Style) -> None:
    alpha = np.zeros((70, 90), np.uint8)
    alpha[20:, 30:] = 255
    whole = Photo(to_uint8(photo), alpha)
    painted = shipped.paint(whole, waves, PaintOptions(quality="standard"))
    assert np.array_equal(painted.alpha, alpha)


def test_masks_divide_the_picture(shipped: Stylizer, photo: Picture, waves: Style) -> None:
    mask = np.zeros((70, 90), np.float32)
    mask[:, 45:] = 1
    painted = shipped(photo, waves, masks=[mask], quality="standard")
    assert np.abs(painted - photo)[:, :, :, :40].max() < 1e-6
    assert np.abs(painted - photo)[:, :, :, 50:].mean() > 0.02


def test_a_blend_has_the_pictures_of_its_parts_by_weight(waves: Style, shipped: Stylizer) -> None:
    other = Style.from_images([scene(64, 64, 1), scene(64, 64, 2)], "two", shipped)
    mixed = Style.blend({waves: 1.0, other: 3.0})
    assert [round(each.weight, 6) for each in mixed.pictures] == [0.25, 0.375, 0.375]


def test_built_in_styles_have_pictures(shipped: Stylizer) -> None:
    work, artist = Style.named("great-wave"), Style.named("monet")
    assert len(work.pictures) == 1
    assert len(artist.pictures) > 1
    assert min(work.pictures[0].picture.shape[2:]) >= 512


def test_a_style_without_pictures_is_refused(shipped: Stylizer, photo: Picture, waves: Style, tmp_path: Path) -> None:
    waves.save(tmp_path / "waves.safetensors")
    with pytest.raises(UsageError, match="has no pictures, which the qualities"):
        shipped(photo, Style.load(tmp_path / "waves.safetensors"), quality="standard")


def test_the_default_is_standard_where_the_style_has_pictures(shipped: Stylizer, waves: Style) -> None:
    bare = Style("bare", waves.code)
    assert shipped.choose_quality(None, [waves]) == "standard"
    assert shipped.choose_quality(None, [waves, bare]) == "draft"


def test_another_word_is_refused(shipped: Stylizer, photo: Picture, waves: Style) -> None:
    with pytest.raises(UsageError, match="quality must be one of draft, standard, best"):
        shipped(photo, waves, quality="finest")  # type: ignore[arg-type]


def test_a_model_of_the_kind_matching_paints_in_standard_quality(
    photo: Picture, waves: Style, shipped: Stylizer
) -> None:
    stylizer = Stylizer(shipped.networks.folder, threads=1)
    assert stylizer.choose_quality(None, [waves]) == "standard"
    assert np.array_equal(stylizer(photo, waves), shipped(photo, waves, quality="standard"))
    with pytest.raises(UsageError, match="has no draft"):
        stylizer(photo, waves, quality="draft")


def test_a_replay_gives_the_same_pixels(photo_file: Path, tmp_path: Path) -> None:
    write_image(scene(90, 80, 5, 0.3), tmp_path / "style.png")
    style = tmp_path / "style.png"
    out, again = tmp_path / "out.png", tmp_path / "again.png"
    result = run("stylize", photo_file, "--style", style, "--quality", "standard", "--strength", "0.7", "-o", out)
    assert result.exit_code == 0, result.stderr
    recipe = read_recipe(out)
    assert recipe is not None
    assert recipe["quality"] == "standard"
    lost = run("replay", out, photo_file, "-o", again)
    assert_one_sentence(lost, 2, "name its file with --style")
    assert run("replay", out, photo_file, "--style", style, "-o", again).exit_code == 0
    assert np.array_equal(pixels(out), pixels(again))
    assert "standard" in run("show", out).stdout


def test_a_built_in_style_is_replayed_by_its_name(photo_file: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "out.png", tmp_path / "again.png"
    command = ["stylize", photo_file, "--style", "great-wave:2", "--style", "dance", "--quality", "standard"]
    assert run(*command, "-o", out).exit_code == 0
    assert run("replay", out, photo_file, "-o", again).exit_code == 0
    assert np.array_equal(pixels(out), pixels(again))


def test_a_folder_is_painted_as_single_photos_are(photo_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        write_image(resize(read_image(photo_file), 60 + 8 * i, 80), folder / f"{i}.png")
    options = ["--style", "the-scream", "--quality", "standard"]
    assert run("stylize", folder, *options, "-o", tmp_path / "all").exit_code == 0
    for i in range(2):
        assert run("stylize", folder / f"{i}.png", *options, "-o", tmp_path / f"{i}.png").exit_code == 0
        assert np.array_equal(pixels(tmp_path / "all" / f"{i}.png"), pixels(tmp_path / f"{i}.png"))
    assert "2 already existed" in run("stylize", folder, *options, "-o", tmp_path / "all").stderr
