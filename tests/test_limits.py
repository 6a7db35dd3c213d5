"""What of a picture file is refused before anything is decoded, at every door."""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import limits
from sfumato.data.folders import load_folder
from sfumato.errors import InputError, UsageError
from sfumato.image import picture_digest, read_image, read_photo, read_recipe
from sfumato.image.jpeg import count_scans
from sfumato.inference.jobs import left_out, plan
from sfumato.personal.inspection import find_inputs
from sfumato.pipes import PATIENCE, read_pipe
from support import assert_one_sentence, run


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, body: bytes, before: bytes = b"", after: bytes = b"", colour: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(body))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + pixels + after + chunk(b"IEND", b"")


def tiff(*entries: tuple[int, int, int, int | bytes]) -> bytes:
    """A little-endian TIFF of one directory, whose entries (tag, type, count, value) stand as they are given."""
    at, table, behind = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, value in entries:
        if isinstance(value, int):
            table += struct.pack("<HHII", tag, kind, count, value)
        else:
            table += struct.pack("<HHII", tag, kind, count, at + len(behind))
            behind += value
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + behind


def refused(data: bytes, message: str, seconds: float = 2.0) -> None:
    """It is refused in one sentence, soon, and without the memory of a large picture."""
    for read in (read_photo, read_recipe):
        tracemalloc.start()
        began = time.process_time()
        try:
            with pytest.raises(InputError, match=message) as caught:
                read(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert "\n" not in str(caught.value)
        assert time.process_time() - began < seconds
        assert peak < 64e6 + 4 * len(data)


def test_a_line_that_costs_as_much_as_a_large_picture_is_refused() -> None:
    refused(png(5_000_000, 1, bytes(5_000_001)), "5000000 x 1 pixels, one side more than 1000 times")
    refused(png(1, 5_000_000, bytes(100)), "1 x 5000000 pixels, one side")
    limits.check_size(65_536, 1, limits.MAX_PIXELS, "it")  # as long as JPEG's side may be
    limits.check_size(100_000, 100, limits.MAX_PIXELS, "it")


GREY = [(258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 277])
def test_a_doubled_tag_of_tiff_is_refused(tag: int) -> None:
    """One decoder takes the first of two, another the last."""
    size = [(256, 4, 1, 16), (257, 4, 1, 16)]
    rest = [*size, *GREY, (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 16), (279, 4, 1, 256)]
    assert read_photo(tiff(*rest) + bytes(256)).width == 16
    value = {258: 16, 259: 5, 277: 3}.get(tag, 20_000)
    refused(
        tiff(*sorted([(tag, 3, 1, value), *rest], key=lambda each: each[0])) + bytes(256), f"tag {tag} occurs twice"
    )


def test_tiles_much_larger_than_the_picture_are_refused() -> None:
    head = [(256, 4, 1, 64), (257, 4, 1, 64), *GREY, (277, 3, 1, 1)]
    tiles = [(322, 4, 1, 8192), (323, 4, 1, 8192), (324, 4, 1, 8), (325, 4, 1, 99)]
    refused(tiff(*head, *tiles) + bytes(99), r"64 x 64 pixels has tiles of 67\.1089 megapixels")
    small = [(322, 4, 1, 64), (323, 4, 1, 64), (324, 4, 1, 8), (325, 4, 1, 4096)]
    assert read_photo(tiff(*head, *small) + bytes(4096)).width == 64


def test_strips_without_number_are_refused() -> None:
    count = 300_000
    strips = [(273, 4, count, np.full(count, 8, "<u4").tobytes()), (277, 3, 1, 1), (278, 4, 1, 1)]
    sizes = (279, 4, count, np.full(count, 300, "<u4").tobytes())
    refused(tiff((256, 4, 1, 300), (257, 4, 1, count), *GREY, *strips, sizes), "300000 strips or tiles")  # type: ignore[arg-type]


def test_a_tiff_whose_directories_lead_in_a_circle_is_read_once() -> None:
    whole = bytearray(
        tiff((256, 4, 1, 16), (257, 4, 1, 16), *GREY, (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 16), (279, 4, 1, 256))
    )
    whole[8 + 2 + 12 * 9 : 8 + 2 + 12 * 9 + 4] = struct.pack("<I", 8)
    assert read_photo(bytes(whole) + bytes(256)).width == 16


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded() -> None:
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)).save(
        buffer, "JPEG", progressive=True
    )
    data = buffer.getvalue()
    scans = data.count(b"\xff\xda")
    assert count_scans(BytesIO(data), 1000) == scans
    assert read_photo(data).width == 64
    last = data[data.rindex(b"\xff\xda") : -2]
    many = data[:-2] + 400 * last + b"\xff\xd9"
    assert count_scans(BytesIO(many), 1000) == scans + 400
    assert count_scans(BytesIO(many), 100) == 101
    with pytest.raises(InputError, match="more than 100 scans"):
        read_photo(many)
    behind = data + 400 * last  # a film behind the picture, as phones put it there
    assert read_photo(behind).width == 64


def test_segments_without_number_cost_no_time() -> None:
    buffer = BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    start = buffer.getvalue()[:-2]
    began = time.process_time()
    assert count_scans(BytesIO(start + b"\xff\xfe\0\2" * 1_000_000 + b"\xff\xd9"), 100) == 1
    assert time.process_time() - began < 5


def test_a_late_recipe_is_found_without_decoding() -> None:
    text = chunk(b"iTXt", b'sfumato\0\0\0\0\0{"a": 1}')
    body = bytes(2001 * 2000)[:50_000]  # the pixels are cut short: whoever decodes them fails
    assert read_recipe(png(2000, 2000, body, after=text)) == {"a": 1}
    assert read_recipe(png(2000, 2000, body)) is None


def test_texts_that_unpack_to_much_are_left_out() -> None:
    bombs = b"".join(chunk(b"zTXt", b"a%d\0\0" % i + zlib.compress(bytes(4_000_000), 9)) for i in range(50))
    data = png(4, 4, bytes(20), before=bombs, after=chunk(b"tEXt", b"Author\0me"))
    tracemalloc.start()
    try:
        assert read_photo(data).metadata.artist == "me"
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_the_limit_is_one_for_all_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (40, 30)).save(path)
    with limits.restore_limits():
        limits.set_max_pixels(1199)
        for read in (read_image, read_photo, read_recipe):
            with pytest.raises(InputError, match=r"40 x 30 pixels, more than the limit of 0\.001199"):
                read(path)
        assert "more than the" in load_folder(tmp_path, short=16, min_pictures=0, minimum_side=8).unreadable[0][1]
    assert read_image(path).shape == (1, 3, 30, 40)
    monkeypatch.setenv(limits.VARIABLE, "1199")
    with pytest.raises(InputError, match="40 x 30 pixels"):
        read_image(path)
    monkeypatch.setenv(limits.VARIABLE, "many")
    with pytest.raises(UsageError, match="SFUMATO_MAX_PIXELS must be a number"):
        read_image(path)


@pytest.mark.parametrize(
    "command",
    [
        "stylize {p} --style monet -o {t}/o.png",
        "stylize {ok} --style {p} -o {t}/o.png",
        "stylize {ok} --style monet --mask {p} -o {t}/o.png",
        "finish {p} --warmth 0.1 -o {t}/o.png",
        "show {p}",
        "replay {p} {ok} -o {t}/o.png",
        "explain {p}",
        "styles add mine {p}",
        "personal new me --like {p}",
    ],
)
def test_every_command_has_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "personal"))
    monkeypatch.setenv("SFUMATO_STYLES", str(tmp_path / "styles"))
    Image.new("RGB", (40, 30)).save(tmp_path / "large.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "ok.png")
    words = command.format(p=tmp_path / "large.png", ok=tmp_path / "ok.png", t=tmp_path).split()
    result = run(*words, "--max-pixels", "1199")
    assert result.exit_code == 3
    assert "40 x 30 pixels, more than the limit of 0.001199 megapixels" in result.stderr + result.stdout
    assert limits.max_pixels() == limits.MAX_PIXELS  # of that command only


def test_a_limit_of_no_pixels_is_an_error_of_usage(tmp_path: Path) -> None:
    assert_one_sentence(run("show", tmp_path / "x.png", "--max-pixels", "0"), 2, "--max-pixels must be between 1")


# ---- files that are no pictures at all -------------------------------------------------------------------------------


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a picture, a sparse file of 60 GB, a named pipe, and links that lead nowhere and in a circle."""
    folder = tmp_path / "odd"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 90, 3), np.uint8)).save(folder / "a.png")
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(60_000_000_000)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "sub" / "up").symlink_to(folder)
    return folder


def test_sparse_files_and_pipes_are_one_sentence_each(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_pipe, "__defaults__", (0.1,))  # nobody writes into it, and it is not waited for long
    for path, message in (
        (odd / "sparse.jpg", "more bytes than any picture"),
        (odd / "pipe.jpg", "no data arrived"),
    ):
        for read in (read_image, read_photo, read_recipe):
            with pytest.raises(InputError, match=message):
                read(path)
        with pytest.raises(InputError, match=r"cannot read .*(more than|not a regular file)"):
            picture_digest(path)


def test_folders_of_odd_files_end_for_all_commands(odd: Path) -> None:
    jobs, _ = plan([str(odd)], str(odd.parent / "out"), "x")
    assert [job.photo.name for job in jobs if job.photo] == ["a.png", "sparse.jpg"]
    assert {each.path.name: each.reason for each in left_out([str(odd)])} == {
        "gone.png": "a broken link",
        "pipe.jpg": "not a regular file",
    }
    began = time.monotonic()
    report = load_folder(odd, short=64, min_pictures=1)
    assert time.monotonic() - began < PATIENCE  # a pipe in a folder is not waited for
    assert [picture.path.name for picture in report.pictures] == ["a.png"]
    assert {path.name for path, _ in report.unreadable} == {"gone.png", "pipe.jpg", "sparse.jpg"}
    found, remarks = find_inputs([str(odd)])
    assert [path.name for path in found] == ["a.png", "sparse.jpg"]
    assert len(remarks) == 2


@pytest.mark.parametrize("name", ["sparse.jpg", "pipe.jpg"])
def test_a_style_cannot_be_learnt_from_an_odd_file_and_that_is_said(
    odd: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SFUMATO_PERSONAL", str(odd.parent / "personal"))
    result = run("personal", "new", "me", "--like", odd / name)
    assert result.exit_code == 3
    assert f"{name} is left out: cannot read" in result.stderr
    assert "the picture cannot be used; the style me was not created" in result.stderr


def test_evaluate_names_what_it_passes_over(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sfumato.cli.evaluate import _print_left_out
    from sfumato.cli.methods import Request, SuiteName

    rest = None, None, SuiteName.quick, None, False, False, 256, None, None, None, False
    _print_left_out(Request(odd, odd / "sub", *rest))
    message = capsys.readouterr().err
    for words in ("pipe.jpg: not a regular file", "gone.png: a broken link", "sub: a folder; subfolders"):
        assert words in message


def test_a_png_of_too_few_bytes_for_its_size_is_refused_before_it_is_decoded() -> None:
    data = png(14_000, 14_000, b"")
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(InputError, match="too few bytes for 14000 x 14000"):
        read_photo(data)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
    assert time.process_time() - began < 1
    assert read_photo(png(3000, 3000, bytes(3001 * 3000))).width == 3000  # as empty as a picture can be
