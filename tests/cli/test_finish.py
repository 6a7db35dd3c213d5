from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.image import Photo, read_photo, read_recipe, to_levels, to_uint8, write_photo
from sfumato.inference.retouch import Finish
from sfumato.metadata import Metadata
from support import assert_one_sentence, files, pixels, run, save_scenes, scene


@pytest.fixture
def picture(tmp_path: Path) -> Any:
    path = tmp_path / "picture.png"
    Image.fromarray(to_uint8(scene(40, 56))).save(path)
    return path


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A photo and what `stylize` made of it."""
    folder = tmp_path_factory.mktemp("painted")
    photo, target = folder / "photo.png", folder / "painted.png"
    Image.fromarray(to_uint8(scene(64, 80))).save(photo)
    # With as many threads as `replay` takes: sums over others are rounded otherwise, now and then by a level.
    result = run("stylize", photo, "--style", "great-wave", "--quality", "draft", "-o", target)
    assert result.exit_code == 0, result.stderr
    return photo, target


def finish(*arguments: Any) -> Any:
    result = run("finish", *arguments)
    assert result.exit_code == 0, result.stderr
    return result


def test_it_does_what_python_does(picture: Any, tmp_path: Path) -> None:
    amounts = {"brightness": 0.1, "contrast": 0.2, "saturation": 0.3, "warmth": -0.1, "sharpen": 0.5, "upscale": 2}
    options = [word for name, value in amounts.items() for word in (f"--{name}", value)]
    result = finish(picture, *options, "-o", tmp_path / "out.png")
    assert "112 x 80" in result.stdout
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    wanted = Finish(**amounts, picture=digest)(read_photo(picture))  # type: ignore[arg-type]
    assert np.array_equal(pixels(tmp_path / "out.png"), wanted.pixels)
    assert read_recipe(tmp_path / "out.png") == wanted.metadata.recipe


def test_beside_the_picture_by_default(picture: Any) -> None:
    finish(picture, "--sharpen", "0.5")
    assert files(picture.parent) == ["picture-finished.png", "picture.png"]


def test_sixteen_bits_alpha_and_metadata_stay(tmp_path: Path) -> None:
    alpha = np.full((40, 56), 65535, np.uint16)
    alpha[:, :10] = 0
    photo = Photo(to_levels(scene(40, 56), np.dtype(np.uint16)), alpha, Metadata(copyright="me"))
    write_photo(photo, tmp_path / "in.png")
    finish(tmp_path / "in.png", "--warmth", "0.4", "-o", tmp_path / "out.tiff")
    found = read_photo(tmp_path / "out.tiff")
    assert found.metadata.copyright == "me"
    assert np.array_equal(found.alpha, alpha)
    if found.pixels.dtype == np.uint16:  # the extra `deep` is installed
        assert len(np.unique(found.pixels)) > 256


def test_the_painting_s_recipe_stays_and_both_are_shown(painted: Any, tmp_path: Path) -> None:
    _, target = painted
    out = tmp_path / "finished.png"
    finish(target, "--warmth", "0.2", "--upscale", "2", "-o", out)
    before, after = read_recipe(target), read_recipe(out)
    assert {key: after[key] for key in before} == before
    assert [each["warmth"] for each in after["finish"]] == [0.2]  # type: ignore[attr-defined]
    shown = run("show", out).stdout
    assert "great-wave" in shown
    assert "upscale 2, warmth 0.2" in shown
    assert json.loads(run("show", out, "--json").stdout) == after
    finish(out, "--contrast", "0.1", "-o", tmp_path / "twice.png")
    assert len(read_recipe(tmp_path / "twice.png")["finish"]) == 2  # type: ignore[arg-type]


def test_replay_paints_and_finishes_to_the_same_pixels(painted: Any, tmp_path: Path) -> None:
    photo, target = painted
    once, twice, again = (tmp_path / name for name in ("once.png", "twice.png", "again.png"))
    finish(target, "--upscale", "2", "--warmth", "0.2", "-o", once)
    finish(once, "--sharpen", "0.8", "-o", twice)
    result = run("replay", twice, photo, "-o", again)
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels(again), pixels(twice))
    assert read_recipe(again) == read_recipe(twice)


def test_a_photo_that_was_only_finished(picture: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    finish(picture, "--brightness", "0.1", "-o", out)
    assert "brightness 0.1" in run("show", out).stdout
    result = run("replay", out, picture, "-o", tmp_path / "again.png")
    assert_one_sentence(result, 3, "finished but not painted")


def test_a_finished_picture_is_explained_without_its_photo_only(painted: Any, tmp_path: Path) -> None:
    photo, target = painted
    out = tmp_path / "finished.png"
    finish(target, "--warmth", "0.2", "-o", out)
    assert_one_sentence(run("explain", out, "--photo", photo), 3, "was finished after it was painted")


def test_folders_go_on_where_they_stopped(painted: Any, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    save_scenes(folder, 2, 3)
    shutil.copy(painted[1], folder / "painted.png")  # what Sfumato painted is what there is to finish
    (folder / "broken.png").write_bytes(b"no picture")
    options = ["--saturation", "0.2", "--json", "-o", out]
    first = run("finish", folder, *options)
    assert first.exit_code == 3
    told = {line["photo"].rpartition("/")[2]: line["status"] for line in map(json.loads, first.stdout.splitlines())}
    assert told == {"0.png": "done", "1.png": "done", "broken.png": "failed", "painted.png": "done"}
    assert "3 finished, 1 failed" in first.stderr
    assert files(out) == ["0.png", "1.png", "painted.png"]
    (folder / "broken.png").unlink()
    again = run("finish", folder, *options)
    assert again.exit_code == 0
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == ["skipped"] * 3
    other = run("finish", folder, "--saturation", "0.3", "-o", out)
    assert other.exit_code == 4
    assert "made with other settings" in other.stderr


def test_a_folder_finished_into_itself_is_not_finished_again(tmp_path: Path) -> None:
    save_scenes(tmp_path / "in", 2, 1)
    finish(tmp_path / "in", "--warmth", "0.2")
    assert len(files(tmp_path / "in")) == 4
    again = finish(tmp_path / "in", "--warmth", "0.2", "--json")
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == ["skipped"] * 2


def test_finished_photos_in_a_folder_can_still_be_painted(tmp_path: Path) -> None:
    save_scenes(tmp_path / "in", 1, 1)
    finish(tmp_path / "in", "--warmth", "0.2", "-o", tmp_path / "out")
    options = ["--style", "great-wave", "--quality", "draft", "--threads", "1"]
    assert run("stylize", tmp_path / "out", *options, "-o", tmp_path / "painted").exit_code == 0
    assert files(tmp_path / "painted") == ["0.png"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "there is nothing to change"),
        (["--radius", "2"], "there is nothing to change"),
        (["--warmth", "1.5"], "--warmth must be between -1 and 1"),
        (["--contrast", "nan"], "--contrast must be between"),
        (["--sharpen", "-1"], "--sharpen must be between 0 and 2"),
        (["--sharpen", "1", "--radius", "0"], "--radius must be between"),
        (["--sharpen", "1", "--threshold", "1"], "--threshold must be between"),
        (["--upscale", "3"], "--upscale must be 1 or 2"),
        (["--warmth", "0.1", "--file-quality", "0"], "--file-quality must be between"),
        (["--warmth", "0.1", "--threads", "0"], "--threads must be between"),
        (["--warmth", "much"], "'--warmth'"),
    ],
)
def test_options_that_are_wrong(picture: Any, tmp_path: Path, options: Any, sentence: str) -> None:
    assert_one_sentence(run("finish", picture, *options, "-o", tmp_path / "out.png"), 2, sentence)
    assert files(tmp_path) == ["picture.png"]


def test_inputs_and_outputs_that_are_wrong(picture: Any, tmp_path: Path) -> None:
    warm = ["--warmth", "0.1"]
    assert_one_sentence(run("finish", tmp_path / "none.png", *warm), 3, "check the name")
    assert_one_sentence(run("finish", picture, *warm, "-o", tmp_path / "a.bmp"), 4, "must end in one of")
    assert_one_sentence(run("finish", picture, *warm, "-o", picture), 2, "refusing to replace the photo")
    assert_one_sentence(run("finish", picture, *warm, "--max-pixels", "99"), 3, "more than the")
    finish(picture, *warm, "-o", tmp_path / "out.png")
    assert_one_sentence(run("finish", picture, *warm, "-o", tmp_path / "out.png"), 4, "--overwrite")
    finish(picture, *warm, "-o", tmp_path / "out.png", "--overwrite")


def test_a_damaged_recipe_of_finishing(tmp_path: Path) -> None:
    write_photo(Photo(to_uint8(scene(20, 20)), metadata=Metadata(recipe={"finish": "x"})), tmp_path / "a.png")
    assert_one_sentence(run("show", tmp_path / "a.png"), 3, "is damaged")


def test_signs_that_steer_terminals_are_not_shown(painted: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    hostile = {"finish": [{"warmth": 0.1, "version": "1\x1b[2J"}]}
    write_photo(Photo(to_uint8(scene(20, 20)), metadata=Metadata(recipe={"kind": "photo", **hostile})), path)
    assert_one_sentence(run("show", path), 3, "unprintable characters")
    recipe = read_recipe(painted[1])
    recipe["styles"][0]["name"] = "great\x1b[2J\n-wave"  # type: ignore[index]
    write_photo(Photo(to_uint8(scene(20, 20)), metadata=Metadata(recipe=recipe)), path)
    result = run("show", path)
    assert r"great\x1b[2J\n-wave" + "\n" in result.stdout
    assert "\x1b" not in result.stdout


def test_finishing_needs_no_torch(picture: Any, tmp_path: Path) -> None:
    script = (
        "import sys\nfor name in ('torch', 'onnx', 'accelerate'): sys.modules[name] = None\n"
        "from sfumato.cli import app\napp(prog_name='sfumato')"
    )
    options = ["--upscale", "2", "--sharpen", "1", "--contrast", "0.1", "-o", tmp_path / "out.png"]
    made = subprocess.run(
        [sys.executable, "-c", script, "finish", picture, *options],  # type: ignore[list-item]
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert pixels(tmp_path / "out.png").shape == (80, 112, 3)


@pytest.mark.parametrize(
    ("amounts", "steps"),
    [
        ({"upscale": 2, "warmth": 0.1, "sharpen": 1.0}, ["enlarging", "colours", "sharpening"]),
        ({"upscale": 2}, ["enlarging"]),
        ({"saturation": 0.5}, ["colours"]),
        ({"sharpen": 0.5}, ["sharpening"]),
    ],
)
def test_the_share_that_is_done_grows_to_one(amounts: Any, steps: list[str]) -> None:
    told = []
    Finish(**amounts)(Photo(to_uint8(scene(300, 56))), progress=lambda share, doing: told.append((share, doing)))
    shares = [share for share, _ in told]
    assert list(dict.fromkeys(doing for _, doing in told)) == steps
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert shares == sorted(shares)


def test_what_progress_raises_ends_the_finishing() -> None:
    def stop(share: Any, doing: Any) -> None:
        if share > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Finish(warmth=0.1)(Photo(to_uint8(scene(300, 56))), progress=stop)


def test_two_folders_with_pictures_of_one_name(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent).mkdir()
        save_scenes(tmp_path / parent / "photos", 1, 1)
    before = files(tmp_path)
    folders = [tmp_path / parent / "photos" for parent in ("a", "b")]
    result = run("finish", *folders, "--warmth", "0.1", "-o", tmp_path / "out")
    assert_one_sentence(result, 2, "would both become")
    assert "finish them apart, each with its own -o" in result.stderr
    assert files(tmp_path) == before
