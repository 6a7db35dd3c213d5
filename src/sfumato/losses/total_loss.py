"""The generator's total loss: the weighted sum of named terms.

The articles write L = α·L_content + (1-α)·L_style, where α weights *content* in the loss. The user's `strength` weights
*style* in the generator's code. The two are different parameters: see docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sfumato.losses.config import LossWeights


def total_loss(terms: Mapping[str, Tensor], weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of scalar terms, and the unweighted detached terms for the report.

    Raises:
        KeyError: a term has no weight of its name.
    """
    known = weights.model_dump()
    # Leaving a term out, rather than multiplying by 0, ignores it even if it is not finite.
    weighted = [known[name] * term for name, term in terms.items() if known[name]]
    return torch.stack(weighted).sum(), {name: term.detach() for name, term in terms.items()}
