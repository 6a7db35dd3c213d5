"""How adversarial training is played: which objective, which penalties, and what the discriminator sees of pictures.

The same for every kind; a discriminator without a code is called with pictures alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.losses.adversarial import Logits, discriminator_signals, find_gan_loss
from sfumato.losses.augment import FAKE, REAL, augment_pictures
from sfumato.losses.config import AdversarialConfig
from sfumato.losses.penalties import gradient_penalty
from sfumato.parallel import WHOLE, Rows

Key = tuple[int, int]  # seed and step: all that a step leaves to chance is drawn from it


def generator_loss(
    adversarial: AdversarialConfig,
    discriminator: nn.Module,
    fake: Tensor,
    real: Tensor,
    code: Tensor | None,
    key: Key,
    rows: Rows = WHOLE,
) -> Tensor:
    """What the generator descends, a scalar; outputs and paintings (B, 3, S, S), code (B, D). `rows` says which of
    the whole batch's samples these are."""
    gan_loss = find_gan_loss(adversarial.gan_loss)
    against: Logits | None = None
    if gan_loss.needs_real:
        with torch.no_grad():
            against = _judged(discriminator, augment_pictures(adversarial.augment, real, *key, REAL, rows=rows), code)
    return gan_loss.generator(
        _judged(discriminator, augment_pictures(adversarial.augment, fake, *key, FAKE, rows=rows), code), against
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
    """What the discriminator descends, a scalar, and a report.

    Args:
        real, fake: paintings and outputs, (B, 3, S, S).
        code: (B, D), that both are said to be in; None where the discriminator is unconditional.
        wrong: codes (B, D) of others, that the paintings are shown under too; None where there are no others.
        rows: which of the whole batch's samples these are.
    """
    gan_loss = find_gan_loss(adversarial.gan_loss)
    shown = augment_pictures(adversarial.augment, real, *key, REAL, rows=rows)
    painted = augment_pictures(adversarial.augment, fake, *key, FAKE, rows=rows)
    on_real, on_fake = _judged(discriminator, shown, code), _judged(discriminator, painted, code)
    on_wrong: Logits | None = None
    if code is not None:  # where all have one code, outputs stand in for what is under another
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


def _judged(discriminator: nn.Module, x: Tensor, code: Tensor | None) -> Logits:
    logits: Logits = discriminator(x) if code is None else discriminator(x, code)
    return logits
