"""The adversarial terms of both networks: GAN loss, gradient penalties and augmentation put together.

They are the same for all training tasks; an unconditional discriminator is called with pictures alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.losses.adversarial import Logits, discriminator_signals, find_gan_loss
from sfumato.losses.augment import FAKE, REAL, augment_pictures
from sfumato.losses.config import AdversarialConfig
from sfumato.losses.penalties import gradient_penalty
from sfumato.parallel import WHOLE, Rows

Key = tuple[int, int]  # seed and step; they determine all random numbers of the step


def generator_loss(
    adversarial: AdversarialConfig,
    discriminator: nn.Module,
    fake: Tensor,
    real: Tensor,
    code: Tensor | None,
    key: Key,
    rows: Rows = WHOLE,
) -> Tensor:
    """Return the generator's adversarial loss, a scalar.

    Args:
        adversarial: GAN loss and augmentation.
        discriminator: called with pictures, and with `code` unless that is None.
        fake: outputs, (B, 3, S, S).
        real: paintings, (B, 3, S, S); read by relativistic losses only.
        code: style codes (B, D); None for an unconditional discriminator.
        key: seed and step; they determine the augmentation.
        rows: which samples of the global batch these are.
    """
    gan_loss = find_gan_loss(adversarial.gan_loss)
    on_real: Logits | None = None
    if gan_loss.needs_real:
        with torch.no_grad():
            on_real = _logits(discriminator, augment_pictures(adversarial.augment, real, *key, REAL, rows=rows), code)
    return gan_loss.generator(
        _logits(discriminator, augment_pictures(adversarial.augment, fake, *key, FAKE, rows=rows), code), on_real
    )


def discriminator_loss(
    adversarial: AdversarialConfig,
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    code: Tensor | None,
    key: Key,
    wrong: Tensor | None = None,
    rows: Rows = WHOLE,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the discriminator's loss with its penalties, a scalar, and a report of detached scalars.

    Args:
        adversarial: GAN loss, penalties and augmentation.
        discriminator: called with pictures, and with `code` unless that is None.
        real: paintings, (B, 3, S, S).
        fake: outputs, (B, 3, S, S).
        code: style codes (B, D) of both; None for an unconditional discriminator.
        key: seed and step; they determine the augmentation and whether the step has a penalty.
        wrong: codes (B, D) of other paintings, under which `real` serves as a negative; None if there are none.
        rows: which samples of the global batch these are.
    """
    gan_loss = find_gan_loss(adversarial.gan_loss)
    shown = augment_pictures(adversarial.augment, real, *key, REAL, rows=rows)
    painted = augment_pictures(adversarial.augment, fake, *key, FAKE, rows=rows)
    on_real, on_fake = _logits(discriminator, shown, code), _logits(discriminator, painted, code)
    on_wrong: Logits | None = None
    if code is not None:  # without another code, outputs replace the paintings under a wrong one
        on_wrong = on_fake if wrong is None else discriminator(shown, wrong)
    loss = gan_loss.discriminator(on_real, on_fake, on_wrong)
    report = {"discriminator": loss.detach(), **discriminator_signals(on_real, on_fake, relative=gan_loss.needs_real)}
    report["d_accuracy"] = gan_loss.accuracy(on_real, on_fake).detach()
    if (adversarial.r1 or adversarial.r2) and key[1] % adversarial.penalty_every == 0:
        for name, weight, x in (("r1", adversarial.r1, shown), ("r2", adversarial.r2, painted)):
            if weight:
                penalty = gradient_penalty(discriminator, x, code)
                report[name] = penalty.detach()
                loss = loss + weight / 2 * adversarial.penalty_every * penalty
    return loss, report


def _logits(discriminator: nn.Module, x: Tensor, code: Tensor | None) -> Logits:
    logits: Logits = discriminator(x) if code is None else discriminator(x, code)
    return logits
