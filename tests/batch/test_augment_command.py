"""`sfumato augment` as a command: what it writes, that it goes on where it was stopped, and its mistakes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batch_work import save_photos
from sfumato.image import read_photo, read_recipe, to_pil, write_image
from support import assert_one_sentence, files, run, scene

DRAFT = ("--quality", "draft", "--workers", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of two classes, styles, masks, and COCO annotations."""
    save_photos(tmp_path / "in" / "cat", 2)
    save_photos(tmp_path / "in" / "dog", 1, first=2)
    save_photos(tmp_path / "look", 2, first=8)
    names = ["cat/0.png", "cat/1.png", "dog/2.png"]
    for name in names:
        mask = tmp_path / "masks" / name
        mask.parent.mkdir(parents=True, exist_ok=True)
        to_pil(scene(24, 32, len(name))).convert("1").save(mask)
    images = [{"id": i, "file_name": name, "width": 32, "height": 24} for i, name in enumerate(names)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [i, 2, 3, 4]} for i in range(3)]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "animal"}]}
    (tmp_path / "coco.json").write_text(json.dumps(document))
    return tmp_path


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "augmentation.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_copies_come_with_classes_boxes_masks_and_a_manifest(folder: Path) -> None:
    out = folder / "out"
    options = ("--styles", "monet", "--styles", folder / "look", "--amount", 2, "--strength", "0.6,0.9", *DRAFT)
    found = run(
        "augment", folder / "in", "-o", out, *options, "--coco", folder / "coco.json", "--masks", folder / "masks"
    )
    assert found.exit_code == 0, found.stderr
    assert "6 painted in" in found.stderr
    names = [f"{photo}-style{number}.png" for photo in ("cat/0", "cat/1", "dog/2") for number in (1, 2)]
    assert [name for name in files(out) if name.startswith("images/")] == [f"images/{name}" for name in names]
    listed = rows(out)
    assert [row["file"] for row in listed] == names
    assert {row["style"] for row in listed} <= {"monet", "look/8.png", "look/9.png"}
    assert str(folder) not in (out / "augmentation.csv").read_text()
    for row in listed:
        copy, photo = out / "images" / row["file"], folder / "in" / row["source"]
        assert row["sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()
        assert row["source_sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
        recipe = read_recipe(copy) or {}
        assert recipe["strength"] == float(row["strength"])
        assert 0.6 <= float(row["strength"]) <= 0.9
        assert recipe["styles"][0]["name"] == Path(row["style"]).stem  # type: ignore[index]
        assert (read_photo(copy).width, read_photo(copy).height) == (32, 24)
        mask = (out / "masks" / row["file"]).read_bytes()
        assert mask == (folder / "masks" / row["source"]).read_bytes()
    made = json.loads((out / "annotations.json").read_text())
    by_id = {image["id"]: image["file_name"] for image in made["images"]}
    assert sorted(by_id.values()) == names
    assert all(box["bbox"][0] == int(by_id[box["image_id"]].split("/")[1][0]) for box in made["annotations"])

    (out / "images" / names[0]).unlink()
    before = (out / "augmentation.csv").read_bytes()
    again = run("augment", folder / "in", "-o", out, *options)
    assert "1 painted, 5 already existed" in again.stderr
    assert (out / "augmentation.csv").read_bytes() == before  # the same pictures, to the byte

    fewer = run("augment", folder / "in", "-o", out, "--styles", "monet", *DRAFT)
    assert_one_sentence(fewer, 4, "has 3 pictures of another run, such as cat/0-style2.png")


def test_a_bad_picture_is_told_and_left_out_of_everything(folder: Path) -> None:
    (folder / "in" / "cat" / "bad.jpg").write_bytes(b"no picture")
    (folder / "in" / "notes.txt").touch()
    found = run("augment", folder / "in", "-o", folder / "out", "--styles", "monet", *DRAFT)
    assert found.exit_code == 3
    assert "3 painted, 1 failed" in found.stderr
    assert "notes.txt: not a picture" in found.stderr
    assert [row["source"] for row in rows(folder / "out")] == ["cat/0.png", "cat/1.png", "dog/2.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--styles", "no-such-style"), 2, "no-such-style"),
        (("--styles", "no.png"), 3, "no.png"),
        (("--styles", "in", "--styles", "./in"), 2, "two styles are named in/cat/0.png"),
        (("--styles", "monet", "--styles", "monet"), 2, "two styles are named monet"),
        (("--styles", "empty"), 3, "no picture lies in empty"),
        (("--styles", "monet", "--amount", 0), 2, "--amount must be between 0.01 and 100"),
        (("--styles", "monet", "--strength", "a"), 2, "--strength must be one number or two"),
        (("--styles", "monet", "--strength", "0.9,0.2"), 2, "exchange them"),
        (("--styles", "monet", "--strength", "0,2"), 2, "largest strength must be between"),
        (("--styles", "monet", "--workers", 0), 2, "--workers must be between"),
        (("--styles", "monet", "--seed", -1), 2, "seed must be between"),
        (("--styles", "monet", "--coco", "no.json"), 3, "cannot read the annotations no.json"),
        (("--styles", "monet", "--masks", "look"), 3, "cat/0.png has no mask in look"),
        (("--styles", "monet", "-o", "in/out"), 2, "in it, where copies would be copied again"),
        (("--styles", "monet", "-o", "no/where/out"), 4, "create it first"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    arguments: tuple[object, ...], code: int, sentence: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    out = () if "-o" in arguments else ("-o", "out")
    assert_one_sentence(run("augment", "in", *out, *arguments), code, sentence)
    assert not (folder / "out" / "images").exists()


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    assert_one_sentence(run("augment", folder / "no", "-o", folder / "out", "--styles", "monet"), 3, "is not a folder")


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(folder: Path) -> None:
    for number in range(3, 11):
        write_image(scene(96, 96, number), folder / "in" / "dog" / f"{number}.png")
    options = [str(each) for each in ("--styles", "monet", "--styles", "klimt", *DRAFT)]
    command = [sys.executable, "-m", "sfumato", "augment", str(folder / "in"), *options, "-o"]
    subprocess.run([*command, str(folder / "whole")], check=True, capture_output=True)
    with subprocess.Popen([*command, str(folder / "cut")], stderr=subprocess.DEVNULL) as running:
        end = time.monotonic() + 60
        while time.monotonic() < end and not list((folder / "cut" / "images").rglob("*.png")):
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
    assert not (folder / "cut" / "augmentation.csv").exists()
    time.sleep(1)  # its worker ends by itself
    again = subprocess.run([*command, str(folder / "cut")], check=True, capture_output=True, text=True)
    assert "already existed" in again.stderr
    for name in files(folder / "whole"):
        if not name.startswith("batch-report"):
            assert (folder / "cut" / name).read_bytes() == (folder / "whole" / name).read_bytes()
    assert [name for name in files(folder / "cut") if ".tmp" in name] == []
