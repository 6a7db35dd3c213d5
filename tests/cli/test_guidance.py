"""``sfumato stylize --auto``, ``--best-of``, ``--gate`` and ``--seed``, as people call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.image import read_recipe
from support import pixels, run


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two scenes with plain and rough places, and a mask."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:80, 0:112]
    for name in ("hill.png", "sea.png"):
        a, b = rng.uniform(10, 30, 2)
        hills = np.where(y > 40 + 14 * np.sin(x / a), 60 + 40 * np.sin(x / 3) * np.cos(y / 4), 190 - y)
        rgb = np.stack([hills, 0.9 * hills, 255 - hills / b * 20], -1) + rng.normal(0, 4, (80, 112, 3))
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / name)
    mask = Image.new("L", (112, 80))
    mask.paste(255, (0, 0, 56, 80))
    (folder / "m").mkdir()
    mask.save(folder / "m" / "mask.png")
    return folder


def test_auto_says_what_it_chose_and_the_picture_replays(photos: Any, tmp_path: Path) -> None:
    out = tmp_path / "auto.png"
    result = run("stylize", photos / "hill.png", "--style", "great-wave", "--auto", "--keep", 0.5, "-o", out)
    assert result.exit_code == 0, result.stderr
    recipe = read_recipe(out)
    assert recipe["strength"] < 1  # type: ignore[operator]
    assert f"(--strength {recipe['strength']:g} --stroke {recipe['stroke']:g})" in result.stdout
    assert "(50% was asked for)" in " ".join(result.stdout.split())
    assert len(recipe["guidance"]["trials"]) <= 8  # type: ignore[index]
    assert "chosen" in run("show", out).stdout
    again = run("replay", out, photos / "hill.png", "-o", tmp_path / "again.png")
    assert again.exit_code == 0, again.stderr
    assert np.array_equal(pixels(out), pixels(tmp_path / "again.png"))
    by_hand = ("--strength", recipe["strength"], "--stroke", recipe["stroke"], "-o", tmp_path / "hand.png")
    assert run("stylize", photos / "hill.png", "--style", "great-wave", *by_hand).exit_code == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "hand.png"))


def test_a_folder_is_chosen_for_photo_by_photo_and_known_again(photos: Any, tmp_path: Path) -> None:
    asked = ("stylize", photos, "--style", "klimt", "--auto", "--keep", 0.3, "-o", tmp_path / "out", "--json")
    first = [json.loads(line) for line in run(*asked).stdout.splitlines()]
    done = [line for line in first if line["status"] == "done"]
    assert {"hill.png", "sea.png"} <= {line["photo"].rpartition("/")[2] for line in done}
    assert all({"strength", "stroke", "seed", "why"} <= line.keys() for line in done)
    second = [json.loads(line) for line in run(*asked).stdout.splitlines()]
    assert {line["status"] for line in second} == {"skipped"}
    other = run("stylize", photos, "--style", "klimt", "--auto", "--keep", 0.9, "-o", tmp_path / "out")
    assert other.exit_code == 4
    assert "made with other settings" in other.stderr


def test_a_gate_refuses_and_writes_nothing(photos: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    base = ("stylize", photos / "hill.png", "--style", "great-wave", "-o", out)
    result = run(*base, "--gate", "artefacts<0.0")
    assert result.exit_code == 7
    assert "did not pass the gate artefacts<0 in 4 paintings" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
    result = run(*base, "--gate", "artefacts<99", "--gate", "blobs < 50", "--json")
    assert result.exit_code == 0, result.stderr
    measured = json.loads(result.stdout)["measured"]
    assert measured["artefacts"] == max(value for name, value in measured.items() if name != "artefacts") < 99


def test_the_best_of_three_and_the_seed(photos: Any, tmp_path: Path) -> None:
    base = ("stylize", photos / "hill.png", "--style", "great-wave", "--seed", 7)
    result = run(*base, "--best-of", 3, "-o", tmp_path / "best.png")
    assert result.exit_code == 0, result.stderr
    recipe = read_recipe(tmp_path / "best.png")
    assert recipe["seed"] in (7, 8, 9)
    assert len(recipe["guidance"]["candidates"]) == 3  # type: ignore[index]
    assert "is the best of 3 paintings" in " ".join(result.stdout.split())
    run("stylize", photos / "hill.png", "--style", "great-wave", "--seed", recipe["seed"], "-o", tmp_path / "one.png")
    assert np.array_equal(pixels(tmp_path / "best.png"), pixels(tmp_path / "one.png"))


@pytest.mark.parametrize(
    ("sentence", "options"),
    [
        ("add --auto", "--keep 0.5"),
        ("--keep", "--auto --keep 1.5"),
        ("leave --strength and --stroke out", "--auto --strength 0.5"),
        ("leave --strength and --stroke out", "--auto --stroke 2"),
        ("leave --mask out", "--auto --mask {photos}/m/mask.png"),
        ("--best-of", "--best-of 0"),
        ("--best-of", "--best-of 101"),
        ("NAME<NUMBER", "--gate artefacts"),
        ("no detector 'mud'", "--gate mud<2"),
        ("seed must be between 0 and", "--seed=-1"),
    ],
)
def test_mistakes(photos: Any, tmp_path: Path, sentence: str, options: str) -> None:
    words = options.format(photos=photos).split()
    result = run("stylize", photos / "hill.png", "--style", "klimt", "-o", tmp_path / "out.png", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
