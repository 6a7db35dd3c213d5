"""Studio seals its results, unless it is told not to."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sealing import painted, read_whole_log
from sfumato.image import photo_digest, read_recipe
from sfumato.provenance import credentials
from sfumato.provenance.keys import Keys
from sfumato.provenance.seal import Seal
from sfumato.studio.work import KINDS, Inputs, Made, Stored, warm
from sfumato.studio.work.sealing import NOT_SEALED, GentleSeal
from support import assert_one_sentence, run
from video_clips import write_clip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SFUMATO_PROVENANCE", str(tmp_path / "provenance"))
    monkeypatch.setattr(warm._Held, "seal", None)
    warm.set_seals(True)
    yield tmp_path / "provenance"
    warm.set_seals(False)


def stored(path: Path, recipe: dict[str, Any] | None = None) -> Stored:
    digest = photo_digest(path)
    return Stored("id", path, None, digest, None, "A title", recipe, None)


def do(kind: str, asked: dict[str, Any], source: Stored, folder: Path) -> Made:
    folder.mkdir(exist_ok=True)
    inputs = Inputs(folder / "personal", {"id": source}, parts=folder / "parts")
    return KINDS[kind](asked, inputs, folder, lambda *_: None)[1][0]


def found(path: Path) -> credentials.Credentials | None:
    with path.open("rb") as file:
        return credentials.read(file, "")


def logged(folder: Path) -> list[str]:
    return [entry.file for entry in read_whole_log(folder)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


STYLES = [{"style": "monet"}]


def test_paintings_and_finished_pictures(photo: Path, folder: Path, tmp_path: Path) -> None:
    source = stored(photo)
    made = do("paint", {"photo": "id", "styles": STYLES, "options": {"quality": "draft"}}, source, tmp_path / "a")
    first = found(made.file)
    assert first is not None
    assert first.state == "valid"
    assert [each.sha256 for each in first.ingredients if each.relationship == "parentOf"] == [source.sha256]
    again = do("finish", {"picture": "id", "contrast": 0.3}, stored(made.file, read_recipe(made.file)), tmp_path / "b")
    second = found(again.file)
    assert second is not None
    assert [each.sha256 for each in second.ingredients if each.relationship == "parentOf"] == [sha256(made.file)]
    assert logged(folder) == [sha256(made.file), sha256(again.file)]


def test_previews_are_not_sealed(photo: Path, folder: Path, tmp_path: Path) -> None:
    asked = {"photo": "id", "styles": STYLES, "options": {}, "preview": True}
    assert found(do("paint", asked, stored(photo), tmp_path / "a").file) is None
    assert not folder.exists()


def test_videos_have_a_line_in_the_log(folder: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", times=range(4))
    asked = {"video": "id", "styles": STYLES, "options": {}, "steady": 0, "start": 0, "end": None, "max_size": 0}
    made = do("video", asked, stored(clip), tmp_path / "a")
    assert logged(folder) == [sha256(made.file)]


def test_not_if_told_so(photo: Path, folder: Path, tmp_path: Path) -> None:
    warm.set_seals(False)
    asked = {"photo": "id", "styles": STYLES, "options": {"quality": "draft"}}
    assert found(do("paint", asked, stored(photo), tmp_path / "a").file) is None
    assert not folder.exists()


def test_what_is_painted_is_kept_where_the_log_cannot_be_written(
    photo: Path, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys.open()
    (folder / "log.jsonl").mkdir()
    inputs = Inputs(tmp_path / "personal", {"id": stored(photo)}, parts=tmp_path)
    asked = {"photo": "id", "styles": STYLES, "options": {"quality": "draft"}}
    result, [made] = KINDS["paint"](asked, inputs, tmp_path, lambda *_: None)
    assert result["remarks"] == [NOT_SEALED]
    assert read_recipe(made.file) is not None
    assert found(made.file) is None
    assert f"a result is not sealed: cannot write {folder / 'log.jsonl'}" in caplog.text
    video, out = io.BytesIO(b"a video"), io.BytesIO()
    assert GentleSeal(keys).seal_video(video, out, {}, photo) == (NOT_SEALED,)
    assert out.getvalue() == b"a video"


def test_a_damaged_log_stops_it_at_its_start(folder: Path, tmp_path: Path) -> None:
    Seal.open().seal_photo(painted(), "png")
    (folder / "log.jsonl").unlink()
    told = run("studio", "--data", tmp_path / "studio", "--no-browser")
    assert_one_sentence(told, 2, "results cannot be sealed: ")
    assert "or add --no-provenance" in told.stderr


def test_without_keys_studio_starts_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SFUMATO_PROVENANCE", str(tmp_path / "file" / "provenance"))
    command = ["studio", "--data", str(tmp_path / "studio"), "--no-browser", "--port", "0", "--workers", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "sfumato", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert first.startswith("Studio: http://127.0.0.1:"), said
    assert [line for line in said.splitlines() if "seal" in line] == [said.splitlines()[0]]
    assert said.startswith("results are not sealed: ")


@pytest.mark.parametrize("harm", ["made", "read"])
def test_without_keys_jobs_paint_unsealed(
    harm: str,
    photo: Path,
    folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if harm == "made":
        folder.write_bytes(b"")
    else:
        Keys.open()
        (folder / "keys" / "signer.pem").write_bytes(b"damaged")
    asked = {"photo": "id", "styles": STYLES, "options": {"quality": "draft"}}
    for name in ("a", "b"):
        made = do("paint", asked, stored(photo), tmp_path / name)
        assert found(made.file) is None
        assert made.remarks == (NOT_SEALED,)
    assert [record.message[:24] for record in caplog.records if "sealed" in record.message] == [
        "results are not sealed: "
    ]
