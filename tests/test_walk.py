"""The walk of docs/personal.md, from a folder of liked pictures to a finished one that is kept, works as written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.image import read_recipe, to_uint8
from support import pixels, run, scene

ROOT = Path(__file__).parents[1]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pictures that the walk speaks of, and a store of its own."""
    for folder in ("liked", "photos"):
        (tmp_path / folder).mkdir()
    for i, name in enumerate(("cornfield", "night", "orchard")):
        Image.fromarray(to_uint8(scene(120, 150, seed=i))).save(tmp_path / "liked" / f"{name}.png")
    Image.fromarray(to_uint8(scene(96, 120, seed=9, level=0.6))).save(tmp_path / "photos" / "cat.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "personal"))
    return tmp_path


@pytest.mark.slow
def test_the_walk(desk: Path) -> None:
    section = (ROOT / "docs" / "personal.md").read_text("utf-8").partition("## A walk")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    message = ""
    for line in block.splitlines():
        program, *words = shlex.split(line, comments=True)
        if program != "sfumato":  # mkdir, cp
            subprocess.run([program, *words], check=True)
            continue
        result = run(*words)
        assert result.exit_code == 0, f"{line}\n{result.stderr}"
        message = result.stdout
    assert "my-van-gogh" in message
    assert "upscale 2" in message
    assert pixels("finished.png").shape == (192, 240, 3)
    assert (desk / "report" / "report.html").is_file()
    assert (desk / "my-van-gogh.sfumato").stat().st_size > 1000
    # Another photo alike; and the painting is gone, but its recipe is in the finished one.
    (desk / "painted.png").unlink()
    assert run("replay", "finished.png", "photos/cat.png", "-o", "again.png").exit_code == 0
    assert np.array_equal(pixels("again.png"), pixels("finished.png"))
    assert read_recipe("again.png") == read_recipe("finished.png")


@pytest.mark.slow
def test_the_walk_as_an_example(desk: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "my_style.py", "--liked", "liked", "--photo", "photos/cat.png"]
    done = subprocess.run([*command, "--out", "out"], capture_output=True, text=True, check=False)  # type: ignore[list-item]
    assert done.returncode == 0, done.stderr
    assert (desk / "out" / "sheet.jpg").is_file()
    assert (desk / "out" / "my-van-gogh.sfumato").is_file()
