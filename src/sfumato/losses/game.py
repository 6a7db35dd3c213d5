"""How the adversarial game is played: which objective, which penalties, and what the discriminator sees of pictures."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from sfumato.config import Config
from sfumato.losses.adversarial import Logits, discriminator_signals, objective
from sfumato.losses.augment import FAKE, REAL, Augment
from sfumato.losses.penalties import gradient_penalty
from sfumato.parallel import WHOLE, Rows

Key = tuple[int, int]  # seed and step: all that a step leaves to chance is drawn from it


class Game(Config):
    """The same for every kind; a discriminator without a code is called with pictures alone."""

    objective: Literal["bce", "nonsaturating", "lsgan", "hinge", "relativistic"] = "hinge"
    r1: NonNegativeFloat = 0.0  # γ of the penalty on paintings; 0 leaves it out
    r2: NonNegativeFloat = 0.0  # on outputs
    penalty_every: PositiveInt = 16  # steps; the penalty then counts for all of them
    augment: Augment = Augment(p=0.0)

    def generator(
        self,
        discriminator: nn.Module,
        fake: Tensor,
        real: Tensor,
        code: Tensor | None,
        key: Key,
        rows: Rows = WHOLE,
    ) -> Tensor:
        """What the generator descends, a scalar; outputs and paintings (B, 3, S, S), code (B, D). `rows` says which of
        the whole batch's samples these are."""
        game = objective(self.objective)
        against: Logits | None = None
        if game.needs_real:
            with torch.no_grad():
                against = _judged(discriminator, self.augment(real, *key, REAL, rows=rows), code)
        return game.generator(_judged(discriminator, self.augment(fake, *key, FAKE, rows=rows), code), against)

    def discriminator(
        self,
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
        game = objective(self.objective)
        shown, painted = self.augment(real, *key, REAL, rows=rows), self.augment(fake, *key, FAKE, rows=rows)
        on_real, on_fake = _judged(discriminator, shown, code), _judged(discriminator, painted, code)
        on_wrong: Logits | None = None
        if code is not None:  # where all have one code, outputs stand in for what is under another
            on_wrong = on_fake if wrong is None else discriminator(shown, wrong)
        loss = game.discriminator(on_real, on_fake, on_wrong)
        report = {"discriminator": loss.detach(), **discriminator_signals(on_real, on_fake, relative=game.needs_real)}
        report["d_accuracy"] = game.accuracy(on_real, on_fake).detach()
        if (self.r1 or self.r2) and key[1] % self.penalty_every == 0:
            for name, weight, x in (("r1", self.r1, shown), ("r2", self.r2, painted)):
                if weight:
                    penalty = gradient_penalty(discriminator, x, code)
                    report[name] = penalty.detach()
                    loss = loss + weight / 2 * self.penalty_every * penalty
        return loss, report


def _judged(discriminator: nn.Module, x: Tensor, code: Tensor | None) -> Logits:
    logits: Logits = discriminator(x) if code is None else discriminator(x, code)
    return logits
