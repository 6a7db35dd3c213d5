from __future__ import annotations

from typing import Any

import torch

from sfumato.losses.energy import SIDES, energy_distance


def maps(count: int, shift: float = 0.0, scale: float = 1.0, seed: int = 0) -> Any:
    masses = torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    return scale * torch.nn.functional.interpolate(masses, (16, 16)) + shift


def test_it_is_about_0_for_one_distribution_and_more_for_others() -> None:
    same = float(energy_distance(maps(200), maps(200, seed=1)))
    assert abs(same) < 0.02
    assert float(energy_distance(maps(200), maps(200, shift=1.0, seed=1))) > 0.5
    assert float(energy_distance(maps(200), maps(200, scale=3.0, seed=1))) > 0.2


def test_it_is_the_formula_for_maps_of_one_value() -> None:
    """Maps that are the same everywhere have the same length at every side."""
    x, y = torch.tensor([1.0, 4.0]), torch.tensor([2.0, 7.0])
    fake, real = (v[:, None, None, None].expand(2, 1, 8, 8) for v in (x, y))
    expected = 2 * (1 + 6 + 2 + 3) / 4 - 3 - 5
    assert abs(float(energy_distance(fake, real)) - len(SIDES) * expected) < 1e-2


def test_its_slope_pushes_equal_maps_apart_and_is_finite() -> None:
    real = maps(8)
    fake = (0.01 * maps(8, seed=1)).requires_grad_()
    energy_distance(fake, real).backward()
    assert fake.grad is not None
    moved = (fake - 10 * fake.grad).detach()
    fake = fake.detach()
    assert float((moved - moved.mean(0)).square().mean()) > float((fake - fake.mean(0)).square().mean())
    equal = torch.zeros(4, 3, 16, 16, requires_grad=True)
    energy_distance(equal, real[:4]).backward()
    assert equal.grad is not None
    assert torch.isfinite(equal.grad).all()
