"""The store of files: whole or not at all, once for each content, in a folder and at a URL."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sfumato.errors import InputError, OutputError
from sfumato.studio.files import FileStore
from support import files as listed

ANNA, BEN = "a" * 32, "b" * 32


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files" if request.param == "folder" else f"memory://{tmp_path.name}")


def test_a_file_is_named_by_its_content_and_stored_once(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"pixels")
    sha256 = store.put(ANNA, tmp_path / "one")
    assert sha256 == store.put(ANNA, b"pixels") == hashlib.sha256(b"pixels").hexdigest()
    assert store.read(ANNA, sha256) == b"pixels"
    assert list(store.names(ANNA)) == [sha256]
    assert not store.exists(BEN, sha256)
    with store.open(ANNA, sha256) as file:
        assert file.read(3) == b"pix"


def test_a_file_on_this_machine(store: FileStore, tmp_path: Path) -> None:
    """A painter reads paths: the store's own, or a copy of what lies at a URL."""
    (tmp_path / "small").write_bytes(b"few")
    sha256 = store.put(ANNA, b"pixels", tmp_path / "small")
    plain = store.put(ANNA, b"others")
    assert store.fetch(ANNA, sha256, tmp_path).read_bytes() == b"pixels"
    small = store.fetch_small(ANNA, sha256, tmp_path)
    assert small is not None
    assert small.read_bytes() == b"few"
    assert store.fetch_small(ANNA, plain, tmp_path) is None
    own = store.path(ANNA, sha256)
    assert own is None or own.read_bytes() == b"pixels"


def test_deleted_files_are_gone(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"few")
    sha256, other = store.put(ANNA, b"pixels", tmp_path / "small"), store.put(BEN, b"pixels")
    store.delete(ANNA, sha256)
    store.delete(ANNA, sha256)  # nothing is left to do
    assert list(store.names(ANNA)) == []
    assert store.fetch_small(ANNA, sha256, tmp_path) is None
    with pytest.raises(InputError, match=r"it is gone|No such file"):
        store.read(ANNA, sha256)
    assert store.read(BEN, other) == b"pixels"
    store.delete_account(BEN)
    store.delete_account(BEN)
    assert list(store.names(BEN)) == []
    assert BEN not in store.accounts()


def test_only_ids_and_hashes_are_names(store: FileStore) -> None:
    for account, sha256 in (("../" + ANNA, "0" * 64), (ANNA, "../../etc/passwd"), ("", "0" * 64), (ANNA, "A" * 64)):
        with pytest.raises(ValueError, match="must be"):
            store.path(account, sha256)
        with pytest.raises(ValueError, match="must be"):
            store.open(account, sha256)


def test_files_are_private_and_leave_nothing_beside_them(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "files")
    sha256 = store.put(ANNA, b"pixels")
    path = store.path(ANNA, sha256)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    assert listed(tmp_path) == [f"files/{ANNA}/{sha256[:2]}/{sha256}"]
    store.check()
    assert listed(tmp_path) == [f"files/{ANNA}/{sha256[:2]}/{sha256}"]


def test_young_files_are_left_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    old, new = store.put(ANNA, b"old"), store.put(ANNA, b"new")
    path = store.path(ANNA, old)
    assert path is not None
    os.utime(path, (0, 0))
    assert list(store.names(ANNA, older_than=60)) == [old]
    assert sorted(store.names(ANNA)) == sorted([old, new])
    store.put(ANNA, b"old")  # again: it may belong to an upload that is about to end
    assert list(store.names(ANNA, older_than=60)) == []


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = FileStore(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        store.put(ANNA, b"pixels")
    with pytest.raises(OutputError, match="cannot write"):
        store.check()
    with pytest.raises(OutputError, match="check its URL"):
        FileStore("nothing-of-this-name://bucket")


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from sfumato.errors import OutputError\n"
        "from sfumato.studio.files import FileStore\n"
        "store = FileStore(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: store.put('a' * 32, bytes(100_000))\n"
        "except OutputError as problem: print(problem)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.startswith("cannot write ")
    assert listed(tmp_path) == []
