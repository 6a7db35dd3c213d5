"""What `evaluate` and `compare` say to somebody who names the wrong thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support import assert_one_sentence, files, run, save_scenes


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Photos, style pictures and stylised ones, and the words that name the first two."""
    for name in ("photos", "styles"):
        save_scenes(tmp_path / name, 1, 1)
    (tmp_path / "out").mkdir()
    Image.new("RGB", (72, 96)).save(tmp_path / "out" / "0__0.png")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return ["--content", "photos", "--style", "styles"]


@pytest.mark.parametrize(
    ("named", "kind"), [(["photos"], "a folder"), (["photos", "out"], "a folder"), (["out/0__0.png"], "a picture")]
)
def test_pictures_without_an_option(folders: list[str], named: list[str], kind: str) -> None:
    assert_one_sentence(run("evaluate", *named), 2, f"{named[0]} is {kind}, not a file of votes")
    assert "--stylized" in run("evaluate", *named).stderr


def test_votes_that_are_not_there(folders: list[str]) -> None:
    assert_one_sentence(run("evaluate", "votes.json"), 3, "No such file or directory; check the name")


@pytest.mark.parametrize("options", [[], ["--content", "photos", "--style", "styles"]])
def test_nothing_to_judge(folders: list[str], options: Any) -> None:
    assert_one_sentence(run("evaluate", *options), 2, "there is nothing to evaluate")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--stylized", "out", "--model", "shipped"], 2, "--stylized and --model cannot be combined"),
        (["--stylized", "empty"], 3, "no picture lies in the folder empty"),
        (["--stylized", "photos"], 3, "rename them, for example 0.png to 0__0.png"),
        (["--stylized", "nothere"], 3, "nothere does not exist"),
        (["--stylized", "out/0__0.png"], 3, "is a file, but must be a folder"),
        (["--stylized", "out", "--report", "photos/0.png"], 4, "photos/0.png: it is not a folder"),
        (["--stylized", "out", "--style", "monet"], 2, "monet is the name of a style"),
    ],
)
def test_wrong_folders(folders: list[str], tmp_path: Path, options: list[str], code: int, sentence: str) -> None:
    assert_one_sentence(run("evaluate", *folders, *options), code, sentence)


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        (["out", "b=out"], "as in ours=out"),
        (["a=out", "a=photos"], "two methods are named 'a'"),
        (["a=out"], "needs two methods"),
    ],
)
def test_methods_without_a_name_of_their_own(folders: list[str], methods: list[str], sentence: str) -> None:
    assert_one_sentence(run("compare", *methods, *folders), 2, sentence)


def test_a_blind_page_is_for_browsers(folders: list[str], tmp_path: Path) -> None:
    before = files(tmp_path)
    result = run("compare", "a=out", "b=out", *folders, "--blind", "page.txt")
    assert_one_sentence(result, 4, "must end in .html")
    assert files(tmp_path) == before
