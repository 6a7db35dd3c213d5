"""The list of styles shows their pictures where the terminal can."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

from sfumato.cli.thumbnails import LINES, WIDTH, by_kitty, half_blocks
from support import on_terminal, run

BLOCK = "\u2580".encode()
PLACEHOLDER = "\U0010eeee".encode()
#: Of Kitty's graphics: the keys and a part of the picture.
SENT = re.compile(rb"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\")
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


@pytest.mark.parametrize("size", [(300, 200), (1, 5000), (5000, 1), (1, 1)])
def test_a_picture_for_kitty_is_sent_in_parts_and_has_its_placeholders(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random((1, 3, *size), np.float32)
    sent, text = by_kitty(picture, 0x12AB)
    parts = SENT.findall(sent.encode())
    assert SENT.sub(b"", sent.encode()) == b""
    assert all(len(data) <= 4096 for _, data in parts)
    assert [keys for keys, _ in parts[1:]] == [b"q=2,m=1"] * (len(parts) - 2) + [b"q=2,m=0"] * (len(parts) > 1)
    keys = dict(each.split(b"=") for each in parts[0][0].split(b","))
    assert (keys[b"a"], keys[b"U"], keys[b"f"], keys[b"i"]) == (b"T", b"1", b"100", b"4779")
    lines = text.plain.split("\n")
    assert (len(lines), len(lines[0])) == (int(keys[b"r"]), 3 * int(keys[b"c"]))
    assert len(lines) <= LINES
    assert all(cell_len(line) == int(keys[b"c"]) <= WIDTH for line in lines)
    assert lines[-1][:2] == "\U0010eeee" + "\u0305\u030d\u030e\u0310\u0312\u033d\u033e"[len(lines) - 1]
    assert str(text.style) == "#0012ab"
    image = Image.open(BytesIO(b64decode(b"".join(data for _, data in parts))))
    assert image.size == (10 * int(keys[b"c"]), 20 * int(keys[b"r"]))


def test_the_list_sends_pictures_to_kitty_and_asks_it_nothing() -> None:
    told, code = on_terminal("styles", **{**COLOURFUL, "TERM": "xterm-kitty"})
    assert code == 0, told
    parts = SENT.findall(told)
    firsts = [keys for keys, _ in parts if keys.startswith(b"a=T")]
    assert len(firsts) >= 33
    assert len(set(firsts)) == len(firsts)  # each has its own number
    assert all(b"q=2" in keys for keys, _ in parts)
    assert told.count(PLACEHOLDER) > 33 * 30
    assert BLOCK not in told
    assert told.rindex(b"\x1b_G") < told.index(PLACEHOLDER)
    rest = SENT.sub(b"", told)
    assert set(re.findall(rb"\x1b[^a-zA-Z]*[a-zA-Z]", rest)) <= set(
        re.findall(rb"\x1b\[[\d;]*m", rest)
    )  # colours alone
    assert b"great-wave" in told


@pytest.mark.parametrize("change", [{"TERM": "tmux-256color"}, {"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}])
def test_terminals_inside_kitty_get_blocks(change: Any) -> None:
    told, code = on_terminal("styles", **{**COLOURFUL, **change})
    assert code == 0, told
    assert b"\x1b_G" not in told
    assert BLOCK in told


@pytest.mark.parametrize(
    "change",
    [
        {"NO_COLOR": "1"},
        {"COLORTERM": "", "TERM": "xterm"},
        {"TERM": "dumb", "COLORTERM": ""},
        {"COLUMNS": "80"},
        {"TERM": "xterm-kitty", "NO_COLOR": "1"},
        {"TERM": "xterm-kitty", "COLUMNS": "80"},
    ],
)
def test_other_terminals_get_the_table_alone(change: Any) -> None:
    told, code = on_terminal("styles", **{**COLOURFUL, **change})
    assert code == 0, told
    assert BLOCK not in told
    assert b"\x1b_G" not in told
    assert b"great-wave" in told


@pytest.mark.parametrize("term", ["xterm-256color", "xterm-kitty"])
def test_a_pipe_gets_the_table_alone(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    for name, value in {**COLOURFUL, "FORCE_COLOR": "1", "TERM": term}.items():
        monkeypatch.setenv(name, value)
    result = run("styles")
    assert result.exit_code == 0
    assert BLOCK.decode() not in result.stdout
    assert "\x1b_G" not in result.stdout
    assert "great-wave" in result.stdout
