from __future__ import annotations

from typing import Any

import pytest
import torch

from sfumato.config import Config
from sfumato.errors import UsageError
from sfumato.losses.adversarial import GAN_LOSSES
from sfumato.losses.adversarial_terms import discriminator_loss, generator_loss
from sfumato.losses.augment import FAKE, REAL, augment_pictures
from sfumato.losses.config import AdversarialConfig, Augment
from sfumato.losses.penalties import gradient_penalty
from sfumato.networks.discriminator import PatchDiscriminator
from support import SUM32

KEY = (5, 32)  # a step with penalties


@pytest.fixture
def discriminator() -> Any:
    torch.manual_seed(0)
    return PatchDiscriminator((8, 8, 8), 0).eval()


@pytest.fixture
def conditional() -> Any:
    torch.manual_seed(0)
    return PatchDiscriminator((8, 8, 8), 6).eval()


@pytest.fixture
def pictures() -> Any:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, 3, 48, 48, generator=generator) for _ in range(2)]


def test_plain_games_are_their_objectives(discriminator: Any, pictures: Any) -> None:
    real, fake = pictures
    for name, gan_loss in GAN_LOSSES.items():
        adversarial = AdversarialConfig(gan_loss=name)  # type: ignore[arg-type]
        loss, report = discriminator_loss(adversarial, discriminator, real, fake, None, KEY)
        on_real, on_fake = discriminator(real), discriminator(fake)
        assert torch.equal(loss, gan_loss.discriminator(on_real, on_fake))
        assert torch.equal(report["d_accuracy"], gan_loss.accuracy(on_real, on_fake))
        assert torch.equal(
            generator_loss(adversarial, discriminator, fake, real, None, KEY), gan_loss.generator(on_fake, on_real)
        )


def test_both_networks_see_the_same_augmentation_and_the_generator_learns_through_it(
    discriminator: Any, pictures: Any
) -> None:
    real, fake = pictures
    adversarial = AdversarialConfig(
        augment=Augment(colour=0)
    )  # whose contrast would send a gradient to hidden pixels too
    shown, painted = (
        augment_pictures(adversarial.augment, real, *KEY, REAL),
        augment_pictures(adversarial.augment, fake, *KEY, FAKE),
    )
    hinge = GAN_LOSSES["hinge"]
    loss, _ = discriminator_loss(adversarial, discriminator, real, fake, None, KEY)
    assert torch.equal(loss, hinge.discriminator(discriminator(shown), discriminator(painted)))
    fake.requires_grad_()
    told = generator_loss(adversarial, discriminator, fake, real, None, KEY)
    assert torch.equal(told, hinge.generator(discriminator(painted)))
    told.backward()
    assert 0.3 < float((fake.grad != 0).float().mean()) < 1  # all that no cutout hides


def test_penalties_are_lazy_and_count_for_the_steps_between(discriminator: Any, pictures: Any) -> None:
    real, fake = pictures
    adversarial = AdversarialConfig(r1=2.0, r2=0.5, penalty_every=8)
    plain, _ = discriminator_loss(AdversarialConfig(), discriminator, real, fake, None, KEY)
    loss, report = discriminator_loss(adversarial, discriminator, real, fake, None, KEY)
    expected = plain + 8 * (
        2.0 / 2 * gradient_penalty(discriminator, real) + 0.5 / 2 * gradient_penalty(discriminator, fake)
    )
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=SUM32)
    assert report["r1"] > 0
    assert report["r2"] > 0
    between, report = discriminator_loss(adversarial, discriminator, real, fake, None, (5, 33))
    assert torch.equal(between, plain)
    assert "r1" not in report
    loss.backward()
    assert all(p.grad is not None for p in discriminator.parameters())


def test_a_code_makes_wrong_pairs_count_and_without_any_outputs_stand_in(conditional: Any, pictures: Any) -> None:
    real, fake = pictures
    code = torch.randn(3, 6, generator=torch.Generator().manual_seed(2))
    hinge = GAN_LOSSES["hinge"]
    on_real, on_fake = conditional(real, code), conditional(fake, code)
    others = code.roll(1, 0)
    loss, _ = discriminator_loss(AdversarialConfig(), conditional, real, fake, code, KEY, others)
    assert torch.equal(loss, hinge.discriminator(on_real, on_fake, conditional(real, others)))
    loss, _ = discriminator_loss(AdversarialConfig(), conditional, real, fake, code, KEY)
    assert torch.equal(loss, hinge.discriminator(on_real, on_fake, on_fake))


def test_an_unknown_objective_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="gan_loss"):
        AdversarialConfig.parse({"gan_loss": "wasserstein"}, "a test")
    assert issubclass(AdversarialConfig, Config)
