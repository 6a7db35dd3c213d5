from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.errors import InputError, UsageError
from sfumato.image import picture_digest, read_image, read_photo, read_recipe
from sfumato.inference.jobs import plan
from sfumato.pipes import is_pipe, read_pipe
from support import run


@pytest.fixture
def pipe(tmp_path: Path) -> Any:
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


def write(pipe: Any, data: Any, before: float = 0.0, between: float = 0.0) -> Any:
    """In a thread, as another process would: half, and the other half."""

    def run() -> None:
        time.sleep(before)
        with open(pipe, "wb", buffering=0) as file:
            for part in (data[: len(data) // 2], data[len(data) // 2 :]):
                time.sleep(between)
                file.write(part)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(("before", "between"), [(0, 0), (0.2, 0), (0, 0.2), (0.1, 0.1)])
def test_what_comes_through_is_read_to_its_end(pipe: Any, before: float, between: float) -> None:
    data = os.urandom(300_001)
    writer = write(pipe, data, before, between)
    assert read_pipe(pipe, 1 << 20) == data
    writer.join()


def test_no_more_is_read_than_may_be(pipe: Any) -> None:
    writer = write(pipe, bytes(1000))
    assert len(read_pipe(pipe, 700)) == 700
    writer.join()


def test_a_pipe_that_nobody_writes_into_is_not_waited_for_for_ever(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    assert read_pipe(pipe, 100, patience=0.3) == b""
    assert time.monotonic() - began < 5
    assert is_pipe(pipe)
    assert not is_pipe(pipe.parent)
    assert not is_pipe(pipe.with_name("none"))
    monkeypatch.setattr(read_pipe, "__defaults__", (0.1,))
    with pytest.raises(InputError, match=r"pipe\.png: it is a pipe, but no data arrived"):
        read_image(pipe)


def test_pictures_come_through_pipes(pipe: Any, photo: Path) -> None:
    for read in (read_image, lambda path: read_photo(path).picture()):
        writer = write(pipe, photo.read_bytes(), 0.05)
        np.testing.assert_array_equal(read(pipe), read_image(photo))
        writer.join()


def test_beside_a_pipe_no_picture_is_written(pipe: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a pipe, and no picture can be written beside it"):
        plan([str(pipe)], None, "monet")
    assert plan([str(pipe)], str(tmp_path / "out.png"), "monet")[0][0].target == tmp_path / "out.png"


def test_the_command_reads_what_shells_name(photo: Path, tmp_path: Path) -> None:
    """`<(...)` as the photo and the style, and /dev/stdin."""
    out = tmp_path / "out.png"
    script = f'cat {photo} | "$@" <(cat {photo}) --style /dev/stdin -o {out}'
    words = ["bash", "-c", script, "_", sys.executable, "-m", "sfumato", "stylize", "--quality", "draft"]
    result = subprocess.run([*words, "--threads", "1"], capture_output=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert read_image(out).shape == (1, 3, 48, 64)


def test_a_named_pipe_is_a_photo_and_a_style(pipe: Any, photo: Path, tmp_path: Path) -> None:
    for words, is_hashed in (((pipe, "--style", "monet"), False), ((photo, "--style", pipe), True)):
        out = tmp_path / f"{is_hashed}.png"
        writer = write(pipe, photo.read_bytes())
        result = run("stylize", *words, "-o", out, "--quality", "draft", "--threads", "1")
        writer.join()
        assert result.exit_code == 0, result.stderr
        assert ("photo_sha256" in read_recipe(out)) == is_hashed


def test_what_hashes_files_leaves_a_pipe_to_its_reader(pipe: Any, photo: Path) -> None:
    """OpenPicture and closed again, it would end who writes into it."""
    writer = write(pipe, photo.read_bytes())
    time.sleep(0.1)  # by now it waits for a reader
    with pytest.raises(InputError, match="not a regular file"):
        picture_digest(pipe)
    time.sleep(0.1)
    np.testing.assert_array_equal(read_image(pipe), read_image(photo))
    writer.join()
