"""Stylised copies of training sets: which are chosen, and that annotations and masks fit them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sfumato.batch.augmenting import (
    Augmentation,
    check_own_files,
    choose_copies,
    find_masks,
    find_style_pictures,
    remove_lists,
)
from sfumato.batch.coco import Annotations
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.image.reading import stored_size

NAMES = [f"dog/{number}.jpg" for number in range(40)]
STYLES = ["monet", "klimt", "great-wave"]


def test_copies_follow_from_the_seed_and_the_name_only() -> None:
    made = choose_copies(NAMES, STYLES, 2, (0.5, 1), 3)
    assert made == choose_copies(NAMES, STYLES, 2, (0.5, 1), 3)
    assert made != choose_copies(NAMES, STYLES, 2, (0.5, 1), 4)
    assert made[:20] == choose_copies(NAMES[:10], STYLES, 2, (0.5, 1), 3)  # a data set may grow
    assert [copy for copy in made if copy.name.endswith("style1.jpg")] == choose_copies(NAMES, STYLES, 1, (0.5, 1), 3)
    assert made[1].name == "dog/0-style2.jpg"
    assert {copy.style for copy in made} == set(STYLES)
    assert min(copy.strength for copy in made) == 0.5
    assert max(copy.strength for copy in made) == 1


@pytest.mark.parametrize(("amount", "low", "high"), [(1, 40, 40), (0.5, 10, 30), (2.5, 90, 110)])
def test_an_amount_is_the_mean_number_of_copies(amount: float, low: int, high: int) -> None:
    made = choose_copies(NAMES, STYLES, amount, (0.7, 0.7), 0)
    assert low <= len(made) <= high
    counts = Counter(copy.source for copy in made)
    assert set(counts.values()) <= {int(amount), int(amount) + 1}
    assert {copy.strength for copy in made} == {0.7}


def test_names_that_a_writer_cannot_keep_get_another_suffix() -> None:
    made = choose_copies(["a/x.bmp", "a/x.png", "a/y.heic"], STYLES, 1, (1, 1), 0)
    assert [copy.name for copy in made] == ["a/x.bmp-style1.png", "a/x-style1.png", "a/y-style1.png"]


@pytest.mark.parametrize(("amount", "kind"), [(0, UsageError), (101, UsageError), (0.01, InputError)])
def test_amounts_that_make_nothing_are_told(amount: float, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="--amount"):
        choose_copies(["a.png"], STYLES, amount, (0, 1), 0)


def test_a_copy_never_replaces_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    copies = choose_copies(["a.png"], STYLES, 1, (1, 1), 0)
    assert len(Augmentation(tmp_path, copies).plan(tmp_path / "out").jobs) == 1
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a-style1.png").write_bytes((tmp_path / "a.png").read_bytes())
    more = choose_copies(["a.png", "images/a-style1.png"], STYLES, 1, (1, 1), 0)
    with pytest.raises(UsageError, match="refusing to replace"):
        Augmentation(tmp_path, more).plan(tmp_path)


def test_a_large_folder_of_styles_gives_some_of_them(tmp_path: Path) -> None:
    for number in range(9):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{number}.png")
    assert len(find_style_pictures(tmp_path, 20, 0)) == 9
    some = find_style_pictures(tmp_path, 4, 0)
    assert some == sorted(some)
    assert len(some) == 4
    assert find_style_pictures(tmp_path, 4, 1) != some


def test_masks_are_found_by_name_and_must_have_the_size(tmp_path: Path) -> None:
    for folder, size in (("in/a", (20, 30)), ("masks/a", (20, 30)), ("small/a", (10, 30))):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("L", size).save(tmp_path / folder / "x.png")
    (tmp_path / "in/a/x.png").rename(tmp_path / "in/a/x.jpg")
    found = find_masks(tmp_path / "in", tmp_path / "masks", ["a/x.jpg"])
    assert found == {"a/x.jpg": tmp_path / "masks/a/x.png"}
    with pytest.raises(InputError, match=r"has 10 x 30 pixels, but a/x.jpg has 20 x 30"):
        find_masks(tmp_path / "in", tmp_path / "small", ["a/x.jpg"])
    with pytest.raises(InputError, match=r"b/y.jpg has no mask .* such as b/y.png"):
        find_masks(tmp_path / "in", tmp_path / "masks", ["b/y.jpg"])
    Image.new("L", (20, 30)).save(tmp_path / "masks/a/x.bmp")
    with pytest.raises(InputError, match="has 2 masks"):
        find_masks(tmp_path / "in", tmp_path / "masks", ["a/x.jpg"])


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
def test_pictures_that_exif_turns_have_no_size_for_boxes(suffix: str, tmp_path: Path) -> None:
    path, exif = tmp_path / f"x.{suffix}", Image.Exif()
    Image.new("RGB", (30, 20)).save(path)
    assert stored_size(path) == (30, 20)
    for orientation in range(2, 9):
        exif[0x0112] = orientation
        Image.new("RGB", (30, 30)).save(path, exif=exif)
        with pytest.raises(InputError, match="save it upright first"):
            stored_size(path)


def test_lists_and_masks_of_the_user_are_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    for masks in (out / "masks", out / "masks" / "a", out):
        with pytest.raises(OutputError, match="choose another -o"):
            check_own_files(out, None, masks)
    with pytest.raises(OutputError, match="sfumato augment did not write it"):
        check_own_files(out, None, None)
    (out / "masks").rmdir()
    coco = out / "annotations.json"
    coco.write_text("{}")
    with pytest.raises(OutputError, match="would be replaced"):
        check_own_files(out, coco, None)
    (out / "batch-report").mkdir()
    check_own_files(out, None, None)
    remove_lists(out)
    assert not coco.exists()


def test_copies_of_one_picture_differ() -> None:
    copies = choose_copies(["a.png"], ["x", "y"], 4, (0.5, 0.55), 0)
    assert len({copy.key for copy in copies}) == 4
    with pytest.raises(UsageError, match="more different copies than the styles and strengths give, 4"):
        choose_copies(["a.png"], ["x", "y"], 5, (0.5, 0.55), 0)


# ---- COCO ------------------------------------------------------------------------------------------------------------

COCO: dict[str, Any] = {
    "info": {"year": 2026},
    "categories": [{"id": 7, "name": "dog"}],
    "images": [
        {"id": 5, "file_name": "a/x.png", "width": 30, "height": 20, "license": 2},
        {"id": 3, "file_name": "y.png", "width": 30, "height": 20},
    ],
    "annotations": [
        {"id": 8, "image_id": 5, "category_id": 7, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 4, 2, 4, 6]]},
        {"id": 2, "image_id": 5, "category_id": 7, "bbox": [5, 6, 7, 8], "area": 56, "iscrowd": 0},
        {"id": 4, "image_id": 3, "category_id": 7, "bbox": [0, 0, 1, 1]},
    ],
}


def saved(folder: Path, document: Any = COCO) -> Annotations:
    (folder / "coco.json").write_text(json.dumps(document))
    return Annotations(folder / "coco.json")


def test_annotations_of_copies_are_new_entries_that_keep_everything_else(tmp_path: Path) -> None:
    pairs = [("a/x.png", "a/x-style1.png"), ("a/x.png", "a/x-style2.png"), ("y.png", "y-style1.png")]
    made = saved(tmp_path).of_copies(pairs)
    assert (made["info"], made["categories"]) == (COCO["info"], COCO["categories"])
    assert [(each["id"], each["file_name"]) for each in made["images"]] == [
        (6, "a/x-style1.png"),
        (7, "a/x-style2.png"),
        (8, "y-style1.png"),
    ]
    assert made["images"][1]["license"] == 2
    assert [(each["id"], each["image_id"]) for each in made["annotations"]] == [
        (9, 6),
        (10, 6),
        (11, 7),
        (12, 7),
        (13, 8),
    ]
    for new, old in ((0, 0), (1, 1), (2, 0), (4, 2)):
        rest = {key: value for key, value in made["annotations"][new].items() if key not in ("id", "image_id")}
        assert rest == {key: value for key, value in COCO["annotations"][old].items() if key not in ("id", "image_id")}
    joined = COCO["images"] + made["images"], COCO["annotations"] + made["annotations"]
    assert all(len({each["id"] for each in part}) == len(part) for part in joined)


def test_boxes_that_would_not_fit_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "a" / "x.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "y.png")
    saved(tmp_path).check(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # boxes are in stored pixels, and a copy is upright
    Image.new("RGB", (30, 20)).save(tmp_path / "y.png", exif=exif)
    with pytest.raises(InputError, match=r"^the Exif of .*y.png asks to turn or mirror it.*; save it upright first"):
        saved(tmp_path).check(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ((), [], "no list 'images'|no list 'annotations'"),
        (("images",), {}, "no list 'images'"),
        (("images", 0), {"id": 5}, "entry 0 of 'images' has no 'file_name'"),
        (("images", 0, "id"), "5", "the id '5' in 'images' is not a whole number"),
        (("images", 0, "id"), 3, "or is there twice"),
        (("images", 0, "file_name"), "y.png", "two images have the file_name"),
        (("images", 0, "file_name"), "../x.png", "is refused"),
        (("images", 0, "file_name"), "/etc/x.png", "is refused"),
        (("images", 0, "file_name"), 4, "it is not text"),
        (("annotations", 1), 3, "entry 1 of 'annotations' has no 'id'"),
        (("annotations", 1, "image_id"), 99, "of the image 99, which is not there"),
        (("annotations", 1, "image_id"), [1], r"of the image \[1\], which is not there"),
    ],
)
def test_damaged_annotations_are_told(path: tuple[Any, ...], value: Any, sentence: str, tmp_path: Path) -> None:
    document = json.loads(json.dumps(COCO))
    place = document
    for key in path[:-1]:
        place = place[key]
    if path:
        place[path[-1]] = value
    with pytest.raises(InputError, match=sentence):
        saved(tmp_path, document if path else value)


def test_a_file_that_is_not_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text("{")
    with pytest.raises(InputError, match="cannot read the annotations"):
        Annotations(tmp_path / "coco.json")
    with pytest.raises(InputError, match="No such file"):
        Annotations(tmp_path / "no.json")
