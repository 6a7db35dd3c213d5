"""The generator's objective: named terms, their weights, and a report of each.

The articles write L = α·L_content + (1-α)·L_style. There α weighs *content*, in the objective; the `strength` that a
user sets weighs *style*, in the generator's code. They are different knobs: see docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sfumato.config import Config


class LossWeights(Config):
    """Weight of each term; 0 leaves a term out. The style terms are relative to the painting's own."""

    content: float = 0.06
    statistics: float = 2.0
    gram: float = 0.5
    adversarial: float = 0.05
    identity: float = 0.7
    consistency: float = 1.0
    total_variation: float = 0.05
    range: float = 5.0
    leak: float = 0.05

    @classmethod
    def from_alpha(cls, alpha: float) -> LossWeights:
        """The articles' α·L_content + (1-α)·L_style, nothing else; α in [0, 1]."""
        others = dict.fromkeys(("adversarial", "identity", "consistency", "total_variation", "range", "leak"), 0.0)
        return cls(content=alpha, statistics=(1 - alpha) / 2, gram=(1 - alpha) / 2, **others)


def total_loss(terms: Mapping[str, Tensor], weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of scalar terms, and the detached terms themselves (unweighted) for the report."""
    known = weights.model_dump()
    weighted = [known[name] * term for name, term in terms.items()]  # an unknown name is a programming error: KeyError
    return torch.stack(weighted).sum(), {name: term.detach() for name, term in terms.items()}
