from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfumato.data.pool import SIZE, ImagePool
from sfumato.errors import ModelError


def batch(step: int, count: int = 2, side: int = 4) -> Any:
    """Pictures that say where they are from: step in red, place in the batch in green."""
    x = torch.zeros(count, 3, side, side)
    x[:, 0] = step
    x[:, 1] = torch.arange(count).view(-1, 1, 1)
    return x


def test_a_pool_that_is_not_full_gives_back_what_it_keeps() -> None:
    pool = ImagePool(4)
    for step in range(2):
        assert torch.equal(pool.exchange(batch(step), step), batch(step))
    assert torch.equal(pool.tensors()["pictures"], torch.cat([batch(0), batch(1)]))


def test_a_full_pool_gives_back_old_ones_half_of_the_time_and_each_only_once() -> None:
    pool, size = ImagePool(10, seed=3), 10
    given = [pool.exchange(batch(step), step) for step in range(400)]
    late = torch.cat([(steps[:, 0, 0, 0] < step) for step, steps in enumerate(given) if step >= size])
    assert late.float().mean() == pytest.approx(0.5, abs=0.06)
    seen = [tuple(x[:2, 0, 0].tolist()) for x in torch.cat(given)]
    kept = [tuple(x[:2, 0, 0].tolist()) for x in pool.tensors()["pictures"]]
    # The first ones are given when they come and when they go; later ones are given or kept.
    first = {(float(step), float(place)) for step in range(size // 2) for place in range(2)}
    assert all(seen.count(one) + kept.count(one) == (2 if one in first else 1) for one in [*seen, *kept])
    ages = [step - one for step, steps in enumerate(given) for one in steps[:, 0, 0, 0].tolist() if one < step]
    assert sum(ages) / len(ages) == pytest.approx(size, rel=0.3)  # one of the two in each batch goes in: 10 steps


def test_what_is_given_is_free_of_gradient_and_of_later_changes() -> None:
    pool, fakes = ImagePool(2), batch(0).requires_grad_()
    given = pool.exchange(fakes, 0)
    assert not given.requires_grad
    with torch.no_grad():
        fakes += 9
    assert torch.equal(pool.tensors()["pictures"], batch(0))
    assert torch.equal(given, batch(0))


def test_a_pool_of_size_zero_gives_all_back() -> None:
    pool = ImagePool(0)
    for step in range(5):
        assert torch.equal(pool.exchange(batch(step), step), batch(step))
    assert pool.tensors() == {}


def test_pictures_of_another_size_empty_the_pool() -> None:
    pool = ImagePool(4)
    for step in range(8):
        pool.exchange(batch(step), step)
    assert torch.equal(pool.exchange(batch(8, side=6), 8), batch(8, side=6))
    assert pool.tensors()["pictures"].shape == (2, 3, 6, 6)


def test_draws_are_keyed_by_seed_and_step() -> None:
    def run(seed: Any, shift: int = 0) -> Any:
        pool = ImagePool(4, seed)
        return torch.cat([pool.exchange(batch(step), step + shift) for step in range(20)])

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    assert not torch.equal(run(0), run(0, shift=1))


@pytest.mark.parametrize("stop", [0, 1, 13])
def test_a_resumed_pool_goes_on_bit_for_bit(tmp_path: Path, stop: int) -> None:
    def pictures(step: Any) -> Any:
        return torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(step))

    unbroken, first = ImagePool(8, 5), ImagePool(8, 5)
    whole = [unbroken.exchange(pictures(step), step) for step in range(30)]
    for step in range(stop):
        first.exchange(pictures(step), step)
    save_file(first.tensors(), tmp_path / "pool.safetensors")
    resumed = ImagePool(8, 5)
    resumed.exchange(pictures(99), 99)  # is forgotten
    resumed.restore(load_file(tmp_path / "pool.safetensors"), first.numbers())
    rest = [resumed.exchange(pictures(step), step) for step in range(stop, 30)]
    assert all(torch.equal(a, b) for a, b in zip(whole[stop:], rest, strict=True))
    assert torch.equal(unbroken.tensors()["pictures"], resumed.tensors()["pictures"])


@pytest.mark.parametrize("other", [ImagePool(SIZE, 1), ImagePool(20, 0)])
def test_another_pool_s_state_is_refused(other: Any) -> None:
    with pytest.raises(ModelError, match="image pool"):
        ImagePool().restore(other.tensors(), other.numbers())
