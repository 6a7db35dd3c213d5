"""Maps that follow the strokes: unit normals, the right directions, no seam."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.texture import maps
from support import scene


def vectors(picture: np.ndarray) -> np.ndarray:
    return np.asarray(2 * picture[0] - 1)


@pytest.fixture
def relief() -> np.ndarray:
    return maps.relief(scene(64, 80, seed=3, length=4), True, True)


def test_relief_is_detail_only(relief: np.ndarray) -> None:
    assert abs(relief.mean()) < 0.01
    plain = maps.relief(np.full((1, 3, 40, 40), 0.7, np.float32), True, True)
    np.testing.assert_allclose(plain, 0, atol=1e-6)


def test_normals_have_unit_length(relief: np.ndarray) -> None:
    found = vectors(maps.normals(None, relief, True, True))
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 1, atol=1e-5)
    assert found[2].min() > 0
    bent = vectors(maps.normals(maps.normals(None, relief, True, True), relief[::-1], True, True))
    np.testing.assert_allclose(np.linalg.norm(bent, axis=0), 1, atol=1e-5)


def test_normals_lean_away_from_what_is_high() -> None:
    y, x = np.mgrid[0:41, 0:41] - 20
    bump = np.exp(-(x**2 + y**2) / 50).astype(np.float32)
    found = vectors(maps.normals(None, bump, False, False))
    assert found[0, 20, 26] > 0.1 > -0.1 > found[0, 20, 14]  # right of the bump to the right
    assert found[1, 14, 20] > 0.1 > -0.1 > found[1, 26, 20]  # above it upwards: OpenGL
    other = vectors(maps.normals(None, bump, False, False, directx=True))
    np.testing.assert_allclose(other[1], -found[1], atol=1e-6)
    np.testing.assert_allclose(other[0], found[0], atol=1e-6)


def test_a_plain_painting_changes_no_normals() -> None:
    before = maps.normals(None, 0.2 * scene(48, 48, 5)[0, 0], True, True)
    after = maps.normals(before, np.zeros((48, 48), np.float32), True, True)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_normals_repeat_where_the_texture_does(relief: np.ndarray) -> None:
    moved = maps.normals(None, np.roll(relief, (20, 33), (0, 1)), True, True)
    np.testing.assert_allclose(np.roll(maps.normals(None, relief, True, True), (20, 33), (2, 3)), moved, atol=1e-6)


def test_maps_of_another_size(relief: np.ndarray) -> None:
    assert maps.normals(scene(32, 40) * 0 + 0.5, relief, True, True).shape == (1, 3, 32, 40)
    assert maps.height(scene(128, 160), relief).shape == (1, 3, 128, 160)


def test_thick_paint_is_high_and_smooth(relief: np.ndarray) -> None:
    half = np.full((1, 3, *relief.shape), 0.5, np.float32)
    assert np.corrcoef(maps.height(half, relief)[0, 0].ravel(), relief.ravel())[0, 1] > 0.99
    rough = maps.roughness(half, relief, channel=1)
    assert np.corrcoef(rough[0, 1].ravel(), relief.ravel())[0, 1] < -0.99
    np.testing.assert_array_equal(rough[:, [0, 2]], half[:, [0, 2]])
