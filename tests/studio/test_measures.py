"""The measures of a result say what happened to the photo."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sfumato.image import Photo, Picture, to_uint8
from sfumato.studio.measures import measure, measure_if_alike
from support import scene


def photo_of(picture: Picture) -> Photo:
    return Photo(to_uint8(picture))


@pytest.fixture
def photo() -> Photo:
    return photo_of(scene(480, 640))


def measured(picture: Photo, photo: Photo) -> dict[str, Any]:
    found = measure(picture, photo)
    assert found is not None
    assert json.loads(json.dumps(found)) == found  # no NaN and no infinity
    return found


def test_the_photo_itself(photo: Photo) -> None:
    found = measured(photo, photo)
    assert (found["psnr"], found["colour"], found["artefacts"]) == (100.0, 0.0, 0.0)
    for name in ("ssim", "kept", "copied", "edges"):
        assert found[name] == pytest.approx(1, abs=1e-3)


def test_another_picture_keeps_nothing(photo: Photo) -> None:
    found = measured(photo_of(scene(480, 640, 9)), photo)
    assert found["ssim"] < 0.3
    assert abs(found["kept"]) < 0.3
    assert found["colour"] > 5


def test_a_defect_is_named(photo: Photo) -> None:
    burnt = Photo(photo.pixels.copy())
    burnt.pixels[:240, :] = 255
    found = measured(burnt, photo)
    assert found["artefacts"] > 2
    assert isinstance(found["defect"], str)


def test_a_larger_picture_is_compared_at_the_size_of_the_copies(photo: Photo) -> None:
    large = Photo(np.repeat(np.repeat(photo.pixels, 2, 0), 2, 1))
    assert measured(large, photo)["kept"] > 0.99


def test_what_is_not_measured(photo: Photo) -> None:
    assert measure(photo_of(scene(20, 300)), photo_of(scene(20, 300))) is None
    assert measure_if_alike(photo, photo_of(scene(480, 480))) is None
    assert measure_if_alike(photo, photo) == measure(photo, photo)
