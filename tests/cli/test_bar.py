"""One picture has a bar on a terminal, and says nothing of it elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import on_terminal, run

TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "120"}


def test_one_picture_has_a_bar_on_a_terminal(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    told, code = on_terminal("stylize", photo, "--style", "monet", "--threads", 1, "-o", out, **TERMINAL)
    assert code == 0, told
    assert b"painting, scale 1 of" in told
    assert b"0%" in told
    assert told.rindex(b"painting") < told.rindex(b"out.png  64 x 48")  # the bar goes, the sentence stays
    assert told.rindex(b"\x1b[2K") < told.rindex(b"out.png  64 x 48")


@pytest.mark.parametrize("options", [("--quality", "draft"), ("--quality", "draft", "--best-of", 2)])
def test_nothing_is_said_of_progress_elsewhere(photo: Path, tmp_path: Path, options: Any) -> None:
    result = run("stylize", photo, "--style", "monet", *options, "-o", tmp_path / "out.png")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith(str(tmp_path / "out.png"))


def test_a_bar_goes_back_for_the_next_of_several_paintings(photo: Path, tmp_path: Path) -> None:
    options = ("--quality", "draft", "--best-of", 2, "--threads", 1, "-o", tmp_path / "out.png")
    told, code = on_terminal("stylize", photo, "--style", "monet", *options, **TERMINAL)
    assert code == 0, told
    assert b"painting, " in told


def test_finishing_one_picture_has_a_bar_too(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    told, code = on_terminal("finish", photo, "--upscale", 2, "--warmth", 0.1, "--sharpen", 1, "-o", out, **TERMINAL)
    assert code == 0, told
    places = [told.index(word) for word in (b"finishing, enlarging", b"finishing, colours", b"finishing, sharpening")]
    assert places == sorted(places)
    assert told.rindex(b"finishing") < told.rindex(b"out.png  128 x 96")
    assert told.rindex(b"\x1b[2K") < told.rindex(b"out.png  128 x 96")


def test_nothing_is_said_of_finishing_elsewhere(photo: Path, tmp_path: Path) -> None:
    result = run("finish", photo, "--warmth", 0.1, "-o", tmp_path / "out.png")
    assert (result.exit_code, result.stderr) == (0, "")
