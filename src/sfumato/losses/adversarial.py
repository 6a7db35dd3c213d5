"""The adversarial game. Hinge form (Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Logits = Sequence[Tensor]  # one map (B, 1, h, w) a scale; each scale counts the same


def hinge_discriminator(real: Logits, fake: Logits, wrong: Logits) -> Tensor:
    """L_D = E[(1 - D(real))₊] + ½ E[(1 + D(fake))₊] + ½ E[(1 + D(wrong))₊], a scalar ≥ 0.

    `wrong` are real patches under another painting's code (Reed et al. 2016, algorithm 1): without them the
    discriminator could ignore the code.
    """
    terms = [
        F.relu(1 - r).mean() + 0.5 * F.relu(1 + f).mean() + 0.5 * F.relu(1 + w).mean()
        for r, f, w in zip(real, fake, wrong, strict=True)
    ]
    return torch.stack(terms).mean()


def hinge_generator(fake: Logits) -> Tensor:
    """L_G = -E[D(fake)], a scalar."""
    return -torch.stack([f.mean() for f in fake]).mean()


def accuracy(real: Logits, fake: Logits) -> Tensor:
    """Balanced accuracy of the discriminator's sign on patches, in [0, 1], a scalar; 0.5 is the generator's aim."""
    right = [((r > 0).float().mean() + (f <= 0).float().mean()) / 2 for r, f in zip(real, fake, strict=True)]
    return torch.stack(right).mean()
