"""One painter's works: from two folders to a run, a model and pictures, by the command."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.assets import weights_dir
from sfumato.image import read_image, to_uint8
from sfumato.inference import Stylizer
from support import files, pixels, run, save_scenes

SHORT = ["--set", "phases=[{steps=4,batch=2,crop=32,thumbnails=[32,48]}]", "--set", "log_every=2", "--set", "warmup=1"]
SHORT += ["--set", "checkpoint_every=2", "--set", "sample_every=4", "--device", "cpu"]


def message(result: Any) -> Any:
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Five photos, and one artist's folder of six paintings."""
    root = tmp_path_factory.mktemp("pictures")
    for name, count, seed in (("photos", 5, 0), ("artist", 6, 50)):
        save_scenes(root / name, count, seed)
    return root


@pytest.fixture(scope="module")
def train(folders: Any) -> Any:
    def arguments(out: Any, *more: Any) -> Any:
        pictures = ["--content", folders / "photos", "--style", folders / "artist", "--recipe", "tiny"]
        return ["train", "--kind", "collection", *pictures, "--out", out, *SHORT, *more]

    return arguments


@pytest.fixture(scope="module")
def trained(train: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("runs") / "artist"
    result = run(*train(out))
    assert result.exit_code == 0, result.stderr
    return out, message(result)


@pytest.fixture(scope="module")
def model(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("models") / "artist"
    result = run("export", trained[0], "-o", out, "--name", "artist-1")
    assert result.exit_code == 0, result.stderr
    assert "statistics, generator, discriminator; largest difference from torch" in result.stdout
    return out


@pytest.fixture(scope="module")
def photo(folders: Any) -> Any:
    return folders / "photos" / "0.png"


def test_two_folders_become_a_run(trained: Any) -> None:
    out, told = trained
    config = json.loads((out / "config.json").read_text())
    assert (config["kind"], config["recipe"], config["collection"]["cycle"]) == ("collection", "tiny", False)
    assert "6 pictures in 1 group," in told
    assert "No validation: a collection has no pairs to evaluate" in told
    assert "held out" not in told
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "health" not in line] == [2, 4]
    assert {"contrast", "identity", "adversarial", "discriminator"} <= lines[-1].keys()
    assert (out / "samples" / "00000004.png").is_file()


def test_a_cycle_trains_is_exported_and_paints(train: Any, photo: Any, tmp_path: Path) -> None:
    result = run(*train(tmp_path / "run", "--cycle"))
    assert result.exit_code == 0, result.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["collection"]["cycle"], config["pool"], config["weights"]["contrast"]) == (True, 50, 0)
    assert run("export", tmp_path / "run", "-o", tmp_path / "model").exit_code == 0
    result = run("stylize", photo, "--model", tmp_path / "model", "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr


def test_a_run_goes_on_as_the_kind_it_is(trained: Any, train: Any, folders: Any, tmp_path: Path) -> None:
    out = shutil.copytree(trained[0], tmp_path / "run")
    longer = ["--set", "phases=[{steps=6,batch=2,crop=32,thumbnails=[32,48]}]"]
    result = run(*train(out, "--resume", "--kind", "arbitrary"))
    assert result.exit_code == 2
    assert "is a run of the kind 'collection'" in message(result)
    options = ["--content", folders / "photos", "--style", folders / "artist", "--device", "cpu", "--out", out]
    result = run("train", *options, "--resume", *longer)
    assert result.exit_code == 0, result.stderr
    assert "from step 4 of 6" in message(result)


@pytest.mark.parametrize(
    ("sentence", "more"),
    [
        ("'cubist' is not one of 'arbitrary', 'collection', 'noise'", "--kind cubist"),
        ("--cycle is only for collections; add --kind collection", "--kind arbitrary --cycle"),
        ("weights.sliced has no part in a collection", "--set weights.sliced=1"),
    ],
)
def test_mistakes_of_training(train: Any, tmp_path: Path, sentence: str, more: str) -> None:
    result = run(*train(tmp_path / "run", *more.split()))
    assert result.exit_code == 2
    assert sentence in message(result)
    assert result.stderr.count("\n") == 1
    assert files(tmp_path) == []


def test_a_photo_is_painted_without_a_style(model: Any, photo: Any, tmp_path: Path) -> None:
    result = run("stylize", photo, "--model", model, "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels(tmp_path / "out.png"), to_uint8(Stylizer(model)(photo)))
    result = run("stylize", photo, "--model", model, "--strength", 0, "-o", tmp_path / "same.png")
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels(tmp_path / "same.png"), pixels(photo))


def test_pictures_beside_their_photos_are_called_after_the_model(model: Any, photo: Any, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(photo.read_bytes())
    result = run("stylize", tmp_path / "0.png", "--model", model)
    assert result.exit_code == 0, result.stderr
    assert files(tmp_path) == ["0-artist.png", "0.png"]


def test_a_folder_is_painted_once(model: Any, folders: Any, tmp_path: Path) -> None:
    arguments = ["stylize", folders / "photos", "--model", model, "-o", tmp_path / "new"]
    assert run(*arguments).exit_code == 0
    assert files(tmp_path / "new") == [f"{i}.png" for i in range(5)]
    again = run(*arguments)
    assert again.exit_code == 0
    assert "5 already existed" in message(again)
    other = run(*arguments, "--strength", 0.5)
    assert other.exit_code == 4
    assert "made with other settings" in message(other)


def test_a_picture_says_how_it_was_made_and_is_made_again(model: Any, photo: Any, tmp_path: Path) -> None:
    options = ["--strength", 0.6, "--stroke", 1.5, "--seed", 4, "--gate", "clipping<100"]
    result = run("stylize", photo, "--model", model, *options, "-o", tmp_path / "one.png")
    assert result.exit_code == 0, result.stderr
    shown = run("show", tmp_path / "one.png").stdout
    assert "the model's own" in shown
    assert "model artist-1" in shown
    result = run("replay", tmp_path / "one.png", photo, "--model", model, "-o", tmp_path / "two.png")
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels(tmp_path / "one.png"), pixels(tmp_path / "two.png"))
    assert run("replay", tmp_path / "one.png", photo, "-o", tmp_path / "three.png").exit_code == 5
    result = run("explain", tmp_path / "one.png", "--model", model)
    assert result.exit_code == 2
    assert "no style codes" in message(result)


def test_a_mask_bounds_it(model: Any, photo: Any, tmp_path: Path) -> None:
    mask = np.zeros((72, 96), np.uint8)
    mask[:, 50:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    result = run("stylize", photo, "--model", model, "--mask", tmp_path / "mask.png", "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels(tmp_path / "out.png")[:, :30], pixels(photo)[:, :30])
    assert np.abs(read_image(tmp_path / "out.png")[..., 70:] - read_image(photo)[..., 70:]).max() > 0


@pytest.mark.parametrize(
    ("sentence", "options"),
    [
        ("in its own style; leave the style out", "--style monet"),
        ("in its own style; leave the style out", "--style monet:1 --style klimt:2"),
        ("cannot take the photo's palette", "--color content"),
        ("leave --auto and --best-of out", "--auto"),
        ("leave --auto and --best-of out", "--best-of 3"),
        ("give at most one mask, not 2", "--mask {p} --mask {p}"),
    ],
)
def test_what_needs_a_style_code_is_refused(
    model: Any, photo: Any, folders: Any, tmp_path: Path, sentence: str, options: str
) -> None:
    for photos in (photo, folders / "photos"):
        words = shlex.split(options.format(p=photo.as_posix()))
        result = run(
            "stylize", photos, "--model", model, *words, "-o", tmp_path / "x.png" if photos == photo else tmp_path
        )
        assert result.exit_code == 2
        assert sentence in message(result)
        assert result.stderr.count("\n") == 1
        assert files(tmp_path) == []


def test_other_models_still_need_a_style(photo: Any, tmp_path: Path) -> None:

    for more in ([], ["--model", weights_dir()]):
        result = run("stylize", photo, *more, "-o", tmp_path / "x.png")
        assert result.exit_code == 2
        assert "--style" in message(result)
        assert result.stderr.count("\n") == 1
    assert files(tmp_path) == []


def test_a_style_cannot_be_made_with_it(model: Any, photo: Any, tmp_path: Path) -> None:
    result = run("styles", "add", "mine", photo, "--model", model)
    assert result.exit_code == 2
    assert "no style codes" in message(result)


def test_the_doctor_tries_it(model: Any) -> None:
    result = run("doctor", "--model", model)
    assert result.exit_code == 0, result.stderr
    assert "artist-1" in result.stdout


def test_a_collection_goes_on_from_a_collection_also_an_exported_one(train: Any, model: Any, tmp_path: Path) -> None:
    result = run(*train(tmp_path / "run", "--from", model))
    assert result.exit_code == 0, result.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["started_from"] == hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()


def test_a_run_that_began_with_weights_and_has_no_checkpoint_wants_them_again(
    train: Any, model: Any, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run(*train(out, "--from", model)).exit_code == 0
    shutil.rmtree(out / "checkpoints")
    result = run(*train(out, "--resume"))
    assert result.exit_code == 2
    assert "started from given weights and has no checkpoint yet; name them again with --from" in message(result)
    result = run(*train(out, "--resume", "--from", model))
    assert result.exit_code == 0, result.stderr
    assert "starting from step 0" in message(result)


def test_what_is_no_model_is_no_beginning(train: Any, folders: Any, model: Any, tmp_path: Path) -> None:
    for start, told in (
        (folders / "photos", "holds no checkpoint"),
        (folders / "photos" / "0.png", "cannot read the model"),
        (tmp_path / "bundle", "has no weights to start from"),
    ):
        if start.name == "bundle":
            shutil.copytree(model, start)
            (start / "model.safetensors").unlink()
        result = run(*train(tmp_path / "run", "--from", start))
        assert result.exit_code == 5
        assert told in message(result)


def test_a_model_of_any_style_is_no_beginning_of_a_collection(train: Any, tmp_path: Path) -> None:
    result = run(*train(tmp_path / "run", "--from", "shipped"))
    assert result.exit_code == 2
    assert "is of the kind 'arbitrary', and this run of 'collection'" in message(result)
