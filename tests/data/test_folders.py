from __future__ import annotations

import csv
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.data.folders import UNKNOWN, about_data, find_pictures, load_folder, load_validation_folder
from sfumato.errors import InputError
from sfumato.image import read_image, to_uint8


def save(path: Path, seed: int, size: Any = (80, 72), **options: Any) -> Any:
    """A picture of its own at path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    coarse.resize(size, Image.Resampling.BICUBIC).save(path, **options)
    return path


def huge_png(path: Path) -> None:
    """A PNG of 60 bytes whose header promises 40 000 × 40 000 pixels."""

    def chunk(kind: Any, body: Any) -> Any:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """Five good pictures of three artists and one beside them, among all that goes wrong in folders."""
    root = tmp_path / "paintings"
    save(root / "alone.webp", 0, lossless=True)
    save(root / "hokusai" / "b.png", 1)
    save(root / "hokusai" / "a.JPG", 2, quality=95)
    save(root / "monet" / "deep" / "c.tiff", 3)
    save(root / "klee" / "d.bmp", 4, size=(300, 200))
    (root / "monet" / "copy of b.png").write_bytes((root / "hokusai" / "b.png").read_bytes())
    save(root / "klee" / "icon.png", 5, size=(200, 63))
    (root / "empty.jpg").write_bytes(b"")
    (root / "text.jpg").write_text("This is no picture.")
    (root / "klee" / "cut.png").write_bytes(save(tmp_path / "whole.png", 6).read_bytes()[:900])
    (root / "folder.png").mkdir()
    (root / "notes.txt").write_text("Not looked at.")
    return root


def test_loading_a_folder_finds_what_is_there_and_what_is_wrong(folder: Any) -> None:
    ticks = []
    report = load_folder(folder, short=96, min_pictures=2, tick=lambda done, total: ticks.append((done, total)))
    names = [p.path.relative_to(folder).as_posix() for p in report.pictures]
    assert names == ["alone.webp", "hokusai/a.JPG", "hokusai/b.png", "klee/d.bmp", "monet/deep/c.tiff"]
    assert [p.group for p in report.pictures] == ["", "hokusai", "hokusai", "klee", "monet"]
    assert report.groups == {"": [0], "hokusai": [1, 2], "klee": [3], "monet": [4]}
    assert [p.name for p in report.duplicates] == ["copy of b.png"]
    assert [p.name for p in report.tiny] == ["icon.png"]
    assert sorted(path.name for path, _ in report.unreadable) == ["cut.png", "empty.jpg", "folder.png", "text.jpg"]
    assert ticks == [(i + 1, 11) for i in range(11)]


def test_the_report_says_so_in_sentences(folder: Any) -> None:
    text = "\n".join(load_folder(folder, short=96, min_pictures=2).lines())
    for message in (
        "5 pictures in 4 groups",
        "too small: 1 (icon.png",
        "duplicates of other files: 1 (copy of b.png",
        "empty.jpg",
    ):
        assert message in text


def test_an_unreadable_file_s_reason_is_one_for_people(folder: Any) -> None:
    reasons = {path.name: reason for path, reason in load_folder(folder, short=96, min_pictures=2).unreadable}
    assert "empty" in reasons["empty.jpg"]
    assert "none of" in reasons["text.jpg"]
    assert "cut short" in reasons["cut.png"]


def test_a_decompression_bomb_is_one_more_unreadable_file(folder: Any) -> None:
    huge_png(folder / "bomb.png")
    report = load_folder(folder, short=96, min_pictures=2)
    assert "bomb.png" in [path.name for path, _ in report.unreadable]


def test_pictures_are_held_small_and_as_they_are_read(folder: Any) -> None:
    held = {p.path.name: p.pixels for p in load_folder(folder, short=96, min_pictures=2).pictures}
    assert held["d.bmp"].shape == (3, 96, 144)  # 300 × 200
    assert held["b.png"].shape == (3, 72, 80)  # already small
    assert held["b.png"].dtype == np.uint8
    exact = to_uint8(read_image(folder / "hokusai" / "b.png")).transpose(2, 0, 1)
    assert np.array_equal(held["b.png"], exact)


def test_the_digest_is_that_of_the_pictures_and_not_of_their_names(folder: Any) -> None:
    before = load_folder(folder, short=96, min_pictures=2).digest
    (folder / "hokusai" / "b.png").rename(folder / "hokusai" / "z.png")
    (folder / "monet" / "copy of b.png").unlink()
    assert load_folder(folder, short=96, min_pictures=2).digest == before
    save(folder / "new.png", 9)
    assert load_folder(folder, short=96, min_pictures=2).digest != before


def test_too_few_pictures_is_an_error_with_both_numbers(folder: Any) -> None:
    with pytest.raises(InputError, match=r"5 usable pictures of 11 found.*at least 6"):
        load_folder(folder, short=96, min_pictures=6)


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*folder of pictures"):
        load_folder(tmp_path / "nowhere", short=96, min_pictures=1)
    save(tmp_path / "a.png", 0)
    with pytest.raises(InputError, match=r"a\.png"):
        load_folder(tmp_path / "a.png", short=96, min_pictures=1)


def write_manifest(path: Path, rows: Any, columns: Any = ("file", "split")) -> Any:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_only_the_manifest_s_train_rows_count(tmp_path: Path) -> None:
    for i, name in enumerate(("a", "b", "c", "unlisted")):
        save(tmp_path / "data" / "style" / f"{name}.png", i)
    rows = [
        ("style/a.png", "train"),
        ("style/b.png", "validation"),
        ("style/c.png", "train"),
        ("style/gone.png", "train"),
    ]
    manifest = write_manifest(tmp_path / "data" / "manifest.csv", rows)
    found = find_pictures(tmp_path / "data" / "style", manifest)
    assert [each.path.name for each in found] == ["a.png", "c.png"]


def test_the_manifest_holds_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "data" / "style" / "a.png", 0)
    write_manifest(tmp_path / "data" / "manifest.csv", [("style/a.png", "train")])
    monkeypatch.chdir(tmp_path / "data" / "style")
    from pathlib import Path

    assert len(find_pictures(Path(), Path("../manifest.csv"))) == 1


def test_a_manifest_that_is_absent_or_has_other_columns_is_an_error(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 0)
    with pytest.raises(InputError, match=r"none\.csv"):
        find_pictures(tmp_path, tmp_path / "none.csv")
    wrong = write_manifest(tmp_path / "wrong.csv", [("a.png", "train")], ("name", "split"))
    with pytest.raises(InputError, match=r"wrong\.csv has no column 'file'"):
        find_pictures(tmp_path, wrong)


def test_another_split_s_rows_are_found_under_its_name(tmp_path: Path) -> None:
    for i, name in enumerate(("a", "b")):
        save(tmp_path / "style" / f"{name}.png", i)
    manifest = write_manifest(tmp_path / "m.csv", [("style/a.png", "train"), ("style/b.png", "validation")])
    assert [each.path.name for each in find_pictures(tmp_path / "style", manifest, "validation")] == ["b.png"]
    assert find_pictures(tmp_path / "style", manifest, "person") == []


@pytest.mark.parametrize("heading", ["licence", "License"])
def test_licences_are_the_manifest_s_and_counted(tmp_path: Path, heading: str) -> None:
    for i, name in enumerate(("a", "b", "c", "d")):
        save(tmp_path / "style" / f"{name}.png", i)
    licences = {"a": "CC0", "b": "", "c": "CC0", "d": "CC BY 4.0"}
    rows = [
        (f"style/{name}.png", "validation" if name == "d" else "train", message) for name, message in licences.items()
    ]
    manifest = write_manifest(tmp_path / "m.csv", rows, ("file", "split", heading))
    report = load_folder(tmp_path / "style", manifest, short=96, min_pictures=1)
    assert about_data(None, report) == {
        "paintings": 3,
        "split": "train",
        "licences": {"CC0": 2, UNKNOWN: 1},
        "sha256": {"paintings": report.digest},
    }


def test_without_a_manifest_licences_are_unknown(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / "style" / f"{i}.png", i)
        save(tmp_path / "content" / f"{i}.png", 5 + i)
    photos, paintings = (load_folder(tmp_path / name, short=96, min_pictures=1) for name in ("content", "style"))
    told = about_data(photos, paintings)
    assert (told["photos"], told["paintings"]) == (2, 2)
    assert (told["split"], told["licences"]) == ("no manifest", {"licence unknown": 4})
    assert told["sha256"] == {"photos": photos.digest, "paintings": paintings.digest}


@pytest.fixture
def many(tmp_path: Path) -> Any:
    """Forty small pictures."""
    for i in range(40):
        save(tmp_path / "many" / f"{i}.png", i, size=(64, 64))
    return tmp_path / "many"


def names(pictures: Any) -> Any:
    return {picture.path.name for picture in pictures}


def test_what_is_held_out_is_each_picture_s_own_matter(many: Any) -> None:
    whole = load_folder(many, short=96, min_pictures=1)
    assert whole.held_out == []
    part = load_folder(many, short=96, min_pictures=1, hold_out=0.25)
    held = names(part.held_out)
    assert 3 <= len(held) <= 20
    assert names(part.pictures) == names(whole.pictures) - held
    assert held <= names(load_folder(many, short=96, min_pictures=1, hold_out=0.5).held_out)
    assert f"held out for validation: {len(held)}" in "\n".join(part.lines())
    # Without half of the others it is the same for those that are left.
    for i in range(20):
        (many / f"{i}.png").unlink()
    left = {f"{i}.png" for i in range(20, 40)}
    assert names(load_folder(many, short=96, min_pictures=1, hold_out=0.25).held_out) == held & left
    # And training's digest is that of what it sees.
    assert part.digest != whole.digest


def test_too_few_for_what_is_held_out_says_so(many: Any) -> None:
    with pytest.raises(InputError, match=r"of 40 found, \d+ of them held out; training needs at least 39"):
        load_folder(many, short=96, min_pictures=39, hold_out=0.5)


def test_apart_are_the_validation_rows_and_what_is_held_out_but_nothing_that_is_trained_on(many: Any) -> None:
    (many / "copy of 1.png").write_bytes((many / "1.png").read_bytes())
    rows = [(f"many/{i}.png", "train" if i < 30 else "validation") for i in range(40)]
    manifest = write_manifest(many.parent / "m.csv", [*rows, ("many/copy of 1.png", "validation")])
    training = load_folder(many, manifest, short=96, min_pictures=1)
    trained_on = {picture.sha256 for picture in training.pictures}
    apart = load_validation_folder(training, manifest, short=48, trained_on=trained_on)
    assert names(apart.pictures) == {f"{i}.png" for i in range(30, 40)}
    assert [path.name for path in apart.trained_on] == ["copy of 1.png"]
    assert "also used for training: 1 (copy of 1.png" in "\n".join(apart.lines())
    assert {p.pixels.shape for p in apart.pictures} == {(3, 48, 48)}
    held = load_folder(many, manifest, short=96, min_pictures=1, hold_out=0.2)
    both = load_validation_folder(held, manifest, short=48, trained_on={p.sha256 for p in held.pictures})
    assert names(both.pictures) >= {f"{i}.png" for i in range(30, 40)} | names(held.held_out)
    assert load_validation_folder(training, None, short=48, trained_on=trained_on).pictures == []
    alone = load_folder(many, short=96, min_pictures=1, hold_out=0.2)
    assert names(load_validation_folder(alone, None, short=48, trained_on=set()).pictures) == names(alone.held_out)
