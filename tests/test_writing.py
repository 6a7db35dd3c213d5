"""Files and folders that appear whole or not at all, beside others that write, and after processes that were killed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import OutputError
from sfumato.files import _exchange, _swept, atomic_file, new_directory
from sfumato.locks import locked


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    for mode in (0o600, 0o664, 0o444):
        path = tmp_path / oct(mode)
        path.write_bytes(b"old")
        path.chmod(mode)
        with atomic_file(path) as file:
            file.write(b"new")
            (temporary,) = tmp_path.glob(".sfumato-*.tmp")
            assert stat.S_IMODE(temporary.stat().st_mode) & ~mode == 0  # at no moment can more people read it
        assert path.read_bytes() == b"new"
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_that_is_not_to_be_replaced_stays_also_if_it_appears_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"

    def write() -> None:
        with atomic_file(path, overwrite=False) as file:
            file.write(b"mine")
            path.write_bytes(b"another's")

    with pytest.raises(OutputError, match="already exists; add --overwrite"):
        write()
    assert path.read_bytes() == b"another's"
    path.unlink()
    with atomic_file(path, overwrite=False) as file:
        file.write(b"mine")
    assert path.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_disk_without_links_replaces_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")  # as FAT does

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "file.bin"
    with atomic_file(path, overwrite=False) as file:
        file.write(b"first")
    with pytest.raises(OutputError, match="already exists"), atomic_file(path, overwrite=False) as file:
        file.write(b"second")
    assert path.read_bytes() == b"first"


# ---- what killed processes leave -------------------------------------------------------------------------------------

HANGING = """
import sys
from pathlib import Path
from sfumato.files import atomic_file, new_directory
from sfumato.locks import locked
with globals()[sys.argv[1]](Path(sys.argv[2])):
    print("ready", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def hanging(what: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is in the middle of writing, or holds a lock."""
    words = [sys.executable, "-c", HANGING, what, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("what", ["atomic_file", "new_directory"])
def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path, what: str) -> None:
    theirs = tmp_path / ".sfumato-theirs.tmp"
    theirs.write_bytes(b"a person's")
    with hanging(what, tmp_path / "one") as dying, hanging(what, tmp_path / "two") as living:
        assert len(list(tmp_path.iterdir())) == 3
        dying.kill()
        dying.wait()
        _swept.clear()  # as in a new process
        with atomic_file(tmp_path / "three") as file:
            file.write(b"whole")
        assert len(list(tmp_path.glob(".sfumato-*.tmp"))) == 2
        living.communicate("\n")
        assert living.returncode == 0
    assert sorted(os.listdir(tmp_path)) == [".sfumato-theirs.tmp", "three", "two"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_lock_is_held_for_as_long_as_its_process_lives(tmp_path: Path) -> None:
    path, told = tmp_path / ".lock", []
    with hanging("locked", path) as process:
        with pytest.raises(BlockingIOError), locked(path):
            pytest.fail("it is held")

        def waiting() -> None:  # type: ignore[unreachable]
            told.append(time.monotonic() - began)
            process.kill()

        began = time.monotonic()
        with locked(path, waiting):
            pass
    assert len(told) == 1
    assert told[0] >= 1


# ---- directories -----------------------------------------------------------------------------------------------------


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "run"
    with new_directory(target) as folder:
        (folder / "a").write_text("1")
        assert folder.parent == target.parent  # the same file system: a rename and no copy
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    assert [p.name for p in target.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt])
def test_a_directory_that_fails_is_not_there_and_what_was_there_is(tmp_path: Path, problem: Any) -> None:
    target = tmp_path / "run"
    target.mkdir()
    (target / "a").write_text("old")

    def fail() -> None:
        with new_directory(target) as folder:
            (folder / "a").write_text("new")
            raise problem

    with pytest.raises(problem):
        fail()
    assert (target / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_directory_replaces_an_older_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    (target / "old").write_text("")
    with new_directory(target) as folder:
        (folder / "new").write_text("")
    assert [p.name for p in target.iterdir()] == ["new"]


def test_a_directory_that_appears_meanwhile_is_not_replaced_where_that_is_not_wanted(tmp_path: Path) -> None:
    target = tmp_path / "run"

    def write() -> None:
        with new_directory(target, overwrite=False) as folder:
            (folder / "mine").write_text("")
            target.mkdir()
            (target / "another's").write_text("")

    with pytest.raises(OutputError, match="already exists"):
        write()
    assert os.listdir(target) == ["another's"]
    assert os.listdir(tmp_path) == ["run"]


def test_a_directory_keeps_its_permissions_and_the_link_that_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("run")
    with new_directory(tmp_path / "link") as folder:
        (folder / "new").write_text("")
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "run") == ["new"]
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert sorted(os.listdir(tmp_path)) == ["link", "run"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged in one step on Linux")
def test_no_moment_is_without_a_directory(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    before = target.stat().st_ino
    with new_directory(target) as folder:
        after = folder.stat().st_ino
        held = os.open(tmp_path, os.O_RDONLY)
        seen: set[int] = set()
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                seen.add(os.stat("run", dir_fd=held).st_ino)  # raises where there is none

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            ends = time.monotonic() + 20
            # There and back, in an even number, until the watcher has had its turns.
            while len(seen) < 2 and time.monotonic() < ends:
                for _ in range(2000):
                    assert _exchange(folder, target)
            stop.set()
            watching.result()
        os.close(held)
    assert seen == {before, after}
    assert target.stat().st_ino == after


def test_without_exchange_a_failing_rename_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.files._exchange", lambda one, other: False)
    target = tmp_path / "run"
    target.mkdir()
    (target / "old").write_text("")

    def write(gone: bool) -> None:
        with new_directory(target) as folder:
            (folder / "new").write_text("")
            if gone:
                monkeypatch.setattr("sfumato.files._sync_all", shutil.rmtree)  # so that there is nothing to rename

    with pytest.raises(OutputError, match="cannot write"):
        write(gone=True)
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["run"]
    monkeypatch.undo()
    monkeypatch.setattr("sfumato.files._exchange", lambda one, other: False)
    write(gone=False)
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["run"]


def test_without_exchange_a_death_between_the_renames_is_mended_by_the_next(tmp_path: Path) -> None:
    aside = tmp_path / ".sfumato-run.old"
    aside.mkdir()
    (aside / "old").write_text("")
    with pytest.raises(ValueError, match="it fails"), new_directory(tmp_path / "run"):
        raise ValueError("it fails")
    assert os.listdir(tmp_path / "run") == ["old"]  # type: ignore[unreachable]
    assert os.listdir(tmp_path) == ["run"]
