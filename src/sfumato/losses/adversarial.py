"""The adversarial loss in five forms: what the discriminator descends, and what the generator descends.

Each is written in logits, never in probabilities: log D = -softplus(-logit) and log(1 - D) = -softplus(logit) are exact
where the logarithm of a sigmoid would be infinite. Losses are float32 whatever the logits are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.errors import UsageError

Logits = Sequence[Tensor]  # one map (B, 1, h, w) a scale; each scale counts the same


def _exact(logits: Tensor) -> Tensor:
    """Logits in float32, or float64 where they are: 16 bits have three digits, and lsgan squares."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _mean(price: Callable[[Tensor], Tensor], logits: Logits) -> Tensor:
    """Mean price of the patches of each scale, and of that over scales."""
    return torch.stack([price(_exact(x)).mean() for x in logits]).mean()


def _not_real(fake: Logits, wrong: Logits | None) -> list[Logits]:
    """What the discriminator is to tell from real patches; each kind has the same share of the weight."""
    return [fake] if wrong is None else [fake, wrong]


def _margins(real: Logits, fake: Logits) -> list[Tensor]:
    """By how much each real patch outdoes its pair."""
    return [_exact(r) - _exact(f) for r, f in zip(real, fake, strict=True)]


@dataclass(frozen=True)
class Pointwise:
    """A loss that judges each patch by itself; its parts map logits to losses, element by element."""

    on_real: Callable[[Tensor], Tensor]  # what the discriminator pays for the logit of a real patch
    on_fake: Callable[[Tensor], Tensor]  # and for one that is not real
    on_generated: Callable[[Tensor], Tensor]  # what the generator pays for the logit of its own
    boundary: float = 0.0  # the logit between "fake" and "real"

    needs_real: ClassVar[bool] = False

    def discriminator(self, real: Logits, fake: Logits, wrong: Logits | None = None) -> Tensor:
        """E[on_real(real)] + ½ E[on_fake(fake)] + ½ E[on_fake(wrong)], a scalar; without `wrong`, fakes count whole.

        `wrong` are real patches under another painting's code (Reed et al. 2016, algorithm 1): without them a
        conditional discriminator could ignore the code.
        """
        terms = []
        for r, *others in zip(real, *_not_real(fake, wrong), strict=True):
            term = self.on_real(_exact(r)).mean()
            for other in others:
                term = term + self.on_fake(_exact(other)).mean() / len(others)
            terms.append(term)
        return torch.stack(terms).mean()

    def generator(self, fake: Logits, real: Logits | None = None) -> Tensor:
        """E[on_generated(fake)], a scalar; `real` plays no part."""
        return _mean(self.on_generated, fake)

    def accuracy(self, real: Logits, fake: Logits) -> Tensor:
        """Balanced accuracy on patches, in [0, 1], a scalar."""
        return accuracy([r - self.boundary for r in real], [f - self.boundary for f in fake])


@dataclass(frozen=True)
class Relativistic:
    """A loss on pairs, RpGAN (Jolicoeur-Martineau 2019; Huang et al. 2024): is this patch more real than that one?

    Only differences of logits count. Row i of one batch is paired with row i of the other, position by position; the
    choice of pairs does not change the expectation. The generator is judged against real patches, so it needs theirs.
    """

    on_margin: Callable[[Tensor], Tensor]  # what is paid for a logit that is larger by so much than its pair's

    needs_real: ClassVar[bool] = True

    def discriminator(self, real: Logits, fake: Logits, wrong: Logits | None = None) -> Tensor:
        """E[f(real - fake)], a scalar; with `wrong`, ½ E[f(real - fake)] + ½ E[f(real - wrong)]."""
        halves = [_mean(self.on_margin, _margins(real, other)) for other in _not_real(fake, wrong)]
        return torch.stack(halves).mean()

    def generator(self, fake: Logits, real: Logits | None = None) -> Tensor:
        """E[f(fake - real)], a scalar; `real` may not be left out."""
        if real is None:
            raise ValueError("a relativistic generator needs the logits of real patches")
        return _mean(self.on_margin, [-m for m in _margins(real, fake)])

    def accuracy(self, real: Logits, fake: Logits) -> Tensor:
        """Share of pairs whose real patch has the larger logit, in [0, 1], a scalar; ties count half."""
        margins = _margins(real, fake)
        return accuracy(margins, [-m for m in margins])


GanLoss = Pointwise | Relativistic

GAN_LOSSES: dict[str, GanLoss] = {
    # Goodfellow et al. 2014, eq. 1: the minimax game. L_D = -E log D(x) - E log(1 - D(G)), and the generator descends
    # E log(1 - D(G)), which saturates: where the discriminator is sure, its slope is 0.
    "bce": Pointwise(lambda r: F.softplus(-r), F.softplus, lambda f: -F.softplus(f)),
    # Goodfellow et al. 2014, section 3: the same discriminator, and a generator that descends -E log D(G).
    "nonsaturating": Pointwise(lambda r: F.softplus(-r), F.softplus, lambda f: F.softplus(-f)),
    # Mao et al. 2017, eq. 9: least squares to 1 for real and 0 for fake.
    "lsgan": Pointwise(lambda r: (r - 1).square() / 2, lambda f: f.square() / 2, lambda f: (f - 1).square() / 2, 0.5),
    # Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17.
    "hinge": Pointwise(lambda r: F.relu(1 - r), lambda f: F.relu(1 + f), lambda f: -f),
    # Jolicoeur-Martineau 2019 (relativistic pairing), as R3GAN has it (Huang et al. 2024), with R1 and R2 beside it.
    "relativistic": Relativistic(lambda margin: F.softplus(-margin)),
}


def find_gan_loss(name: str) -> GanLoss:
    """The GAN loss of that name; UsageError with the valid names where there is none."""
    if name not in GAN_LOSSES:
        raise UsageError(f"no GAN loss {name!r}; give one of {', '.join(GAN_LOSSES)}")
    return GAN_LOSSES[name]


def accuracy(real: Logits, fake: Logits) -> Tensor:
    """Balanced accuracy of the discriminator's sign on patches, in [0, 1], a scalar; 0.5 is the generator's aim."""
    right = [((r > 0).float().mean() + (f <= 0).float().mean()) / 2 for r, f in zip(real, fake, strict=True)]
    return torch.stack(right).mean()


def discriminator_signals(real: Logits, fake: Logits, *, relative: bool = False) -> dict[str, Tensor]:
    """What a discriminator's logits on one batch say of it: scalars, not yet copied from the device.

    Args:
        real, fake: logits by scale on paintings and on outputs.
        relative: a relativistic loss asks for differences only; signs are then taken from the middle of both means.
    """
    rows = []
    for r, f in zip(real, fake, strict=True):
        r, f = r.detach().float(), f.detach().float()
        middle = (r.mean() + f.mean()) / 2 if relative else r.new_zeros(())
        rows.append(
            torch.stack(
                [
                    (r > middle).float().mean(),
                    (f <= middle).float().mean(),
                    (r - middle).sign().mean(),
                    torch.cat([r.flatten(), f.flatten()]).var(correction=0),
                ]
            )
        )
    names = ("real_accuracy", "fake_accuracy", "sign_balance", "logit_variance")
    return dict(zip(names, torch.stack(rows).mean(0), strict=True))
