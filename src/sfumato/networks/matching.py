"""Matching: each place of the photo gets features of the painting (style swap, Chen & Schmidt 2016).

Plain nearest neighbours wear out: a few vectors of the painting win almost everywhere, and pictures drift to black and
white. An assignment that uses all of the painting is an optimal transport between the two sets of features, which
Sinkhorn's iterations solve (Cuturi 2013, algorithm 1). Centred cosine distance is that of Kolkin et al. 2022 ("Neural
Neighbor Style Transfer").
"""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.checks import check_range, check_shape
from sfumato.errors import InputError
from sfumato.networks.layers import full_precision

#: In units of cosine: how sharp the assignment is. Smaller is nearer to the exact transport, and takes more rounds.
TEMPERATURE = 0.03
ROUNDS = 6
_LEAST = 1e-30  # mass that a vector of the bank is given at the least, so that float32 does not overflow


@torch.no_grad()
def balanced_assignment(
    queries: Tensor, bank: Tensor, temperature: float = TEMPERATURE, rounds: int = ROUNDS, balance: float = 1.0
) -> Tensor:
    """For each query the index of a vector of the bank, (N,) int64.

    Each query takes the vector with the largest cosine + price, where the prices even out how often vectors are used.
    With K = exp(cosine / temperature), each round scales rows, u = 1 / (K v), and then columns,
    v = (N / M / (Kᵀ u)) ** balance; the price is temperature · log v. An exponent below 1 is Sinkhorn's iteration for
    a marginal that is only encouraged (Chizat et al. 2018, "Scaling Algorithms for Unbalanced Optimal Transport").

    Args:
        queries: (N, D), unit vectors.
        bank: (M, D), unit vectors.
        temperature: above 0; see `TEMPERATURE`.
        rounds: from 0 up; 0 is the nearest neighbour.
        balance: in [0, 1]; 0 is the nearest neighbour by cosine, 1 asks that all vectors be used equally.

    Raises:
        InputError: shapes that do not go together, or an empty set.
        UsageError: `balance` out of range.
    """
    sizes = check_shape(queries, "N D", "queries")
    if check_shape(bank, "M D", "bank")["D"] != sizes["D"]:
        raise InputError(f"queries have {sizes['D']} features and the bank {bank.shape[1]}; they must have the same")
    if not (len(queries) and len(bank)):
        raise InputError("matching needs at least one query and one vector in the bank")
    check_range(balance, 0, 1, "balance")
    similarity = (queries @ bank.T).float() / temperature  # (N, M); under autocast the product takes 16 bits
    if not balance or not rounds:
        return similarity.argmax(1)
    with full_precision(similarity):
        similarity -= similarity.amax(1, keepdim=True)  # a query's own constant: it changes no plan
        kernel = similarity.exp()
        share, value = len(queries) / len(bank), kernel.new_ones(len(bank))
        for _ in range(rounds):
            use = (1 / (kernel @ value)) @ kernel  # (M,)
            value = (share / use.clamp(min=_LEAST)) ** balance
        return (similarity + value.log()).argmax(1)


def directions(features: Tensor) -> Tensor:
    """Feature maps (B, C, h, w) -> unit vectors (B, h·w, C) of the features less their mean over places."""
    flat = features.flatten(2).transpose(1, 2)
    flat = flat - flat.mean(1, keepdim=True)
    unit: Tensor = flat / (flat.norm(dim=2, keepdim=True) + 1e-6)
    return unit


@torch.no_grad()
def match(content: Tensor, style: Tensor, balance: float = 1.0) -> Tensor:
    """For each place of `content` (B, C, h, w) the assigned features of `style` (B, C, h', w'): (B, C, h, w).

    Sample i of the one is matched with sample i of the other. Scale both first, so that each layer counts the same.

    Raises:
        InputError: shapes that do not go together.
    """
    if check_shape(content, "B C h w", "content")["B"] != check_shape(style, "B C h w", "style")["B"]:
        raise InputError(f"{len(content)} contents cannot be matched with {len(style)} styles one by one")
    matched = []
    for query, bank, vectors in zip(directions(content), directions(style), style.flatten(2), strict=True):
        # One by one: the table of similarities is the largest thing of a training step.
        chosen = vectors[:, balanced_assignment(query, bank, balance=balance)]  # (C, h·w)
        matched.append(chosen.view(content.shape[1:]))
    return torch.stack(matched).contiguous(memory_format=torch.channels_last)
