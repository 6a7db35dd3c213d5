"""Contrast: what belongs together is nearer than what does not (InfoNCE, van den Oord et al. 2018, eq. 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.networks.layers import full_precision


def patch_nce(query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
    """PatchNCE (Park et al. 2020, eq. 2 and 3, one layer): a scalar ≥ 0, about log P where nothing is told apart.

    `query` (B, P, D) are unit vectors of patches of outputs, `key` (B, P, D) of the photos' at the same places. Each
    query is to find its key among the P of its own photo (internal negatives). Keys are targets and get no gradient.
    One patch has no negatives: 0.
    """
    query, key = _full(query), _full(key.detach())
    with full_precision(query):
        logits = query @ key.transpose(1, 2) / temperature  # (B, P, P)
    return _diagonal_entropy(logits)


def style_contrast(
    codes_of_outputs: Tensor, codes_of_styles: Tensor, temperature: float = 0.2, others: Tensor | None = None
) -> Tensor:
    """An output's style code is nearest to that of its own style: a scalar ≥ 0, InfoNCE over cosines.

    The style contrast of CAST (Zhang et al. 2022) and MicroAST (Wang et al. 2023), in InfoNCE's form.
    Codes (B, D) in the same order; the styles' are targets and get no gradient. `others` (N, D) are more negatives: the
    styles of other processes' samples. A batch of 1 without others has no negatives: 0, with a
    gradient of 0.
    """
    targets = codes_of_styles if others is None else torch.cat([codes_of_styles, others])
    output, target = (F.normalize(_full(codes), dim=1, eps=1e-6) for codes in (codes_of_outputs, targets.detach()))
    with full_precision(output):
        logits = output @ target.T / temperature  # (B, B + N)
    return _diagonal_entropy(logits[None])


def _diagonal_entropy(logits: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, P, K), K ≥ P, whose row i is to be of class i."""
    rows = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return F.cross_entropy(logits.flatten(0, 1), rows.flatten())


def _full(x: Tensor) -> Tensor:
    """At least 32 bits: cosines over a temperature of 0.07 want more than half precision has."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
