from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sfumato.losses.penalties import gradient_penalty
from sfumato.networks.discriminator import PatchDiscriminator
from support import NETWORK32, SUM32


class Linear(nn.Module):
    """D(x) = w·x, on one patch, twice as two scales."""

    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Any) -> Any:
        logit = (x * self.weight).sum((1, 2, 3))[:, None, None, None]
        return [logit, logit]


class Quadratic(nn.Module):
    """D(x, z) = a patch map z·a·x², one scale: its slope depends on where one is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, x: Any, code: Any) -> Any:
        return [(code[:, :1, None, None] * self.weight * x.square()).sum(1, keepdim=True)]


def noise(seed: int, *shape: Any, dtype: Any = torch.float32) -> Any:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def patches() -> Any:
    torch.manual_seed(0)
    return PatchDiscriminator((4, 6), 5).eval()  # in training each look moves spectral norm's vectors


@pytest.mark.parametrize("batch", [1, 3])
def test_the_penalty_of_a_linear_discriminator_is_the_square_of_its_weights(batch: int) -> None:
    discriminator = Linear(noise(0, 3, 6, 7) - 0.5)
    penalty = gradient_penalty(discriminator, noise(1, batch, 3, 6, 7))
    assert float(penalty.detach()) == pytest.approx(float(discriminator.weight.detach().square().sum()), rel=SUM32)
    penalty.backward()
    assert torch.allclose(discriminator.weight.grad, 2 * discriminator.weight.detach(), rtol=NETWORK32)


def test_the_penalty_is_taken_where_the_pictures_are() -> None:
    """D = mean over positions of Σ z·a·x², so ∂D/∂x = 2·z·a·x/(H·W)."""
    discriminator, x, code = Quadratic(), noise(0, 2, 3, 4, 5, dtype=torch.float64), noise(1, 2, 4, dtype=torch.float64)
    slopes = 2 * code[:, :1, None, None] * 0.7 * x / 20
    assert float(gradient_penalty(discriminator, x, code).detach()) == pytest.approx(
        float(slopes.square().sum((1, 2, 3)).mean())
    )
    assert gradient_penalty(discriminator, 0 * x, code) == 0


def test_the_penalty_of_patches_is_finite_differences(patches: Any) -> None:
    patches, x, code = patches.double(), noise(0, 2, 3, 16, 16, dtype=torch.float64), noise(1, 2, 5).double()

    def verdict(pictures: Any) -> Any:
        return torch.stack([s.mean((1, 2, 3)) for s in patches(pictures, code)]).mean(0)

    step, squares = 1e-6, torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        for i in range(x[0].numel()):
            nudge = torch.zeros_like(x)
            nudge.view(2, -1)[:, i] = step
            squares += ((verdict(x + nudge) - verdict(x - nudge)) / (2 * step)).square()
    assert float(gradient_penalty(patches, x, code).detach()) == pytest.approx(float(squares.mean()), rel=NETWORK32)


def test_the_gradient_of_the_penalty_is_finite_differences() -> None:
    discriminator, x, code = Quadratic(), noise(0, 2, 3, 4, 5, dtype=torch.float64), noise(1, 2, 4, dtype=torch.float64)

    def penalty(weight: Any) -> Any:
        return gradient_penalty(
            lambda *given: torch.func.functional_call(discriminator, {"weight": weight}, given),  # type: ignore[arg-type]
            x,
            code,
        )

    assert torch.autograd.gradcheck(penalty, (torch.tensor(0.7, dtype=torch.float64, requires_grad=True),))


def test_pictures_do_not_see_each_other(patches: Any) -> None:
    x, code = noise(0, 3, 3, 32, 32), noise(1, 3, 5)
    alone = [gradient_penalty(patches, x[i : i + 1], code[i : i + 1]).detach() for i in range(3)]
    assert torch.allclose(gradient_penalty(patches, x, code).detach(), torch.stack(alone).mean())


def test_descending_the_penalty_flattens_the_discriminator() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(
        (4, 6), 5
    ).train()  # spectral norm bounds weights of each layer, and it still can
    x, code = noise(0, 2, 3, 32, 32), noise(1, 2, 5)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    penalties = []
    for _ in range(25):
        penalty = gradient_penalty(discriminator, x, code)
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
        penalties.append(float(penalty.detach()))
    assert penalties[-1] < 0.3 * penalties[0]


def test_the_penalty_is_the_discriminator_s_alone(patches: Any) -> None:
    fake, code = noise(0, 1, 3, 32, 32).requires_grad_(), noise(1, 1, 5).requires_grad_()
    gradient_penalty(patches, fake, code).backward()
    assert fake.grad is None
    assert code.grad is None
    # A bias moves logits and not slopes: it has no gradient, or one of zero.
    assert all(p.grad is not None and p.grad.isfinite().all() for n, p in patches.named_parameters() if "bias" not in n)


def test_sixteen_bits_do_not_reach_the_slope(patches: Any) -> None:
    x, code = noise(0, 2, 3, 32, 32), noise(1, 2, 5)
    exact = gradient_penalty(patches, x, code)
    with torch.autocast("cpu", torch.bfloat16):
        assert patches(x, code)[0].dtype == torch.bfloat16  # it would
        mixed = gradient_penalty(patches, x, code)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, exact)
    assert gradient_penalty(patches, x.bfloat16(), code.bfloat16()).dtype == torch.float32


def test_it_works_where_gradients_are_off_and_on_plain_pictures(patches: Any) -> None:
    code = noise(1, 1, 5)
    with torch.no_grad():
        penalty = gradient_penalty(patches, torch.full((1, 3, 32, 32), 0.5), code)
    assert penalty.isfinite()
    assert penalty > 0
