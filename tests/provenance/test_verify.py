"""What ``sfumato verify`` says, and its exit codes."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from sealing import INGREDIENT, painted, plain_bytes, with_changed_pixels, with_changed_text
from sfumato.provenance import credentials
from sfumato.provenance.keys import Keys
from sfumato.provenance.seal import Seal
from support import assert_one_sentence, run
from video_clips import write_clip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_PROVENANCE", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def signed(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    Seal.open().write_photo(painted(), path)
    return path


def test_a_sealed_picture(signed: Path) -> None:
    told = run("verify", signed)
    assert told.exit_code == 0
    assert "Content credentials: valid; the file has not changed since it was signed." in told.stdout
    assert "a certificate that you trust" in told.stdout
    assert "from Haystack at Giverny by Claude Monet" in told.stdout
    assert "settings: model base-3, strength 0.75" in told.stdout
    assert "Log: exactly this file was sealed on " in told.stdout
    assert "The log itself: 1 line, which fits the stored end." in told.stdout
    Seal.open().seal_photo(painted(1), "png")
    assert "The log itself: 2 lines, which fit each other and the stored end." in run("verify", signed).stdout


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("pixels", "NOT VALID: the pixels or the metadata were changed after signing"),
        ("ingredient", "NOT VALID: what they say about a source was changed after signing"),
        ("manifest", "NOT VALID: "),
    ],
)
def test_changes(what: str, words: str, signed: Path) -> None:
    content = signed.read_bytes()
    if what == "pixels":
        changed = with_changed_pixels(content, plain_bytes(painted(), "jpg"))
    else:
        changed = with_changed_text(content, INGREDIENT if what == "ingredient" else b"org.sfumato.seal")
    signed.write_bytes(changed)
    told = run("verify", signed)
    assert told.exit_code == 8
    assert words in told.stdout
    assert "Nothing that they say can be relied on." in told.stdout


def test_a_changed_recipe_is_not_a_changed_pixel(signed: Path) -> None:
    content = signed.read_bytes()
    signed.write_bytes(
        content.replace(b"&quot;seed&quot;: 3", b"&quot;seed&quot;: 4").replace(b'"seed":3', b'"seed":4')
    )
    assert signed.read_bytes() != content
    told = run("verify", signed)
    assert told.exit_code == 8
    assert "the pixels or the metadata were changed" in told.stdout
    assert "Log: these pixels were sealed on " in told.stdout


def test_stripped_pixels_are_found_in_the_log(folder: Path, tmp_path: Path) -> None:
    Seal.open().write_photo(painted(), tmp_path / "a.png")
    Image.open(tmp_path / "a.png").save(tmp_path / "b.png")
    told = run("verify", tmp_path / "b.png")
    assert told.exit_code == 0
    assert "Content credentials: none. That says nothing" in told.stdout
    assert "Log: these pixels were sealed on " in told.stdout


def test_a_picture_that_was_saved_again_is_found_by_its_mark(folder: Path, tmp_path: Path) -> None:
    Seal.open().write_photo(painted(1, 224, 256), tmp_path / "a.png")
    Image.open(tmp_path / "a.png").convert("RGB").save(tmp_path / "b.jpg", quality=75)
    told = run("verify", tmp_path / "b.jpg")
    assert told.exit_code == 0
    assert "Invisible mark: found, with the id " in told.stdout
    assert "Log: a picture with this id was sealed on " in told.stdout
    assert "; this may be a changed copy of it, or the id was copied onto another picture." in told.stdout
    marked = json.loads(run("verify", tmp_path / "b.jpg", "--json").stdout.splitlines()[0])
    assert marked["mark"]["id"] == marked["log"]["id"]


def test_an_id_counts_only_in_trusted_credentials(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = Seal.open()
    first, _ = seal.seal_photo(painted(), "png"), seal.seal_photo(painted(), "jpg")
    copied, plain = credentials.Statement({"id": first.id}), plain_bytes(painted(5), "png")
    others = Keys.open(tmp_path / "other")
    for name, keys in (("forged.png", others), ("own.png", seal.keys)):
        with (tmp_path / name).open("w+b") as out:
            credentials.sign(io.BytesIO(plain), out, copied, keys)
    assert "Log: it has no line on this file." in run("verify", tmp_path / "forged.png").stdout
    assert "Log: a picture with this id was sealed on " in run("verify", tmp_path / "own.png").stdout
    found = json.loads(run("verify", tmp_path / "own.png", "--json").stdout.splitlines()[0])
    assert found["log"]["file"] == hashlib.sha256(first.content).hexdigest()


def test_a_mark_of_somebody_else_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Keys.open()
    monkeypatch.setenv("SFUMATO_PROVENANCE", str(tmp_path / "other"))
    Seal.open().write_photo(painted(1, 224, 256), tmp_path / "a.png")
    monkeypatch.setenv("SFUMATO_PROVENANCE", str(folder))
    told = run("verify", tmp_path / "a.png")
    assert told.exit_code == 0
    assert "Log: it has no line with the id of the mark.\n" in told.stdout


def test_unknown_signers_are_not_trusted(signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "own" / "keys" / "anchors.pem"
    monkeypatch.setenv("SFUMATO_PROVENANCE", str(tmp_path / "other"))
    told = run("verify", signed)
    assert told.exit_code == 0
    assert "a certificate that you do not trust: anybody can make one with any name." in told.stdout
    assert "Log: there is none here that can be read." in told.stdout
    assert "a certificate that you trust" in run("verify", signed, "--trust", root).stdout
    assert not (tmp_path / "other").exists()
    assert_one_sentence(run("verify", signed, "--trust", signed), 3, "holds no certificate in PEM")


def test_a_folder_with_much_in_it(signed: Path, tmp_path: Path) -> None:
    below = tmp_path / "pictures"
    below.mkdir()
    (below / "plain.png").write_bytes(plain_bytes(painted(1), "png"))
    (below / "note.txt").write_text("no picture")
    write_clip(below / "clip.webm", codec="libvpx-vp9", times=range(3))
    Seal.open().write_photo(painted(2), below / "good.webp")
    content = signed.read_bytes()
    (below / "bad.jpg").write_bytes(with_changed_text(content, INGREDIENT))
    told = run("verify", below, "--json")
    assert told.exit_code == 8
    *rows, log = [json.loads(line) for line in told.stdout.splitlines()]
    states = {Path(row["path"]).name: (row["credentials"] or {}).get("state") for row in rows}
    assert states == {"bad.jpg": "invalid", "clip.webm": None, "good.webp": "trusted", "plain.png": None}
    assert log == {"log": {"lines": 2, "problems": [], "unfinished_line": False}}
    words = run("verify", below).stdout.splitlines()[-1]
    assert words == f"4 files: 1 with valid credentials, 2 without, 1 NOT VALID ({below / 'bad.jpg'})."
    words = run("verify", below / "good.webp", below / "none.png").stdout.splitlines()[-1]
    assert words == "2 files: 1 with valid credentials, 0 without, 0 NOT VALID, 1 that cannot be read."
    assert "this format cannot hold them" in run("verify", below / "clip.webm").stdout
    (below / "bad.jpg").unlink()
    assert run("verify", below).exit_code == 0


def test_a_store_of_another_user_is_read_without_its_keys_and_not_written(signed: Path, folder: Path) -> None:
    for name in ("signer.pem", "log.pem", "anchors.pem", ".lock", "log.lock"):
        (folder / "keys" / name).unlink()
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
    for path in before:
        path.chmod(0o500 if path.is_dir() else 0o400)
    told = run("verify", signed)
    assert told.exit_code == 0
    assert "Log: exactly this file was sealed on " in told.stdout
    assert "The log itself: 1 line, which fits the stored end." in told.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before
    for path in before:
        path.chmod(0o700)
    (folder / "log-key.pem").unlink()
    assert_one_sentence(run("verify", signed), 3, "log-key.pem, is missing")
    (folder / "log-key.pem").write_text("nothing")
    assert_one_sentence(run("verify", signed), 3, "holds no public key")


def test_an_unfinished_line_of_the_log_is_a_remark(signed: Path, folder: Path) -> None:
    with (folder / "log.jsonl").open("ab") as file:
        file.write(b'{"file":"ab')
    told = run("verify", signed)
    assert told.exit_code == 0
    assert "Log: exactly this file was sealed on " in told.stdout
    assert "fits the stored end. An unfinished line follows, as a loss of power" in told.stdout
    (folder / "log.jsonl").write_bytes((folder / "log.jsonl").read_bytes()[:100])  # not behind the stored end
    told = run("verify", signed)
    assert told.exit_code == 8
    assert "lines are missing at the end" in told.stdout


def test_a_changed_log_is_told(signed: Path, folder: Path) -> None:
    log = folder / "log.jsonl"
    log.write_text(log.read_text().replace('"n":0', '"n":1'))
    told = run("verify", signed)
    assert told.exit_code == 8
    assert "The log itself is NOT VALID: line 1 was changed: its signature does not fit" in told.stdout
    assert "Log: it has no line on this file." in told.stdout


def test_a_log_that_was_deleted_with_its_end_is_only_empty(signed: Path, folder: Path) -> None:
    (folder / "keys" / "head.json").unlink()
    assert "The log itself: 1 line, but its end is not stored" in run("verify", signed).stdout
    (folder / "log.jsonl").unlink()
    told = run("verify", signed)
    assert told.exit_code == 0
    assert told.stdout.splitlines()[-1] == "The log is empty."


def test_bad_input_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    assert_one_sentence(run("verify", tmp_path / "none.png"), 3, "does not exist")
    (tmp_path / "empty").mkdir()
    assert_one_sentence(run("verify", tmp_path / "empty"), 3, "no picture and no video lies in the folder")
    assert not folder.exists()
    Keys.open()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    told = run("verify", tmp_path / "broken.png")
    assert "Traceback" not in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.bmp", b"BM" + bytes(40)), ("a.png", b"no picture"), ("a.gif", b"GIF89a"), ("a.mp4", b"no video")],
)
def test_a_file_that_cannot_be_decoded_is_not_valid(name: str, content: bytes, folder: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    told = run("verify", tmp_path / name)
    assert told.exit_code == 8
    assert "not a picture that can be read, nor a video" in told.stdout or "the credentials are damaged" in told.stdout
    assert "Invisible mark: not searched for; the file could not be read as a picture." in told.stdout
    assert "this format cannot hold them" not in told.stdout
    assert json.loads(run("verify", tmp_path / name, "--json").stdout.splitlines()[0])["valid"] is False


def test_a_picture_of_a_format_without_credentials_is_valid(folder: Path, tmp_path: Path) -> None:
    Image.open(io.BytesIO(plain_bytes(painted(), "png"))).convert("RGB").save(tmp_path / "a.bmp")
    told = run("verify", tmp_path / "a.bmp")
    assert told.exit_code == 0
    assert "this format cannot hold them" in told.stdout
    assert "Invisible mark: none found" in told.stdout


def test_hostile_texts_are_shown_harmlessly(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Seal.open().write_photo(painted(quality="\x1b[31mred\n" + "x" * 5000), path)
    told = run("verify", path)
    assert told.exit_code == 0
    assert "\x1b" not in told.stdout
    assert max(map(len, told.stdout.splitlines())) < 1000


@pytest.mark.parametrize(
    "words", [("keys",), ("verify", "a.png"), ("stylize", "a.png", "--style", "monet", "--provenance")]
)
def test_without_the_extra(words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert_one_sentence(run(*words), 2, "Provenance needs the extra 'provenance', which is not installed")
    assert not folder.exists()
