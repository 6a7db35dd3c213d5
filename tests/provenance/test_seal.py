"""Sealing: the commands write sealed files whole or not at all, and the log has a line for each."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batch_work import paint, save_photos
from sealing import painted, plain_bytes, read_whole_log
from sfumato.assets import ledger, picture_path
from sfumato.errors import OutputError
from sfumato.image import Photo, read_photo, read_recipe, reservation, shrink, to_8_bits, write_photo
from sfumato.metadata import Metadata
from sfumato.provenance import credentials, mark
from sfumato.provenance.keys import log_path
from sfumato.provenance.seal import NO_CREDENTIALS, Seal, mark_photo, pixels_digest
from sfumato.video.pipeline import paint_video
from support import assert_one_sentence, files, run
from video_clips import write_clip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_PROVENANCE", str(tmp_path / "provenance"))
    return tmp_path / "provenance"


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff"])
def test_a_reserved_photo_gives_a_reserved_painting(format: str, folder: Path, tmp_path: Path) -> None:
    photo, out = painted(), tmp_path / f"a.{format}"
    Seal.open().write_photo(photo, out)
    assert reservation(out, read_photo(out).metadata) is None
    Seal.open().write_photo(replace(photo, metadata=replace(photo.metadata, reservation="tdm-reservation")), out)
    assert read_photo(out).metadata.reservation == "DataMining"
    assert reservation(out, Metadata()) == "training-mining"
    assert read_photo(out).metadata.recipe == photo.metadata.recipe


def found(path: Path) -> credentials.Credentials | None:
    with path.open("rb") as file:
        return credentials.read(file, "")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff"])
def test_the_three_belong_together(format: str, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / f"a.{format}"
    Seal.open().write_photo(painted(), target)
    [entry] = read_whole_log(folder)
    said = found(target)
    assert said is not None
    assert said.seal is not None
    assert entry.id == said.seal["id"]
    assert entry.file == sha256(target)
    assert entry.pixels == pixels_digest(read_photo(target))


def test_the_same_painting_has_the_same_id(folder: Path) -> None:
    seal = Seal.open()
    ids = [seal.seal_photo(painted(n, strength=s), "png").id for n, s in ((0, 0.5), (0, 0.5), (1, 0.5), (0, 0.6))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert [entry.id for entry in read_whole_log(folder)] == ids


def test_the_mark_has_the_id(folder: Path, tmp_path: Path) -> None:
    photo, target = painted(3, 224, 256), tmp_path / "a.jpg"
    assert Seal.open().write_photo(photo, target) == ()
    written = read_photo(target).pixels
    marked = mark.find(written)  # type: ignore[arg-type]
    assert marked is not None
    assert f"{marked.number:016x}" == read_whole_log(folder)[0].id
    again = read_photo(plain_bytes(photo, "jpg")).pixels
    assert 0 < np.abs(written.astype(int) - again).mean() < 3


def test_the_mark_in_16_bits_keeps_the_lower_bits(folder: Path) -> None:
    photo = painted(4, 224, 256)
    low = np.random.default_rng(0).integers(0, 200, photo.pixels.shape)
    deep = replace(photo, pixels=(photo.pixels.astype(np.uint16) * 256 + low.astype(np.uint16)))
    marked, remarks = mark_photo(deep, "0123456789abcdef")
    assert remarks == ()
    assert marked.pixels.dtype == np.uint16
    found = mark.find(to_8_bits(marked.pixels))
    assert found is not None
    assert found.number == 0x0123456789ABCDEF
    change = marked.pixels.astype(int) - deep.pixels
    inside = (marked.pixels > 0) & (marked.pixels < 65535)
    assert not (change[inside] % 257).any()


def test_small_pictures_have_no_mark_and_a_word_says_so(folder: Path, tmp_path: Path) -> None:
    [remark] = Seal.open().write_photo(painted(), tmp_path / "a.png")
    assert "too small for an invisible mark" in remark
    assert np.array_equal(read_photo(tmp_path / "a.png").pixels, painted().pixels)


def test_16_bits_and_alpha(folder: Path, rng: np.random.Generator, tmp_path: Path) -> None:
    levels = rng.integers(0, 2**16, (40, 50, 3)).astype(np.uint16)
    alpha = rng.integers(0, 2**16, (40, 50)).astype(np.uint16)
    for name in ("a.png", "a.tiff"):
        Seal.open().write_photo(Photo(levels, alpha, Metadata(recipe={"seed": 1})), tmp_path / name)
        again = read_photo(tmp_path / name)
        assert np.array_equal(again.pixels, levels)
        assert again.alpha is not None
        assert np.array_equal(again.alpha, alpha)
        assert pixels_digest(again) == read_whole_log(folder)[-1].pixels


def test_nothing_is_written_where_the_log_cannot_be(folder: Path, tmp_path: Path) -> None:
    seal, target = Seal.open(), tmp_path / "a.png"
    seal.write_photo(painted(), target)
    before = target.read_bytes()
    log_path(seal.keys.folder).unlink()
    with pytest.raises(OutputError, match="lines that were written are missing"):
        seal.write_photo(painted(1), target)
    assert target.read_bytes() == before
    assert files(tmp_path) == ["a.png", *(f"provenance/{name}" for name in files(folder))]
    with pytest.raises(OutputError, match="lines that were written are missing"):
        Seal.open()


def test_an_existing_file_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match="already exists"):
        Seal.open().write_photo(painted(), target, overwrite=False)
    assert target.read_bytes() == b"mine"


def test_stylize_seals_if_told(photo: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    words = ("stylize", photo, "--style", "monet", "--quality", "draft", "-o", out)
    assert run(*words).exit_code == 0
    assert found(out) is None
    assert not folder.exists()
    assert run(*words, "--overwrite", "--provenance").exit_code == 0
    said, recipe = found(out), read_recipe(out)
    assert said is not None
    assert said.state == "valid"
    assert recipe is not None
    assert {"monet"} == set(said.seal["styles"])
    parents = [each.sha256 for each in said.ingredients if each.relationship == "parentOf"]
    assert parents == [sha256(photo)] == [recipe["photo_sha256"]]
    assert read_whole_log(folder)[0].file == sha256(out)
    assert run("show", out).exit_code == 0
    assert run("replay", out, photo, "-o", tmp_path / "again.png").exit_code == 0


def test_a_picture_for_a_stream_is_sealed(folder: Path) -> None:
    stream = io.BytesIO()
    Seal.open().write_photo(painted(), stream, "webp")
    assert credentials.read(stream, "") is not None
    assert read_whole_log(folder)[0].file == hashlib.sha256(stream.getvalue()).hexdigest()


def test_a_sealed_picture_is_explained_as_that_of_its_photo(folder: Path, tmp_path: Path) -> None:
    """Its mark is as large as the difference by which another photo is recognised."""
    photo, out = tmp_path / "photo.jpg", tmp_path / "out.png"
    write_photo(shrink(read_photo(picture_path(ledger()[40])), 600), photo)
    words = ("--style", "great-wave", "--quality", "draft", "-o", out, "--provenance")
    assert run("stylize", photo, *words).exit_code == 0
    assert run("explain", out, "--photo", photo, "-o", tmp_path / "sheet.png").exit_code == 0


def test_finish_and_replay_seal_and_name_the_file_before(folder: Path, tmp_path: Path) -> None:
    photo, before, out = tmp_path / "photo.png", tmp_path / "a.png", tmp_path / "b.png"
    write_photo(replace(painted(0, 192, 192), metadata=Metadata()), photo)
    paint = ("--style", "monet", "--quality", "draft", "--provenance", "-o", before)
    assert run("stylize", photo, *paint).exit_code == 0
    told = run("finish", before, "--warmth", "0.2", "-o", out)
    assert (told.exit_code, "credentials of the original are not in it" in told.stdout) == (0, True)
    assert found(out) is None
    told = run("finish", before, "--warmth", "0.2", "--provenance", "--overwrite", "-o", out)
    assert (told.exit_code, "credentials" in told.stdout) == (0, False)
    assert run("replay", before, photo, "--provenance", "-o", tmp_path / "c.png").exit_code == 0
    for path, source in ((out, before), (tmp_path / "c.png", photo)):
        said = found(path)
        assert said is not None
        assert (said.state, said.ingredients[0].sha256) == ("valid", sha256(source))
    assert [entry.file for entry in read_whole_log(folder)] == [
        sha256(each) for each in (before, out, tmp_path / "c.png")
    ]
    said, marked = found(out), mark.find(read_photo(out).pixels)  # type: ignore[arg-type]
    assert said is not None
    assert said.seal is not None
    assert marked is not None
    assert f"{marked.number:016x}" == said.seal["id"]  # not that of the picture before


def test_a_damaged_log_stops_before_painting(photo: Path, folder: Path, tmp_path: Path) -> None:
    Seal.open().write_photo(painted(), tmp_path / "a.png")
    (folder / "log.jsonl").unlink()
    told = run("stylize", photo, "--style", "monet", "-o", tmp_path / "b.png", "--provenance")
    assert_one_sentence(told, 4, "lines that were written are missing at its end")
    assert not (tmp_path / "b.png").exists()


def test_batch_seals_each_picture(folder: Path, tmp_path: Path) -> None:
    save_photos(tmp_path / "in", 3)
    Seal.open()
    out = tmp_path / "out"
    assert [outcome.status for outcome in paint(tmp_path / "in", out, tmp_path / "report")] == ["painted"] * 3
    outcomes = paint(tmp_path / "in", out, tmp_path / "report", provenance=str(folder))
    assert [outcome.replaced for outcome in outcomes] == [True] * 3, "what was not sealed is painted again"
    assert [outcome.status for outcome in outcomes] == ["painted"] * 3
    assert all(found(path) is not None for path in out.glob("*.png"))
    assert {entry.file for entry in read_whole_log(folder)} == {sha256(path) for path in out.glob("*.png")}
    again = paint(tmp_path / "in", out, tmp_path / "report", provenance=str(folder))
    assert [outcome.status for outcome in again] == ["present"] * 3
    assert len(read_whole_log(folder)) == 3


def test_the_command_batch_seals(folder: Path, tmp_path: Path) -> None:
    save_photos(tmp_path / "in", 2)
    told = run(
        *("batch", tmp_path / "in", tmp_path / "out", "--style", "monet", "--quality", "draft", "--workers", 1),
        "--provenance",
    )
    assert told.exit_code == 0
    assert "2 pictures with a remark, such as: the picture has " in told.stderr
    manifest = (tmp_path / "out" / "batch-report" / "manifest.jsonl").read_text().splitlines()
    assert ["too small for an invisible mark" in json.loads(line)["remarks"][0] for line in manifest] == [True, True]
    assert {entry.file for entry in read_whole_log(folder)} == {
        sha256(path) for path in (tmp_path / "out").glob("*.png")
    }


def test_workers_make_no_keys_of_their_own(folder: Path, tmp_path: Path) -> None:
    save_photos(tmp_path / "in", 1)
    [outcome] = paint(tmp_path / "in", tmp_path / "out", tmp_path / "report", provenance=str(folder))
    assert outcome.status == "failed"
    assert "there are no keys in" in outcome.error
    assert not folder.exists()


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "h264"), (".webm", "vp9")])
def test_videos(suffix: str, codec: str, folder: Path, tmp_path: Path) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", times=range(5)), tmp_path / f"out{suffix}"
    told = run("video", clip, "--style", "monet", "-o", out, "--codec", codec, "--steady", 0, "--provenance")
    assert told.exit_code == 0
    [entry] = read_whole_log(folder)
    assert entry.file == sha256(out)
    assert entry.pixels is None
    said = found(out)
    if suffix == ".mp4":
        assert said is not None
        assert said.state == "valid"
        sources = [(each.title, each.sha256) for each in said.ingredients if each.relationship == "parentOf"]
        assert sources == [("video", sha256(clip))]
    else:
        assert said is None
        assert NO_CREDENTIALS in told.stdout
    assert run("show", out).exit_code == 0
    assert files(tmp_path / f"out{suffix}.parts") == []


def test_a_video_is_written_whole_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    Seal.open().seal_photo(painted(), "png")
    clip, out = write_clip(tmp_path / "clip.mp4", times=range(5)), tmp_path / "out.mp4"
    seal = Seal.open()
    (folder / "log.jsonl").unlink()
    with pytest.raises(OutputError, match="lines that were written are missing"):
        paint_video(clip, out, "monet", steady=0, codec="h264", seal=seal)
    assert not out.exists()


def test_the_json_of_sealed_pictures_is_as_before(photo: Path, folder: Path, tmp_path: Path) -> None:
    told = run(
        *("stylize", photo, "--style", "monet", "--quality", "draft", "-o", tmp_path / "a.png", "--json"),
        "--provenance",
    )
    line = json.loads(told.stdout)
    assert line["status"] == "done"
    assert found(tmp_path / "a.png") is not None


def test_a_source_that_is_gone_is_named_by_its_hash(folder: Path, tmp_path: Path) -> None:
    Seal.open().write_photo(painted(), tmp_path / "a.png", source=tmp_path / "gone.jpg")
    said = found(tmp_path / "a.png")
    assert said is not None
    assert [each.sha256 for each in said.ingredients if each.relationship == "parentOf"] == ["cd" * 32]
    assert plain_bytes(painted(), "png") != (tmp_path / "a.png").read_bytes()
