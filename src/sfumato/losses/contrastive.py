"""Contrastive losses in the form of InfoNCE (van den Oord et al. 2018, eq. 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.networks.layers import full_precision


def patch_nce(query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
    """Return the PatchNCE loss of one layer (Park et al. 2020, eq. 2 and 3).

    Each query is classified among the P keys of its own photo (internal negatives).

    Args:
        query: unit vectors (B, P, D) of the outputs' patches.
        key: unit vectors (B, P, D) of the photos' patches at the same positions; targets, without gradient.
        temperature: divisor of the cosines.

    Returns:
        A scalar ≥ 0: about log P if patches cannot be distinguished, and 0 for P = 1, which has no negatives.
    """
    query, key = _to_float32(query), _to_float32(key.detach())
    with full_precision(query):
        logits = query @ key.transpose(1, 2) / temperature  # (B, P, P)
    return _diagonal_entropy(logits)


def style_contrast(
    codes_of_outputs: Tensor, codes_of_styles: Tensor, temperature: float = 0.2, others: Tensor | None = None
) -> Tensor:
    """Return InfoNCE over cosines of style codes: an output's code must be nearest to the code of its own style.

    This is the style contrast of CAST (Zhang et al. 2022) and MicroAST (Wang et al. 2023) in the form of InfoNCE.

    Args:
        codes_of_outputs: (B, D).
        codes_of_styles: (B, D) in the same order; targets, without gradient.
        temperature: divisor of the cosines.
        others: codes (N, D) of further negatives: the styles of other processes' samples.

    Returns:
        A scalar ≥ 0; 0, with a gradient of 0, for a batch of 1 without `others`, which has no negatives.
    """
    targets = codes_of_styles if others is None else torch.cat([codes_of_styles, others])
    codes = (_to_float32(codes_of_outputs), _to_float32(targets.detach()))
    output, target = (F.normalize(each, dim=1, eps=1e-6) for each in codes)
    with full_precision(output):
        logits = output @ target.T / temperature  # (B, B + N)
    return _diagonal_entropy(logits[None])


def _diagonal_entropy(logits: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (B, P, K), K ≥ P, where row i has class i."""
    rows = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return F.cross_entropy(logits.flatten(0, 1), rows.flatten())


def _to_float32(x: Tensor) -> Tensor:
    """Return x with at least 32 bits: cosines divided by 0.07 need more digits than half precision has."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
