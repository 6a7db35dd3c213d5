from __future__ import annotations

import importlib.util
import json
import os
import stat
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from sfumato import __version__, deep, limits
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.image import (
    READABLE,
    WRITABLE,
    Photo,
    Picture,
    as_image,
    read_image,
    read_photo,
    read_recipe,
    resize,
    shrink,
    thumbnail_size,
    to_pil,
    to_uint8,
    write_image,
    write_photo,
)
from sfumato.image.decoding import decode
from sfumato.image.opening import open_picture
from sfumato.metadata import Metadata
from support import FLOAT32

LEVEL = 1 / 255


def bytes_pictures(max_side: int = 12) -> st.SearchStrategy[np.ndarray]:
    sides = st.integers(1, max_side)
    return st.tuples(sides, sides).flatmap(lambda size: hnp.arrays(np.uint8, (*size, 3)))


def upright(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 of a file."""
    return to_uint8(read_image(path))


# ---- files: writing and reading back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
def test_lossless_files_give_the_picture_back(tmp_path: Path, picture: Picture, suffix: str) -> None:
    write_image(picture, tmp_path / f"x{suffix}")
    read = read_image(tmp_path / f"x{suffix}")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, picture)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_files_come_near_and_quality_counts(tmp_path: Path, suffix: str) -> None:
    y, x = np.mgrid[0:64, 0:96].astype(np.float32)
    smooth = np.stack([x / 95, y / 63, 0.5 + 0.3 * np.sin(x / 7) * np.cos(y / 9)])[None].astype(np.float32)
    sizes, errors = [], []
    for quality in (30, 95):
        write_image(smooth, tmp_path / f"x{suffix}", quality=quality)
        sizes.append((tmp_path / f"x{suffix}").stat().st_size)
        errors.append(np.abs(read_image(tmp_path / f"x{suffix}") - smooth).mean())
    assert sizes[0] < sizes[1]
    assert errors[1] < errors[0]
    assert errors[1] < 3 * LEVEL


def test_jpeg_keeps_colour_at_full_resolution(tmp_path: Path) -> None:
    stripes = np.zeros((1, 3, 32, 32), np.float32)
    stripes[:, 0, :, ::2] = 1.0  # red and blue by turns, one pixel wide: half-size colour would make them purple
    stripes[:, 2, :, 1::2] = 1.0
    write_image(stripes, tmp_path / "x.jpg")
    assert np.abs(read_image(tmp_path / "x.jpg") - stripes).mean() < 0.05


def test_what_is_written_can_be_read() -> None:
    assert set(WRITABLE) <= READABLE


def test_missing_folders_are_made(tmp_path: Path, picture: Picture) -> None:
    write_image(picture, tmp_path / "a" / "b" / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a" / "b" / "x.png"), picture)


@pytest.mark.parametrize("name", ["x.gif", "x.heic", "x", "x.png.exe"])
def test_an_unknown_suffix_is_an_output_error(tmp_path: Path, picture: Picture, name: str) -> None:
    with pytest.raises(OutputError, match=r"must end in one of \.jpg"):
        write_image(picture, tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65_501), (".webp", 16_384)])
def test_a_picture_too_long_for_the_format_keeps_the_old_file(tmp_path: Path, suffix: str, side: int) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"name a \.png file"):
        write_image(np.zeros((1, 3, 1, side), np.float32), path)
    assert path.read_bytes() == b"old"
    write_image(np.zeros((1, 3, 1, side - 1), np.float32), path)
    assert read_image(path).shape == (1, 3, 1, side - 1)
    assert os.listdir(tmp_path) == [path.name]


def test_a_picture_that_cannot_be_a_file_is_refused(tmp_path: Path, picture: Picture) -> None:
    with pytest.raises(InputError, match="NaN"):
        write_image(np.full_like(picture, np.nan), tmp_path / "x.png")
    with pytest.raises(InputError, match="shape"):
        write_image(picture[0], tmp_path / "x.png")
    with pytest.raises(UsageError, match="quality"):
        write_image(picture, tmp_path / "x.jpg", quality=0)
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written(tmp_path: Path, picture: Picture) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="a folder has that name"):
        write_image(picture, tmp_path / "folder.png")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_image(picture, tmp_path / "file" / "x.png")


# ---- files: what strangers bring -------------------------------------------------------------------------------------

BY_ORIENTATION: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # the Exif standard's table, in NumPy's words
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", BY_ORIENTATION)
def test_exif_orientation_is_applied(tmp_path: Path, rng: np.random.Generator, suffix: str, orientation: int) -> None:
    stored = rng.integers(0, 256, (5, 9, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(stored).save(tmp_path / f"x{suffix}", exif=exif, **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(upright(tmp_path / f"x{suffix}"), BY_ORIENTATION[orientation](stored))


def test_a_phone_photo_on_its_side_stands_up(tmp_path: Path) -> None:
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "x.jpg", exif=exif)
    read = read_image(tmp_path / "x.jpg")
    assert read.shape == (1, 3, 64, 32)
    assert read[..., :32, :].min() > 0.95
    assert read[..., 32:, :].max() < 0.05


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b""])
def test_damaged_exif_is_no_reason_to_refuse_pixels(tmp_path: Path, exif: bytes) -> None:
    Image.new("RGB", (8, 6), (10, 20, 30)).save(tmp_path / "x.png", exif=exif)
    assert upright(tmp_path / "x.png")[0, 0].tolist() == [10, 20, 30]


def icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC version 2 display profile (ICC.1:2001-04, sections 6.1 and 6.2)."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, body = b"", b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 132 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), 0x02400000, b"mntr", space, b"XYZ ", bytes(12), b"acsp")
    head += bytes(28) + xyz(0.9642, 1.0, 0.8249)[8:] + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


LINEAR = b"curv" + bytes(8)  # a curve of no points: the identity
PRIMARIES = {
    b"r": (0.4361, 0.2225, 0.0139),
    b"g": (0.3851, 0.7169, 0.0971),
    b"b": (0.1431, 0.0606, 0.7141),
}  # sRGB, D50


def linear_rgb(order: bytes = b"rgb") -> bytes:
    """The sRGB primaries, in the given order, without sRGB's curve."""
    ours = dict(zip(b"rgb", order, strict=True))
    tags = {bytes([k]) + b"XYZ": xyz(*PRIMARIES[bytes([v])]) for k, v in ours.items()}
    return icc(b"RGB ", tags | {bytes([k]) + b"TRC": LINEAR for k in b"rgb"})


def srgb_curve(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: linear light to the encoded value."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_an_embedded_profile_is_converted_to_srgb(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.integers(0, 256, (6, 7, 3), np.uint8)
    Image.fromarray(stored).save(tmp_path / "x.png", icc_profile=linear_rgb())
    wanted = srgb_curve(stored / 255).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(read_image(tmp_path / "x.png"), wanted, atol=1.5 * LEVEL)
    Image.fromarray(stored).save(tmp_path / "y.png", icc_profile=linear_rgb(b"bgr"))
    np.testing.assert_allclose(read_image(tmp_path / "y.png"), wanted[:, ::-1], atol=1.5 * LEVEL)


def test_an_srgb_profile_changes_nothing(tmp_path: Path, picture: Picture) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    to_pil(picture).save(tmp_path / "x.png", icc_profile=profile)
    np.testing.assert_allclose(read_image(tmp_path / "x.png"), picture, atol=1.5 * LEVEL)


def test_alpha_and_profile_together(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (55, 55, 55, 51)).save(tmp_path / "x.png", icc_profile=linear_rgb())
    wanted = 0.2 * srgb_curve(np.array(55 / 255)) + 0.8
    np.testing.assert_allclose(read_image(tmp_path / "x.png"), wanted, atol=LEVEL)


def test_grey_profiles_hold_for_8_and_16_bits(tmp_path: Path) -> None:
    gamma = b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256))
    profile = icc(b"GRAY", {b"kTRC": gamma})
    levels = np.linspace(0, 1, 40)[None]  # (1, 40)
    Image.fromarray(np.rint(levels * 255).astype(np.uint8)).save(tmp_path / "8.png", icc_profile=profile)
    Image.fromarray(np.rint(levels * 65535).astype(np.uint16)).save(tmp_path / "16.png", icc_profile=profile)
    for name, stored in (("8", np.rint(levels * 255) / 255), ("16", levels)):
        read = read_image(tmp_path / f"{name}.png")
        np.testing.assert_allclose(read, np.broadcast_to(srgb_curve(stored**1.8), read.shape), atol=2 * LEVEL)


@pytest.mark.parametrize("profile", [b"rubbish", linear_rgb()[:200], linear_rgb()[:128] + b"\xff" * 100])
def test_a_damaged_profile_means_srgb(tmp_path: Path, picture: Picture, profile: bytes) -> None:
    to_pil(picture).save(tmp_path / "x.png", icc_profile=profile)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), picture)


def test_a_profile_of_another_colour_model_means_srgb(tmp_path: Path, picture: Picture) -> None:
    to_pil(picture).save(tmp_path / "x.png", icc_profile=icc(b"GRAY", {b"kTRC": LINEAR}))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), picture)


def test_a_colour_profile_on_grey_pixels_is_applied(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 55).save(tmp_path / "x.jpg", icc_profile=linear_rgb(), quality=100)
    np.testing.assert_allclose(read_image(tmp_path / "x.jpg"), srgb_curve(np.array(55 / 255)), atol=1.5 * LEVEL)


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("RGBA", (255, 0, 0, 51), [1.0, 0.8, 0.8]),
        ("RGBA", (7, 8, 9, 0), [1.0, 1.0, 1.0]),
        ("LA", (0, 102), [0.6, 0.6, 0.6]),
        ("L", 51, [0.2, 0.2, 0.2]),
        ("1", 1, [1.0, 1.0, 1.0]),
        ("I;16", 13107, [0.2, 0.2, 0.2]),
        ("I;16", 65535, [1.0, 1.0, 1.0]),
    ],
)
def test_modes_of_png(tmp_path: Path, mode: str, colour: int | tuple[int, ...], wanted: list[float]) -> None:
    Image.new(mode, (3, 2), colour).save(tmp_path / "x.png")
    read = read_image(tmp_path / "x.png")
    assert read.shape == (1, 3, 2, 3)
    np.testing.assert_allclose(read[0, :, 1, 1], wanted, atol=FLOAT32)


def test_16_bit_grey_keeps_its_steps(tmp_path: Path) -> None:
    stored = np.arange(30_000, 30_256, dtype=np.uint16).reshape(16, 16)  # one step of 8 bits, all in all
    for name in ("x.png", "x.tif"):
        Image.fromarray(stored).save(tmp_path / name)
        np.testing.assert_allclose(read_image(tmp_path / name)[0, 1], stored / 65535, rtol=FLOAT32)


def test_float_grey_is_taken_in_its_range_only(tmp_path: Path) -> None:
    stored = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    Image.fromarray(stored).save(tmp_path / "x.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif")[0, 2], stored)
    Image.fromarray(stored * 1000).save(tmp_path / "x.tif")
    with pytest.raises(InputError, match="from 0 to 1000"):
        read_image(tmp_path / "x.tif")


def test_palettes(tmp_path: Path) -> None:
    coloured = Image.new("P", (4, 2), 1)
    coloured.putpalette([0, 0, 0, 255, 0, 51])
    for name in ("x.png", "x.gif", "x.bmp"):
        coloured.save(tmp_path / name)
        assert upright(tmp_path / name)[1, 1].tolist() == [255, 0, 51]
    coloured.save(tmp_path / "y.png", transparency=1)
    assert upright(tmp_path / "y.png")[1, 1].tolist() == [255, 255, 255]


def test_a_colour_named_transparent(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (9, 8, 7)).save(tmp_path / "x.png", transparency=(9, 8, 7))
    assert upright(tmp_path / "x.png").min() == 255


def test_cmyk(tmp_path: Path) -> None:
    inks = {(0, 0, 0, 0): [255, 255, 255], (0, 0, 0, 255): [0, 0, 0], (0, 255, 255, 0): [255, 0, 0]}
    for ink, wanted in inks.items():
        for name in ("x.tif", "x.jpg"):
            Image.new("CMYK", (16, 16), ink).save(tmp_path / name)
            np.testing.assert_allclose(upright(tmp_path / name)[8, 8], wanted, atol=2)


def test_the_first_frame_of_a_moving_picture(tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (6, 4), "red"), Image.new("RGB", (6, 4), "blue")
    for name in ("x.gif", "x.webp"):
        red.save(tmp_path / name, save_all=True, append_images=[blue], duration=100)
        np.testing.assert_allclose(upright(tmp_path / name)[2, 2], [255, 0, 0], atol=3)


def test_the_name_is_no_proof_of_the_format(tmp_path: Path, picture: Picture) -> None:
    to_pil(picture).save(tmp_path / "x.jpg", format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "x.jpg"), picture)


# ---- files: what cannot be read --------------------------------------------------------------------------------------


def test_what_is_not_a_picture_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture, but long enough to look at")
    (tmp_path / "page.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    Image.new("RGB", (4, 4)).save(tmp_path / "x.ppm")  # Pillow reads it; it is not on the list
    os.mknod(tmp_path / "socket.jpg", stat.S_IFSOCK | 0o600)
    for name, message in {
        "empty.jpg": "the file is empty",
        "text.jpg": "none of JPEG, PNG, WEBP, TIFF, BMP, GIF",
        "page.svg": "none of JPEG",
        "x.ppm": "none of JPEG",
        "absent.jpg": "No such file.*check the name",
        ".": "it is a folder",
        "socket.jpg": "not a regular file",
        "nul\0.jpg": "check the name",
        "x" * 300: "check the name",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 1-bit grey with these chunks after its header."""
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    made = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (head, *chunks)
    )
    return b"\x89PNG\r\n\x1a\n" + made


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(20_000, 20_000, (b"IDAT", zlib.compress(bytes(2_500 * 20_000)))))
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(InputError, match=r"20000 x 20000 pixels, more than the limit of 200 megapixels"):
        read_image(tmp_path / "bomb.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_pillows_lower_limit_does_not_stop_large_photos(tmp_path: Path) -> None:
    # 98 megapixels: Pillow alone warns here (and tests turn warnings into errors). Cut short, so that none is decoded.
    (tmp_path / "large.png").write_bytes(png(9_900, 9_900, (b"IDAT", zlib.compress(b"\0"))))
    with pytest.raises(InputError, match="damaged or cut short"):
        read_image(tmp_path / "large.png")


def test_the_limit_counts_for_pictures_in_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits._Setting, "pixels", 100)
    assert as_image(Image.new("RGB", (10, 10))).shape == (1, 3, 10, 10)
    with pytest.raises(InputError, match="11 x 10 pixels"):
        as_image(Image.new("RGB", (11, 10)))


FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"]


def encoded(format: str) -> bytes:
    noise = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, format=format)
    return buffer.getvalue()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_file_cut_short_is_an_input_error(tmp_path: Path, format: str, share: float) -> None:
    data = encoded(format)
    (tmp_path / "x").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="cannot read"):
        read_image(tmp_path / "x")


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_bytes_give_a_picture_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, format: str) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x"
    whole = encoded(format)
    places = st.one_of(st.integers(0, 80), st.integers(0, len(whole) - 1))  # headers are where most can go wrong
    refused = 0

    @settings(max_examples=80)
    @given(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6))
    def check_mutated(changes: list[tuple[int, int]]) -> None:
        nonlocal refused
        data = bytearray(whole)
        for place, value in changes:
            data[place] = value
        path.write_bytes(data)
        try:
            read = read_image(path)
        except InputError:
            refused += 1
        else:
            assert read.dtype == np.float32
            assert read.shape[:2] == (1, 3)
            assert 0 <= read.min() <= read.max() <= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits._Setting, "pixels", 100_000)  # a header that claims much must not cost the test much
        check_mutated()
    assert refused > 0


# ---- arrays ----------------------------------------------------------------------------------------------------------


@given(bytes_pictures())
def test_bytes_go_there_and_back(stored: np.ndarray) -> None:
    picture = as_image(stored)
    assert picture.dtype == np.float32
    assert picture.shape == (1, 3, *stored.shape[:2])
    np.testing.assert_array_equal(to_uint8(picture), stored)
    np.testing.assert_array_equal(np.asarray(to_pil(picture)), stored)
    np.testing.assert_array_equal(as_image(to_pil(picture)), picture)


@given(hnp.arrays(np.float32, (1, 3, 4, 5), elements=st.floats(-1, 2, width=32)))
def test_bytes_are_the_nearest_to_the_clipped_value(x: np.ndarray) -> None:
    levels = to_uint8(x).transpose(2, 0, 1)[None].astype(np.float64)
    assert np.abs(levels - np.clip(x.astype(np.float64), 0, 1) * 255).max() <= 0.5 + 1e-5


def test_halves_are_rounded_to_even() -> None:
    x = np.zeros((1, 3, 1, 1), np.float32)
    x[0, :, 0, 0] = 0.5, 0.3, 0.1  # 127.5, 76.5, 25.5
    assert to_uint8(x)[0, 0].tolist() == [128, 76, 26]


def test_every_form_of_one_picture_is_the_same_picture(tmp_path: Path, picture: Picture) -> None:
    write_image(picture, tmp_path / "x.png")
    last = np.ascontiguousarray(picture[0].transpose(1, 2, 0))
    forms = {
        "path": tmp_path / "x.png",
        "text": str(tmp_path / "x.png"),
        "PIL": to_pil(picture),
        "uint8": to_uint8(picture),
        "HWC": last,
        "HWC view": picture[0].transpose(1, 2, 0),
        "HWC float64": last.astype(np.float64),
        "CHW": picture[0],
        "NCHW": picture,
        "RGBA": np.concatenate([last, np.ones_like(last[..., :1])], axis=2),
    }
    for name, form in forms.items():
        read = as_image(form)
        assert read.dtype == np.float32, name
        assert read.flags.c_contiguous, name
        np.testing.assert_allclose(read, picture, atol=FLOAT32, err_msg=name)


def test_batches_stay_batches(rng: np.random.Generator) -> None:
    batch = rng.random((4, 3, 5, 6), np.float32)
    np.testing.assert_array_equal(as_image(batch), batch)


def test_grey_and_alpha_arrays() -> None:
    grey = np.array([[0, 51], [102, 255]], np.uint8)
    for form in (grey, grey[:, :, None], grey / 255):
        np.testing.assert_allclose(as_image(form), np.broadcast_to(grey / 255, (1, 3, 2, 2)), atol=FLOAT32)
    half = np.zeros((2, 2, 4), np.float32)
    half[..., 3] = 0.25
    np.testing.assert_array_equal(as_image(half), np.full((1, 3, 2, 2), 0.75, np.float32))


def test_tensors_are_taken() -> None:
    torch = pytest.importorskip("torch")
    x = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(as_image(x), x.numpy())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((5, 8, 8), np.uint8), "must have shape"),
        (np.zeros((1, 2, 8, 8), np.uint8), "must have shape"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (np.full((8, 8, 3), 200.0), "from 200 to 200"),
        (np.full((8, 8, 3), np.nan), "nan"),
        (np.zeros((8, 8, 2), np.float32), "shape"),
        (np.zeros((1, 5, 8, 8), np.float32), "shape"),
        (np.zeros((3, 8, 3), np.float32), "could be"),
        (np.zeros((0, 8, 3), np.float32), "no pixel"),
        (np.zeros(5, np.float32), "shape"),
        ([[1, 2], ["a", "b"]], "must be uint8, uint16, bool or float"),
        (None, "object"),
    ],
)
def test_what_is_no_picture_is_an_input_error(source: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_image(source)  # type: ignore[arg-type]


# ---- resizing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (24, 32), (50, 61), (12, 100)])
def test_a_flat_picture_stays_flat(height: int, width: int) -> None:
    flat = np.empty((2, 3, 24, 32), np.float32)
    flat[:] = np.float32([0.0, 0.37, 1.0])[:, None, None]  # type: ignore[arg-type, index]
    out = resize(flat, height, width)
    assert out.shape == (2, 3, height, width)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, np.broadcast_to(flat[:, :, :1, :1], out.shape), atol=FLOAT32)


def test_shrinking_averages_instead_of_skipping() -> None:
    board = np.indices((64, 64)).sum(0) % 2
    out = resize(np.broadcast_to(board, (1, 3, 64, 64)).astype(np.float32), 16, 16)
    np.testing.assert_allclose(out, 0.5, atol=0.01)


def test_resizing_follows_a_band_limited_wave() -> None:
    def wave(height: int, width: int) -> Picture:
        y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
        plane = 0.5 + 0.25 * np.sin(2 * np.pi * 3 * x)[None] * np.cos(2 * np.pi * 2 * y)[:, None]
        return np.broadcast_to(plane, (1, 3, height, width)).astype(np.float32)

    for height, width in ((48, 60), (200, 240)):
        inside = (..., slice(4, -4), slice(4, -4))  # the border has nothing beyond it to look at
        np.testing.assert_allclose(resize(wave(96, 120), height, width)[inside], wave(height, width)[inside], atol=0.01)


def test_resizing_rounds_to_no_levels_and_stays_in_range(rng: np.random.Generator) -> None:
    edges = (rng.random((1, 3, 20, 20)) > 0.5).astype(np.float32)
    out = resize(edges, 33, 47)
    assert out.min() == 0
    assert out.max() == 1
    assert np.abs(out * 255 - np.rint(out * 255)).max() > 0.1


def test_the_same_size_is_the_same_picture(picture: Picture) -> None:
    np.testing.assert_array_equal(resize(picture, 24, 32), picture)
    with pytest.raises(UsageError, match="at least 1 pixel"):
        resize(picture, 0, 5)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 60), st.integers(60, 200))
def test_thumbnails_shrink_in_proportion_and_never_grow(height: int, width: int, short: int, max_long: int) -> None:
    h, w = thumbnail_size(height, width, short, max_long)
    assert h <= height
    assert w <= width
    assert max(h, w) <= max_long
    assert min(h, w) <= short or (h, w) == (height, width)
    scale = max(h, w) / max(height, width)
    assert abs(h - height * scale) <= 1
    assert abs(w - width * scale) <= 1
    if min(height, width) >= short and max(height, width) * short <= max_long * min(height, width):
        assert min(h, w) == short


# ---- photos ----------------------------------------------------------------------------------------------------------

HAS_DEEP = importlib.util.find_spec("imagecodecs") is not None
needs_deep = pytest.mark.skipif(not HAS_DEEP, reason="the extra 'deep' is not installed")
SUFFIXES = [".png", ".jpg", ".webp", ".tif"]
KEPT = Metadata(
    copyright="© 2024 Zoë Müller; Studio 9",
    artist="Zoë Müller",
    description='Fog & "sea" <at dawn>',
    dates={
        "DateTime": "2024:05:06 07:08:09",
        "DateTimeOriginal": "2024:05:06 06:00:00",
        "OffsetTimeOriginal": "+02:00",
        "SubsecTimeOriginal": "042",
    },
    resolution=(300.0, 240.0),
    recipe={"style": "great-wave", "strength": 0.8, "seed": 7, "note": "é <&> \"'", "codes": [0.1, None, True]},
)


def levels(dtype: type = np.uint8, channels: int = 3, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(5).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def encoded_photo(photo: Photo, format: str, quality: int = 92) -> bytes:
    buffer = BytesIO()
    write_photo(photo, buffer, format, quality)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("with_alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_photos_go_there_and_back(tmp_path: Path, suffix: str, with_alpha: bool, dtype: type) -> None:
    stored = levels(dtype, 4)
    photo = Photo(stored[..., :3], stored[..., 3] if with_alpha else None, KEPT)
    write_photo(photo, tmp_path / f"x{suffix}", quality=100)
    read = read_photo(tmp_path / f"x{suffix}")
    assert read.metadata == KEPT
    assert (read.height, read.width) == (24, 32)
    assert read.pixels.flags.c_contiguous
    assert (read.alpha is not None) == (with_alpha and suffix != ".jpg")
    if suffix in (".png", ".tif"):
        is_deep = dtype == np.uint16 and HAS_DEEP
        assert read.pixels.dtype == (np.uint16 if is_deep else np.uint8)
        tolerance = 0 if is_deep or dtype == np.uint8 else LEVEL  # Pillow drops the lower bits, it does not round
        np.testing.assert_allclose(read.picture(), photo.picture(), atol=tolerance)
    if read.alpha is not None:
        np.testing.assert_allclose(
            read.alpha / np.iinfo(read.alpha.dtype).max, stored[..., 3] / np.iinfo(dtype).max, atol=LEVEL
        )
    assert os.listdir(tmp_path) == [f"x{suffix}"]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_an_independent_reader_finds_the_16_bits(tmp_path: Path, suffix: str, channels: int) -> None:
    stored = levels(np.uint16, channels, 300, 2000)  # several strips
    write_photo(Photo(stored[..., :3], stored[..., 3] if channels == 4 else None), tmp_path / f"x{suffix}")
    if suffix == ".tif":
        found = pytest.importorskip("tifffile").imread(tmp_path / "x.tif")
    else:
        found = pytest.importorskip("imagecodecs").png_decode((tmp_path / "x.png").read_bytes())
    np.testing.assert_array_equal(found, stored)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_results_say_who_made_them_and_are_tagged_as_srgb(tmp_path: Path, picture: Picture, suffix: str) -> None:
    write_image(picture, tmp_path / f"x{suffix}")
    write_image(picture, tmp_path / f"y{suffix}")
    assert (tmp_path / f"x{suffix}").read_bytes() == (tmp_path / f"y{suffix}").read_bytes()
    with Image.open(tmp_path / f"x{suffix}") as image:
        assert image.getexif()[0x0131] == f"Sfumato {__version__}"
        if suffix == ".png":
            assert image.info["srgb"] == 0
        else:
            assert "sRGB" in ImageCms.getProfileDescription(
                ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
            )


def private_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x8298] = "SECRET make", "SECRET model", b"\xc2\xa9 me\0you"
    exif[0x0112] = 6
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 1.0), 29: "SECRET place"}
    exif[0x8769] = {
        0x9003: "2020:01:02 03:04:05",
        0x927C: b"SECRET maker note",
        0xA430: "SECRET owner",
        0xA431: "SECRET no",
    }
    return exif


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_places_and_cameras_are_left_behind(tmp_path: Path, suffix: str) -> None:
    xmp = {"xmp": b"<x>SECRET</x>"} if suffix in (".jpg", ".webp") else {}
    Image.fromarray(levels()).save(tmp_path / f"in{suffix}", exif=private_exif().tobytes(), **xmp)  # type: ignore[arg-type]
    assert b"SECRET" in (tmp_path / f"in{suffix}").read_bytes()
    photo = read_photo(tmp_path / f"in{suffix}")
    assert (photo.height, photo.width) == (32, 24)
    assert photo.metadata.copyright is not None
    assert photo.metadata.copyright.endswith("me; you")  # Pillow, which made the file, writes ASCII to TIFF
    assert photo.metadata.dates == {"DateTimeOriginal": "2020:01:02 03:04:05"}
    for out in SUFFIXES:
        write_photo(photo, tmp_path / f"out{out}")
        assert b"SECRET" not in (tmp_path / f"out{out}").read_bytes()
        with Image.open(tmp_path / f"out{out}") as image:
            exif = image.getexif()
            assert not {0x0112, 0x010F, 0x0110, 0x8825} & set(exif)
            assert set(exif.get_ifd(0x8769)) <= {0x9003}
        assert read_photo(tmp_path / f"out{out}").metadata == photo.metadata


def test_texts_of_png(tmp_path: Path) -> None:
    info = PngInfo()
    for key, text in {
        "Copyright": "© A", "Author": "B", "Description": "C", "Creation Time": "Mon, 06 May 2024 07:08:09 +0200",
    }.items():  # fmt: skip
        info.add_itxt(key, text)
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png", pnginfo=info, dpi=(72, 72))
    found = read_photo(tmp_path / "x.png").metadata
    assert (found.copyright, found.artist, found.description) == ("© A", "B", "C")
    assert found.dates == {"DateTimeOriginal": "2024:05:06 07:08:09"}
    assert found.resolution == pytest.approx((72, 72), rel=1e-3)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0rubbish", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 40]
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_damaged_exif_leaves_no_metadata_and_the_pixels(tmp_path: Path, suffix: str, exif: bytes) -> None:
    Image.new("RGB", (8, 6), "red").save(tmp_path / f"x{suffix}", exif=exif)
    photo = read_photo(tmp_path / f"x{suffix}")
    assert photo.metadata == Metadata()
    assert photo.pixels[0, 0, 0] > 250


@pytest.mark.parametrize("orientation", BY_ORIENTATION)
@pytest.mark.parametrize("kind", ["8 bits", "alpha", "grey 16", "colour 16"])
def test_photos_stand_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = BY_ORIENTATION[orientation]
    if kind == "colour 16":
        wanted = levels(np.uint16, 3, 5, 9)
        with (tmp_path / "x.png").open("wb") as file:
            deep.write_png(file, wanted, [(b"eXIf", exif.tobytes()[6:])])
        if not HAS_DEEP:
            wanted = (wanted >> 8).astype(np.uint8)
    else:
        wanted = {"8 bits": levels(channels=3), "alpha": levels(channels=4), "grey 16": levels(np.uint16, 1)}[kind]
        Image.fromarray(wanted.squeeze()).save(tmp_path / "x.png", exif=exif)
    with open_picture(tmp_path / "x.png", 1000) as found:
        pixels, alpha = decode(found, band_pixels=20)  # several bands
    upright = turn(wanted)
    np.testing.assert_array_equal(pixels, np.broadcast_to(upright[..., :3], pixels.shape))
    if kind == "alpha":
        np.testing.assert_array_equal(alpha, upright[..., 3])
    else:
        assert alpha is None


def test_colour_under_alpha_stays_and_jpeg_lays_it_on_white(tmp_path: Path) -> None:
    photo = Photo(np.full((4, 4, 3), (200, 100, 0), np.uint8), np.zeros((4, 4), np.uint8))  # wholly transparent
    for suffix in (".png", ".webp", ".tif"):
        write_photo(photo, tmp_path / f"x{suffix}", quality=100)
        read = read_photo(tmp_path / f"x{suffix}")
        np.testing.assert_allclose(read.pixels[1, 1], [200, 100, 0], atol=3)
        np.testing.assert_array_equal(read.alpha, photo.alpha)
        assert upright(tmp_path / f"x{suffix}").min() == 255
    write_photo(photo, tmp_path / "x.jpg")
    assert read_photo(tmp_path / "x.jpg").pixels.min() >= 254


@pytest.mark.parametrize(
    ("image", "pixel", "alpha"),
    [
        (Image.new("LA", (3, 2), (40, 102)), [40] * 3, 102),
        (Image.new("1", (3, 2), 1), [255] * 3, None),
        (Image.new("L", (3, 2), 9), [9] * 3, None),
        (Image.new("I;16", (3, 2), 12345), [12345] * 3, None),
        (Image.new("CMYK", (3, 2), (0, 255, 255, 0)), [255, 0, 0], None),
    ],
)
def test_modes_of_photos(image: Image.Image, pixel: list[int], alpha: int | None) -> None:
    buffer = BytesIO()
    image.save(buffer, "TIFF" if image.mode == "CMYK" else "PNG")
    photo = read_photo(buffer.getvalue())
    assert photo.pixels.dtype == (np.uint16 if image.mode == "I;16" else np.uint8)
    assert photo.pixels[1, 1].tolist() == pixel
    assert (None if photo.alpha is None else photo.alpha[1, 1]) == alpha


def test_a_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 255, 0, 51])
    image.save(tmp_path / "x.png", transparency=bytes([255, 77]))
    photo = read_photo(tmp_path / "x.png")
    assert photo.pixels[0, 0].tolist() == [255, 0, 51]
    assert photo.alpha is not None
    assert photo.alpha[0, 0] == 77


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_without_the_extra_16_bit_colour_has_8(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)  # as if it were not installed
    stored = levels(np.uint16)
    write_photo(Photo(stored), tmp_path / f"x{suffix}")
    read = read_photo(tmp_path / f"x{suffix}")
    assert read.pixels.dtype == np.uint8
    np.testing.assert_array_equal(read.pixels, stored >> 8)


@needs_deep
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_profiles_hold_for_16_bit_colour(tmp_path: Path, suffix: str) -> None:
    stored = np.linspace(0, 65535, 60).astype(np.uint16).reshape(4, 5, 3)
    with (tmp_path / f"x{suffix}").open("wb") as file:
        if suffix == ".png":
            deep.write_png(file, stored, [(b"iCCP", b"x\0\0" + zlib.compress(linear_rgb()))])
        else:
            deep.write_tiff(file, stored, Image.Exif(), {34675: linear_rgb()})
    read = read_photo(tmp_path / f"x{suffix}")
    assert read.pixels.dtype == np.uint16
    np.testing.assert_allclose(read.pixels / 65535, srgb_curve(stored / 65535), atol=2e-3)


@needs_deep
def test_16_bit_tiff_of_others(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    stored = levels(np.uint16)
    for options in ({"compression": "lzw", "predictor": True}, {"byteorder": ">"}, {"planarconfig": "separate"}):
        planes = np.moveaxis(stored, 2, 0).copy() if "planarconfig" in options else stored
        tifffile.imwrite(tmp_path / "x.tif", planes, photometric="rgb", **options)
        np.testing.assert_array_equal(read_photo(tmp_path / "x.tif").pixels, stored)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_regions_are_pictures(dtype: type) -> None:
    photo = Photo(levels(dtype))
    whole = photo.picture()
    np.testing.assert_allclose(whole[0].transpose(1, 2, 0), photo.pixels / np.iinfo(dtype).max, rtol=FLOAT32)
    part = photo.picture(slice(3, 9), slice(10, None))
    assert part.dtype == np.float32
    assert part.flags.c_contiguous
    np.testing.assert_array_equal(part, whole[:, :, 3:9, 10:])


def test_a_region_costs_a_region_and_reading_no_float() -> None:
    data = encoded_photo(Photo(np.zeros((2000, 2000, 3), np.uint8)), "jpeg")
    tracemalloc.start()
    try:
        photo = read_photo(data)
        read = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        photo.picture(slice(0, 100), slice(0, 100))
        region = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert read < 1.8 * photo.pixels.nbytes  # Pillow's own copy, of 4 bytes a pixel, is not in it
    assert region < 200_000


def test_strips(tmp_path: Path) -> None:
    for shape in ((1, 5000, 3), (5000, 1, 3)):
        photo = Photo(levels(np.uint16, 3, *shape[:2]))
        for suffix in SUFFIXES:
            write_photo(photo, tmp_path / f"x{suffix}")
            assert read_photo(tmp_path / f"x{suffix}").pixels.shape == shape


def test_a_photo_says_what_it_cannot_be() -> None:
    for pixels, alpha in (
        (np.zeros((4, 4, 3), np.float32), None),
        (np.zeros((4, 4), np.uint8), None),
        (np.zeros((0, 4, 3), np.uint8), None),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16)),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)),
    ):
        with pytest.raises(InputError, match="a photo's"):
            Photo(pixels, alpha)  # type: ignore[arg-type]


# ---- photos: pipes and limits ----------------------------------------------------------------------------------------


def test_photos_come_through_pipes_and_go_through_them() -> None:
    data = encoded_photo(Photo(levels()), "png")
    inward, outward = os.pipe()
    with open(outward, "wb") as file:
        file.write(data)
    with open(inward, "rb") as file:
        np.testing.assert_array_equal(read_photo(file).pixels, levels())
    for format in ("PNG", "tif", ".jpeg", "webp"):
        inward, outward = os.pipe()
        with open(inward, "rb") as there, open(outward, "wb") as here:
            write_photo(Photo(levels()), here, format)
            here.close()
            assert read_photo(there).pixels.shape == (24, 32, 3)


@pytest.mark.parametrize("format", ["gif", ""])
def test_a_format_that_is_none_is_refused_for_a_buffer_too(format: str) -> None:
    with pytest.raises(OutputError, match=r"cannot write -: its format must be one of \.jpg"):
        write_photo(Photo(levels()), BytesIO(), format)


def test_an_open_file_needs_no_format(tmp_path: Path) -> None:
    for name, found in (("a.jpg", "JPEG"), ("b.TIFF", "TIFF"), ("c.webp", "WEBP"), ("no suffix", "PNG")):
        with open(tmp_path / name, "wb") as file:
            write_photo(Photo(levels()), file)
        with Image.open(tmp_path / name) as image:
            assert image.format == found
    buffer = BytesIO()
    write_photo(Photo(levels()), buffer)
    assert buffer.getvalue().startswith(b"\x89PNG")
    with open(os.open(tmp_path / "by number", os.O_WRONLY | os.O_CREAT), "wb") as file:  # its name is a number
        write_photo(Photo(levels()), file)
    with Image.open(tmp_path / "by number") as image:
        assert image.format == "PNG"
    with open(tmp_path / "x.gif", "wb") as file, pytest.raises(OutputError, match=r"its name must end in one of \.jpg"):
        write_photo(Photo(levels()), file)


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "empty"), (b"text", "none of JPEG"), (encoded("PNG")[:900], "cut short")]
)
def test_errors_name_buffers(data: bytes, message: str) -> None:
    for source, name in ((data, "the bytes"), (BytesIO(data), "-")):
        with pytest.raises(InputError, match=f"cannot read {name}: .*{message}"):
            read_photo(source)


def test_an_endless_pipe_is_refused() -> None:
    with (
        open("/dev/zero", "rb") as file,
        pytest.raises(InputError, match=r"more bytes than any picture of 0\.0001 megapixels"),
    ):
        read_photo(file, max_pixels=100)


def test_max_pixels_is_an_argument(tmp_path: Path) -> None:
    write_photo(Photo(levels()), tmp_path / "x.png")
    assert read_photo(tmp_path / "x.png", max_pixels=24 * 32).width == 32
    with pytest.raises(InputError, match=r"32 x 24 pixels, more than the limit of 0\.000767 megapixels.*--max-pixels"):
        read_photo(tmp_path / "x.png", max_pixels=24 * 32 - 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("format", ["png", "tiff", "jpeg", "webp"])
def test_a_full_disk_is_one_sentence(format: str) -> None:
    with (
        open("/dev/full", "wb", buffering=0) as file,
        pytest.raises(OutputError, match=r"^cannot write -: No space left"),
    ):
        write_photo(Photo(levels()), file, format)


# ---- recipes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_recipes_are_found_again(tmp_path: Path, suffix: str) -> None:
    write_photo(Photo(levels(), metadata=KEPT), tmp_path / f"x{suffix}")
    assert read_recipe(tmp_path / f"x{suffix}") == KEPT.recipe
    write_photo(Photo(levels()), tmp_path / f"x{suffix}")
    assert read_recipe(tmp_path / f"x{suffix}") is None


def test_a_recipe_survives_a_rewritten_xmp_and_a_moved_chunk(tmp_path: Path) -> None:
    text = json.dumps({"a": '<"&>'})
    attribute = f"<rdf:Description sfumato:recipe={quoteattr(text)}/>".encode()
    Image.new("RGB", (4, 4)).save(tmp_path / "x.jpg", xmp=attribute)
    assert read_recipe(tmp_path / "x.jpg") == {"a": '<"&>'}
    info = PngInfo()
    info.add_text("sfumato", text)
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png", pnginfo=info)
    assert read_recipe(tmp_path / "x.png") == {"a": '<"&>'}
    data = (tmp_path / "x.png").read_bytes()
    start = data.index(b"tEXt") - 4
    end = data.index(b"IDAT") - 4
    (tmp_path / "x.png").write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])
    assert read_recipe(tmp_path / "x.png") == {"a": '<"&>'}


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", '"x"', '{"a": NaN}', "[" * 50_000, '{"a": 1' + "0" * 5000 + "}", "x" * 60_001, "__import__('os')"],
)
def test_a_recipe_from_a_stranger_is_json_or_an_input_error(tmp_path: Path, text: str) -> None:
    info = PngInfo()
    info.add_text("sfumato", text)
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png", pnginfo=info)
    with pytest.raises(InputError, match=r"cannot read .*x\.png: its recipe (is|has)"):
        read_recipe(tmp_path / "x.png")
    assert read_photo(tmp_path / "x.png").metadata.recipe is None


@pytest.mark.parametrize("recipe", [{"a": float("nan")}, {"a": object()}, {"a": "x" * 60_000}])
def test_what_is_no_recipe_is_not_written(tmp_path: Path, recipe: dict[str, object]) -> None:
    for suffix in SUFFIXES:
        with pytest.raises(UsageError, match="recipe"):
            write_photo(Photo(levels(), metadata=Metadata(recipe=recipe)), tmp_path / f"x{suffix}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_longest_metadata_fits(tmp_path: Path, suffix: str) -> None:
    longest = "€" * 4000
    metadata = Metadata(longest, longest, longest, KEPT.dates, recipe={"a": "x" * 59_000})
    write_photo(Photo(levels(), metadata=metadata), tmp_path / f"x{suffix}")
    assert read_photo(tmp_path / f"x{suffix}").metadata == metadata


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_damaged_photos_are_read_or_an_input_error(format: str, dtype: type) -> None:
    stored = levels(dtype, 4, 8, 9)
    whole = encoded_photo(Photo(stored[..., :3], stored[..., 3], KEPT), format)
    places = st.one_of(st.integers(0, 80), st.integers(0, len(whole) - 1))

    @settings(max_examples=25)
    @given(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6), st.integers(1, len(whole)))
    def check_mutated(changes: list[tuple[int, int]], length: int) -> None:
        data = bytearray(whole)
        for place, value in changes:
            data[place] = value
        for damaged in (bytes(data), bytes(data[:length])):
            with suppress(InputError):
                assert read_photo(damaged, max_pixels=100_000).pixels.shape[2] == 3

    check_mutated()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_photo_shrinks_with_its_alpha_and_what_it_hides_does_not_bleed(dtype: Any) -> None:
    top = np.iinfo(dtype).max
    pixels = np.full((40, 60, 3), top // 2, dtype)
    alpha = np.full((40, 60), top, dtype)
    alpha[:, :31], pixels[:, :31] = 0, top
    small = shrink(Photo(pixels, alpha), 30)
    assert small.pixels.shape == (20, 30, 3)
    assert small.pixels.dtype == small.alpha.dtype == dtype
    assert small.alpha[:, 0].max() == 0
    assert small.alpha[:, -1].min() == top
    seen = small.pixels[small.alpha > top // 2].astype(int)
    assert np.abs(seen - top // 2).max() <= 0.06 * top  # unweighted, white would come in by a third
    assert shrink(Photo(pixels), 60).pixels is pixels
