"""`--open` shows what was painted, and `--watch` paints it again as its files change."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import how_to_install
from sfumato.image import write_image
from support import assert_one_sentence, files, run, scene

DRAFT = ("--style", "monet", "--quality", "draft", "--threads", "1")
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems show files otherwise")


def command(*arguments: Any, **environment: Any) -> Any:
    words = [sys.executable, "-m", "sfumato", "stylize", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    return subprocess.Popen(words, env={**os.environ, **environment}, **pipes)  # type: ignore[call-overload]


@pytest.fixture
def viewer(tmp_path: Path) -> Any:
    """An environment with a display, whose viewer keeps what it was asked to show."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "xdg-open"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > "{folder}/new" && mv "{folder}/new" "{folder}/shown"\n', "utf-8")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "DISPLAY": ":0"}, folder / "shown"


def wait_for(is_there: Any, seconds: int = 240) -> None:
    until = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < until
        time.sleep(0.05)


@ON_LINUX
def test_the_result_is_shown(photo: Path, tmp_path: Path, viewer: Any) -> None:
    environment, shown = viewer
    with command(photo, *DRAFT, "-o", tmp_path / "out.png", "--open", **environment) as process:
        assert process.wait() == 0, process.stderr.read()
    wait_for(shown.exists)
    assert shown.read_text("utf-8") == str(tmp_path / "out.png")


@ON_LINUX
def test_of_several_results_their_folder_is_shown(photo: Path, tmp_path: Path, viewer: Any) -> None:
    environment, shown = viewer
    other = shutil.copy(photo, tmp_path / "other.jpg")
    with command(photo, other, *DRAFT, "-o", tmp_path / "out", "--open", **environment) as process:
        assert process.wait() == 0, process.stderr.read()
    wait_for(shown.exists)
    assert shown.read_text("utf-8") == str(tmp_path / "out")


@ON_LINUX
def test_no_viewer_is_one_sentence_and_the_picture_is_there(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    result = run("stylize", photo, *DRAFT, "-o", tmp_path / "out.png", "--open")
    assert result.exit_code == 4
    assert f"{tmp_path / 'out.png'} was written, but this system has no viewer" in result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "out.png").is_file()


@pytest.mark.parametrize(
    ("sentence", "options"),
    [
        ("--open needs a display", ("-o", "{t}/x.png", "--open")),
        ("--open shows a file", ("-o", "-", "--open")),
    ],
)
@ON_LINUX
def test_where_nothing_can_be_shown_nothing_is_painted(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sentence: str, options: tuple[str, str, str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    before = files(tmp_path)
    result = run("stylize", photo, *DRAFT, *(option.format(t=tmp_path) for option in options))
    assert_one_sentence(result, 2, sentence)
    assert files(tmp_path) == before


def test_standard_input_cannot_be_watched(tmp_path: Path) -> None:
    result = run("stylize", "-", *DRAFT, "-o", tmp_path / "x.png", "--watch")
    assert_one_sentence(result, 2, "--watch cannot watch standard input or a pipe")


def test_watching_needs_its_extra(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    result = run("stylize", photo, *DRAFT, "-o", tmp_path / "x.png", "--watch")
    assert_one_sentence(result, 2, how_to_install("watch"))
    assert not (tmp_path / "x.png").exists()


class Watched:
    """The command as it watches; its stderr is read line by line."""

    def __init__(self, *arguments: Any) -> None:
        self.process = command(*arguments, "--watch", PYTHONUNBUFFERED="1")

    def __enter__(self) -> Any:
        self.says("watching")
        return self

    def says(self, words: Any) -> Any:
        while words not in (line := self.process.stderr.readline()):
            assert line, f"it ended without saying {words!r}"
        return line

    def tells(self, words: Any) -> None:
        assert words in self.process.stdout.readline()

    def __exit__(self, *problem: Any) -> None:
        self.process.send_signal(signal.SIGINT)
        rest = self.process.communicate(timeout=240)[1]
        if problem == (None, None, None):
            assert rest.endswith("no longer watching\n")
            assert "Traceback" not in rest
            assert self.process.returncode == 0


@pytest.mark.slow
def test_a_photo_and_a_mask_that_change_are_painted_again(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    photo, mask, out = (tmp_path / name for name in ("photo.png", "mask.png", "out.png"))
    write_image(scene(48, 64, 1), photo)
    Image.new("L", (64, 48), 255).save(mask)
    with Watched(photo, *DRAFT, "--mask", mask, "-o", out) as watched:
        watched.tells("out.png  64 x 48")
        first = out.read_bytes()
        # As editors save: another file in its place, or the same one anew.
        write_image(scene(40, 64, 2), tmp_path / "new.png")
        os.replace(tmp_path / "new.png", photo)
        assert "48" in watched.says("sfumato: ")  # the mask does not fit any more: told, and waited out
        assert out.read_bytes() == first
        Image.new("L", (64, 40), 255).save(mask)
        watched.tells("out.png  64 x 40")
        Image.new("L", (64, 40), 0).save(mask)
        watched.tells("out.png  64 x 40")
        assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(photo)))
    assert files(tmp_path) == ["mask.png", "out.png", "photo.png"]


@pytest.mark.slow
def test_of_a_folder_what_is_new_or_has_changed_is_painted(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "b"):
        write_image(scene(48, 64, 1), folder / f"{name}.png")
    with Watched(folder, *DRAFT, "-o", out) as watched:
        for name in ("a", "b"):
            watched.tells(f"{name}.png  64 x 48")
        untouched = (out / "a.png").stat().st_mtime_ns
        write_image(scene(40, 64, 2), folder / "b.png")
        watched.tells("b.png  64 x 40")
        write_image(scene(44, 64, 3), folder / "c.png")
        watched.tells("c.png  64 x 44")
        assert (out / "a.png").stat().st_mtime_ns == untouched
