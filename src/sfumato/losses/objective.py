"""The generator's objective: named terms, their weights, and a report of each.

The articles write L = α·L_content + (1-α)·L_style. There α weighs *content*, in the objective; the `strength` that a
user sets weighs *style*, in the generator's code. They are different knobs: see docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from sfumato.config import Config


class LossWeights(Config):
    """Weight of each term; 0 leaves a term out. The style terms are relative, at most about 1."""

    content: NonNegativeFloat = 0.06
    statistics: NonNegativeFloat = 6.0
    gram: NonNegativeFloat = 3.0
    adversarial: NonNegativeFloat = 0.05
    identity: NonNegativeFloat = 0.7
    consistency: NonNegativeFloat = 1.0
    total_variation: NonNegativeFloat = 0.05
    range: NonNegativeFloat = 5.0
    leak: NonNegativeFloat = 0.05
    content_raw: NonNegativeFloat = 0.0
    laplacian: NonNegativeFloat = 0.0
    sliced: NonNegativeFloat = 0.0
    style_contrast: NonNegativeFloat = 0.0
    # Of a collection
    contrast: NonNegativeFloat = 0.0
    contrast_identity: NonNegativeFloat = 0.0
    cycle: NonNegativeFloat = 0.0
    # Of matching
    reconstruction: NonNegativeFloat = 0.0
    reconstruction_features: NonNegativeFloat = 0.0
    matched: NonNegativeFloat = 0.0
    lattice: NonNegativeFloat = 0.0

    @classmethod
    def from_alpha(cls, alpha: float) -> LossWeights:
        """The articles' α·L_content + (1-α)·L_style, nothing else; α in [0, 1]."""
        others = dict.fromkeys(("adversarial", "identity", "consistency", "total_variation", "range", "leak"), 0.0)
        return cls(content=alpha, statistics=(1 - alpha) / 2, gram=(1 - alpha) / 2, **others)


def total_loss(terms: Mapping[str, Tensor], weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of scalar terms, and the detached terms themselves (unweighted) for the report."""
    known = weights.model_dump()
    # An unknown name is a programming error: KeyError. A weight of 0 leaves its term out, even one that is not finite.
    weighted = [known[name] * term for name, term in terms.items() if known[name]]
    return torch.stack(weighted).sum(), {name: term.detach() for name, term in terms.items()}
