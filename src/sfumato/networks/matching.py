"""Matching: each place of the photo gets features of the painting (style swap, Chen & Schmidt 2016).

Plain nearest neighbours wear out: a few vectors of the painting win almost everywhere, and pictures drift to black and
white. An assignment that uses all of the painting is an optimal transport between the two sets of features, which
Sinkhorn's iterations solve (Cuturi 2013, algorithm 1). Centred cosine distance is that of Kolkin et al. 2022 ("Neural
Neighbor Style Transfer").
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.checks import check_range, check_shape
from sfumato.errors import InputError
from sfumato.networks.hypercolumn import CHANNELS, LAYER_CHANNELS
from sfumato.networks.layers import full_precision

#: In units of cosine: how sharp the assignment is. Smaller is nearer to the exact transport, and takes more rounds.
TEMPERATURE = 0.03
ROUNDS = 6
#: Of the layers where places are compared (``inference.matching.Weights``), and the principal directions in which they
#: are. Painting compares in 64 directions: with 96 its pictures judged alike.
LAYER_WEIGHTS = (2.0, 1.5, 1.0, 1.0, 1.0)
DIRECTIONS = 96
#: What is done to the matches: ``residual``, ``structure``, ``statistics`` and the largest gain there; and what the
#: residual's share gets more, where the painting has no fine structure at all.
RESIDUAL, STRUCTURE, STATISTICS, STRETCH, SOFT = 1.0, 0.05, 0.5, 1.25, 0.1
_RIDGE = 1e-4  # of the mean variance of a direction
_NOISE = 1e-3  # length of a query, in those of keys, below which it is rounding: a plain photo has no others
_ITERATIONS = 3
_MIN_USE = 1e-30  # mass that a vector of the bank is given at the least, so that float32 does not overflow


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
            value = (share / use.clamp(min=_MIN_USE)) ** balance
        return (similarity + value.log()).argmax(1)


def transport(source: Tensor, target: Tensor) -> Tensor:
    """The linear map (K, K), symmetric, that takes rows of covariance `source` (K, K) to covariance `target` (K, K) and
    moves them least (Pitié & Kokaram 2007, equation 6), float64.

    Eigenvalues of the source below 1 % of its largest, or 0.1 % of the target's, are raised to that: noise of a plain
    photo is not stretched to the range of a painting. ``inference.matching.transport`` is the same in NumPy.
    """
    source, target = source.double(), target.double()
    top = [float(torch.linalg.eigvalsh(each)[-1]) for each in (source, target)]
    floor = max(0.01 * top[0], 0.001 * top[1], 1e-12)
    root, inverse = _power(source, 0.5, floor), _power(source, -0.5, floor)
    moved: Tensor = inverse @ _power(root @ target @ root, 0.5, 0.0) @ inverse
    return moved


def _power(matrix: Tensor, exponent: float, floor: float) -> Tensor:
    """Of a symmetric matrix; eigenvalues below `floor` are raised to it."""
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = (vectors * values.clamp(min=floor) ** exponent) @ vectors.T
    return power


def _principal(matrix: Tensor, count: int) -> Tensor:
    """About the `count` principal directions (C, count) of a covariance (C, C), by subspace iteration."""
    start = torch.randn(len(matrix), count, generator=torch.Generator().manual_seed(0)).to(matrix)
    basis = start
    for _ in range(_ITERATIONS):
        basis = torch.linalg.qr(matrix @ basis)[0]
    return basis


class _Places(NamedTuple):
    """Places of a photo and of a painting as they are compared: centred, in their principal directions, and those of
    the photo, (N, K), moved to the covariance of the painting's, (M, K). ``structure`` (N, K) are the photo's again,
    moved to a covariance that has a share of its own."""

    queries: Tensor
    keys: Tensor
    structure: Tensor
    softness: Tensor  # (), from 0 to `SOFT`


def _described(content: Tensor, style: Tensor) -> _Places:
    """Places (N, C) of a photo and (M, C) of a painting."""
    weight = content.new_tensor(LAYER_WEIGHTS).repeat_interleave(content.new_tensor(LAYER_CHANNELS).long())
    queries, keys = ((places - places.mean(0)) * weight for places in (content, style))
    spread = [each.T @ each / len(each) for each in (queries, keys)]
    basis = _principal(spread[0] + spread[1], DIRECTIONS)
    photo, painting = (basis.T @ each @ basis for each in spread)
    moved, richer = (transport(photo, target).to(queries) for target in (painting, painting + STRUCTURE * photo))
    fine = slice(sum(LAYER_CHANNELS[:2]), None)
    variances = [places[:, fine].var(0, correction=0).sum() for places in (content, style)]
    softness = SOFT * (1 - variances[1] / (variances[0] + _MIN_USE)).clamp(min=0)
    return _Places(queries @ (basis @ moved), keys @ basis, queries @ (basis @ richer), softness)


def _residual(places: _Places, chosen: Tensor, style: Tensor) -> Tensor:
    """What the matches miss of the photo, as features (N, C), weighted by how unlike they are."""
    queries, keys = places.structure, places.keys[chosen]
    share = RESIDUAL * (1 - F.cosine_similarity(queries, keys, dim=1) + places.softness).clamp(max=1)[:, None]
    share = share * (queries.norm(dim=1, keepdim=True) > _NOISE * places.keys.norm(dim=1).mean())
    square = places.keys.T @ places.keys
    square += torch.eye(len(square), device=square.device) * (_RIDGE * square.trace() / len(square) + _MIN_USE)
    prediction = torch.linalg.solve(square, places.keys.T @ (style - style.mean(0)))  # (K, C), by ridge regression
    residual: Tensor = share * (queries - keys) @ prediction
    return residual


def _with_statistics(found: Tensor, style: Tensor) -> Tensor:
    """`found` (N, C) with each channel's mean and deviation nearer to those of `style` (M, C)."""
    mean, deviation, wanted = found.mean(0), found.std(0, correction=0), style.std(0, correction=0)
    gain = (wanted / (deviation + 1e-3 * wanted.mean() + 1e-9)).clamp(1 / STRETCH, STRETCH)
    return (found - mean) * gain + mean + STATISTICS * (style.mean(0) - mean)


@torch.no_grad()
def match(content: Tensor, style: Tensor, balance: float = 0.7) -> Tensor:
    """For each place of `content` (B, 640, h, w) the assigned features of `style` (B, 640, h', w'), with the residual
    and the statistics of the last pass of painting (``inference.matching``): (B, 640, h, w).

    Sample i of the one is matched with sample i of the other. Scale both first, so that each layer counts the same.

    Raises:
        InputError: shapes that do not go together.
    """
    sizes = check_shape(content, f"B {CHANNELS} h w", "content")
    if check_shape(style, f"B {CHANNELS} h w", "style")["B"] != sizes["B"]:
        raise InputError(f"{len(content)} contents cannot be matched with {len(style)} styles one by one")
    matched = []
    with full_precision(content):
        for photo, painting in zip(content.flatten(2).mT, style.flatten(2).mT, strict=True):
            # One by one: the table of similarities is the largest thing of a training step.
            places = _described(photo, painting)
            queries, keys = F.normalize(places.queries, dim=1), F.normalize(places.keys, dim=1)
            chosen = balanced_assignment(queries, keys, balance=balance)
            found = _with_statistics(painting[chosen] + _residual(places, chosen, painting), painting)  # (h·w, C)
            matched.append(found.T.reshape(content.shape[1:]))
    return torch.stack(matched).contiguous(memory_format=torch.channels_last)
