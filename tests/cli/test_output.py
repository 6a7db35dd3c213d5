"""Whatever a command says: names from strangers, and streams that are closed, full or no terminal."""

from __future__ import annotations

import ast
import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sfumato.cli
from sfumato.text import as_utf8, printable
from support import on_terminal, run

NAMES = {  # a file's name: as it is told
    b"caf\xe9.png": r"caf\udce9.png",
    b"e\x1b[31m\x07sc.png": r"e\x1b[31m\x07sc.png",
    b"new\nline.png": r"new\nline.png",
    b"[bold]x[red].png": "[bold]x[red].png",
    "r\u202egnp.png".encode(): r"r\u202egnp.png",
    ":smile: \u00e9\u3000\u65e5.png".encode(): ":smile: \u00e9\u3000\u65e5.png",
}


@pytest.fixture
def strange(tmp_path: Path, photo: Path) -> Any:
    """A folder of one photo under many names."""
    folder = tmp_path / "strange"
    folder.mkdir()
    picture = Image.open(photo)
    for name in NAMES:
        picture.save(folder / os.fsdecode(name))
    return folder


def command(*arguments: Any, **options: Any) -> Any:
    """The command as a process of its own, with a stdout that refuses what it cannot encode."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "COLUMNS": "200"}
    words = [sys.executable, "-m", "sfumato", *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
    return subprocess.run(words, env=environment, check=False, timeout=300, **options)


STYLIZE = ("--style", "monet", "--quality", "draft", "--threads", "1", "-o")


def test_printable_leaves_text_of_any_script_alone_and_writes_out_the_rest() -> None:
    for text in ("plain", "caf\u00e9 \u65e5\u672c\u3000x", "\U0001f469\u200d\U0001f3a8", "\u06a9\u200c\u0646"):
        assert printable(text) == text
    assert printable("a\x1b]0;x\x07\x9b1m\r\n\udce9\u2028") == r"a\x1b]0;x\x07\x9b1m\r\n\udce9\u2028"
    assert printable("a\nb\tc\x1b", keep="\n\t") == "a\nb\tc\\x1b"
    assert as_utf8("\u00e9\udce9") == "\u00e9\\udce9".encode()


OTHERS = ("typer.echo", "print", "Console", "json.dumps")


def test_no_command_has_another_way_to_the_terminal() -> None:
    """Each of `typer.echo`, `print` and rich's `Console` knows nothing of strangers."""
    found = []
    for path in sorted(Path(sfumato.cli.__file__).parent.glob("*.py")):
        if path.name in ("output.py", "console.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "typer.echo",
                "print",
                "Console",
                "json.dumps",
            ):
                found.append(f"{path.name}:{node.lineno}")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout.buffer", "sys.stdin.buffer"):
                found.append(f"{path.name}:{node.lineno}")
    assert found == []


def test_a_folder_of_strange_names_is_painted_whole(strange: Any, tmp_path: Path) -> None:
    result = command("stylize", strange, *STYLIZE, tmp_path / "out")
    assert result.returncode == 0
    told = result.stdout.decode("utf-8")
    assert len(os.listdir(tmp_path / "out")) == len(NAMES) == told.count("\n")
    for shown in NAMES.values():
        assert f"out/{shown}  64 x 48" in told


def test_strange_names_go_through_json_and_errors(strange: Any, tmp_path: Path) -> None:
    (strange / "caf\udcff\x1b.png").write_bytes(b"no picture")
    result = command("stylize", strange, *STYLIZE, tmp_path / "out", "--json")
    assert result.returncode == 3
    told = [json.loads(line) for line in result.stdout.decode("ascii").splitlines()]
    assert {os.fsencode(Path(line["photo"]).name) for line in told} == {*NAMES, b"caf\xff\x1b.png"}
    assert rb"cannot read " in result.stderr
    assert rb"caf\udcff\x1b.png: it is none of" in result.stderr
    assert b"Traceback" not in result.stderr
    assert b"\x1b" not in result.stderr


def test_no_name_is_obeyed_by_a_terminal_or_taken_for_markup(strange: Any, tmp_path: Path) -> None:
    told, code = on_terminal("stylize", strange, *STYLIZE, tmp_path / "out")
    assert code == 0
    assert b"[bold]x[red].png" in told
    assert rb"e\x1b[31m\x07sc.png" in told
    assert b"\x1b[31m\x07" not in told
    assert b"\xe2\x80\xae" not in told


def test_a_style_from_a_stranger_is_told_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sfumato import Style

    monkeypatch.setenv("SFUMATO_STYLES", str(tmp_path))
    code = Style.named("monet").code
    code.save(tmp_path / "odd.safetensors", {"title": "[/red]\x1b]0;pwned\x07", "artist": ":smile:", "note": "\x9b2J"})
    listed = run("styles")
    assert r"[/red]\x1b]0;pwned\x07" in listed.stdout
    assert ":smile:" in listed.stdout
    shown = run("styles", "show", "odd")
    assert r"title    [/red]\x1b]0;pwned\x07" in shown.stdout
    assert r"\x9b2J" in shown.stdout
    assert json.loads(run("styles", "show", "odd", "--json").stdout)["title"] == "[/red]\x1b]0;pwned\x07"
    for result in (listed, shown):
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        assert "\x9b" not in result.stdout


def test_a_full_stdout_is_one_sentence_and_the_pictures_are_painted(strange: Any, photo: Path, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        batch = command("stylize", strange, *STYLIZE, tmp_path / "out", stdout=full)
        others = [
            command("stylize", photo, *STYLIZE, "-", stdout=full),
            command("styles", stdout=full),
            command("--help", stdout=full),
        ]
    assert len(os.listdir(tmp_path / "out")) == len(NAMES)
    for result in (batch, *others):
        assert result.returncode == 4
        last = result.stderr.decode().splitlines()[-1]
        assert last.startswith("sfumato: ")
        assert "No space left on device" in last
        assert b"Traceback" not in result.stderr
        assert b"Exception ignored" not in result.stderr


def test_a_full_stderr_stops_nothing(strange: Any, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        assert command("stylize", strange, *STYLIZE, tmp_path / "out", stderr=full).returncode == 0
        assert command("styles", "show", "nonesuch", stderr=full).returncode == 2
    assert len(os.listdir(tmp_path / "out")) == len(NAMES)


def closed(numbers: Any, *words: Any) -> Any:
    """The command without some of its streams, as cron and daemons start programs."""
    script = f'exec "$@" {" ".join(f"{number}>&-" for number in numbers)}'
    return subprocess.run(
        ["sh", "-c", script, "_", sys.executable, "-m", "sfumato", *map(str, words)],
        capture_output=True,
        check=False,
        timeout=300,
    )


def test_closed_streams_are_one_sentence_or_nothing(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    no_input = closed([0], "stylize", "-", *STYLIZE, out)
    assert no_input.returncode == 3
    assert no_input.stderr.startswith(b"sfumato: cannot read -: standard input is closed")
    no_output = closed([1], "stylize", photo, *STYLIZE, "-")
    assert no_output.returncode == 4
    assert no_output.stderr.startswith(b"sfumato: cannot write -: standard output is")
    # A picture's file does not get a stream's number, which libraries write to.
    assert closed([0, 1, 2], "stylize", photo, *STYLIZE, out).returncode == 0
    Image.open(out).load()
    assert closed([1], "styles").returncode == 0
    assert closed([2], "styles", "show", "nonesuch").returncode == 2


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["table", "lines"])
def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(more: list[str]) -> None:
    command = shlex.join([sys.executable, "-m", "sfumato", "styles", *more])
    words = ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.stderr == b""
    assert done.returncode == 141  # as of a process that SIGPIPE ends


def test_what_goes_to_a_file_is_not_told_above_the_bar(photo: Path, tmp_path: Path) -> None:
    """rich would send it to the terminal that the bar is on."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.open(photo).save(folder / "a.png")
    log = tmp_path / "log"
    script = f"{sys.executable} -m sfumato stylize {folder} {' '.join(STYLIZE)} {tmp_path / 'out'} > {log}"
    child, screen = pty.fork()
    if child == 0:
        os.execv("/bin/sh", ["sh", "-c", script])
    while True:
        try:
            os.read(screen, 65536)
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert "out/a.png  64 x 48" in log.read_text()


def test_the_console_measures_what_it_shows(tmp_path: Path) -> None:
    """A cell of escapes is as wide as its text, and a table of it keeps its frame."""
    from rich.table import Table

    from sfumato.cli.output import console

    table = Table("name")
    table.add_row("\x1b[2J[red]")
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    lines = captured.get().splitlines()
    assert len({len(line) for line in lines if line.strip()}) == 1
    assert r"\x1b[2J[red]" in captured.get()
