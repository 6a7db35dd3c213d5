from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.assets import weights_dir
from support import assert_one_sentence, files, run

SFUMATO = "from sfumato.cli import app; app(prog_name='sfumato')"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Photos, and pictures made of the first of them."""
    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:48, 0:64]
    for name in ("cat", "dog"):
        rgb = np.stack([4 * x, 5 * y, x + y], -1) * rng.uniform(0.3, 1, 3) + rng.normal(0, 9, (48, 64, 3))
        photo = Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))
        photo.save(folder / f"{name}.png")
    photo.resize((60, 60)).save(folder / "square.png")
    Image.new("L", (64, 48), 128).save(folder / "mask.png")
    (folder / "text.png").write_text("This is no picture.", "utf-8")
    for out, options in (
        ("waves.png", ["--style", "great-wave"]),
        ("small.jpg", ["--style", "monet:1", "--style", "degas:2", "--max-size", "40", "--strength", "0.7"]),
        ("masked.png", ["--style", "monet", "--style", "klimt", "--mask", folder / "mask.png"]),
    ):
        options = [*options, "--quality", "draft"]
        assert run("stylize", folder / "cat.png", *options, "-o", folder / out).exit_code == 0
    return folder


def test_a_picture_explained_in_words(desk: Any, tmp_path: Path) -> None:
    result = run("explain", desk / "waves.png", "--photo", desk / "cat.png", "-o", tmp_path / "why.png")
    assert result.exit_code == 0, result.stderr
    assert files(tmp_path) == ["why.png"]
    message = result.stdout
    for words in ("great-wave at strength 1", "Where it changed", "learnt texture", "tone curve", "In pictures: "):
        assert words in message
    assert "2,600 steps" in message
    assert "does not measure quality" in message
    assert "Omitted" not in message
    with Image.open(tmp_path / "why.png") as sheet:
        assert sheet.width > 5 * 300


def test_a_picture_explained_in_numbers(desk: Any, tmp_path: Path) -> None:
    result = run("explain", desk / "small.jpg", "--photo", desk / "cat.png", "--json", "-o", tmp_path / "why.jpg")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["sheet"] == str(tmp_path / "why.jpg")
    assert (found["strength"], found["model"]) == (0.7, "base-3")
    assert found["change"]["colour_share"] + found["change"]["structure_share"] == pytest.approx(1)
    (style,) = found["styles"]
    assert sum(part["share"] for part in style["parts"]) == pytest.approx(1)
    assert [part["from"] for part in style["parts"][1:]] == [part["to"] for part in style["parts"][:-1]]
    assert 0 < style["discriminator"]["mean"] < 1
    assert len(style["nearest"]) == 5
    assert all({"artist", "title", "licence", "source", "distance"} <= one.keys() for one in style["nearest"])
    assert (tmp_path / "why.jpg").read_bytes().startswith(b"\xff\xd8")


def test_without_the_photo(desk: Any, tmp_path: Path) -> None:
    result = run("explain", desk / "waves.png", "-o", tmp_path / "why.png")
    assert result.exit_code == 0, result.stderr
    assert "give it as --photo" in result.stdout
    assert "Where it changed" not in result.stdout
    assert "The nearest training paintings" in result.stdout


def test_several_styles_are_told_apart(desk: Any, tmp_path: Path) -> None:
    result = run("explain", desk / "masked.png", "--photo", desk / "cat.png", "-o", tmp_path / "why.png")
    assert result.exit_code == 0, result.stderr
    assert "What each part of the style did (monet)" in result.stdout
    assert "What each part of the style did (klimt)" in result.stdout
    assert "of which the recipe has only the hashes" in result.stdout


def test_the_sheet_goes_beside_the_picture_or_into_a_folder_and_is_no_photo(desk: Any, tmp_path: Path) -> None:
    shutil.copy(desk / "waves.png", tmp_path / "waves.png")
    (tmp_path / "sheets").mkdir()
    assert run("explain", tmp_path / "waves.png").exit_code == 0
    assert run("explain", tmp_path / "waves.png", "-o", tmp_path / "sheets").exit_code == 0
    assert files(tmp_path) == ["sheets/waves-explained.png", "waves-explained.png", "waves.png"]
    again = run("stylize", tmp_path, "--style", "monet")
    assert "all 3 pictures in the folder" in again.stderr
    other = run("explain", tmp_path / "waves-explained.png")
    assert other.exit_code == 3
    assert "is the explanation of waves.png; name that picture" in other.stderr


def test_a_sheet_that_is_there_stays_unless_told(desk: Any, tmp_path: Path) -> None:
    (tmp_path / "why.png").write_text("notes", "utf-8")
    refused = run("explain", desk / "waves.png", "-o", tmp_path / "why.png")
    assert refused.exit_code == 4
    assert "why.png already exists; add --overwrite to replace it" in refused.stderr
    assert (tmp_path / "why.png").read_text("utf-8") == "notes"
    assert run("explain", desk / "waves.png", "-o", tmp_path / "why.png", "--overwrite").exit_code == 0
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")


# Mistakes: one sentence, the documented code, nothing written. {d} is the desk, {t} an empty folder.


@pytest.mark.parametrize(
    ("code", "sentence", "arguments"),
    [
        (3, "{d}/cat.png holds no recipe", "{d}/cat.png -o {t}/x.png"),
        (3, "{d}/none.png", "{d}/none.png -o {t}/x.png"),
        (3, "{d}/text.png", "{d}/text.png -o {t}/x.png"),
        (3, "{d}/none.jpg", "{d}/waves.png --photo {d}/none.jpg -o {t}/x.png"),
        (3, "{d}/dog.png painted by the recipe of {d}/waves.png", "{d}/waves.png --photo {d}/dog.png -o {t}/x.png"),
        (3, "60 x 60 pixels, and the picture has 64 x 48", "{d}/waves.png --photo {d}/square.png -o {t}/x.png"),
        (2, "{d}/cat.png is the photo", "{d}/waves.png --photo {d}/cat.png -o {d}/cat.png --overwrite"),
        (2, "refusing to replace the photo {d}/waves.png", "{d}/waves.png -o {d}/waves.png --overwrite"),
        (2, "a contact sheet cannot be written to standard output", "{d}/waves.png -o -"),
        (4, "must end in one of .jpg", "{d}/waves.png -o {t}/x.psd"),
        (4, "the folder {t}/gone does not exist", "{d}/waves.png -o {t}/gone/x.png"),
        (5, "{t} is not an exported model", "{d}/waves.png --model {t} -o {t}/x.png"),
        (2, "No such option", "{d}/waves.png --phto {d}/cat.png"),
    ],
)
def test_mistakes(desk: Any, tmp_path: Path, code: int, sentence: str, arguments: str) -> None:
    paths = {"d": desk.as_posix(), "t": tmp_path.as_posix()}
    before = files(desk)
    result = run("explain", *arguments.format(**paths).split())
    assert_one_sentence(result, code, sentence.format(**paths))
    assert files(tmp_path) == []
    assert files(desk) == before


def test_a_model_of_ones_own_says_what_it_has_not(desk: Any, tmp_path: Path) -> None:
    model = shutil.copytree(weights_dir(), tmp_path / "model")
    card = json.loads((model / "card.json").read_text("utf-8"))
    del card["files"]["discriminator.onnx"], card["training_styles"]
    (model / "card.json").write_text(json.dumps(card), "utf-8")
    result = run("explain", desk / "waves.png", "--model", model, "-o", tmp_path / "why.png")
    assert result.exit_code == 0, result.stderr
    assert "was exported without its discriminator" in result.stdout
    assert "has no index of its training paintings" in result.stdout
    assert "The discriminator's verdict" not in result.stdout


def test_a_damaged_index_is_refused(desk: Any, tmp_path: Path) -> None:
    model = shutil.copytree(weights_dir(), tmp_path / "model")
    index = model / "training_styles.safetensors"
    index.write_bytes(index.read_bytes()[:-1])
    result = run("explain", desk / "waves.png", "--model", model, "-o", tmp_path / "why.png")
    assert result.exit_code == 5
    assert "training_styles.safetensors is damaged" in result.stderr
    assert not (tmp_path / "why.png").exists()


def test_explaining_needs_no_torch(desk: Any, tmp_path: Path) -> None:
    """Torch is absent from the light install: here its import, if anything tried, would fail."""
    script = f"import sys; sys.modules['torch'] = None; {SFUMATO}"
    out = tmp_path / "why.png"
    command = [sys.executable, "-c", script, "explain", desk / "waves.png", "--photo", desk / "cat.png", "-o", out]
    subprocess.run(command, capture_output=True, check=True)
    assert out.is_file()
