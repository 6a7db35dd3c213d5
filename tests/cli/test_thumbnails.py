"""The list of styles shows their pictures where the terminal can."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.cli.thumbnails import LINES, WIDTH, half_blocks
from support import on_terminal, run

BLOCK = "\u2580".encode()
COLOURFUL = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}


def test_a_thumbnail_has_the_pictures_colours_and_shape() -> None:
    picture = np.zeros((1, 3, 80, 40), np.float32)
    picture[0, 0, :40], picture[0, 2, 40:] = 1, 1  # red over blue
    text = half_blocks(picture)
    lines = text.plain.split("\n")
    assert len(lines) == LINES
    assert {len(line) for line in lines} == {LINES}  # a sign is one pixel across and two down
    styles = [str(span.style) for span in text.spans]
    assert styles[0] == "rgb(255,0,0) on rgb(255,0,0)"
    assert styles[-1] == "rgb(0,0,255) on rgb(0,0,255)"


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_a_thumbnail_of_any_shape_keeps_to_its_place(size: tuple[int, int]) -> None:
    lines = half_blocks(np.ones((1, 3, *size), np.float32)).plain.split("\n")
    assert 1 <= len(lines) <= LINES
    assert all(1 <= len(line) <= WIDTH for line in lines)


def test_the_list_shows_pictures_on_a_terminal_with_colours() -> None:
    told, code = on_terminal("styles", **COLOURFUL)
    assert code == 0, told
    assert told.count(BLOCK) > 33 * 30
    assert b"\x1b[38;2;" in told
    assert b"great-wave" in told


@pytest.mark.parametrize(
    "change",
    [{"NO_COLOR": "1"}, {"COLORTERM": "", "TERM": "xterm"}, {"TERM": "dumb", "COLORTERM": ""}, {"COLUMNS": "80"}],
)
def test_other_terminals_get_the_table_alone(change: Any) -> None:
    told, code = on_terminal("styles", **{**COLOURFUL, **change})
    assert code == 0, told
    assert BLOCK not in told
    assert b"great-wave" in told


def test_a_pipe_gets_the_table_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**COLOURFUL, "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    result = run("styles")
    assert result.exit_code == 0
    assert BLOCK.decode() not in result.stdout
    assert "great-wave" in result.stdout
