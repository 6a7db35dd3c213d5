from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sfumato.training.optim import EMA, learning_rate
from support import FLOAT32, SUM32


def test_the_average_is_the_weighted_mean_of_what_was_seen() -> None:
    """Half-life 8 pictures, 4 a step: each step's weight is half to the power of its age over the half-life."""
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    ema = EMA(module, half_life=8)
    ema.pictures = 1000  # past the ramp
    history = [module.weight.detach().clone()]
    for _ in range(6):
        with torch.no_grad():
            module.weight.add_(torch.randn(2, 3))
        ema.update(module, 4)
        history.append(module.weight.detach().clone())
    decay = 0.5 ** (4 / 8)
    expected = decay**6 * history[0] + sum((1 - decay) * decay ** (6 - i) * history[i] for i in range(1, 7))
    assert torch.allclose(ema.values["weight"], expected, atol=FLOAT32)
    assert ema.pictures == 1024


def test_the_average_begins_with_a_short_memory() -> None:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    ema = EMA(module, half_life=1e6)
    with torch.no_grad():
        module.weight.fill_(1)
    expected, seen = 0.0, 0
    for _ in range(20):
        ema.update(module, 4)
        seen += 4
        decay = 0.5 ** (4 / (seen / 10))
        expected = decay * expected + 1 - decay
        assert ema.values["weight"].item() == pytest.approx(expected, rel=SUM32)
    assert expected > 0.99


def test_the_average_is_copied_and_shares_nothing_with_the_module() -> None:
    module, other = nn.Linear(2, 2), nn.Linear(2, 2)
    ema = EMA(module, 10)
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1)
    assert torch.equal(ema.values["weight"], before)
    ema.copy_to(other)
    assert torch.equal(other.weight, before)
    assert ema.values.keys() == dict(module.named_parameters()).keys()


def test_the_learning_rate_warms_up_and_then_follows_a_cosine() -> None:
    rates = [learning_rate(step, 110, 10, 0.05) for step in range(110)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1
    assert rates[60] == pytest.approx((1 + 0.05) / 2)  # half way down
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.05, abs=1e-3)
    assert rates[35] == pytest.approx(0.05 + 0.95 * (1 + math.cos(math.pi / 4)) / 2)


def test_a_schedule_without_warm_up_or_shorter_than_it_has_rates_all_along() -> None:
    assert learning_rate(0, 10, 0, 0.1) == 1
    assert [learning_rate(step, 3, 5, 0.1) for step in range(3)] == pytest.approx([0.2, 0.4, 0.6])
    assert learning_rate(5, 5, 5, 0.1) > 0
