"""Basic layers: convolutions with reflection padding, and resampling without checkerboard artefacts.

Upsampling leaves a checkerboard if it maps a constant signal to a periodic one (Odena et al., "Deconvolution and
Checkerboard Artifacts", Distill 2016). Both methods here map a constant to a constant exactly: bilinear interpolation,
and sub-pixel convolution followed by a binomial blur, whose response is zero at the Nyquist frequency.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def full_precision(x: Tensor) -> torch.autocast:
    """Return a context without autocast, for products that need 32 bits: colours, matrix roots, Gram matrices."""
    return torch.autocast(x.device.type, enabled=False)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Make a convolution that keeps the size (or divides it by `stride`) and pads by reflection: no dark borders."""
    padding: Literal["reflect", "zeros"] = "reflect" if kernel > 1 else "zeros"
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias, padding_mode=padding)


def upsample(x: Tensor) -> Tensor:
    """Double the size by bilinear interpolation: (B, C, H, W) -> (B, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class SubPixel(nn.Module):
    """A sub-pixel convolution: to 4C channels, pixel shuffle (Shi et al. 2016, eq. 4), [1 2 1]⊗[1 2 1]/16 blur.

    The blur removes the mean differences between the four phases, so the checkerboard of a plain pixel shuffle cannot
    appear.
    """

    kernel: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv(inputs, 4 * outputs)
        tap = torch.tensor([1.0, 2.0, 1.0]) / 4
        blur = (tap[:, None] * tap[None, :]).expand(outputs, 1, 3, 3).contiguous()
        self.register_buffer("kernel", blur, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, `inputs`, H, W) to (B, `outputs`, 2H, 2W)."""
        y = F.pixel_shuffle(self.conv(x), 2)
        return F.conv2d(F.pad(y, (1, 1, 1, 1), mode="reflect"), self.kernel.to(y.dtype), groups=y.shape[1])


def space_to_depth(x: Tensor) -> Tensor:
    """Move 2×2 blocks of pixels to channels: (B, C, H, W) -> (B, 4C, H/2, W/2), in `F.pixel_unshuffle`'s order.

    It uses slices, because the ONNX exporter would fix the sizes of `F.pixel_unshuffle`.
    """
    phases = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return torch.stack(phases, 2).flatten(1, 2)


def split_bands(x: Tensor, levels: int) -> tuple[list[Tensor], Tensor]:
    """Decompose x (B, C, H, W) into a Laplacian pyramid (Burt & Adelson 1983): bands, finest first, and low-pass rest.

    Band i is (B, C, H/2^i, W/2^i); H and W must be multiples of 2^levels. Upsampling and adding, from the rest up to
    the finest band, gives x again.
    """
    bands = []
    for _ in range(levels):
        low = F.avg_pool2d(x, 2)
        bands.append(x - upsample(low))
        x = low
    return bands, x
