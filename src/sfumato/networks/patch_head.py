"""Patches of feature maps as short vectors that can be told apart: the projection heads of patchwise contrast."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchSampler(nn.Module):
    """Feature maps, and positions in them -> a unit vector for each position: a small network a layer.

    The two-layer MLP H_l of Park et al. 2020 (§3). It trains with the generator, and paints nothing.
    """

    def __init__(self, widths: Sequence[int], size: int = 64) -> None:
        """`widths` are the channels of the layers; `size` that of the vectors."""
        super().__init__()
        self.heads = nn.ModuleList(
            [nn.Sequential(nn.Linear(width, size), nn.ReLU(), nn.Linear(size, size)) for width in widths]
        )

    def forward(self, features: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Features (B, C_l, H_l, W_l) and positions (P_l,) int64 in H_l·W_l a layer -> (B, P_l, `size`) float32."""
        vectors = []
        for head, h, at in zip(self.heads, features, positions, strict=True):
            patches = h.flatten(2).index_select(2, at).transpose(1, 2)  # (B, P, C)
            vectors.append(F.normalize(head(patches).float(), dim=2, eps=1e-6))
        return vectors


def draw_positions(features: Sequence[Tensor], patches: int, generator: torch.Generator) -> list[Tensor]:
    """For each map (B, C, H, W) up to `patches` different positions (P,) int64, the same for the whole batch.

    `generator` lives on the CPU, so that every device gets the same ones.
    """
    drawn = []
    for h in features:
        places = h.shape[2] * h.shape[3]
        drawn.append(torch.randperm(places, generator=generator)[:patches].to(h.device))
    return drawn
