"""What a decoder of hypercolumns is asked for, besides fooling the discriminator."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_COARSE = 4  # pixels a side over which colours are compared
_COARSE_WEIGHT = 2.0
_SIZE_WEIGHT = 0.3  # of the L1 distance beside the cosine distance


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
