from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sfumato.errors import InputError, UsageError
from sfumato.inference import matching
from sfumato.inference.matching import FeatureBank, Matcher, Weights
from sfumato.networks.hypercolumn import CHANNELS
from sfumato.networks.matching import RESIDUAL, STATISTICS, STRUCTURE, balanced_assignment, match, transport
from support import FLOAT32, FLOAT64, SUM32


def unit(count: int, size: Any, seed: int = 0) -> Any:
    return F.normalize(torch.randn(count, size, generator=torch.Generator().manual_seed(seed)), dim=1)


def uses(chosen: Any, size: Any) -> Any:
    return torch.bincount(chosen, minlength=size)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_a_permuted_bank_is_found_again(balance: float) -> None:
    bank = unit(60, 32)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert torch.equal(balanced_assignment(bank[order], bank, balance=balance), order)


@pytest.mark.parametrize("temperature", [0.003, 0.03, 0.3])
def test_no_balance_is_the_nearest_neighbour(temperature: float) -> None:
    queries, bank = unit(70, 16, 2), unit(50, 16, 3)
    nearest = (queries @ bank.T).argmax(1)
    assert torch.equal(balanced_assignment(queries, bank, temperature, balance=0), nearest)
    assert torch.equal(balanced_assignment(queries, bank, temperature, rounds=0), nearest)


def test_full_balance_uses_every_vector_equally() -> None:
    """Queries are three noisy copies of each vector, all pulled towards one vector, which wins them by cosine."""
    bank = unit(24, 48)
    noise = 0.05 * torch.randn(72, 48, generator=torch.Generator().manual_seed(5))
    queries = F.normalize(0.5 * bank.repeat(3, 1) + 0.9 * bank[:1] + noise, dim=1)
    nearest = balanced_assignment(queries, bank, balance=0)
    balanced = balanced_assignment(queries, bank, rounds=50, balance=1)
    assert uses(nearest, 24)[0] == 72
    assert torch.equal(balanced, torch.arange(24).repeat(3))
    assert torch.equal(uses(balanced, 24), torch.full((24,), 3))


def test_more_balance_uses_more_of_the_bank() -> None:
    bank = unit(100, 8, 7)
    queries = F.normalize(0.4 * unit(100, 8, 8) + bank[:1], dim=1)
    used = [int((uses(balanced_assignment(queries, bank, balance=b), 100) > 0).sum()) for b in (0, 0.5, 0.9, 1)]
    assert used == sorted(used)
    assert used[-1] > 2 * used[0]


def test_the_assignment_is_finite_where_features_are_opposed() -> None:
    """Cosines of 1 and -1 at a low temperature: exp(-2 / 0.01) is 0 in float32."""
    bank = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    queries = torch.tensor([[1.0, 0.0]] * 5)
    assert torch.equal(balanced_assignment(queries, bank, 0.01, balance=1), torch.zeros(5, dtype=torch.long))


def test_16_bits_change_few_assignments() -> None:
    queries, bank = unit(200, 64, 1), unit(200, 64, 2)
    exact = balanced_assignment(queries, bank)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = balanced_assignment(queries, bank)
    assert (exact == rounded).float().mean() > 0.85


@pytest.mark.parametrize(
    ("queries", "bank", "values", "error", "message"),
    [
        (unit(3, 4), unit(3, 5), {}, InputError, "4 features and the bank 5"),
        (unit(3, 4)[0], unit(3, 4), {}, InputError, "queries must have shape"),
        (unit(3, 4)[:0], unit(3, 4), {}, InputError, "at least one query"),
        (unit(3, 4), unit(3, 4), {"balance": 1.5}, UsageError, "balance must be between 0 and 1"),
    ],
)
def test_what_cannot_be_matched_is_refused(queries: Any, bank: Any, values: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        balanced_assignment(queries, bank, **values)


def columns(count: int, height: int, width: int, seed: int = 0) -> Any:
    return torch.randn(count, CHANNELS, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(3))
def test_transport_moves_one_covariance_to_another_and_is_symmetric(seed: int) -> None:
    mix = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    source, target = (each @ each.T + 0.5 * torch.eye(8, dtype=torch.float64) for each in mix)
    moved = transport(source, target)
    assert torch.allclose(moved, moved.T, atol=FLOAT64)
    assert torch.allclose(moved @ source @ moved, target, rtol=FLOAT32, atol=FLOAT32)
    in_numpy = matching.transport(source.numpy(), target.numpy())
    assert np.allclose(moved.numpy(), in_numpy, atol=SUM32)


def test_light_and_dark_of_a_pale_photo_take_the_whole_range_of_the_painting() -> None:
    """The photo's places are the painting's, paler and moved: the same places must be found for them."""
    style = columns(1, 12, 12)
    torch.testing.assert_close(match(0.1 * style + 3, style), style, atol=5e-3, rtol=0)


@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_a_photo_of_the_painting_s_own_places_gets_them_back(balance: float) -> None:
    style = columns(2, 4, 6)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    content = style.flatten(2)[:, :, order].view(2, CHANNELS, 6, 4)
    torch.testing.assert_close(match(content, style, balance), content, atol=5e-3, rtol=0)
    assert match(columns(2, 3, 5, 1), style, balance).shape == (2, CHANNELS, 3, 5)


def test_training_matches_as_painting_does() -> None:
    """Nearest neighbours, residual and statistics of ``inference.matching``, which is NumPy. The places have fewer
    directions than either compares in."""
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(24, CHANNELS)).astype(np.float32)
    photo, painting = (
        size * rng.normal(size=(n, 24)).astype(np.float32) @ shapes + mean
        for n, mean, size in ((99, 1, 1), (80, -2, 0.6))  # a softer painting than the photo
    )
    places, vectors = (np.pad(each, ((0, 0), (0, 3))) for each in (photo, painting))
    weights = Weights(balance=0.0, residual=RESIDUAL, structure=STRUCTURE, statistics=STATISTICS)
    matcher = Matcher(FeatureBank.of(vectors), places, None, weights, np.random.default_rng(0))
    expected = matcher.readout.places(matcher.search(places, None))[:, :-3]
    content, style = (torch.from_numpy(each.T.copy())[None, :, None] for each in (photo, painting))
    found = match(content, style, balance=0.0)[0, :, 0].T.numpy()
    np.testing.assert_allclose(found, expected, atol=0.05 * expected.std())


def test_pairs_are_matched_one_by_one() -> None:
    content, style = columns(2, 3, 3), columns(2, 4, 4, 1)
    alone = torch.cat([match(content[i : i + 1], style[i : i + 1]) for i in range(2)])
    assert torch.equal(match(content, style), alone)
    with pytest.raises(InputError, match="one by one"):
        match(content, style[:1])
