"""Taking in uploads: the same pixels, none of the rest, and no picture that takes the service down."""

from __future__ import annotations

import io
import multiprocessing
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from sfumato.errors import InputError, SfumatoError
from sfumato.image import read_photo, write_photo
from sfumato.metadata import Metadata
from sfumato.studio.intake import Intake, Taken
from sfumato.studio.settings import Settings
from support import files, scene


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data=tmp_path_factory.mktemp("data"), pixels=4_000_000, upload_bytes=2_000_000, job_bytes=2**30)


@pytest.fixture(scope="module")
def intake(settings: Settings) -> Iterator[Intake]:
    found = Intake(settings, processes=1)
    found.warm_up()
    yield found
    found.close()


def levels(height: int = 60, width: int = 80) -> Any:
    return np.rint(scene(height, width)[0].transpose(1, 2, 0) * 255).astype(np.uint8)


def take(intake: Intake, folder: Path, content: bytes, name: str = "my photo.jpg") -> Taken:
    source, made = folder / "upload", folder / "made"
    source.write_bytes(content)
    made.mkdir(exist_ok=True)
    return intake.take(source, made, name)


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_the_pixels_of_an_upload(intake: Intake, tmp_path: Path, format: str) -> None:
    content = encoded(Image.fromarray(levels()), format)
    taken = take(intake, tmp_path, content)
    assert (taken.width, taken.height, taken.media_type, taken.recipe) == (80, 60, "image/png", None)
    np.testing.assert_array_equal(np.asarray(Image.open(taken.file)), read_photo(content).pixels)
    assert taken.small is None
    assert size(taken.thumb) == (80, 60)


def test_damaged_exif_writes_nothing_into_the_log(
    settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description of fifty letters, more than one field"
    damaged = bytearray(exif.tobytes())
    damaged[20:24] = b"\x7f\xff\xff\xff"  # the length of that text
    own = Intake(settings, processes=1)
    try:
        assert (
            take(own, tmp_path, encoded(Image.fromarray(levels()), "JPEG", exif=bytes(damaged), dpi=(72, 72))).width
            == 80
        )
    finally:
        own.close()
    assert capfd.readouterr().err == ""


def test_alpha_and_16_bits_are_kept(intake: Intake, tmp_path: Path) -> None:
    clear = np.dstack([levels(), np.full((60, 80), 7, np.uint8)])
    np.testing.assert_array_equal(
        np.asarray(Image.open(take(intake, tmp_path, encoded(Image.fromarray(clear), "PNG")).file)), clear
    )
    deep = np.arange(4800, dtype=np.uint16).reshape(60, 80) * 13
    photo = read_photo(take(intake, tmp_path, encoded(Image.fromarray(deep), "PNG")).file)
    np.testing.assert_array_equal(photo.pixels[:, :, 0], deep)


def test_a_large_photo_gets_a_copy_for_drafts(intake: Intake, tmp_path: Path) -> None:
    taken = take(intake, tmp_path, encoded(Image.fromarray(levels(900, 1600)), "JPEG"))
    assert taken.small is not None
    assert size(taken.small) == (1024, 576)
    assert size(taken.thumb) == (512, 288)


def test_nothing_but_the_named_metadata(intake: Intake, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera 4711"
    exif[ExifTags.Base.Copyright] = "Anna"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    content = encoded(Image.fromarray(levels()), "JPEG", exif=exif, comment=b"a secret") + b"<script>alert(1)</script>"
    taken = take(intake, tmp_path, content)
    assert (taken.width, taken.height) == (60, 80)  # upright
    assert read_photo(taken.file).metadata == Metadata(copyright="Anna")
    for path in (taken.file, taken.thumb):
        assert not any(word in path.read_bytes() for word in (b"4711", b"secret", b"script", b"GPS"))


def test_a_painted_picture_brings_its_recipe(intake: Intake, tmp_path: Path) -> None:
    photo = read_photo(encoded(Image.fromarray(levels()), "PNG"))
    recipe: dict[str, object] = {"strength": 0.5}
    painted = io.BytesIO()
    write_photo(type(photo)(photo.pixels, metadata=Metadata(recipe=recipe)), painted, "jpeg")
    taken = take(intake, tmp_path, painted.getvalue())
    assert taken.recipe == recipe
    assert read_photo(taken.file).metadata.recipe == recipe


def test_the_first_of_several_frames(intake: Intake, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((60, 80, 3), level, np.uint8)) for level in (10, 200)]
    taken = take(intake, tmp_path, encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert taken.remark == "only the first of its frames is used"
    assert int(np.asarray(Image.open(taken.file)).max()) == 10


def bomb() -> bytes:
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<html>no picture</html>", "cannot read my photo.jpg: it is none of"),
        (b"", "cannot read my photo.jpg: the file is empty"),
        (encoded(Image.fromarray(levels()), "PNG")[:2000], "cannot read my photo.jpg: the file is damaged"),
        (bomb(), "more than the limit of 4 megapixels; make it smaller"),
        (bytes(3_000_000), "my photo.jpg has 3 MiB, more than the limit of 2; make it smaller"),
    ],
    ids=["html", "empty", "cut", "bomb", "bytes"],
)
def test_what_is_refused(intake: Intake, tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(InputError) as told:
        take(intake, tmp_path, content)
    assert sentence in str(told.value)
    assert "--" not in str(told.value)
    assert str(tmp_path) not in str(told.value)
    assert files(tmp_path / "made") == []


def test_a_crash_of_a_decoder_costs_one_upload(intake: Intake, tmp_path: Path) -> None:
    """The child is killed in the middle, as a fault in a codec would; the next upload gets another child."""
    content = encoded(Image.fromarray(levels(1400, 2400)), "PNG", compress_level=9)
    intake = Intake(Settings(data=tmp_path, pixels=4_000_000), processes=1)
    before = set(multiprocessing.active_children())
    told: list[Exception] = []

    def upload() -> None:
        try:
            take(intake, tmp_path, content)
        except SfumatoError as problem:
            told.append(problem)

    thread = threading.Thread(target=upload)
    thread.start()
    while not (found := set(multiprocessing.active_children()) - before):
        time.sleep(0.01)
    found.pop().kill()
    thread.join(30)
    assert str(told[0]) == ("my photo.jpg made its decoder crash, so it is damaged; save it again with another program")
    assert take(intake, tmp_path, encoded(Image.fromarray(levels()), "PNG")).width == 80
    intake.close()


@pytest.mark.slow
def test_a_picture_beyond_the_memory_limit(tmp_path: Path) -> None:
    intake = Intake(Settings(data=tmp_path, job_bytes=2**28), processes=1)
    content = encoded(Image.new("RGB", (9000, 9000)), "PNG", compress_level=1)
    with pytest.raises(InputError, match="does not fit into memory; make it smaller"):
        take(intake, tmp_path, content)
    assert take(intake, tmp_path, encoded(Image.fromarray(levels()), "PNG")).width == 80
    intake.close()


def test_uploads_of_several_people_at_once(intake: Intake, tmp_path: Path) -> None:
    wide = []

    def upload(width: int) -> None:
        folder = tmp_path / str(width)
        folder.mkdir()
        wide.append((width, take(intake, folder, encoded(Image.fromarray(levels(60, width)), "PNG")).width))

    threads = [threading.Thread(target=upload, args=(width,)) for width in range(40, 48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(wide) == [(width, width) for width in range(40, 48)]
