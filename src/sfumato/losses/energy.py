"""The energy distance between generated and real feature maps: a term against mode collapse."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIDES = (1, 4, 8)  # sides to which maps are averaged down: the mean colour, the masses, and a coarse layout
_LEAST = 1e-6  # added to squared distances, because the root's slope is infinite at 0


def energy_distance(fake: Tensor, real: Tensor) -> Tensor:
    """Return the sum over `SIDES` of 2·E|x - y| - E|x - x'| - E|y - y'| (Székely & Rizzo 2013), a scalar.

    It is 0 in expectation if both sets have one distribution. Its second term pushes generated maps apart, which a
    discriminator that judges each sample alone cannot do. The estimate is unbiased, so it may be negative.

    Args:
        fake: generated maps x, (B, K, h, h), B at least 2; h a multiple of 8.
        real: maps y of paintings, of the same shape.
    """
    terms = []
    for side in SIDES:
        # Divided by the root of the length, so that all sides count alike.
        x, y = (_averaged(maps, side) for maps in (fake, real))
        terms.append(2 * _distances(x, y).mean() - _mean_of_pairs(x) - _mean_of_pairs(y))
    return torch.stack(terms).sum()


def _averaged(maps: Tensor, side: int) -> Tensor:
    rows = F.avg_pool2d(maps.float(), maps.shape[2] // side).flatten(1)
    return rows / math.sqrt(rows.shape[1])


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the distances (B, B) of rows; `torch.cdist` has no slope at 0."""
    return ((x[:, None] - y[None]).square().sum(2) + _LEAST).sqrt()


def _mean_of_pairs(x: Tensor) -> Tensor:
    count = len(x)
    between = _distances(x, x) * (1 - torch.eye(count, device=x.device))
    return between.sum() / (count * (count - 1))
