"""Stores of what is private can be read by their owner only, also where new files are readable for everybody."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from running_studio import Running
from support import run, save_scenes, save_works

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """The files and folders of a store, itself included, that others than the owner may read, write or enter."""
    paths = [folder, *folder.rglob("*")]
    assert len(paths) > 1
    return [
        f"{stat.S_IMODE(path.stat().st_mode):o} {path}"
        for path in paths
        if not path.is_symlink() and path.stat().st_mode & 0o077
    ]


def test_the_umask_is_one_under_which_a_file_is_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "a").chmod(0o644)
    assert open_to_others(tmp_path)


def test_personal_styles_and_own_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_DATA_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("SFUMATO_PERSONAL", "SFUMATO_STYLES"):
        monkeypatch.delenv(name, raising=False)
    works = save_works(tmp_path / "liked", 0, 2)
    assert run("personal", "new", "anna", "--like", works[0], "--copy").exit_code == 0
    assert run("personal", "add", "anna", "--like", works[1], "--copy").exit_code == 0
    assert run("personal", "export", "anna", "-o", tmp_path / "a.sfumato", "--private").exit_code == 0
    assert run("personal", "import", tmp_path / "a.sfumato", "--name", "friend").exit_code == 0
    assert run("styles", "add", "garden", works[0]).exit_code == 0
    stores = [path for path in (tmp_path / "home").rglob("*") if path.name in ("personal", "styles")]
    assert len(stores) == 2
    for store in stores:
        left = open_to_others(store)
        # Own styles are files of the user's umask in a folder that nobody else may enter.
        assert [line for line in left if not line.endswith(".safetensors") or "/personal/" in line] == []


def test_keys_and_log_of_seals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("c2pa")
    from sealing import painted
    from sfumato.provenance.seal import Seal

    monkeypatch.setenv("SFUMATO_PROVENANCE", str(tmp_path / "provenance"))
    Seal.open().write_photo(painted(), tmp_path / "a.png")
    assert open_to_others(tmp_path / "provenance") == []


def test_studio(tmp_path: Path) -> None:
    import httpx2

    data = tmp_path / "data"
    data.mkdir(0o755)  # as people make it
    save_scenes(tmp_path / "photos", 1, 0)
    running = Running(data)
    try:
        with httpx2.Client(base_url=f"{running.url}/api/v1", headers=running.log_in()) as http:
            content = (tmp_path / "photos" / "0.png").read_bytes()
            sent = http.post("/pictures", files={"file": ("0.png", content)}, data={"kind": "photo"})
            assert sent.status_code == 201, sent.text
            learnt = http.post("/jobs", json={"kind": "learn", "taste": "me", "liked": [sent.json()["id"]]})
            assert learnt.status_code in (200, 201, 202), learnt.text
            while http.get(f"/jobs/{learnt.json()['id']}").json()["state"] not in ("done", "failed"):
                time.sleep(0.1)
        while any((data / "work").iterdir()):  # the worker deletes its folder after the job has ended
            time.sleep(0.1)
        assert list(data.rglob("record.json"))
        assert open_to_others(data) == []
    finally:
        running.stop()
    assert open_to_others(data) == []


def test_frames_of_a_video_that_is_being_painted(tmp_path: Path) -> None:
    from sfumato.video.parts import claimed

    with claimed(tmp_path / "out.mp4") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
