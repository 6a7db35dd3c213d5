"""What a decoder of hypercolumns is asked for, besides fooling the discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_COARSE = 4  # pixels a side over which colours are compared
_COARSE_WEIGHT = 2.0
_SIZE_WEIGHT = 0.3  # of the L1 distance beside the cosine distance
_CELL = 4  # pixels a side of the cell that is decoded from one hypercolumn
_PLAIN = 1e-3  # slope, a pixel, of what has none
_LEVEL = 0.01  # of a pattern that repeats in every cell: what counts as much as slopes that differ by their own size


def reconstruction_loss(output: Tensor, picture: Tensor) -> Tensor:
    """L1 of pixels, plus twice the L1 of 4 x 4 means, which keeps colours: pictures (B, 3, H, W) -> a scalar."""
    error = output - picture
    return error.abs().mean() + _COARSE_WEIGHT * F.avg_pool2d(error, _COARSE).abs().mean()


def feature_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 of scaled hypercolumns (B, C, h, w), a scalar: a perceptual loss (Johnson et al. 2016) on shallow layers."""
    return (output - target).abs().mean()


def matched_loss(output: Tensor, target: Tensor) -> Tensor:
    """How far a picture's scaled hypercolumns (B, C, h, w) are from those it was decoded from, a scalar from 0 up.

    Cosine distance place by place (Kolkin et al. 2022), in [0, 2], plus 0.3 of the L1 distance, which holds the
    contrast that a cosine does not see.
    """
    cosine = 1 - F.cosine_similarity(output, target, dim=1)
    return cosine.mean() + _SIZE_WEIGHT * feature_loss(output, target)


def lattice_loss(output: Tensor) -> Tensor:
    """How far the pixels of a cell differ by their place in it, a scalar from 0 up: pictures (B, 3, H, W), with H and W
    multiples of 4 above 4.

    Each hypercolumn is decoded to a cell of 4 x 4 pixels, and a decoder leaves a lattice of that period. In pictures of
    anything else, mean colours and mean slopes are the same at all 16 places of a cell.
    """
    _, _, height, width = output.shape
    colours = output.mean((0, 1)).view(height // _CELL, _CELL, width // _CELL, _CELL).mean((0, 2))  # (4, 4)
    pattern = ((colours - colours.mean()) / _LEVEL).square().mean()
    unevenness = []
    for picture in (output, output.transpose(2, 3)):
        steps = (picture[..., 1:] - picture[..., :-1])[..., : picture.shape[-1] - _CELL].abs()
        slopes = steps.mean((0, 1, 2)).view(-1, _CELL).mean(0)  # (4,)
        unevenness.append(((slopes - slopes.mean()) / (slopes.mean() + _PLAIN)).square().mean())
    return pattern + torch.stack(unevenness).sum()
