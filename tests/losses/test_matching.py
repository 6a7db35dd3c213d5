from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sfumato.losses.matching import lattice_loss


def noise(seed: int = 0) -> Any:
    return torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(seed))


PLAIN = 0.05  # chance makes some peaks higher than what is around them


def test_a_picture_without_a_period_has_next_to_no_lattice() -> None:
    assert lattice_loss(0.2 * noise()) < PLAIN
    ramp = torch.linspace(0.4, 0.6, 160).expand(1, 3, 160, 160)
    assert lattice_loss(ramp) < PLAIN + 0.03  # within a cell a ramp rises by its own slope


@pytest.mark.parametrize("period", [2, 4])
def test_a_pattern_that_repeats_in_every_cell_is_seen(period: int) -> None:
    """In noise of 3 % of the range, half of the six peaks are a hundred times as high or more."""
    dots = torch.zeros(160, 160)
    dots[::period, ::period] = 0.04
    assert lattice_loss(0.5 + 0.1 * noise() + dots) > lattice_loss(0.5 + 0.1 * noise()) + 0.05 * math.log(100)


def test_a_lattice_that_follows_the_picture_is_seen() -> None:
    """Its sign changes from one part to another, so that no mean colour tells."""
    waves = torch.sin(torch.arange(160) * (2 * math.pi / 160))
    lattice = (torch.arange(160) % 2 * 2 - 1) * 0.02
    assert lattice_loss(0.5 + 0.1 * noise() + lattice * waves) > lattice_loss(0.5 + 0.1 * noise()) + 0.02


def test_more_noise_around_a_peak_is_no_way_out() -> None:
    picture = (0.5 + 0.1 * noise()).requires_grad_()
    lattice_loss(picture).backward()
    spectrum = torch.fft.fft2(picture.grad.mean(1)).abs().square().mean(0)
    near = torch.cat([spectrum[80, 4:8], spectrum[80, 152:157]])  # 4 to 8 frequencies from the peak at (80, 0)
    assert spectrum[79:82, :2].mean() > 10 * near.mean()


def test_slopes_that_hang_on_the_place_in_a_cell_are_seen() -> None:
    """Every other slope is 0."""
    pairs = noise()[..., ::2].repeat_interleave(2, -1)
    assert lattice_loss(pairs) > 0.9 + float(lattice_loss(noise()))


def test_a_moved_period_of_another_length_is_no_lattice() -> None:
    stripes = (torch.arange(160) % 5 == 0).float().expand(1, 3, 160, 160)
    assert lattice_loss(0.1 * stripes) < PLAIN
