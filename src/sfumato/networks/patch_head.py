"""The projection heads of the patchwise contrastive loss (PatchNCE)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchSampler(nn.Module):
    """Two-layer MLPs H_l (Park et al. 2020, §3) that map feature vectors to unit vectors, one MLP for each layer.

    They train with the generator and are not used for inference.
    """

    def __init__(self, widths: Sequence[int], size: int = 64) -> None:
        """Build the heads for layers of `widths` channels; `size` is the vectors' length."""
        super().__init__()
        self.heads = nn.ModuleList(
            [nn.Sequential(nn.Linear(width, size), nn.ReLU(), nn.Linear(size, size)) for width in widths]
        )

    def forward(self, features: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Return unit vectors (B, P_l, `size`) float32 for each layer l.

        Args:
            features: maps (B, C_l, H_l, W_l).
            positions: indices (P_l,) int64 into the H_l·W_l places.
        """
        vectors = []
        for head, h, at in zip(self.heads, features, positions, strict=True):
            patches = h.flatten(2).index_select(2, at).transpose(1, 2)  # (B, P, C)
            vectors.append(F.normalize(head(patches).float(), dim=2, eps=1e-6))
        return vectors


def draw_positions(features: Sequence[Tensor], patches: int, generator: torch.Generator) -> list[Tensor]:
    """Draw up to `patches` distinct positions (P,) int64 for each map (B, C, H, W), the same for the whole batch.

    `generator` must be on the CPU, so that all devices get the same positions.
    """
    drawn = []
    for h in features:
        places = h.shape[2] * h.shape[3]
        drawn.append(torch.randperm(places, generator=generator)[:patches].to(h.device))
    return drawn
