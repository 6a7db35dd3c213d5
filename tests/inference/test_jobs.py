from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import InputError, OutputError, SfumatoError, UsageError
from sfumato.inference.jobs import Job, expand, plan


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for name in (
        "in/a.jpg",
        "in/b.gif",
        "in/sub/c.png",
        "in/.hidden/d.png",
        "in/notes.txt",
        "one.jpg",
        "two.jpg",
        "other/one.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")
    (tmp_path / "there").mkdir()
    return tmp_path


def pairs(inputs: Any, out: Any = None, format: Any = None) -> Any:
    jobs, _ = plan(inputs, out, "monet", format)
    return {str(job.photo or "-"): str(job.target or "-") for job in jobs}


def test_files_folders_and_patterns(folder: Any) -> None:
    assert pairs(["one.jpg"], "x.png") == {"one.jpg": "x.png"}
    assert pairs(["one.jpg"], "there") == pairs(["one.jpg"], "there/") == {"one.jpg": "there/one.jpg"}
    assert pairs(["one.jpg"], "new/") == {"one.jpg": "new/one.jpg"}
    assert pairs(["one.jpg"]) == {"one.jpg": "one-monet.jpg"}
    assert pairs(["in"], "out") == {"in/a.jpg": "out/a.jpg", "in/b.gif": "out/b.png", "in/sub/c.png": "out/sub/c.png"}
    assert pairs(["*.jpg"], "out", "webp") == {"one.jpg": "out/one.webp", "two.jpg": "out/two.webp"}
    assert pairs(["in/**/*.png"], "out") == {"in/sub/c.png": "out/c.png"}
    assert pairs(["-"]) == pairs(["-"], "-") == {"-": "-"}
    assert pairs(["one.jpg"], "-") == {"one.jpg": "-"}
    assert pairs(["one.jpg", "in/../one.jpg", "./one.jpg"], "there") == {"one.jpg": "there/one.jpg"}  # named thrice


def test_photos_of_one_stem_that_would_become_one_file_keep_their_whole_names(folder: Any) -> None:
    for name in ("x.gif", "x.png", "y.avif", "y.heic", "z.jpg", "z.png"):
        (folder / "there" / name).write_bytes(b"?")
    expected = {
        "there/x.gif": "out/x.gif.png",
        "there/x.png": "out/x.png",
        "there/y.avif": "out/y.avif.png",
        "there/y.heic": "out/y.heic.png",
        "there/z.jpg": "out/z.jpg",
        "there/z.png": "out/z.png",
    }
    assert pairs(["there"], "out") == expected
    assert pairs(["there/x.gif", "there/x.png"]) == {
        "there/x.gif": "there/x.gif-monet.png",
        "there/x.png": "there/x-monet.png",
    }
    assert pairs(["there/z.jpg", "there/z.png"], "out", "jpg") == {
        "there/z.jpg": "out/z.jpg",
        "there/z.png": "out/z.png.jpg",
    }


def test_what_fills_a_folder_is_a_batch(folder: Any) -> None:
    assert plan(["one.jpg"], "x.png", "m") == ([Job(Path("one.jpg"), Path("x.png"))], False)
    assert plan(["one.jpg", "two.jpg"], "out", "m")[1]
    assert plan(["in"], "out", "m")[1]
    assert not plan(["one.jpg"], "there", "m")[1]


@pytest.mark.parametrize(
    ("kind", "sentence", "inputs", "out", "format"),
    [
        (UsageError, "one file x.png", ["one.jpg", "two.jpg"], "x.png", None),
        (UsageError, "one file one.jpg", ["in"], "one.jpg", None),
        (UsageError, "refusing to replace the photo", ["one.jpg"], "one.jpg", None),
        (UsageError, "both become there/one.jpg", ["one.jpg", "other/one.jpg"], "there", None),
        (UsageError, "has no name; name a file in there", ["-"], "there", None),
        (UsageError, "a name is empty", [""], "x.png", None),
        (OutputError, "two.jpg is not a folder", ["one.jpg"], "two.jpg/x.png", None),
        (UsageError, "give - alone", ["-", "one.jpg"], "there", None),
        (UsageError, "standard output", ["one.jpg", "two.jpg"], "-", None),
        (UsageError, "disagree", ["one.jpg"], "x.png", "jpg"),
        (InputError, "no picture lies in", ["there"], "out", None),
        (InputError, "no file matches", ["*.bmp"], "out", None),
        (OutputError, "must end in one of .jpg", ["one.jpg"], "x", None),
        (OutputError, "folder gone does not exist", ["one.jpg"], "gone/x.png", None),
        (OutputError, "folder gone does not exist", ["in"], "gone/out", None),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(
    folder: Any, kind: Any, sentence: str, inputs: list[str], out: str, format: str | None
) -> None:
    with pytest.raises(SfumatoError, match=sentence) as caught:
        plan(inputs, out, "monet", format)
    assert type(caught.value) is kind


@pytest.mark.parametrize("name", ["x.jpg", "x.jpeg", "x.JPG"])
def test_a_format_and_a_name_that_agree(folder: Any, name: str) -> None:
    assert pairs(["one.jpg"], name, "jpg") == {"one.jpg": name}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_a_folder_that_may_not_be_entered_is_said_to_be_so(tmp_path: Path) -> None:
    folder = tmp_path / "secret"
    folder.mkdir(mode=0o700)
    root = Path(tempfile.gettempdir())
    for parent in (tmp_path, *tmp_path.parents):  # one more of them where pytest runs in several processes
        if root in parent.parents:
            parent.chmod(0o755)
    before = os.getresuid()
    os.setresuid(12345, 12345, before[0])  # `os.access` asks for the real user
    try:
        with pytest.raises(InputError, match="access is denied; check its permissions"):
            expand(str(folder))
    finally:
        os.setresuid(*before)
