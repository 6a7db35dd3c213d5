"""The losses of the decoder of hypercolumns, besides the adversarial one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_COARSE = 4  # side, in pixels, of the means whose colours are compared
_COARSE_WEIGHT = 2.0
_SIZE_WEIGHT = 0.3  # weight of the L1 distance beside the cosine distance
_CELL = 4  # side, in pixels, of the cell decoded from one hypercolumn
_PLAIN = 1e-3  # gradient per pixel, added to the divisor so that plain pictures do not divide by 0
_REACH = 8  # frequencies on each side of a peak that form its background
_ROUNDING = 1 / 255**2 / 12  # variance of the rounding to 8 bits: energy below it is not in the picture
_PEAK_WEIGHT = 0.1


def reconstruction_loss(output: Tensor, picture: Tensor) -> Tensor:
    """Return the L1 of pixels plus twice the L1 of 4 × 4 means, which holds colours; pictures are (B, 3, H, W)."""
    error = output - picture
    return error.abs().mean() + _COARSE_WEIGHT * F.avg_pool2d(error, _COARSE).abs().mean()


def feature_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the L1 of scaled hypercolumns (B, C, h, w): a perceptual loss (Johnson et al. 2016) on shallow layers."""
    return (output - target).abs().mean()


def matched_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the distance of an output's scaled hypercolumns (B, C, h, w) to those it was decoded from, a scalar ≥ 0.

    The sum of the mean cosine distance (Kolkin et al. 2022), in [0, 2], and 0.3 times the L1 distance: a cosine does
    not depend on contrast, the L1 does.
    """
    cosine = 1 - F.cosine_similarity(output, target, dim=1)
    return cosine.mean() + _SIZE_WEIGHT * feature_loss(output, target)


def lattice_loss(output: Tensor) -> Tensor:
    """Return the strength of a lattice with a period of 4 or 2 pixels in pictures (B, 3, H, W), a scalar ≥ 0.

    Each hypercolumn is decoded to a cell of 4 × 4 pixels, so a decoder tends to leave a lattice of that period. Two
    signs of it are penalised: peaks in the spectrum (`_peaks`), and mean gradients that depend on the position in the
    cell. H and W must be multiples of 4, at least 68.
    """
    unevenness = []
    for picture in (output, output.transpose(2, 3)):
        steps = (picture[..., 1:] - picture[..., :-1])[..., : picture.shape[-1] - _CELL].abs()
        slopes = steps.mean((0, 1, 2)).view(-1, _CELL).mean(0)  # (4,)
        unevenness.append(((slopes - slopes.mean()) / (slopes.mean() + _PLAIN)).square().mean())
    # Peaks weaker than their background are not rewarded: a decoder that seeks them paints less like the painting.
    return _peaks(output).clamp(min=1).log().mean() * _PEAK_WEIGHT + torch.stack(unevenness).sum()


def _peaks(output: Tensor) -> Tensor:
    """Return the spectral energy at six frequencies of periods 2 and 4 pixels, relative to their background, (6, B).

    It is about 1 in pictures without a lattice and more in pictures with one.
    """
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
        # The background is detached: the loss must lower the peak, not add noise around it.
        ratios.append((peak.mean((1, 2)) + rounding) / (around.detach() + rounding))
    return torch.stack(ratios)
