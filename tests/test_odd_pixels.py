"""Pixels that a file's checksums, lengths or header speak against: a remark or a refusal, and never silence."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import InputError
from sfumato.image import read_photo
from support import run, scene
from test_picture_kinds import HAS_HEIF, chunk, needs_deep, png, ramp, same

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def raw_png(bits: int, colour: int, lines: bytes, damage: int = 0, parts: int = 1) -> bytes:
    """A PNG of 32 x 24 whose pixels are ``lines``, in so many chunks, with checksums that are wrong by ``damage``."""
    head = struct.pack(">IIBBBBB", 32, 24, bits, colour, 0, 0, 0)
    body = zlib.compress(lines)
    step = -(-len(body) // parts)
    chunks = [chunk(b"IDAT", body[at : at + step], damage) for at in range(0, len(body), step)]
    return SIGNATURE + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND", b"")


def lines_of(levels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in levels.astype(levels.dtype.newbyteorder(">")))


@pytest.mark.parametrize("parts", [1, 3])
def test_a_wrong_checksum_of_whole_pixels_is_remarked_on(tmp_path: Path, parts: int) -> None:
    data = raw_png(8, 2, lines_of(ramp()), damage=1, parts=parts)
    photo = same(data, ramp())
    assert photo.remark is not None
    assert "checksum of its pixels" in photo.remark
    (tmp_path / "a.png").write_bytes(data)
    result = run("finish", tmp_path / "a.png", "--warmth", "0.1", "-o", tmp_path / "out.png")
    assert result.exit_code == 0
    assert photo.remark in result.stdout
    assert same(raw_png(8, 2, lines_of(ramp()), parts=parts), ramp()).remark is None


@needs_deep
def test_a_wrong_checksum_of_16_bit_pixels(tmp_path: Path) -> None:
    deep = ramp().astype(np.uint16) * 257
    photo = read_photo(raw_png(16, 2, lines_of(deep), damage=1))
    assert photo.remark is not None
    assert "checksum of its pixels" in photo.remark
    np.testing.assert_array_equal(photo.pixels // (257 if photo.pixels.dtype == np.uint16 else 1), ramp())


def test_pixels_of_another_depth_than_the_header_s() -> None:
    black = np.zeros((24, 32), np.uint16)  # whose bytes are fitting filters, so that decoders go on
    photo = read_photo(raw_png(8, 0, lines_of(black)))
    assert photo.remark is not None
    assert "there is data after its last line" in photo.remark
    with pytest.raises(InputError, match=r"pixels end after 5\d% of the picture"):
        read_photo(raw_png(16, 0, lines_of(black.astype(np.uint8))))


def test_pixels_that_end_early_are_refused() -> None:
    lines = lines_of(ramp())
    with pytest.raises(InputError, match="pixels end after 50% of the picture"):
        read_photo(raw_png(8, 2, lines[: len(lines) // 2]))


@pytest.mark.parametrize("size", [(24, 32), (1, 1), (3, 2), (5, 1), (9, 17)])
def test_the_length_of_pixels_is_right_for_every_kind_and_interlace(size: tuple[int, int]) -> None:
    image = Image.fromarray(ramp(*(max(2, side) for side in size))[: size[0], : size[1]])
    for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16"):
        buffer = BytesIO()
        (image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)).save(buffer, "PNG")
        assert read_photo(buffer.getvalue()).remark is None
    height, width = size
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    grey = np.asarray(image.convert("L"))
    lines = b"".join(lines_of(part) for x, y, a, d in passes if (part := grey[y::d, x::a]).size)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    data = SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    assert same(data, grey[:, :, None]).remark is None


def test_an_uncompressed_tiff_of_16_bits_that_says_8() -> None:
    buffer = BytesIO()
    Image.fromarray(ramp()[:, :, 0].astype(np.uint16) * 257).save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    assert read_photo(bytes(data)).remark is None
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    [entry] = [at for at in range(place + 2, place + 2 + 12 * count, 12) if data[at : at + 2] == b"\x02\x01"]
    data[entry + 8 : entry + 10] = b"\x08\0"
    remark = read_photo(bytes(data)).remark
    assert remark is not None
    assert "more bytes than its pixels need" in remark


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}])
def test_other_tiffs_are_not_remarked_on(options: dict[str, str]) -> None:
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK"):
        if options.get("compression") == "jpeg" and mode in ("1", "P", "RGBA"):
            continue
        buffer = BytesIO()
        Image.fromarray((scene(40, 56)[0].transpose(1, 2, 0) * 255).astype(np.uint8)).convert(mode).save(
            buffer, "TIFF", **options
        )
        assert read_photo(buffer.getvalue()).remark is None


def test_pixels_are_checked_when_they_are_decoded_and_not_before(tmp_path: Path) -> None:
    from sfumato.image import read_recipe

    (tmp_path / "a.png").write_bytes(png(ramp(), 2)[:-30])  # as a folder that is planned looks for recipes alone
    assert read_recipe(tmp_path / "a.png") is None


def test_what_is_cut_short_is_said_to_be() -> None:
    buffer = BytesIO()
    Image.fromarray(ramp()).save(buffer, "TIFF", compression="tiff_lzw")  # whose directory stands at the end
    with pytest.raises(InputError, match="the TIFF is damaged or cut short"):
        read_photo(buffer.getvalue()[:-200])


@pytest.mark.skipif(not HAS_HEIF, reason="the extra 'heif' is not installed")
def test_a_decoder_s_words_fit_in_one_line() -> None:
    import pillow_heif

    buffer = BytesIO()
    pillow_heif.from_pillow(Image.fromarray(ramp(64, 64))).save(buffer)
    with pytest.raises(InputError, match="damaged or cut short") as caught:
        read_photo(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    assert "\n" not in str(caught.value)
