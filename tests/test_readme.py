"""What the README and the first pages tell people to type works."""

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
from video_clips import write_clip

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/first-pictures.md")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """A folder with the pictures that the pages speak of."""
    names = ("photo", "any-picture", "vase", "one", "two", "three", "holiday/beach", "holiday/harbour")
    for name in names:
        coarse = rng.random((1, 3, 4, 5)).astype(np.float32)
        write_image(coarse.repeat(12, 2).repeat(12, 3), tmp_path / f"{name}.jpg")
    write_image(np.ones((1, 3, 48, 60), np.float32), tmp_path / "sky.png")
    write_clip(tmp_path / "clip.mp4", times=range(3))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_of_the_readme(desk: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert read_image(desk / "wave.png").shape == (1, 3, 48, 60)


@pytest.mark.parametrize(
    ("page", "heading", "made"),
    [
        (PAGES[0], "A first picture", {"painted.png", "softer.png"}),
        (
            PAGES[0],
            "Videos, textures, many pictures",
            {"painted.webm", "tile.png", "look.cube", "painted/beach.jpg", "painted/harbour.jpg"},
        ),
        (PAGES[1], "Painting", {"sheet.png", "bold.png", "vase.png", "painted/beach.jpg", "painted/harbour.jpg"}),
    ],
)
def test_the_first_commands_of_a_page(desk: Path, page: str, heading: str, made: set[str]) -> None:
    section = (ROOT / page).read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for line in block.splitlines():
        program, *words = shlex.split(line, comments=True)
        result = CliRunner().invoke(app, words)
        assert (program, result.exit_code) == ("sfumato", 0), f"{line}\n{result.stderr}"
    assert [name for name in made if not (desk / name).is_file()] == []


def test_the_readme_is_short_and_shows_a_picture_first() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) < 130
    (title, picture, *_) = [line for line in lines if line]
    assert title == "# Sfumato"
    shown = re.fullmatch(r"!\[.+\]\((.+)\)", picture)
    assert shown is not None
    assert (ROOT / shown[1]).is_file()


def test_extras_of_the_first_page_are_those_that_there_are() -> None:
    section = (ROOT / "docs" / "install.md").read_text("utf-8").partition("## Extras")[2].partition("\n## ")[0]
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
