from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.errors import UsageError
from sfumato.losses.adversarial import GAN_LOSSES, accuracy, find_gan_loss

HINGE = GAN_LOSSES["hinge"]


@pytest.fixture
def logits() -> Any:
    """Two scales, three roles, some values beyond the hinge on both sides."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 1, 4, 5), (2, 1, 2, 2))
    return [[2 * torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes] for _ in range(3)]


def log_sigmoid(x: Any) -> Any:
    return np.log(1 / (1 + np.exp(-x)))


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


# What the papers write, by name: the discriminator's price of a real and of a fake logit, and the generator's.
FORMULAS = {
    "bce": (lambda r: -log_sigmoid(r), lambda f: -np.log(1 - 1 / (1 + np.exp(-f))), lambda f: log_sigmoid(-f)),
    "nonsaturating": (lambda r: -log_sigmoid(r), lambda f: -log_sigmoid(-f), lambda f: -log_sigmoid(f)),
    "lsgan": (lambda r: 0.5 * (r - 1) ** 2, lambda f: 0.5 * f**2, lambda f: 0.5 * (f - 1) ** 2),
    "hinge": (lambda r: np.maximum(0, 1 - r), lambda f: np.maximum(0, 1 + f), lambda f: -f),
}


def numpy_losses(name: str, real: Any, fake: Any, wrong: Any = None) -> Any:
    """Discriminator's and generator's loss, scale by scale."""
    d, g = [], []
    for i, (r, f) in enumerate(zip(real, fake, strict=True)):
        w = None if wrong is None else wrong[i]
        if name == "relativistic":
            pairs = softplus(-(r - f)).mean()
            d.append(pairs if w is None else 0.5 * pairs + 0.5 * softplus(-(r - w)).mean())
            g.append(softplus(-(f - r)).mean())
        else:
            on_real, on_fake, on_generated = FORMULAS[name]
            false = on_fake(f).mean() if w is None else 0.5 * on_fake(f).mean() + 0.5 * on_fake(w).mean()
            d.append(on_real(r).mean() + false)
            g.append(on_generated(f).mean())
    return np.mean(d), np.mean(g)


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_losses_are_their_formulas(name: Any, logits: Any) -> None:
    gan_loss = GAN_LOSSES[name]
    real, fake, wrong = ([x.numpy() for x in role] for role in logits)
    conditional, generator = numpy_losses(name, real, fake, wrong)
    assert float(gan_loss.discriminator(*logits)) == pytest.approx(conditional)
    assert float(gan_loss.discriminator(*logits[:2])) == pytest.approx(numpy_losses(name, real, fake)[0])
    assert float(gan_loss.generator(logits[1], logits[0])) == pytest.approx(generator)


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_gradients_are_finite_differences(name: Any, logits: Any) -> None:
    gan_loss, scales = GAN_LOSSES[name], len(logits[0])
    flat = [x.requires_grad_() for role in logits for x in role]

    def discriminator(*xs: Any) -> Any:
        return gan_loss.discriminator(xs[:scales], xs[scales : 2 * scales], xs[2 * scales :] or None)

    assert torch.autograd.gradcheck(discriminator, flat)
    assert torch.autograd.gradcheck(discriminator, flat[: 2 * scales])
    assert torch.autograd.gradcheck(lambda *xs: gan_loss.generator(xs[:scales], logits[0]), flat[scales : 2 * scales])


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_the_two_pull_apart(name: Any, logits: Any) -> None:
    """The discriminator lifts real and lowers the others; the generator lifts its own."""
    gan_loss = GAN_LOSSES[name]
    real, fake, wrong = ([x.clamp(-0.4, 0.4).requires_grad_() for x in role] for role in logits)
    gan_loss.discriminator(real, fake, wrong).backward()
    assert all((x.grad < 0).all() for x in real)
    assert all((x.grad > 0).all() for x in wrong) or name == "lsgan"  # which calls back what is below 0
    lifted = [x.detach().requires_grad_() for x in fake]
    gan_loss.generator(lifted, real).backward()
    assert all((x.grad < 0).all() for x in lifted)


def test_equal_logits_cost_what_an_undecided_discriminator_costs() -> None:
    zero = [torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 1, 1)]
    log2 = math.log(2)
    expected = {
        "bce": (2 * log2, -log2),
        "nonsaturating": (2 * log2, log2),
        "lsgan": (0.5, 0.5),
        "hinge": (2, 0),
        "relativistic": (log2, log2),
    }
    for name, (d, g) in expected.items():
        gan_loss = GAN_LOSSES[name]
        assert float(gan_loss.discriminator(zero, zero, zero)) == pytest.approx(d), name
        assert float(gan_loss.discriminator(zero, zero)) == pytest.approx(d), name
        assert float(gan_loss.generator(zero, zero)) == pytest.approx(g), name
    assert expected.keys() == GAN_LOSSES.keys()


def test_a_sure_discriminator_has_nothing_to_learn_from_a_hinge() -> None:
    sure = [torch.full((1, 1, 3, 3), 1.5)]
    assert float(HINGE.discriminator(sure, [-sure[0]], [-sure[0]])) == 0
    assert float(HINGE.discriminator([-sure[0]], sure, sure)) == 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", GAN_LOSSES)
def test_huge_logits_have_finite_losses_and_gradients(name: Any, sign: int, dtype: Any) -> None:
    gan_loss = GAN_LOSSES[name]
    real, fake, wrong = (torch.full((1, 1, 2, 2), s * 1e4, dtype=dtype).requires_grad_() for s in (sign, -sign, -sign))
    losses = torch.stack([gan_loss.discriminator([real], [fake], [wrong]), gan_loss.generator([fake], [real])])
    assert losses.dtype == torch.float32
    assert losses.isfinite().all()
    losses.sum().backward()
    assert all(x.grad.isfinite().all() for x in (real, fake, wrong))


def test_the_minimax_generator_saturates_where_the_others_push() -> None:
    """Where the discriminator is sure of an output the minimax game has no slope: hence Goodfellow's section 3."""
    slopes = {}
    for name, gan_loss in GAN_LOSSES.items():
        lost = torch.full((1, 1, 1, 1), -20.0, requires_grad=True)
        gan_loss.generator([lost], [torch.zeros(1, 1, 1, 1)]).backward()
        slopes[name] = -float(lost.grad)
    assert 0 < slopes.pop("bce") < 1e-8
    assert all(slope > 0.99 for slope in slopes.values())


def test_only_a_relativistic_generator_needs_real_patches(logits: Any) -> None:
    for name, gan_loss in GAN_LOSSES.items():
        assert gan_loss.needs_real == (name == "relativistic")
        if gan_loss.needs_real:
            with pytest.raises(ValueError, match="real"):
                gan_loss.generator(logits[1])
        else:
            assert gan_loss.generator(logits[1]) == gan_loss.generator(logits[1], logits[0])


def test_a_shift_of_all_logits_means_nothing_to_pairs(logits: Any) -> None:
    gan_loss = GAN_LOSSES["relativistic"]
    shifted = [[x + 7 for x in role] for role in logits]
    assert float(gan_loss.discriminator(*shifted)) == pytest.approx(float(gan_loss.discriminator(*logits)))


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_scales_must_agree(name: Any, logits: Any) -> None:
    with pytest.raises(ValueError, match="shorter"):
        GAN_LOSSES[name].discriminator(logits[0], logits[1][:1], logits[2])
    with pytest.raises(ValueError, match="shorter"):
        GAN_LOSSES[name].discriminator(logits[0], logits[1], logits[2][:1])


def test_an_unknown_objective_is_named_with_those_that_there_are() -> None:
    assert find_gan_loss("lsgan") is GAN_LOSSES["lsgan"]
    with pytest.raises(UsageError, match=r"'wgan'.*bce, nonsaturating, lsgan, hinge, relativistic"):
        find_gan_loss("wgan")


def test_accuracy_is_balanced_over_signs_and_scales() -> None:
    real = [torch.tensor([1.0, 1, 1, -1]).view(1, 1, 2, 2), torch.tensor([1.0]).view(1, 1, 1, 1)]
    fake = [torch.tensor([-1.0, 1, 1, 1]).view(1, 1, 2, 2), torch.tensor([0.0]).view(1, 1, 1, 1)]
    assert float(accuracy(real, fake)) == pytest.approx(((0.75 + 0.25) / 2 + 1) / 2)
    assert accuracy(real, real) == 0.5
    assert HINGE.accuracy(real, fake) == accuracy(real, fake)


def test_accuracy_is_asked_where_the_gan_loss_decides() -> None:
    low, high = [torch.full((1, 1, 2, 2), 0.2)], [torch.full((1, 1, 2, 2), 0.7)]
    assert GAN_LOSSES["hinge"].accuracy(high, low) == 0.5  # both are above 0
    assert GAN_LOSSES["lsgan"].accuracy(high, low) == 1  # on either side of one half
    assert GAN_LOSSES["lsgan"].accuracy(low, high) == 0
    assert GAN_LOSSES["relativistic"].accuracy(high, low) == 1
    assert GAN_LOSSES["relativistic"].accuracy(low, high) == 0
    assert GAN_LOSSES["relativistic"].accuracy(low, low) == 0.5
