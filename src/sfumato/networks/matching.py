"""Matching: each place of the photo is assigned features of the painting (style swap, Chen & Schmidt 2016).

With plain nearest neighbours a few vectors of the painting win almost everywhere (hubness), and pictures drift to black
and white. An assignment that uses all of the painting is an optimal transport between the two sets of features, solved
by Sinkhorn's iterations (Cuturi 2013, algorithm 1). The centred cosine distance is that of Kolkin et al. 2022 ("Neural
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

#: Temperature of the assignment, in units of cosine. Smaller values are closer to the exact transport and need more
#: rounds.
TEMPERATURE = 0.03
ROUNDS = 6
#: Weights of the layers in the comparison of places (`inference.matching.Weights`), and the number of principal
#: directions compared. Inference compares 64 directions; 96 gave pictures of the same quality there.
LAYER_WEIGHTS = (2.0, 1.5, 1.0, 1.0, 1.0)
DIRECTIONS = 96
#: Strengths of the corrections of the matches: `residual`, `structure` and `statistics`; the largest gain of the last;
#: and the addition to the residual's share if the painting has no fine structure at all.
RESIDUAL, STRUCTURE, STATISTICS, STRETCH, SOFT = 1.0, 0.05, 0.5, 1.25, 0.1
_RIDGE = 1e-4  # ridge of the regression, relative to the mean variance of a direction
_NOISE = 1e-3  # norm of a query, relative to the keys' mean norm, below which it is rounding (plain photos)
_ITERATIONS = 3
_MIN_USE = 1e-30  # lower bound of the mass of a vector in the bank, so that float32 does not overflow


@torch.no_grad()
def balanced_assignment(
    queries: Tensor, bank: Tensor, temperature: float = TEMPERATURE, rounds: int = ROUNDS, balance: float = 1.0
) -> Tensor:
    """Assign to each query a vector of the bank by Sinkhorn's iterations.

    Each query takes the vector with the largest cosine + price; the prices balance how often vectors are used. With
    K = exp(cosine / temperature), each round scales rows, u = 1 / (K v), and then columns,
    v = (N / M / (Kᵀ u)) ** balance; the price is temperature · log v. An exponent below 1 relaxes the marginal
    (Chizat et al. 2018, "Scaling Algorithms for Unbalanced Optimal Transport").

    Args:
        queries: (N, D), unit vectors.
        bank: (M, D), unit vectors.
        temperature: above 0; see `TEMPERATURE`.
        rounds: at least 0; 0 gives nearest neighbours.
        balance: in [0, 1]; 0 gives nearest neighbours by cosine, 1 requires all vectors to be used equally.

    Returns:
        Index into the bank for each query, (N,) int64.

    Raises:
        InputError: the sizes D differ, or a set is empty.
        UsageError: `balance` is out of range.
    """
    sizes = check_shape(queries, "N D", "queries")
    if check_shape(bank, "M D", "bank")["D"] != sizes["D"]:
        raise InputError(f"queries have {sizes['D']} features and the bank {bank.shape[1]}; the numbers must be equal")
    if not (len(queries) and len(bank)):
        raise InputError("matching needs at least one query and one vector in the bank")
    check_range(balance, 0, 1, "balance")
    similarity = (queries @ bank.T).float() / temperature  # (N, M); under autocast the product has 16 bits
    if not balance or not rounds:
        return similarity.argmax(1)
    with full_precision(similarity):
        similarity -= similarity.amax(1, keepdim=True)  # a constant for each query does not change the plan
        kernel = similarity.exp()
        share, value = len(queries) / len(bank), kernel.new_ones(len(bank))
        for _ in range(rounds):
            use = (1 / (kernel @ value)) @ kernel  # (M,)
            value = (share / use.clamp(min=_MIN_USE)) ** balance
        return (similarity + value.log()).argmax(1)


def transport(source: Tensor, target: Tensor) -> Tensor:
    """Return the linear optimal transport map between Gaussians (Pitié & Kokaram 2007, equation 6).

    Eigenvalues of the source below 1 % of its largest, or 0.1 % of the target's largest, are raised to that: the noise
    of a plain photo must not be stretched to the range of a painting. `inference.matching.transport` is the same in
    NumPy.

    Args:
        source: covariance (K, K) of the rows to be moved.
        target: covariance (K, K) that they get.

    Returns:
        Symmetric matrix (K, K), float64, that rows are multiplied by.
    """
    source, target = source.double(), target.double()
    top = [float(torch.linalg.eigvalsh(each)[-1]) for each in (source, target)]
    floor = max(0.01 * top[0], 0.001 * top[1], 1e-12)
    root, inverse = _power(source, 0.5, floor), _power(source, -0.5, floor)
    moved: Tensor = inverse @ _power(root @ target @ root, 0.5, 0.0) @ inverse
    return moved


def _power(matrix: Tensor, exponent: float, floor: float) -> Tensor:
    """Return a power of a symmetric matrix; eigenvalues below `floor` are raised to it."""
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = (vectors * values.clamp(min=floor) ** exponent) @ vectors.T
    return power


def _principal(matrix: Tensor, count: int) -> Tensor:
    """Approximate the `count` principal directions (C, count) of a covariance (C, C) by subspace iteration."""
    start = torch.randn(len(matrix), count, generator=torch.Generator().manual_seed(0)).to(matrix)
    basis = start
    for _ in range(_ITERATIONS):
        basis = torch.linalg.qr(matrix @ basis)[0]
    return basis


class _Places(NamedTuple):
    """Centred features of a photo's and a painting's places, projected on principal directions for comparison."""

    queries: Tensor  # (N, K), the photo's, transported to the painting's covariance
    keys: Tensor  # (M, K), the painting's
    structure: Tensor  # (N, K), the photo's, transported to a covariance that retains a share of its own
    softness: Tensor  # (), from 0 to `SOFT`: added to the residual's share


def _project_places(content: Tensor, style: Tensor) -> _Places:
    """Project hypercolumns (N, C) of a photo and (M, C) of a painting for their comparison."""
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
    """Return the part of the photo's features that the matches lack, (N, C), weighted by their dissimilarity."""
    queries, keys = places.structure, places.keys[chosen]
    share = RESIDUAL * (1 - F.cosine_similarity(queries, keys, dim=1) + places.softness).clamp(max=1)[:, None]
    share = share * (queries.norm(dim=1, keepdim=True) > _NOISE * places.keys.norm(dim=1).mean())
    square = places.keys.T @ places.keys
    square += torch.eye(len(square), device=square.device) * (_RIDGE * square.trace() / len(square) + _MIN_USE)
    prediction = torch.linalg.solve(square, places.keys.T @ (style - style.mean(0)))  # (K, C), by ridge regression
    residual: Tensor = share * (queries - keys) @ prediction
    return residual


def _with_statistics(found: Tensor, style: Tensor) -> Tensor:
    """Move each channel's mean and deviation of `found` (N, C) towards those of `style` (M, C)."""
    mean, deviation, wanted = found.mean(0), found.std(0, correction=0), style.std(0, correction=0)
    gain = (wanted / (deviation + 1e-3 * wanted.mean() + 1e-9)).clamp(1 / STRETCH, STRETCH)
    return (found - mean) * gain + mean + STATISTICS * (style.mean(0) - mean)


@torch.no_grad()
def match(content: Tensor, style: Tensor, balance: float = 0.7) -> Tensor:
    """Replace each place's features by assigned features of the painting, as in the last pass of `inference.matching`.

    The residual is added and the channels' statistics are corrected, as there. Sample i of one batch is matched with
    sample i of the other.

    Args:
        content: scaled hypercolumns (B, 640, h, w) of photos.
        style: scaled hypercolumns (B, 640, h', w') of paintings.
        balance: see `balanced_assignment`.

    Returns:
        Scaled hypercolumns (B, 640, h, w).

    Raises:
        InputError: a shape is wrong, or the batch sizes differ.
    """
    sizes = check_shape(content, f"B {CHANNELS} h w", "content")
    if check_shape(style, f"B {CHANNELS} h w", "style")["B"] != sizes["B"]:
        raise InputError(f"{len(content)} contents cannot be matched with {len(style)} styles one by one")
    matched = []
    with full_precision(content):
        for photo, painting in zip(content.flatten(2).mT, style.flatten(2).mT, strict=True):
            # One sample at a time: the similarity matrix is the largest tensor of a training step.
            places = _project_places(photo, painting)
            queries, keys = F.normalize(places.queries, dim=1), F.normalize(places.keys, dim=1)
            chosen = balanced_assignment(queries, keys, balance=balance)
            found = _with_statistics(painting[chosen] + _residual(places, chosen, painting), painting)  # (h·w, C)
            matched.append(found.T.reshape(content.shape[1:]))
    return torch.stack(matched).contiguous(memory_format=torch.channels_last)
