import pytest
import torch

from sfumato.losses.matching import lattice_loss


def noise(seed=0):
    return torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(seed))


def test_a_picture_without_a_period_has_next_to_no_lattice():
    assert lattice_loss(0.2 * noise()) < 0.02
    ramp = torch.linspace(0.4, 0.6, 160).expand(1, 3, 160, 160)
    assert lattice_loss(ramp) < 0.03  # within a cell a ramp rises by its own slope


@pytest.mark.parametrize("period", [2, 4])
def test_a_pattern_that_repeats_in_every_cell_is_seen(period):
    dots = torch.zeros(160, 160)
    dots[::period, ::period] = 0.05
    assert lattice_loss(0.5 + 0.1 * noise() + dots) > 10 * lattice_loss(0.5 + 0.1 * noise())


def test_slopes_that_hang_on_the_place_in_a_cell_are_seen():
    """Each pair of columns is alike: no mean colour tells, but every other slope is 0."""
    pairs = noise()[..., ::2].repeat_interleave(2, -1)
    assert lattice_loss(pairs) == pytest.approx(1 + float(lattice_loss(noise())), abs=0.1)


def test_a_moved_period_of_another_length_is_no_lattice():
    stripes = (torch.arange(160) % 5 == 0).float().expand(1, 3, 160, 160)
    assert lattice_loss(0.1 * stripes) < 0.05
