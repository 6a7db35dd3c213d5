"""What the README tells people to type works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sfumato.cli import app
from sfumato.image import read_image, write_image

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """A folder with the pictures that the README speaks of."""
    names = ("photo", "any-picture", "vase", "one", "two", "three", "holiday/beach", "holiday/harbour")
    for name in names:
        coarse = rng.random((1, 3, 4, 5)).astype(np.float32)
        write_image(coarse.repeat(12, 2).repeat(12, 3), tmp_path / f"{name}.jpg")
    write_image(np.ones((1, 3, 48, 60), np.float32), tmp_path / "sky.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_of_the_readme(desk: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert read_image(desk / "painted.png").shape == (1, 3, 48, 60)
    assert (desk / "mixed.safetensors").is_file()


def test_the_first_commands_of_the_readme(desk: Path) -> None:
    section = README.partition("## A first picture")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for line in block.splitlines():
        program, *words = shlex.split(line, comments=True)
        arguments = [
            path for word in words for path in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
        ]
        result = CliRunner().invoke(app, arguments)
        assert (program, result.exit_code) == ("sfumato", 0), f"{line}\n{result.stderr}"
    assert sorted(path.name for path in (desk / "painted").iterdir()) == ["beach.jpg", "harbour.jpg"]
