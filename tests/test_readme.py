"""What the README tells people to type works."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sfumato.cli import app
from sfumato.errors import IS_PUBLISHED, how_to_install
from sfumato.image import read_image, write_image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


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


def test_extras_of_the_readme_are_those_that_there_are() -> None:
    section = README.partition("## Get it")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(named) == set(extras) - {"dev", "docs"}


def test_nobody_is_sent_to_a_package_index_that_does_not_have_it() -> None:
    """`errors.how_to_install` is the one place that says how: what it does not say, no text says."""
    assert ("pip install 'sfumato[train]'" in how_to_install("train")) == IS_PUBLISHED
    texts = [ROOT / "README.md", *(path for name in ("docs", "src", "examples") for path in (ROOT / name).rglob("*"))]
    for path in texts:
        if path.suffix in (".md", ".py") and path.name != "errors.py":
            found = re.search(r"pip(x)? install '?sfumato\b(?!-)", path.read_text("utf-8"))
            assert (found is None) or IS_PUBLISHED, path
