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
_REACH = 8  # frequencies on each side of a peak that it is compared with
_ROUNDING = 1 / 255**2 / 12  # variance of a pixel of 8 bits: energy below it is not in the picture
_PEAK_WEIGHT = 0.1


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
    """How much of a lattice of 4 or 2 pixels is in pictures (B, 3, H, W), a scalar from 0 up; H and W are multiples of
    4 from 68 up.

    Each hypercolumn is decoded to a cell of 4 x 4 pixels, and a decoder leaves a lattice of that period. Two things
    show it: peaks in the spectrum (`_peaks`), and mean slopes that depend on the place in the cell.
    """
    unevenness = []
    for picture in (output, output.transpose(2, 3)):
        steps = (picture[..., 1:] - picture[..., :-1])[..., : picture.shape[-1] - _CELL].abs()
        slopes = steps.mean((0, 1, 2)).view(-1, _CELL).mean(0)  # (4,)
        unevenness.append(((slopes - slopes.mean()) / (slopes.mean() + _PLAIN)).square().mean())
    # Peaks below what is around them are no aim: a decoder that avoids them paints less like the painting.
    return _peaks(output).clamp(min=1).log().mean() * _PEAK_WEIGHT + torch.stack(unevenness).sum()


def _peaks(output: Tensor) -> Tensor:
    """Energy of the spectrum at six periods of 2 and 4 pixels over that around them, (6, B): 1 in pictures without a
    lattice, and more with one."""
    height, width = output.shape[2:]
    windows = [torch.hann_window(side, periodic=False, device=output.device) for side in (height, width)]
    grey = output.mean(1)
    grey = (grey - grey.mean((1, 2), keepdim=True)) * windows[0][:, None] * windows[1]
    energy = torch.fft.fft2(grey).abs().square()  # (B, H, W)
    rounding = _ROUNDING * float(windows[0].square().sum() * windows[1].square().sum())
    half, quarter = (height // 2, width // 2), (height // 4, width // 4)
    ratios = []
    for down, across in [(half[0], 0), (0, half[1]), half, (quarter[0], 0), (0, quarter[1]), quarter]:
        near = torch.roll(energy, (_REACH - down, _REACH - across), (1, 2))[:, : 2 * _REACH + 1, : 2 * _REACH + 1]
        peak = near[:, _REACH - 1 : _REACH + 2, _REACH - 1 : _REACH + 2]
        around = (near.sum((1, 2)) - peak.sum((1, 2))) / (near[0].numel() - peak[0].numel())
        # Not by more noise around it: only the peak itself is to change.
        ratios.append((peak.mean((1, 2)) + rounding) / (around.detach() + rounding))
    return torch.stack(ratios)
