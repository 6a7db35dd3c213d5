"""The islands of a texture: which pixels triangles show, which pixels meet on the mesh, and colours made to meet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sfumato.texture.islands import Islands
from sfumato.texture.meshes import Triangles
from support import scene
from texture_models import strips


def sheet() -> Triangles:
    points, places, corners = strips()
    return Triangles(places.astype(float)[corners], points.astype(float)[corners])


def shown_by(triangle: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.bool_]:
    """The pixels whose centres lie in a triangle of places, one by one."""
    found = np.zeros((height, width), bool)
    (ax, ay), (bx, by), (cx, cy) = triangle * [width, height]
    for y in range(height):
        for x in range(width):
            px, py = x + 0.5, y + 0.5
            sides = [
                (qx - sx) * (py - sy) - (qy - sy) * (px - sx)
                for (sx, sy), (qx, qy) in (((ax, ay), (bx, by)), ((bx, by), (cx, cy)), ((cx, cy), (ax, ay)))
            ]
            found[y, x] = min(sides) >= 0 or max(sides) <= 0
    return found


@pytest.mark.parametrize("seed", range(6))
def test_all_pixels_of_a_triangle_are_found(seed: int) -> None:
    places = np.random.default_rng(seed).random((1, 3, 2))
    islands = Islands.of(Triangles(places, np.zeros((1, 3, 3))), 40, 60)
    found, wanted = islands.labels >= 0, shown_by(places[0], 40, 60)
    assert (found | ~wanted).all()
    grown = np.zeros_like(wanted)  # at most half a pixel more, and in sharp corners a little further
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            grown |= np.roll(wanted, (down, across), (0, 1))
    assert (found & ~grown).sum() <= 4


def test_many_triangles_of_odd_shapes() -> None:
    rng = np.random.default_rng(3)
    first = rng.random((200, 1, 2))
    places = np.concatenate([first, first + rng.normal(0, [0.2, 0.004], (200, 2, 2))], 1)
    islands = Islands.of(Triangles(places, np.zeros((200, 3, 3))), 50, 50)
    each = [Islands.of(Triangles(one[None], np.zeros((1, 3, 3))), 50, 50).labels >= 0 for one in places]
    np.testing.assert_array_equal(islands.labels >= 0, np.any(each, axis=0))


def test_a_texture_repeats_beyond_its_border() -> None:
    inside = np.array([[[0.2, 0.2], [0.8, 0.2], [0.2, 0.8]]])
    shift = [3.0, -2.0]
    one, other = (Islands.of(Triangles(each, np.zeros((1, 3, 3))), 32, 32) for each in (inside, inside + shift))
    np.testing.assert_array_equal(one.labels, other.labels)


def test_flat_triangles_show_nothing() -> None:
    places = np.array([[[0, 0], [1, 1], [0.5, 0.5]]], float)
    assert Islands.of(Triangles(places, np.zeros((1, 3, 3))), 32, 32).share == 0


def test_triangles_that_repeat_the_texture_very_often_are_not_followed() -> None:
    places = np.array([[[0, 0], [9000, 0], [0, 9000]]], float)
    assert Islands.of(Triangles(places, np.zeros((1, 3, 3))), 512, 512) is None


def test_the_islands_and_the_seam_of_a_folded_sheet() -> None:
    islands = Islands.of(sheet(), 100, 200)
    assert sorted(np.unique(islands.labels)) == [-1, 0, 1]
    assert islands.labels[50, 50] != islands.labels[50, 150]
    assert islands.labels[50, 100] == -1
    rows, columns = np.divmod(islands.seams, 200)
    np.testing.assert_array_equal(rows[0], rows[1])  # the edge is upright in both islands
    assert len(np.unique(rows[0])) >= 80
    assert {*columns.ravel()} <= {79, 80, 119, 120}


def test_space_around_islands_gets_their_colours() -> None:
    islands = Islands.of(sheet(), 64, 64)
    picture = np.where(islands.labels >= 0, np.float32(0.9), np.float32(0))[None, None].repeat(3, 1)
    np.testing.assert_allclose(islands.fill(picture), 0.9, atol=1e-5)
    whole = scene(64, 64)
    inner = islands.labels >= 0
    np.testing.assert_array_equal(islands.fill(whole)[:, :, inner], whole[:, :, inner])


def test_colours_are_made_to_meet() -> None:
    islands = Islands.of(sheet(), 128, 128)
    source = np.full((1, 3, 128, 128), 0.5, np.float32)
    painted = scene(128, 128, seed=1, length=6)
    painted[:, :, :, 64:] = np.clip(painted[:, :, :, 64:] + 0.2, 0, 1)

    def gap(picture: npt.NDArray[np.float32]) -> float:
        flat = picture.reshape(3, -1)
        return float(np.abs(flat[:, islands.seams[0]] - flat[:, islands.seams[1]]).mean())

    levelled = islands.level(painted, source)
    assert gap(levelled) < 0.25 * gap(painted)
    far = islands.labels.copy()
    far[:, 30:98] = -1
    np.testing.assert_allclose(levelled[:, :, far >= 0], painted[:, :, far >= 0], atol=0.02)
    outside = islands.labels < 0
    np.testing.assert_array_equal(levelled[:, :, outside], painted[:, :, outside])


def test_colours_that_differ_in_the_source_stay_different() -> None:
    islands = Islands.of(sheet(), 128, 128)
    source = np.zeros((1, 3, 128, 128), np.float32)
    source[..., 64:] = 1
    painted = 0.2 + 0.6 * source
    np.testing.assert_allclose(islands.level(painted, source), painted, atol=0.01)
