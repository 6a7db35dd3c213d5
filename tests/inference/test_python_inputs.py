"""What people hold in Python as a picture, or as several."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato import Style, Stylizer
from sfumato.errors import InputError, UsageError
from sfumato.image import as_image, read_image, to_uint8
from sfumato.quality.votes import read_votes

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
    with pytest.raises(InputError, match="must be uint8 or float"):
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
    with pytest.raises(UsageError, match="made of pictures, but int was given"):
        Style.from_images(5, stylizer=stylizer)  # type: ignore[arg-type]


def test_one_path_of_votes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json"):
        read_votes(str(tmp_path / "none.json"))


def test_a_seed_is_a_whole_number(photo: Path, stylizer: Stylizer) -> None:
    with pytest.raises(UsageError, match="seed must be a whole number"):
        stylizer(photo, "monet", quality="draft", seed=1.5)  # type: ignore[arg-type]
