"""What people hold in Python as a picture, or as several."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato import PaintOptions, Style, Stylizer
from sfumato.errors import InputError, UsageError
from sfumato.image import as_image, as_photo, read_image, read_photo, to_uint8
from sfumato.inference.masks import as_mask
from sfumato.quality.votes import read_votes
from support import FLOAT32

NO_PICTURES = [io.StringIO("text"), io.BytesIO(b""), b"", b"no picture", object(), {1: 2}, None, 5]


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer()


def test_files_and_their_bytes_are_pictures(photo: Path, stylizer: Stylizer) -> None:
    wanted = read_image(photo)
    data = photo.read_bytes()
    with photo.open("rb") as file:
        for source in (file, io.BytesIO(data), data, bytearray(data)):
            np.testing.assert_array_equal(as_image(source), wanted)
    painted = stylizer(photo, "monet", quality="draft")
    np.testing.assert_array_equal(stylizer(io.BytesIO(data), "monet", quality="draft"), painted)
    assert Style.from_image(io.BytesIO(data), stylizer=stylizer).code == Style.from_image(photo, stylizer=stylizer).code


@pytest.mark.parametrize("source", NO_PICTURES, ids=lambda source: type(source).__name__)
def test_what_is_no_picture_is_an_input_error(source: Any) -> None:
    with pytest.raises(InputError):
        as_image(source)


def test_tensors_count_as_arrays(photo: Path) -> None:
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(read_image(photo))
    np.testing.assert_array_equal(as_image(x.clone().requires_grad_()), x.numpy())
    np.testing.assert_allclose(as_image(x.bfloat16()), x.numpy(), atol=1 / 256)
    np.testing.assert_allclose(as_image(x.half()), x.numpy(), atol=1 / 2048)
    with pytest.raises(InputError, match="must be uint8, uint16, bool or float"):
        as_image(x.to(torch.complex64))


def test_one_picture_where_several_are_expected(photo: Path, stylizer: Stylizer) -> None:
    picture = read_image(photo)
    code = Style.from_images([photo], stylizer=stylizer).code
    levels = to_uint8(picture)
    for one in (str(photo), photo, photo.read_bytes(), io.BytesIO(photo.read_bytes()), Image.fromarray(levels)):
        assert Style.from_images(one, stylizer=stylizer).code == code
    for array in (levels, picture, picture[0]):
        assert Style.from_images(array, stylizer=stylizer).code == code
    two = Style.from_images(np.concatenate([picture, picture[:, ::-1]]), stylizer=stylizer)
    assert len(two.pictures) == 2
    with pytest.raises(UsageError, match="made from pictures, but int was given"):
        Style.from_images(5, stylizer=stylizer)  # type: ignore[arg-type]


def layouts(levels: Any) -> Iterator[Any]:
    """The same picture as people hold it."""
    first = levels.transpose(2, 0, 1)
    yield from (levels, first, levels[None], first[None])
    yield from (levels.astype(np.uint16) * 257, levels / 255, first.astype(np.float32) / 255)


def test_every_layout_and_type_of_array_is_the_same_picture(photo: Path) -> None:
    levels = to_uint8(read_image(photo))
    for array in layouts(levels):
        np.testing.assert_allclose(
            as_image(array), read_image(photo), atol=1e-7, err_msg=f"{array.shape} {array.dtype}"
        )
        held = as_photo(array)
        assert held.alpha is None
        np.testing.assert_array_equal(np.rint(held.picture() * 255), np.rint(read_image(photo) * 255))
    grey = levels[:, :, 0] > 99
    for array in (grey, grey[:, :, None], grey[None], grey[None, None], grey[None, :, :, None]):
        np.testing.assert_array_equal(as_image(array), np.broadcast_to(grey.astype(np.float32), (1, 3, *grey.shape)))


def test_alpha_is_laid_on_white_and_kept_in_a_photo() -> None:
    levels = np.full((5, 6, 4), 100, np.uint16)
    levels[:2, :, 3] = 0
    levels[2:, :, 3] = 65535
    for array in (levels, levels.transpose(2, 0, 1), levels[None]):
        picture = as_image(array)
        assert (picture[:, :, :2] == 1).all()
        np.testing.assert_allclose(picture[:, :, 2:], 100 / 65535, atol=FLOAT32)
        photo = as_photo(array)
        assert (photo.pixels == 100).all()
        np.testing.assert_array_equal(photo.alpha, levels[:, :, 3])
    with pytest.raises(InputError, match="batch of 2"):
        as_photo(np.zeros((2, 3, 4, 6), np.uint8))
    for wrong in (np.full((4, 6, 3), 2.0), np.full((4, 6, 3), np.nan)):
        with pytest.raises(InputError, match=r"must be in \[0, 1\]"):
            as_photo(wrong)


def test_a_memoryview_holds_a_file_or_pixels(photo: Path) -> None:
    data = photo.read_bytes()
    np.testing.assert_array_equal(as_image(memoryview(data)), read_image(photo))
    np.testing.assert_array_equal(as_image(memoryview(to_uint8(read_image(photo)))), read_image(photo))  # type: ignore[arg-type]
    for source in (b"no picture", bytearray(b"no picture"), memoryview(b"no picture")):
        with pytest.raises(InputError, match="cannot read the bytes: it is none of"):
            as_image(source)


def test_a_mask_is_a_picture_or_an_array(photo: Path, tmp_path: Path) -> None:
    wanted = np.zeros((80, 100), np.float32)
    wanted[:, 30:] = 1
    image = Image.fromarray((wanted * 255).astype(np.uint8))
    image.save(tmp_path / "mask.png")
    file = (tmp_path / "mask.png").read_bytes()
    levels = (wanted * 255).astype(np.uint8)
    sources = [image, image.convert("RGB"), tmp_path / "mask.png", str(tmp_path / "mask.png"), file, io.BytesIO(file)]
    sources += [
        wanted,
        wanted > 0,
        levels,
        levels.astype(np.uint16) * 257,
        wanted[None],
        wanted[:, :, None],
        wanted[None, None],
    ]
    for source in sources:
        np.testing.assert_allclose(as_mask(source), wanted, atol=FLOAT32)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a mask must have shape \(H, W\)"):
        as_mask(np.zeros((2, 80, 100)))
    with pytest.raises(InputError, match="a mask must be a path, a file, a PIL image or an array"):
        as_mask([[1, 2], [3]])  # type: ignore[arg-type]


def test_the_painter_takes_what_people_hold(photo: Path, stylizer: Stylizer) -> None:
    draft = PaintOptions(quality="draft")
    wanted = stylizer.paint(read_photo(photo), "monet", draft)
    for source in (photo, str(photo), photo.read_bytes(), to_uint8(read_image(photo))):
        np.testing.assert_array_equal(stylizer.paint(source, "monet", draft).pixels, wanted.pixels)
    with pytest.raises(InputError, match=r"nowhere\.jpg"):
        stylizer.paint("nowhere.jpg", "monet", draft)


def test_wrong_arguments_are_told_in_one_sentence(photo: Path, stylizer: Stylizer) -> None:
    with pytest.raises(UsageError, match="progress must be a function"):
        stylizer(photo, "monet", quality="draft", progress=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"options must be PaintOptions, .* but is 0\.5"):
        stylizer.paint(photo, "monet", 0.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="masks must be a list, but is ndarray"):
        stylizer(photo, "monet", masks=np.zeros((80, 100)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="3 styles and 1 mask were given"):
        stylizer(photo, ["monet", "klimt", "degas"], masks=[photo])
    with pytest.raises(UsageError, match="from_image takes one picture, but list was given; from_images takes several"):
        Style.from_image([])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one picture"):
        Style.from_images([])


def test_one_path_of_votes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json"):
        read_votes(str(tmp_path / "none.json"))


def test_a_seed_is_a_whole_number(photo: Path, stylizer: Stylizer) -> None:
    with pytest.raises(UsageError, match="seed must be a whole number"):
        stylizer(photo, "monet", quality="draft", seed=1.5)  # type: ignore[arg-type]
