from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato.export.onnx import export_model
from sfumato.image import read_image, read_recipe
from sfumato.networks.config import NoiseConfig
from sfumato.networks.model import NoiseModel
from support import files, pixels, run

TINY = [
    "noise.generator=pixels",
    "noise.side=64",
    "noise.widths=[8,8,8,8,8]",
    "noise.discriminator_widths=[8,8,8]",
    "noise.z_size=8",
    "log_every=1",
    "weights.energy=0",
]
TINY += ["phases=[{steps=3,batch=2}]", "checkpoint_every=2", "sample_every=3"]


def message(result: Any) -> Any:
    """What it said, on one line."""
    return " ".join(result.stderr.split())


def fails(code: Any, *arguments: Any) -> Any:
    """One sentence on stderr and the exit code; the sentence."""
    result = run("imagine", *arguments)
    assert result.exit_code == code, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("sfumato: ")
    return line


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "noise"
    export_model(
        NoiseModel(NoiseConfig(generator="pixels", side=64, z_size=12, widths=(8, 8, 8, 8, 8))), folder, "tiny-noise"
    )
    return folder


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("paintings")
    for i in range(5):
        levels = np.random.default_rng(i).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(levels).resize((96, 72)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def train(paintings: Any) -> Any:
    def arguments(out: Any, *more: Any) -> Any:
        sets = [word for value in TINY for word in ("--set", value)]
        return ["train", "--kind", "noise", "--style", paintings, "--recipe", "tiny", "--out", out, *sets, *more]

    return arguments


def test_from_a_folder_of_paintings_to_pictures(train: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(*train(out))
    assert result.exit_code == 0, result.stderr
    for words in (
        "5 pictures",
        "3 steps on",
        "No validation: pictures made from noise have no photo",
        f"export {out}",
        "sfumato imagine",
    ):
        assert words in message(result)
    assert "stylize" not in message(result)
    assert json.loads((out / "config.json").read_text())["kind"] == "noise"
    assert read_image(out / "samples" / "00000003.png").std() > 0.03
    result = run("export", out, "-o", tmp_path / "model")
    assert result.exit_code == 0, result.stderr
    assert "generator; largest difference from torch" in result.stdout
    assert files(tmp_path / "model") == ["card.json", "generator.onnx"]
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert (card["kind"], card["z_size"], card["side"], card["training"]["step"]) == ("noise", 8, 64, "3")
    result = run("imagine", "--model", tmp_path / "model", "--count", "3", "-o", tmp_path / "made")
    assert result.exit_code == 0, result.stderr
    assert files(tmp_path / "made") == ["0000.png", "0001.png", "0002.png"]


def test_a_run_is_resumed_with_its_own_kind(train: Any, paintings: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(*train(out)).exit_code == 0
    resume = ["train", "--style", paintings, "--out", out, "--resume"]
    further = run(*resume, "--set", "phases=[{steps=4,batch=2}]")
    assert further.exit_code == 0, further.stderr
    assert "Continuing from step 3 of 4" in message(further)
    other = run(*resume, "--kind", "arbitrary")
    assert other.exit_code == 2
    assert "is a run of the kind 'noise'" in message(other)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--content", "photos"], 2, "leave --content out"),
        (["--vgg", "nowhere.pth"], 5, "nowhere.pth"),
        (["--set", "content_target=0.9", "--set", "validation_pairs=4"], 2, "content_target is for kinds that paint"),
        (["--set", "noise.side=96"], 2, "noise.side"),
        (["--kind", "dream"], 2, "dream"),
        (["--style", "nowhere"], 3, "nowhere"),
    ],
)
def test_what_training_this_kind_has_no_use_for_is_one_sentence(
    train: Any, tmp_path: Path, options: list[str], code: int, sentence: str
) -> None:
    result = run(*train(tmp_path / "run", *options))
    assert result.exit_code == code
    assert sentence in message(result)
    assert files(tmp_path) == []


def test_the_arbitrary_kind_needs_photos(paintings: Any, tmp_path: Path) -> None:
    result = run("train", "--style", paintings, "--out", tmp_path / "run", "--recipe", "tiny")
    assert result.exit_code == 2
    assert "name their folder with --content" in message(result)


def test_a_seed_and_an_index_are_a_picture(model: Any, tmp_path: Path) -> None:
    for name, options in {
        "a": ["--count", "4", "--seed", "5"],
        "b": ["--count", "4", "--seed", "5"],
        "tail": ["--count", "2", "--seed", "5", "--index", "2"],
        "other": ["--count", "4", "--seed", "6"],
    }.items():
        result = run("imagine", "--model", model, *options, "-o", tmp_path / name)
        assert result.exit_code == 0, result.stderr
        assert "of 64 x 64" in result.stdout
    assert files(tmp_path / "tail") == ["0002.png", "0003.png"]
    made = [pixels(tmp_path / "a" / f"000{i}.png") for i in range(4)]
    assert len({picture.tobytes() for picture in made}) == 4
    for i, picture in enumerate(made):
        assert picture.shape == (64, 64, 3)
        assert np.array_equal(picture, pixels(tmp_path / "b" / f"000{i}.png"))
        assert not np.array_equal(picture, pixels(tmp_path / "other" / f"000{i}.png"))
    assert np.array_equal(made[3], pixels(tmp_path / "tail" / "0003.png"))


def test_a_picture_holds_what_makes_it_again(model: Any, tmp_path: Path) -> None:
    options = ["--count", "3", "--seed", "7", "--truncation", "0.6", "--index", "1"]
    assert run("imagine", "--model", model, *options, "-o", tmp_path / "made").exit_code == 0
    picture = tmp_path / "made" / "0002.png"
    recipe = read_recipe(picture)
    assert recipe is not None
    kept = ("kind", "model", "seed", "index", "count", "truncation")
    assert [recipe[key] for key in kept] == ["noise", "tiny-noise", 7, 2, 1, 0.6]
    shown = run("show", picture).stdout
    (again,) = [line.partition(" ")[2].strip() for line in shown.splitlines() if line.startswith("again")]
    again = again.replace("MODEL", shlex.quote(str(model))).replace("OUT", shlex.quote(str(tmp_path / "again.png")))
    result = run(*shlex.split(again)[1:])
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels(picture), pixels(tmp_path / "again.png"))
    assert read_recipe(tmp_path / "again.png") == recipe
    assert json.loads(run("show", picture, "--json").stdout) == recipe


def test_truncation(model: Any, tmp_path: Path) -> None:
    spread = []
    for psi in ("0", "0.5", "1"):
        options = ["--count", "4", "--truncation", psi]
        assert run("imagine", "--model", model, *options, "-o", tmp_path / psi).exit_code == 0
        spread.append(np.stack([pixels(p) for p in sorted((tmp_path / psi).iterdir())]).astype(float).std(0).mean())
    assert spread[0] == 0  # all pictures are equal
    assert 0 < spread[1] < spread[2]


def test_a_grid_has_all_pictures_on_it(model: Any, tmp_path: Path) -> None:
    assert run("imagine", "--model", model, "--count", "5", "-o", tmp_path / "made").exit_code == 0
    assert run("imagine", "--model", model, "--count", "5", "-o", tmp_path / "grid.png").exit_code == 0
    grid = pixels(tmp_path / "grid.png")
    assert grid.shape == (2 * 64 + 2, 3 * 64 + 4, 3)
    for i in range(5):
        top, left = i // 3 * 66, i % 3 * 66
        assert np.array_equal(grid[top : top + 64, left : left + 64], pixels(tmp_path / "made" / f"000{i}.png"))
    assert (grid[66:, 132:] == 255).all()
    assert (read_recipe(tmp_path / "grid.png") or {})["count"] == 5


def test_a_walk_is_an_endless_gif(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "walk.gif"
    result = run("imagine", "--model", model, "--walk", "6", "--seed", "2", "-o", path)
    assert result.exit_code == 0, result.stderr
    assert "12 frames" in result.stdout
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.info["loop"], gif.size) == (12, 0, (64, 64))  # type: ignore[attr-defined]
        frames = []
        for i in range(gif.n_frames):  # type: ignore[attr-defined]
            gif.seek(i)
            assert gif.info["duration"] == 50
            frames.append(np.asarray(gif.convert("RGB")).astype(float))
    assert run("imagine", "--model", model, "--count", "2", "--seed", "2", "-o", tmp_path / "ends").exit_code == 0
    for frame, name in ((frames[0], "0000.png"), (frames[6], "0001.png")):
        assert np.abs(frame - pixels(tmp_path / "ends" / name)).mean() < 4  # of 255: a frame has 256 colours
    middle = np.abs(frames[3] - frames[0]).mean(), np.abs(frames[3] - frames[6]).mean()
    assert min(middle) > 1
    assert np.abs(frames[1] - frames[11]).mean() < 2  # the way back is the same one
    recipe = read_recipe(path)
    assert recipe is not None
    assert (recipe["walk"], recipe["count"], recipe["seed"]) == (6, 2, 2)
    assert "--walk 6" in run("show", path).stdout


def test_what_is_there_stays_unless_it_may_be_replaced(model: Any, tmp_path: Path) -> None:
    arguments = ["--model", model, "--count", "2", "--seed", "1"]
    for out in ("made", "grid.png"):
        assert run("imagine", *arguments, "-o", tmp_path / out).exit_code == 0
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    for out in ("made", "grid.png"):
        assert "--overwrite" in fails(4, *arguments, "--truncation", "0.5", "-o", tmp_path / out)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before
    for out in ("made", "grid.png"):
        assert run("imagine", *arguments, "--truncation", "0.5", "--overwrite", "-o", tmp_path / out).exit_code == 0
    assert all((tmp_path / name).read_bytes() != content for name, content in before.items())


@pytest.mark.parametrize(
    ("options", "out", "code", "sentence"),
    [
        (["--truncation", "1.5"], "a.png", 2, "--truncation must be between 0 and 1"),
        (["--count", "0"], "a.png", 2, "--count must be between"),
        (["--seed", "-1"], "a.png", 2, "--seed must be between"),
        (["--walk", "4", "--count", "1"], "a.gif", 2, "--count 2 or more"),
        (["--walk", "0"], "a.gif", 2, "--walk must be between"),
        (["--walk", "1000", "--count", "9"], "a.gif", 2, "the number of frames"),
        (["--walk", "4"], "a.png", 2, "name a .gif"),
        (["--walk", "4"], "folder", 2, "name a .gif"),
        ([], "a.gif", 2, "add --walk"),
        ([], "a.bmp", 4, "ends in one of"),
        ([], "nowhere/a.png", 4, "does not exist"),
        (["--device", "tpu"], "a.png", 2, "no device 'tpu'"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_an_exit_code(
    model: Any, tmp_path: Path, options: Any, out: str, code: int, sentence: str
) -> None:
    assert sentence in fails(code, "--model", model, *options, "-o", tmp_path / out)
    assert files(tmp_path) == []


def test_empty_names_and_files_for_folders(model: Any, tmp_path: Path) -> None:
    assert "name a folder or a file" in fails(2, "--model", model, "-o", "")
    (tmp_path / "file").write_text("mine")
    assert "it is a file" in fails(4, "--model", model, "-o", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_models_of_other_kinds_and_none(model: Any, tmp_path: Path, photo: Path) -> None:
    from sfumato.assets import weights_dir

    assert "kind 'arbitrary'" in fails(5, "--model", weights_dir(), "-o", tmp_path / "a.png")
    assert "not an exported model" in fails(5, "--model", tmp_path, "-o", tmp_path / "a.png")
    result = run("stylize", photo, "--style", "monet", "--model", model, "-o", tmp_path / "a.png")
    assert result.exit_code == 5
    assert f"use sfumato imagine --model {model}" in result.stderr
    assert not (tmp_path / "a.png").exists()


def test_pictures_of_no_photo_are_not_replayed(model: Any, photo: Path, tmp_path: Path) -> None:
    assert run("imagine", "--model", model, "--count", "1", "-o", tmp_path / "a.png").exit_code == 0
    result = run("replay", tmp_path / "a.png", photo, "-o", tmp_path / "b.png")
    assert result.exit_code == 3
    assert "painted from noise" in result.stderr


def test_imagining_needs_no_torch(model: Any, tmp_path: Path) -> None:
    script = (
        "import sys\nfor name in ('torch', 'onnx', 'accelerate'): sys.modules[name] = None\n"
        "from sfumato.cli import app\napp(prog_name='sfumato')"
    )
    command = [sys.executable, "-c", script, "imagine", "--model", model, "--walk", "2", "-o", tmp_path / "a.gif"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "a.gif").is_file()
