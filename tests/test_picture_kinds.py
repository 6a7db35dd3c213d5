"""What a valid picture file may hold: right pixels, or one sentence that names the kind."""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from sfumato.errors import InputError
from sfumato.image import Photo, read_photo, read_recipe, write_photo
from sfumato.image.colour import adobe_rgb_profile
from support import NETWORK32, run

HAS_DEEP = importlib.util.find_spec("imagecodecs") is not None
HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None
needs_deep = pytest.mark.skipif(not HAS_DEEP, reason="the extra 'deep' is not installed")


def ramp(height: int = 24, width: int = 32) -> np.ndarray:
    """(H, W, 3) uint8: red grows to the right, green downwards."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x * y) % 256], -1).astype(np.uint8)


def chunk(kind: bytes, data: bytes, damage: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ damage)


def png(levels: np.ndarray, colour: int, before: bytes = b"", after: bytes = b"") -> bytes:
    stored = levels.astype(levels.dtype.newbyteorder(">"))
    head = struct.pack(">IIBBBBB", levels.shape[1], levels.shape[0], 8 * levels.itemsize, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in stored))
    parts = chunk(b"IHDR", head), before, chunk(b"IDAT", body), after, chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def same(data: bytes, wanted: np.ndarray) -> Photo:
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, np.broadcast_to(wanted, photo.pixels.shape))
    return photo


# ---- PNG -------------------------------------------------------------------------------------------------------------

XMP = b"<x:xmpmeta>" + b"<rdf:li stEvt:action='saved' stEvt:when='2020-01-01'/>" * 40_000 + b"</x:xmpmeta>"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LARGE = {
    "xmp": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
    "text": chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"node graph " * 200_000)),
    "too much": chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(40_000_000))),
    "damaged text": chunk(b"tEXt", b"Comment\0x", damage=1),
    "damaged colours": chunk(b"gAMA", struct.pack(">I", 100_000), damage=1),
    "no text": chunk(b"zTXt", b"a\0\0no zlib"),
    "unknown": chunk(b"vpAg", bytes(9)),
}


@pytest.mark.parametrize("what", LARGE)
@pytest.mark.parametrize("place", ["before", "after"])
def test_large_and_damaged_metadata_of_png_is_no_reason_to_refuse_it(what: str, place: str) -> None:
    recipe = chunk(b"iTXt", b'sfumato\0\0\0\0\0{"a": 1}')
    data = png(ramp(), 2, **{place: LARGE[what] + recipe})
    assert same(data, ramp()).metadata.recipe == {"a": 1}
    assert read_recipe(data) == {"a": 1}


def test_a_large_profile_counts() -> None:
    profile = adobe_rgb_profile() + bytes(2 << 20)
    data = png(np.full((4, 4, 3), (0, 255, 0), np.uint8), 2, chunk(b"iCCP", b"printer\0\0" + zlib.compress(profile)))
    packed = zlib.compress(SRGB + bytes(2 << 20))
    grey = png(np.full((4, 4, 3), 128, np.uint8), 2, chunk(b"iCCP", b"printer\0\0" + packed))
    assert read_photo(data).pixels[0, 0].tolist() == [0, 255, 0]  # out of sRGB
    assert abs(int(read_photo(grey).pixels[0, 0, 0]) - 128) <= 1


def test_damaged_pixels_of_png_stay_damaged() -> None:
    data = png(ramp(), 2)
    at = data.index(b"IDAT") + 10
    with pytest.raises(InputError, match="damaged or cut short"):
        read_photo(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    with pytest.raises(InputError, match=r"Apple devices only \(CgBI\)"):
        read_photo(data[:8] + chunk(b"CgBI", bytes(4)) + data[8:])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [0, 2])
def test_a_transparent_colour_is_transparent_at_any_depth(
    dtype: type, colour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = np.iinfo(dtype).max // 255
    levels = np.full((8, 9) if colour == 0 else (8, 9, 3), 200 * scale, dtype)
    levels[:, :4] = 255 * scale
    clear = struct.pack(">H", 255 * scale) * (1 if colour == 0 else 3)
    for _ in range(2):
        photo = read_photo(png(levels, colour, chunk(b"tRNS", clear)))
        assert photo.alpha is not None
        assert (photo.alpha[:, :4] == 0).all()
        assert (photo.alpha[:, 4:] == np.iinfo(photo.alpha.dtype).max).all()
        monkeypatch.setitem(sys.modules, "imagecodecs", None)  # and without the extra


def light(level: float) -> float:
    """IEC 61966-2-1: light to stored values."""
    return 12.92 * level if level <= 0.0031308 else 1.055 * level ** (1 / 2.4) - 0.055


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 1 / 1.4])
def test_png_s_gamma_counts(gamma: float) -> None:
    stated = chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    for colour, shape in ((2, (4, 4, 3)), (0, (4, 4))):
        pixel = read_photo(png(np.full(shape, 90, np.uint8), colour, stated)).pixels[0, 0]
        np.testing.assert_allclose(pixel / 255, light((90 / 255) ** (1 / gamma)), atol=1.5 / 255)
    deep = read_photo(png(np.full((4, 4), 90 * 257, np.uint16), 0, stated)).pixels[0, 0]
    np.testing.assert_allclose(deep / 65535, light((90 / 255) ** (1 / gamma)), atol=1.5 / 255)


def test_what_says_srgb_in_other_words_is_not_touched() -> None:
    places = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    for stated in (
        chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"cHRM", places),
        chunk(b"sRGB", b"\0") + chunk(b"gAMA", struct.pack(">I", 100_000)),  # the first of them counts
        chunk(b"cICP", bytes([1, 13, 0, 1])) + chunk(b"gAMA", struct.pack(">I", 100_000)),
        chunk(b"gAMA", bytes(4)),
        chunk(b"cHRM", bytes(32)),
        chunk(b"gAMA", b"1"),
    ):
        same(png(ramp(), 2, stated), ramp())


def test_png_s_primaries_count() -> None:
    levels = np.full((4, 4, 3), (200, 60, 60), np.uint8)
    p3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    for stated in (chunk(b"cICP", bytes([12, 13, 0, 1])), chunk(b"cHRM", p3)):
        pixel = read_photo(png(levels, 2, stated)).pixels[0, 0]
        np.testing.assert_allclose(pixel, [217, 43, 54], atol=2)


@pytest.mark.parametrize(
    ("codes", "message"), [((9, 16, 0, 1), "PQ"), ((9, 18, 0, 1), "HLG"), ((1, 13, 0, 0), "video")]
)
def test_what_cannot_be_srgb_is_named(codes: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=f"cannot read the bytes: its .*{message}"):
        read_photo(png(ramp(), 2, chunk(b"cICP", bytes(codes))))


def test_adobe_rgb_that_exif_names(tmp_path: Path) -> None:
    levels = np.full((16, 16, 3), (60, 200, 60), np.uint8)
    Image.fromarray(levels).save(tmp_path / "icc.jpg", quality=100, icc_profile=adobe_rgb_profile())
    interop = struct.pack("<HHHI4sI", 1, 1, 2, 4, b"R03\0", 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0)
    exif += struct.pack("<HHHIII", 1, 0xA005, 4, 1, 44, 0) + interop
    Image.fromarray(levels).save(tmp_path / "exif.jpg", quality=100, exif=exif)
    icc, named = (read_photo(tmp_path / name).pixels for name in ("icc.jpg", "exif.jpg"))
    np.testing.assert_array_equal(icc, named)
    assert named[0, 0, 0] < 20


@needs_deep
def test_interlaced_16_bits_are_read_in_silence(tmp_path: Path) -> None:
    levels = ramp(9, 7).astype(np.uint16) * 257
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    body = b"".join(
        b"\0" + row.astype(">u2").tobytes() for x, y, dx, dy in passes for row in levels[y::dy, x::dx] if row.size
    )
    head = struct.pack(">IIBBBBB", 7, 9, 16, 2, 0, 0, 1)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    (tmp_path / "i.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    code = "import sys; from sfumato.image import read_photo; print(int(read_photo(sys.argv[1]).pixels[8, 6, 0]))"
    found = subprocess.run([sys.executable, "-c", code, tmp_path / "i.png"], capture_output=True, text=True, check=True)
    assert (found.stdout.strip(), found.stderr) == ("65535", "")
    same((tmp_path / "i.png").read_bytes(), levels)


# ---- TIFF ------------------------------------------------------------------------------------------------------------


def saved_tiff(levels: np.ndarray, **options: object) -> bytes:
    buffer = BytesIO()
    pytest.importorskip("tifffile").imwrite(buffer, levels, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_white_is_zero_where_a_tiff_says_so(dtype: type, compression: str | None) -> None:
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    grey = np.broadcast_to(np.linspace(0, top, 20), (9, 20)).astype(dtype)
    data = saved_tiff((top - grey).astype(dtype), photometric="miniswhite", compression=compression)
    pixels = read_photo(data).pixels
    np.testing.assert_allclose(pixels[:, :, 1] / np.iinfo(pixels.dtype).max, grey / top, atol=NETWORK32)


@pytest.mark.parametrize("scale", [1, 257])
def test_colour_maps_of_8_and_of_16_bits(scale: int) -> None:
    index = np.broadcast_to(np.arange(256, dtype=np.uint8), (4, 256))
    colours = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 7)]).astype(np.uint16)
    data = saved_tiff(index, photometric="palette", colormap=colours * scale)
    same(data, colours.T[index].astype(np.uint8))


UNUSUAL = {
    "float": (saved_tiff, (ramp() / 255).astype(np.float32), {"photometric": "rgb"}),
    "half": (saved_tiff, (ramp() / 255).astype(np.float16), {"photometric": "rgb"}),
    "double": (saved_tiff, ramp() / 255, {"photometric": "rgb"}),
    "big endian BigTIFF": (saved_tiff, ramp(), {"photometric": "rgb", "bigtiff": True, "byteorder": ">"}),
    "planes": (
        saved_tiff,
        np.moveaxis(ramp() / 255, 2, 0).astype(np.float32).copy(),
        {"photometric": "rgb", "planarconfig": "separate"},
    ),
}


@needs_deep
@pytest.mark.parametrize("kind", UNUSUAL)
def test_kinds_of_tiff_that_pillow_lacks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, levels, options = UNUSUAL[kind]
    data = make(levels, **options)  # type: ignore[arg-type]
    pixels = read_photo(data).pixels
    np.testing.assert_allclose(pixels / 65535, ramp() / 255, atol=1e-3)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(InputError, match=r"it is a TIFF of RGB, .*bits a channel, which needs the extra 'deep'"):
        read_photo(data)


@needs_deep
def test_grey_with_alpha_of_16_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    grey, alpha = ramp()[..., 0].astype(np.uint16) * 257, ramp()[..., 1].astype(np.uint16) * 257
    stored = np.dstack([grey, alpha])
    photo = same(saved_tiff(stored, photometric="minisblack", extrasamples=[2], planarconfig="contig"), grey[..., None])
    np.testing.assert_array_equal(photo.alpha, alpha)


@needs_deep
def test_a_jpeg_of_12_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    import imagecodecs

    smooth = ramp() * np.array([1, 1, 0], np.uint8)
    data = imagecodecs.jpeg_encode(smooth.astype(np.uint16) * 16, bitspersample=12, level=100, subsampling="444")
    exif = Image.Exif()
    exif[0x0112] = 3
    segment = exif.tobytes()
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    np.testing.assert_allclose(read_photo(data).pixels[::-1, ::-1, :2] / 65535, smooth[..., :2] / 256, atol=0.01)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(InputError, match="it is a JPEG of 12 bits a channel, which needs the extra 'deep'"):
        read_photo(data)


def test_kinds_that_are_not_read_are_named() -> None:
    ink = np.dstack([255 - ramp(), *[np.full((24, 32), 255, np.uint8)] * 3])
    with pytest.raises(InputError, match="it is a TIFF of CMYK with 2 more channels, 8 bits a channel, which is not"):
        read_photo(saved_tiff(ink, photometric="separated", extrasamples=[2, 0]))
    with pytest.raises(InputError, match="a camera's raw sensor"):
        read_photo(saved_tiff(ramp()[..., 0].astype(np.uint16), photometric="cfa"))


def test_lab_is_colour() -> None:
    buffer = BytesIO()
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    ImageCms.applyTransform(Image.new("RGB", (8, 8), (200, 80, 40)), to_lab).save(buffer, "TIFF")
    np.testing.assert_allclose(read_photo(buffer.getvalue()).pixels[4, 4], (200, 80, 40), atol=3)


def test_alpha_of_bmp_that_is_nowhere_set_means_opaque() -> None:
    colours = np.dstack([ramp()[..., ::-1], np.zeros((24, 32), np.uint8)])
    for alpha, is_opaque in ((0, True), (99, False)):
        colours[0, 0, 3] = alpha
        body = colours[::-1].tobytes()
        masks = 0xFF0000, 0xFF00, 0xFF, 0xFF000000
        head = struct.pack("<IiiHHIIiiIIIIII", 124, 32, 24, 1, 32, 3, len(body), 2835, 2835, 0, 0, *masks)
        head += b"BGRs" + bytes(64)
        photo = same(b"BM" + struct.pack("<IHHI", 138 + len(body), 0, 0, 138) + head + body, ramp())
        assert (photo.alpha is None) == is_opaque


# ---- several pictures in one file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.gif", "b.webp", "c.png", "d.tif"])
def test_one_of_several_is_read_and_that_is_said(tmp_path: Path, name: str) -> None:
    first = Image.fromarray(ramp())
    first.save(tmp_path / name, save_all=True, append_images=[first.rotate(180)])
    photo = read_photo(tmp_path / name)
    assert photo.remark is not None
    assert "only the first of its" in photo.remark
    np.testing.assert_allclose(photo.pixels[:, :, 0], ramp()[:, :, 0], atol=60)
    result = run("finish", tmp_path / name, "--warmth", "0.1", "-o", tmp_path / "out.png")
    assert photo.remark in result.stdout
    first.save(tmp_path / f"one{name}")
    assert read_photo(tmp_path / f"one{name}").remark is None


def test_a_thumbnail_before_its_picture_is_not_the_picture() -> None:
    tifffile = pytest.importorskip("tifffile")
    for kind, remark in ((1, None), (0, "only the largest of its 2 pages is used")):
        buffer = BytesIO()
        with tifffile.TiffWriter(buffer) as file:
            file.write(ramp()[::3, ::3], photometric="rgb", subfiletype=kind)
            file.write(ramp(), photometric="rgb")
        assert same(buffer.getvalue(), ramp()).remark == remark


# ---- formats by an extra, and by none --------------------------------------------------------------------------------

FTYP = b"\0\0\0\x14ftyp%s\0\0\0\0%s"


@pytest.mark.skipif(importlib.util.find_spec("PIL._avif") is None, reason="this Pillow has no AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    smooth = ramp() * np.array([1, 1, 0], np.uint8)
    Image.fromarray(smooth).save(tmp_path / "x.avif", quality=100, subsampling="4:4:4")
    np.testing.assert_allclose(read_photo(tmp_path / "x.avif").pixels, smooth, atol=4)


@pytest.mark.skipif(not HAS_HEIF, reason="the extra 'heif' is not installed")
def test_heic_is_read(tmp_path: Path) -> None:
    import pillow_heif

    exif = Image.Exif()
    exif[0x0112] = 6
    smooth = ramp() * np.array([1, 1, 0], np.uint8)
    options = {"quality": 100, "chroma": 444, "exif": exif.tobytes()}
    pillow_heif.from_pillow(Image.fromarray(smooth)).save(tmp_path / "x.heic", **options)
    np.testing.assert_allclose(read_photo(tmp_path / "x.heic").pixels, np.rot90(smooth, -1), atol=6)


@pytest.mark.skipif(HAS_HEIF, reason="the extra 'heif' is installed")
def test_heic_without_its_extra_is_named() -> None:
    with pytest.raises(InputError, match=r"it is HEIC, which needs the extra 'heif'; run: pip install"):
        read_photo(FTYP % (b"heic", b"heic"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\x0a" + bytes(30), "it is JPEG XL, which is not supported"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "it is JPEG XL, which is not supported"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "it is JPEG 2000"),
        (b"8BPS\0\1", "it is a Photoshop file"),
        (FTYP % (b"mp42", b"isom"), "it is a video"),
        (FTYP % (b"crx ", b"isom"), "it is a raw camera file"),
    ],
)
def test_formats_that_are_not_read_are_named_whatever_the_file_is_called(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"cannot read the bytes: {message}"):
        read_photo(data)


def test_a_folder_of_everything_is_painted_or_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "below" / "deeper").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    picture = Image.fromarray(ramp())
    for name in ("a.jpg", "b.jfif", "c.jpe", "d.JPEG", ".hidden/no.jpg", "below/deeper/e.png", "@eaDir.png"):
        picture.save(folder / name, format="PNG" if name.endswith("png") else "JPEG")
    (tmp_path / "elsewhere").mkdir()
    picture.save(tmp_path / "elsewhere" / "far.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "link.png").symlink_to(tmp_path / "elsewhere" / "far.png")
    for name in ("f.jxl", "g.cr2", "h.psd", "notes.txt", "Thumbs.db"):
        (folder / name).write_bytes(b"?")
    (folder / "i.heic").write_bytes(FTYP % (b"heic", b"heic"))
    for name in ("j.icns", "named"):
        (folder / name).write_bytes(b"?")
    os.mkfifo(folder / "pipe.jpg")
    result = run("finish", folder, "--warmth", "0.1", "-o", tmp_path / "out")
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    below = {"below/deeper/e.png", "linked/far.png"}
    assert made == {"a.jpg", "b.jpg", "c.jpg", "d.jpeg", "@eaDir.png", "link.png"} | below
    assert result.exit_code == 3
    for message in (
        "8 finished, 1 failed",
        "i.heic: it is HEIC" if not HAS_HEIF else "i.heic",
        "f.jxl: JPEG XL, which is not supported",
        "g.cr2: a raw camera file",
        "h.psd: the file of a paint program",
        "notes.txt: not a picture",
        "j.icns: a picture in an unsupported format",
        "named: no suffix in its name",
        "pipe.jpg: not a regular file",
    ):
        assert message in result.stderr
    assert "Thumbs.db" not in result.stderr


def test_the_folder_of_one_kind_that_is_not_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.jxl").write_bytes(b"?")
    result = run("finish", tmp_path, "--warmth", "0.1", "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "no picture lies in the folder" in result.stderr
    assert "JPEG XL" in result.stderr


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write_photo(Photo(ramp()), tmp_path / "x.png")
    assert same((tmp_path / "x.png").read_bytes(), ramp()).remark is None
