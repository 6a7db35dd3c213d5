"""The decoder of hypercolumns to pictures: the generator of the matching kind."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.hypercolumn import CHANNELS, LAYER_CHANNELS, STRIDE, layer_scale
from sfumato.networks.layers import upsample

_MIN_SHARE = 0.05  # lower bound of a channel's deviation, as a share of its layer's mean deviation


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """Make a convolution that keeps the size and pads with zeros.

    Padding by reflection took a quarter of a training step's time. To avoid dark borders, inference adds hypercolumns
    around a picture before it decodes (`inference.matched_painting.decode_places`).
    """
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class ResidualBlock(nn.Module):
    """A pre-activation residual block (He et al. 2016) without normalisation: x + conv(relu(conv(relu(x)))).

    Normalisation by a picture's statistics would make a tile depend on where it was cut.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = conv(channels, channels), conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, C, H, W) to features of the same shape."""
        y: Tensor = x + self.b(F.relu(self.a(F.relu(x))))
        return y


class Decoder(nn.Module):
    """A network that decodes hypercolumns (B, 640, h, w) to pictures (B, 3, 4h, 4w) in about [0, 1], not clamped.

    It is independent of the style: it decodes any features. It upsamples by bilinear interpolation, because sub-pixel
    convolutions leave a lattice (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016). Most of its
    layers work at a quarter of the picture's size, where they cost least. Its receptive field is bounded (`halo`), so
    large pictures can be decoded in tiles.

    Attributes:
        mean: mean of each channel over natural pictures, (1, 640, 1, 1); inputs are normalised by it.
        deviation: standard deviation of each channel over natural pictures, (1, 640, 1, 1), likewise.
        scale: weight of each channel in comparisons of hypercolumns, (1, 640, 1, 1), equal within a layer.
        halo: number of hypercolumns around a tile that influence it.
    """

    mean: Tensor
    deviation: Tensor
    scale: Tensor

    def __init__(self, widths: tuple[int, int, int] = (160, 64, 32), blocks: int = 4) -> None:
        """Build the network.

        Args:
            widths: channels at a quarter, a half and the whole of the picture's size.
            blocks: residual blocks at a quarter of the size.
        """
        super().__init__()
        quarter, middle, full = widths
        for name in ("mean", "deviation", "scale"):
            self.register_buffer(name, torch.full((1, CHANNELS, 1, 1), float(name != "mean")))
        self.enter = conv(CHANNELS, quarter, kernel=1)
        self.body = nn.Sequential(*[ResidualBlock(quarter) for _ in range(blocks)])
        self.low = conv(quarter, 3, kernel=1)
        self.up1, self.res1 = conv(quarter, middle, kernel=1), ResidualBlock(middle)
        self.up2, self.detail = conv(middle, full, kernel=1), conv(full, full)
        self.out = conv(full, 3)

    @property
    def halo(self) -> int:
        """Number of hypercolumns around a tile that influence it."""
        # Two convolutions a block, and 3 for the convolutions and interpolations at the higher resolutions.
        return 2 * len(self.body) + 3

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Store mean and standard deviation of each channel, (640,) each, and derive `scale` from them.

        Deviations of channels that are almost always 0 are raised to a share of their layer's mean deviation. Otherwise
        a rare large value in one of them would outweigh all others.
        """
        layers = deviation.split(LAYER_CHANNELS)
        deviation = torch.cat([layer.clamp(min=_MIN_SHARE * float(layer.mean()) + 1e-3) for layer in layers])
        self.mean.copy_(mean.view(1, -1, 1, 1))
        self.deviation.copy_(deviation.view(1, -1, 1, 1))
        self.scale.copy_(layer_scale(deviation).view(1, -1, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Decode hypercolumns (B, 640, h, w), not scaled, to pictures (B, 3, 4h, 4w)."""
        return self.paint(self.entered(features))

    def entered(self, features: Tensor) -> Tensor:
        """Apply the decoder's first layer to hypercolumns (B, 640, h, w), not scaled: (B, C, h, w).

        It is an affine map of each place, so weighted means of hypercolumns may be taken after it.
        """
        hidden: Tensor = self.enter((features - self.mean) / self.deviation)
        return hidden

    def paint(self, entered: Tensor) -> Tensor:
        """Decode the output of `entered` (B, C, h, w) to pictures (B, 3, 4h, 4w)."""
        h = self.body(entered)  # (B, C, h, w)
        y = self.res1(upsample(self.up1(F.relu(h))))  # (B, C', 2h, 2w)
        y = F.relu(self.detail(upsample(F.relu(self.up2(F.relu(y))))))  # (B, C", 4h, 4w)
        # Colours come from a small picture, so that the layers at full size only add detail.
        base = F.interpolate(self.low(h), scale_factor=STRIDE, mode="bilinear", align_corners=False)
        picture: Tensor = self.out(y) + base
        return picture
