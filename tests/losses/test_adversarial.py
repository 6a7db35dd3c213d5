import numpy as np
import pytest
import torch

from sfumato.losses.adversarial import accuracy, hinge_discriminator, hinge_generator


@pytest.fixture
def logits():
    """Two scales, three roles, some values beyond the hinge on both sides."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 1, 4, 5), (2, 1, 2, 2))
    return [[2 * torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes] for _ in range(3)]


def test_hinge_of_the_discriminator_is_its_formula(logits):
    real, fake, wrong = ([x.numpy() for x in role] for role in logits)
    by_scale = [
        np.maximum(0, 1 - r).mean() + 0.5 * np.maximum(0, 1 + f).mean() + 0.5 * np.maximum(0, 1 + w).mean()
        for r, f, w in zip(real, fake, wrong, strict=True)
    ]
    assert float(hinge_discriminator(*logits)) == pytest.approx(np.mean(by_scale))


def test_hinge_of_the_generator_is_its_formula(logits):
    assert float(hinge_generator(logits[1])) == pytest.approx(-np.mean([x.numpy().mean() for x in logits[1]]))


def test_a_sure_discriminator_has_nothing_to_learn_and_an_undecided_one_pays_two():
    sure = [torch.full((1, 1, 3, 3), 1.5)]
    assert float(hinge_discriminator(sure, [-sure[0]], [-sure[0]])) == 0
    zero = [torch.zeros(1, 1, 3, 3)]
    assert float(hinge_discriminator(zero, zero, zero)) == 2
    assert float(hinge_discriminator([-sure[0]], sure, sure)) == 5


def test_gradients_are_finite_differences(logits):
    scales = len(logits[0])
    flat = [x.requires_grad_() for role in logits for x in role]

    def discriminator(*xs):
        return hinge_discriminator(xs[:scales], xs[scales : 2 * scales], xs[2 * scales :])

    assert torch.autograd.gradcheck(discriminator, flat)
    assert torch.autograd.gradcheck(lambda *xs: hinge_generator(xs), flat[:scales])


def test_scales_must_agree(logits):
    with pytest.raises(ValueError, match="shorter"):
        hinge_discriminator(logits[0], logits[1][:1], logits[2])


def test_accuracy_is_balanced_over_signs_and_scales():
    real = [torch.tensor([1.0, 1, 1, -1]).view(1, 1, 2, 2), torch.tensor([1.0]).view(1, 1, 1, 1)]
    fake = [torch.tensor([-1.0, 1, 1, 1]).view(1, 1, 2, 2), torch.tensor([0.0]).view(1, 1, 1, 1)]
    assert float(accuracy(real, fake)) == pytest.approx(((0.75 + 0.25) / 2 + 1) / 2)
    assert accuracy(real, real) == 0.5
