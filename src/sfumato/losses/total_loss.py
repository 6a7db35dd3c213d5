"""The generator's objective: named terms, their weights, and a report of each.

The articles write L = α·L_content + (1-α)·L_style. There α weighs *content*, in the objective; the `strength` that a
user sets weighs *style*, in the generator's code. They are different knobs: see docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sfumato.losses.config import LossWeights


def total_loss(terms: Mapping[str, Tensor], weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of scalar terms, and the detached terms themselves (unweighted) for the report."""
    known = weights.model_dump()
    # An unknown name is a programming error: KeyError. A weight of 0 leaves its term out, even one that is not finite.
    weighted = [known[name] * term for name, term in terms.items() if known[name]]
    return torch.stack(weighted).sum(), {name: term.detach() for name, term in terms.items()}
