"""L-BFGS, down losses whose lowest place is known."""

from itertools import pairwise

import numpy as np
import pytest

from sfumato.image import Picture
from sfumato.inference import descent
from sfumato.inference.descent import FIRST_STEP, MAX_STEP, descend
from support import FLOAT32


@pytest.fixture
def aim() -> Picture:
    return np.random.default_rng(0).uniform(0.3, 0.7, (1, 3, 12, 16)).astype(np.float32)


def curvature(aim: Picture) -> Picture:
    """Of a bowl that is 100 times as steep in some directions as in others."""
    return np.geomspace(0.1, 10, aim.size).astype(np.float32).reshape(aim.shape)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_it_comes_down_whatever_the_gradient_s_scale(aim: Picture, scale: float) -> None:
    steep = curvature(aim)
    start = np.full_like(aim, 0.5)

    def gradient(x: Picture) -> Picture:
        return np.float32(scale) * steep * (x - aim)

    def loss(x: Picture) -> float:
        return float((steep * np.square(x - aim)).sum())

    after = [loss(descend(start, gradient, steps)) / loss(start) for steps in (1, 10, 25)]
    assert 1 > after[0] > after[1] > after[2]
    assert after[1] < 0.1
    assert after[2] < 0.01


def test_no_step_is_longer_than_the_rate_lets_it(aim: Picture) -> None:
    far = np.zeros_like(aim)
    seen: list[Picture] = []

    def gradient(x: Picture) -> Picture:
        seen.append(x)
        return curvature(aim) * (x - aim)

    seen.append(descend(far, gradient, 6, rate=0.5))
    moved = [float(np.abs(b - a).mean()) for a, b in pairwise(seen)]
    assert moved[0] == pytest.approx(0.5 * FIRST_STEP, rel=1e-3)
    assert max(moved) == pytest.approx(0.5 * MAX_STEP, rel=1e-3)


def test_it_ends_where_there_is_no_slope_and_stays_in_range(aim: Picture) -> None:
    assert np.array_equal(descend(aim, np.zeros_like, 5), aim)
    assert np.array_equal(descend(aim, lambda x: x - 2, 0), aim)
    beyond = descend(aim, lambda x: x - 2, 60)
    assert (beyond == 1).mean() > 0.9
    assert beyond.max() == 1


def test_where_the_loss_bends_down_it_still_goes_down(aim: Picture) -> None:
    """A curvature below 0 would turn the step round."""
    found = descend(aim, lambda x: 1 - x, 5)  # of -(1 - x)²/2, which falls towards 0
    assert (found <= aim).all()
    assert found.mean() < aim.mean()


def test_it_comes_down_sooner_where_fine_detail_curves_most() -> None:
    """As losses of features do that see several pixels at once."""
    aim = np.random.default_rng(1).uniform(0.3, 0.7, (1, 3, 24, 32)).astype(np.float32)
    for axis in (2, 3):
        aim = sum(np.roll(aim, shift, axis) for shift in range(3)) / np.float32(3)  # type: ignore[assignment]
    start = np.full_like(aim, 0.5)

    def gradient(x: Picture) -> Picture:
        gap = x - aim
        return 0.05 * gap + sum(2 * gap - np.roll(gap, 1, axis) - np.roll(gap, -1, axis) for axis in (2, 3))

    def loss(x: Picture) -> float:
        return float(((x - aim) * gradient(x)).sum())

    before = loss(descend(start, gradient, 8, coarse=()))
    assert loss(descend(start, gradient, 8)) < 0.8 * before


def test_what_coarse_adds_is_symmetric_and_positive() -> None:
    """Else steps could go uphill."""
    size = 5 * 7
    units = np.eye(size, dtype=np.float32).reshape(size, 1, 1, 5, 7)
    columns = [descent._precondition(unit).ravel() for unit in units]
    assert np.allclose(columns, np.transpose(columns), atol=FLOAT32)
    assert np.linalg.eigvalsh(columns).min() >= 1 - 1e-5
