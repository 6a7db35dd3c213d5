"""Five adversarial losses, each with a discriminator part and a generator part.

All are computed from logits, never from probabilities: log D = -softplus(-logit) and log(1 - D) = -softplus(logit) stay
finite where the logarithm of a sigmoid would be infinite. Losses are at least float32, whatever the logits' dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.errors import UsageError

Logits = Sequence[Tensor]  # one map (B, 1, h, w) for each scale; all scales have the same weight


def _to_float32(logits: Tensor) -> Tensor:
    """Return logits as float32, or as float64 if they are: 16 bits have three digits, and lsgan squares logits."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _mean_loss(loss: Callable[[Tensor], Tensor], logits: Logits) -> Tensor:
    """Return the mean loss over the patches of each scale, averaged over scales, as a scalar."""
    return torch.stack([loss(_to_float32(x)).mean() for x in logits]).mean()


def _negatives(fake: Logits, wrong: Logits | None) -> list[Logits]:
    """List the groups of negative patches; each group gets the same share of the weight."""
    return [fake] if wrong is None else [fake, wrong]


def _margins(real: Logits, fake: Logits) -> list[Tensor]:
    """Return the difference real - fake of paired logits, for each scale."""
    return [_to_float32(r) - _to_float32(f) for r, f in zip(real, fake, strict=True)]


@dataclass(frozen=True)
class Pointwise:
    """An adversarial loss on single patches; its functions map logits to losses element by element."""

    on_real: Callable[[Tensor], Tensor]  # the discriminator's loss on the logits of real patches
    on_fake: Callable[[Tensor], Tensor]  # the discriminator's loss on the logits of negative patches
    on_generated: Callable[[Tensor], Tensor]  # the generator's loss on the logits of its own patches
    boundary: float = 0.0  # the logit that separates "fake" from "real"

    needs_real: ClassVar[bool] = False

    def discriminator(self, real: Logits, fake: Logits, wrong: Logits | None = None) -> Tensor:
        """Return E[on_real(real)] + ½ E[on_fake(fake)] + ½ E[on_fake(wrong)], a scalar.

        `wrong` are logits of real patches under another painting's code (Reed et al. 2016, algorithm 1). Without such
        negatives a conditional discriminator could ignore the code. If `wrong` is None, the fakes have weight 1.
        """
        terms = []
        for r, *negatives in zip(real, *_negatives(fake, wrong), strict=True):
            term = self.on_real(_to_float32(r)).mean()
            for negative in negatives:
                term = term + self.on_fake(_to_float32(negative)).mean() / len(negatives)
            terms.append(term)
        return torch.stack(terms).mean()

    def generator(self, fake: Logits, _real: Logits | None = None) -> Tensor:
        """Return E[on_generated(fake)], a scalar; real patches have no part in it."""
        return _mean_loss(self.on_generated, fake)

    def accuracy(self, real: Logits, fake: Logits) -> Tensor:
        """Return the balanced accuracy on patches, a scalar in [0, 1]."""
        return accuracy([r - self.boundary for r in real], [f - self.boundary for f in fake])


@dataclass(frozen=True)
class Relativistic:
    """The relativistic pairing loss, RpGAN (Jolicoeur-Martineau 2019; Huang et al. 2024).

    It asks whether one patch is more real than another, so only differences of logits enter. Row i of one batch is
    paired with row i of the other, position by position; the choice of pairs does not change the expectation. The
    generator's loss needs the logits of real patches too.
    """

    on_margin: Callable[[Tensor], Tensor]  # the loss on the difference between a logit and its pair's

    needs_real: ClassVar[bool] = True

    def discriminator(self, real: Logits, fake: Logits, wrong: Logits | None = None) -> Tensor:
        """Return E[f(real - fake)], a scalar; with `wrong`, ½ E[f(real - fake)] + ½ E[f(real - wrong)]."""
        terms = [_mean_loss(self.on_margin, _margins(real, negative)) for negative in _negatives(fake, wrong)]
        return torch.stack(terms).mean()

    def generator(self, fake: Logits, real: Logits | None = None) -> Tensor:
        """Return E[f(fake - real)], a scalar.

        Raises:
            ValueError: `real` is None.
        """
        if real is None:
            raise ValueError("a relativistic generator needs the logits of real patches")
        return _mean_loss(self.on_margin, [-m for m in _margins(real, fake)])

    def accuracy(self, real: Logits, fake: Logits) -> Tensor:
        """Return the share of pairs whose real patch has the larger logit, a scalar in [0, 1]; ties count half."""
        margins = _margins(real, fake)
        return accuracy(margins, [-m for m in margins])


GanLoss = Pointwise | Relativistic

GAN_LOSSES: dict[str, GanLoss] = {
    # Goodfellow et al. 2014, eq. 1: the minimax game. L_D = -E log D(x) - E log(1 - D(G)), and the generator minimises
    # E log(1 - D(G)), which saturates: its gradient vanishes where the discriminator is confident.
    "bce": Pointwise(lambda r: F.softplus(-r), F.softplus, lambda f: -F.softplus(f)),
    # Goodfellow et al. 2014, section 3: the same discriminator loss; the generator minimises -E log D(G).
    "nonsaturating": Pointwise(lambda r: F.softplus(-r), F.softplus, lambda f: F.softplus(-f)),
    # Mao et al. 2017, eq. 9: least squares with targets 1 for real and 0 for fake.
    "lsgan": Pointwise(lambda r: (r - 1).square() / 2, lambda f: f.square() / 2, lambda f: (f - 1).square() / 2, 0.5),
    # Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17.
    "hinge": Pointwise(lambda r: F.relu(1 - r), lambda f: F.relu(1 + f), lambda f: -f),
    # Jolicoeur-Martineau 2019 (relativistic pairing) in the form of R3GAN (Huang et al. 2024), which adds R1 and R2.
    "relativistic": Relativistic(lambda margin: F.softplus(-margin)),
}


def find_gan_loss(name: str) -> GanLoss:
    """Return the GAN loss called `name`.

    Raises:
        UsageError: no loss has that name; the message lists the valid names.
    """
    if name not in GAN_LOSSES:
        raise UsageError(f"there is no GAN loss {name!r}; give one of {', '.join(GAN_LOSSES)}")
    return GAN_LOSSES[name]


def accuracy(real: Logits, fake: Logits) -> Tensor:
    """Return the balanced accuracy of the logits' signs on patches, a scalar in [0, 1]; the generator aims at 0.5."""
    right = [((r > 0).float().mean() + (f <= 0).float().mean()) / 2 for r, f in zip(real, fake, strict=True)]
    return torch.stack(right).mean()


def discriminator_signals(real: Logits, fake: Logits, *, relative: bool = False) -> dict[str, Tensor]:
    """Return accuracy, sign balance and variance of the discriminator's logits on one batch, for the monitor.

    Args:
        real: logits on paintings, one map for each scale.
        fake: logits on outputs, one map for each scale.
        relative: the loss is relativistic, so only differences have a meaning; signs are then taken relative to the
            midpoint of both means.

    Returns:
        Scalars by name, averaged over scales. They stay on the device: copying them would wait for the GPU.
    """
    rows = []
    for real_map, fake_map in zip(real, fake, strict=True):
        r, f = real_map.detach().float(), fake_map.detach().float()
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
