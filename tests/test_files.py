from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import OutputError
from sfumato.files import atomic_file, digest, read_bytes, read_json


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.bin"
    with atomic_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["file.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"half of the new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_the_file_has_the_rights_that_new_files_have(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a") as file:
        file.write(b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_a_name_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with atomic_file(path) as file:
        file.write(b"x")
    assert path.read_bytes() == b"x"


def test_what_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="a folder has that name"), atomic_file(tmp_path):
        pytest.fail("the block must not run")
    (tmp_path / "file").write_bytes(b"x")  # type: ignore[unreachable]
    with pytest.raises(OutputError, match="cannot write"), atomic_file(tmp_path / "file" / "below"):
        pytest.fail("the block must not run")
    assert os.listdir(tmp_path) == ["file"]


READERS = pytest.mark.parametrize("read", [read_bytes, digest, read_json])


def in_time(work: Callable[[], Any], seconds: float = 10) -> Any:
    """What `work` gives or raises; the test fails where that takes longer."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as problem:
            found.append(problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it still reads"
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def test_a_file_is_read_and_hashed_up_to_the_most_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = json.dumps([1.5, "x" * 3_000_000]).encode()
    path.write_bytes(content)
    assert read_bytes(path, len(content)) == content
    assert digest(path, len(content)) == hashlib.sha256(content).hexdigest()
    assert read_json(path, len(content)) == json.loads(content)
    for read in (read_bytes, digest, read_json):
        with pytest.raises(OSError, match="more than 3 MB"):
            read(path, len(content) - 1)
    (tmp_path / "empty").touch()
    assert read_bytes(tmp_path / "empty", 0) == b""


@READERS
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path, read: Callable[[Path, int], Any]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "zero", "link"):
        with pytest.raises(OSError, match="not a regular file") as caught:
            in_time(lambda name=name: read(tmp_path / name, 100))  # type: ignore[misc]
        assert caught.value.strerror == "it is not a regular file"
    with pytest.raises(IsADirectoryError):
        read(tmp_path, 100)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent", 100)


@READERS
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, read: Callable[[Path, int], Any]) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 60 << 30)
    with pytest.raises(OSError, match="more than 100 bytes"):
        in_time(lambda: read(path, 100))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs files that have no size")
def test_a_file_without_a_size_is_read_up_to_the_most_bytes() -> None:
    assert os.stat("/proc/self/status").st_size == 0
    assert b"Name:" in read_bytes("/proc/self/status", 100_000)
    for read in (read_bytes, digest):
        with pytest.raises(OSError, match="more than 10 bytes"):
            read("/proc/self/status", 10)


@pytest.mark.parametrize(
    "text",
    ["{", "[NaN]", "[-Infinity]", "[1e400]", "[" * 200_000 + "]" * 200_000, '{"a":' * 100_000, "9" * 5000, b"\xff\xff"],
    ids=["open", "nan", "infinity", "large", "deep", "deep-open", "digits", "bytes"],
)
def test_what_is_no_json_is_a_value_error(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "file").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"\S"):
        read_json(tmp_path / "file")


def test_json_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"größe": [1, 2.5, null]}', encoding="utf-8-sig")
    assert read_json(tmp_path / "file") == {"größe": [1, 2.5, None]}
