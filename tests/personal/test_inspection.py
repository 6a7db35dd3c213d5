"""The look over pictures: what is left out, what is only remarked on, and that each is said."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from sfumato.errors import InputError
from sfumato.image import as_image, to_uint8
from sfumato.inference import Stylizer
from sfumato.personal.inspection import (
    ODD_AMONG,
    find_inputs,
    inspect_pictures,
    is_same,
    is_screenshot,
    odd_one,
    sketch,
)
from sfumato.personal.space import StyleSpace
from support import save_works, work


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


def screen(width: int, height: int, quality: Any = None) -> Any:
    """A page of text under a bar, as a phone shows it."""
    image = Image.new("RGB", (width, height), (250, 250, 250))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(20)
    draw.rectangle((0, 0, width, height // 12), (40, 80, 160))
    for line in range(4, height // 30):
        draw.text((20, 30 * line), "The quick brown fox jumps over the lazy dog", font=font, fill=(20, 20, 20))
    if quality is None:
        return as_image(image)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return as_image(Image.open(file))


def test_pictures_are_seen(tmp_path: Path, stylizer: Stylizer) -> None:
    paths = save_works(tmp_path / "likes", 0, 3)
    ticks = []
    found = inspect_pictures(paths, stylizer, tick=lambda done, total: ticks.append((done, total)))
    assert [one.path for one in found.pictures] == paths
    assert found.pictures[1].code == stylizer.encode(paths[1])
    assert found.remarks == []
    assert ticks == [(1, 3), (2, 3), (3, 3)]


def test_what_cannot_count_is_left_out_and_said(tmp_path: Path, stylizer: Stylizer) -> None:
    paths = save_works(tmp_path / "likes", 0, 2)
    copy, small, broken, gone = (tmp_path / name for name in ("copy.png", "small.png", "broken.jpg", "gone.jpg"))
    copy.write_bytes(paths[0].read_bytes())
    Image.new("RGB", (300, 63)).save(small)
    broken.write_bytes(paths[1].read_bytes()[:500])
    smaller = tmp_path / "smaller.jpg"
    Image.open(paths[1]).resize((98, 84)).save(smaller, quality=70)
    found = inspect_pictures([*paths, copy, small, broken, gone, smaller], stylizer)
    assert [one.path for one in found.pictures] == paths
    told = {remark.kind: remark for remark in found.remarks}
    assert all(remark.left_out for remark in found.remarks)
    assert told["duplicate"].text == "copy.png is the same file as work-0-0.png, and counts once"
    assert told["near-duplicate"].text == "smaller.jpg shows the same as work-0-1.png, and counts once"
    assert told["small"].text == "small.png is left out: 300 x 63 pixels are too few to see a style"
    message = [remark.text for remark in found.remarks if remark.kind == "unreadable"]
    assert len(message) == 2
    assert "broken.jpg" in message[0]
    assert "No such file" in message[1]


class Greedy(Stylizer):
    """Wants 2 ** 50 bytes for pictures of 112 pixels' width."""

    def encode(self, picture: Any) -> Any:
        if picture.shape[3] == 112:
            np.empty(1 << 50, np.uint8)
        return super().encode(picture)


def test_what_does_not_fit_into_memory_is_left_out_and_said(tmp_path: Path) -> None:
    large, *_ = save_works(tmp_path / "likes", 0, 1)
    Image.fromarray(to_uint8(work(1, 3, 96, 100))).save(tmp_path / "small.png")
    found = inspect_pictures([large, tmp_path / "small.png"], Greedy(threads=1))
    assert [one.path.name for one in found.pictures] == ["small.png"]
    [remark] = found.remarks
    assert (
        remark.text
        == f"{large.name} is left out: it does not fit into memory; make it smaller, or close other programs"
    )
    assert remark.left_out


def test_what_is_blank_is_left_out(tmp_path: Path, stylizer: Stylizer) -> None:
    faint = Image.new("RGB", (80, 70), (40, 90, 10))
    faint.save(tmp_path / "colour.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (70, 80, 4), np.uint8)
    noise[..., 3] = 0
    Image.fromarray(noise).save(tmp_path / "transparent.png")
    faint.putpixel((3, 3), (200, 90, 10))
    faint.save(tmp_path / "spot.png")
    names = ("colour.jpg", "transparent.png", "spot.png")
    found = inspect_pictures([tmp_path / name for name in names], stylizer)
    assert [one.path.name for one in found.pictures] == ["spot.png"]
    told = [(remark.kind, remark.text, remark.left_out) for remark in found.remarks]
    assert told == [("blank", f"{name} is left out: it is blank", True) for name in names[:2]]


def test_what_is_known_already_is_told_apart(tmp_path: Path, stylizer: Stylizer) -> None:
    paths = save_works(tmp_path / "likes", 0, 2)
    before = inspect_pictures(paths[:1], stylizer)
    found = inspect_pictures(paths, stylizer, before.pictures)
    assert [one.path for one in found.pictures] == paths[1:]
    assert found.known.keys() == {before.pictures[0].sha256}


def test_different_works_of_one_hand_are_not_the_same() -> None:
    sketches = [sketch(work(0, number)) for number in range(6)]
    assert not any(is_same(a, b) for i, a in enumerate(sketches) for b in sketches[:i])


def test_two_drawings_on_much_paper_are_not_the_same() -> None:
    pages = []
    for place in (20, 60):
        page = np.ones((1, 3, 90, 90), np.float32)
        page[:, :, place : place + 2, 10:80] = 0.3
        pages.append(sketch(page))
    assert np.sqrt(np.mean((pages[0] - pages[1])[:-1] ** 2)) > 0  # they differ by little
    assert not is_same(*pages)
    assert is_same(pages[0], pages[0])


@pytest.mark.parametrize("quality", [None, 85])
@pytest.mark.parametrize("size", [(1080, 1920), (700, 1300)])
def test_screenshots_are_remarked_on(size: tuple[int, int], quality: int | None) -> None:
    assert is_screenshot(screen(*size, quality))


def test_pictures_are_no_screenshots() -> None:
    assert not any(is_screenshot(work(hand, 0, 300, 400)) for hand in (0, 1))
    assert not is_screenshot(work(1, 0, 720, 1280))  # only the size of one
    assert not is_screenshot(np.full((1, 3, 300, 300), 0.5, np.float32))  # nothing on it


def test_a_screenshot_is_kept(tmp_path: Path, stylizer: Stylizer) -> None:
    path = tmp_path / "screen.png"
    Image.fromarray(to_uint8(screen(700, 1300))).save(path)
    found = inspect_pictures([path], stylizer)
    assert [one.path for one in found.pictures] == [path]
    (remark,) = found.remarks
    assert (remark.kind, remark.left_out) == ("screenshot", False)


def test_one_odd_picture_among_many(stylizer: Stylizer) -> None:
    space = StyleSpace.load()
    many = [stylizer.encode(work(0, number)) for number in range(8)]
    other = stylizer.encode(work(1, 0))
    assert odd_one(many, space) is None
    assert odd_one([*many[:3], other, *many[3:]], space) == 3
    assert odd_one([*many[: ODD_AMONG - 2], other], space) is None  # too few to tell
    two_styles_of_one = [*many, *(stylizer.encode(work(1, number)) for number in range(6))]
    assert odd_one(two_styles_of_one, space) is None


def test_files_folders_and_patterns_are_found_once(tmp_path: Path) -> None:
    paths = save_works(tmp_path / "likes" / "below", 0, 3)
    (tmp_path / "likes" / "notes.txt").write_text("notes")
    (tmp_path / "likes" / "a.psd").write_text("?")
    os.mkfifo(tmp_path / "likes" / "pipe.jpg")
    (tmp_path / "likes" / ".hidden.txt").write_text("?")
    found, remarks = find_inputs(
        [str(tmp_path / "likes"), str(paths[0]), str(tmp_path / "likes" / "below" / "*-1.png")]
    )
    assert found == paths
    remark, pipe = remarks
    assert remark.text.startswith("2 files in ")
    assert remark.text.endswith("left out: no picture that Sfumato reads (.psd, .txt)")
    assert pipe.text.endswith("pipe.jpg left out: not a regular file")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no picture lies in the folder"):
        find_inputs([str(tmp_path / "none")])
    with pytest.raises(InputError, match="empty"):
        find_inputs([""])
    for gone in (tmp_path / "lkes", tmp_path / "likes" / "gone.jpg"):
        with pytest.raises(InputError, match=rf"there is no picture or folder .*{gone.name}; check the name"):
            find_inputs([str(paths[0]), str(gone)])
