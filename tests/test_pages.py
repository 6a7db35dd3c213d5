"""Every block of commands and of Python on the pages of docs runs, but for those that say why they cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medical_files import dicom, series, tissue
from sfumato.assets import style_names, style_pictures
from sfumato.image import write_image
from video_clips import write_clip

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.M
)


def blocks(page: Path) -> list[re.Match[str]]:
    """The fenced blocks of a page that are commands or Python."""
    return [
        block for block in _BLOCK.finditer(page.read_text("utf-8")) if block["language"] in ("sh", "bash", "python")
    ]


#: Pages with something to run.
PAGES = sorted(page for page in DOCS.rglob("*.md") if any(not block["reason"] for block in blocks(page)))


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with what the pages speak of."""
    rng = np.random.default_rng(5)
    names = ["photo", "other", "vase", "any-picture", "holiday/beach", "photos/one", "photos/two", "photos/cat"]
    made = [*names, "painting", "one", "two", "three", "bricks/bricks_albedo", "bricks/bricks_normal"]
    for name in made:
        coarse = rng.random((1, 3, 4, 5)).astype(np.float32)
        write_image(coarse.repeat(20, 2).repeat(20, 3), tmp_path / f"{name}.jpg")
    (tmp_path / "photos/cat.jpg").rename(tmp_path / "photos/cat.png")
    half = np.zeros((1, 3, 80, 100), np.float32)
    half[:, :, :40] = 1
    write_image(half, tmp_path / "sky.png")
    works = style_pictures("van-gogh")
    for folder, file in (("liked", "cornfield.webp"), ("liked", "night.webp")):
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(works[file == "night.webp"], tmp_path / folder / file)
    (tmp_path / "paintings").mkdir()
    for number, work in enumerate(works[:2]):
        shutil.copy(work, tmp_path / "paintings" / f"work{number}.webp")
    (tmp_path / "pairs.csv").write_text("content,style\none.jpg,work0.webp\ntwo.jpg,work1.webp\n")
    for folder in ("results", "others", "painted"):
        for pair in ("one__work0", "two__work1"):
            coarse = rng.random((1, 3, 4, 5)).astype(np.float32)
            write_image(coarse.repeat(20, 2).repeat(20, 3), tmp_path / folder / f"{pair}.png")
    write_clip(tmp_path / "clip.mp4", times=range(25), sounds=["aac"])
    program = tmp_path / "bin" / "sfumato"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sfumato "$@"\n')
    program.chmod(0o755)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_runs(page: Path, desk: Path) -> None:
    environment = os.environ | {
        "PATH": f"{desk / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "SFUMATO_PERSONAL": str(desk / "personal"),
        "SFUMATO_STYLES": str(desk / "styles"),
    }

    def run(*command: str) -> None:
        done = subprocess.run(
            command, cwd=desk, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"

    if page.stem in ("explain", "finish", "stylize"):  # they speak of a picture that is there already
        run("sfumato", "stylize", "photo.jpg", "--style", "monet", "--quality", "draft", "-o", "painted.png")
    if page.stem == "medical":
        pytest.importorskip("pydicom")
        dicom(desk / "scan.dcm", tissue(96, 112), WindowCenter=40, WindowWidth=400)
        series(desk / "ct")
    for block in blocks(page):
        if block["reason"]:
            continue
        if block["language"] == "python":
            run(sys.executable, "-W", "error", "-c", block["code"])
        else:
            run("bash", "-euo", "pipefail", "-c", block["code"])
        shutil.rmtree(desk / "report", ignore_errors=True)


def test_most_pages_have_something_to_run_and_no_page_hides_a_command() -> None:
    assert {"evaluate", "explain", "finish", "first-pictures", "personal", "stylize"} <= {page.stem for page in PAGES}
    for page in DOCS.rglob("*.md"):
        hidden = [
            b["code"] for b in _BLOCK.finditer(page.read_text("utf-8")) if not b["language"] and "$ " in b["code"]
        ]
        assert hidden == [], page


def test_every_picture_and_file_that_a_page_names_is_there() -> None:
    for page in DOCS.rglob("*.md"):
        links = re.findall(
            r"\]\((?!https?:)([^)#\s]+)[^)]*\)",
            re.sub(r"```.*?```|`[^`]*`", "", page.read_text("utf-8"), flags=re.DOTALL),
        )
        missing = [link for link in links if not (page.parent / link).exists()]
        assert missing == [], page


def test_the_gallery_shows_every_style() -> None:
    page = (DOCS / "gallery.md").read_text("utf-8")
    assert re.findall(r"^### ([\w-]+)$", page, re.MULTILINE) == style_names()
    pictures = list((DOCS / "gallery").iterdir())
    assert sum(path.stat().st_size for path in pictures) < 2_500_000
    assert {path.name for path in pictures} == set(re.findall(r"\(gallery/([\w.-]+)\)", page))
