"""The decoder: hypercolumns in, a picture out. It is the generator of the matching kind."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.hypercolumn import CHANNELS, LAYER_CHANNELS, STRIDE, layer_scale
from sfumato.networks.layers import upsample

_MIN_SHARE = 0.05  # of the mean deviation of its layer, that a channel's is taken to be at the least


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size and pads with zeros: padding by reflection took a quarter of a step's time.
    Whoever decodes a picture adds places around it (``inference.matched_painting.decode_places``)."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))), (B, C, H, W): a pre-activation block (He et al. 2016) without normalisation.

    Statistics of a whole picture would make a tile depend on where it was cut.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = conv(channels, channels), conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.b(F.relu(self.a(F.relu(x))))
        return y


class Decoder(nn.Module):
    """Hypercolumns (B, 640, h, w) -> pictures (B, 3, 4h, 4w) in about [0, 1], not clamped.

    It knows no style and paints any features that it is given. It enlarges by bilinear interpolation,
    because sub-pixel convolutions leave a lattice (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill
    2016). Most of its work is at a quarter of the picture's size, where it costs least. Each output depends on its
    surroundings alone (`halo`), so that large pictures can be made in tiles.

    Attributes:
        mean, deviation: of each channel over natural pictures, (1, 640, 1, 1); inputs are normalised by them.
        scale: weight of each channel where hypercolumns are compared, equal within a layer, (1, 640, 1, 1).
        halo: how many hypercolumns around a tile have an influence on it.
    """

    mean: Tensor
    deviation: Tensor
    scale: Tensor

    def __init__(self, widths: tuple[int, int, int] = (160, 64, 32), blocks: int = 4) -> None:
        """`widths` are channels at a quarter, a half and the whole of the picture's size; `blocks` residual blocks at a
        quarter."""
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
        # Two convolutions a block; 3 is what the convolutions and interpolations of the higher resolutions reach.
        return 2 * len(self.body) + 3

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Take over mean and standard deviation of each channel, (640,) each, and derive `scale` from them.

        Channels that hardly ever fire count as if they varied a little: a rare large value would drown all others.
        """
        layers = deviation.split(LAYER_CHANNELS)
        deviation = torch.cat([layer.clamp(min=_MIN_SHARE * float(layer.mean()) + 1e-3) for layer in layers])
        self.mean.copy_(mean.view(1, -1, 1, 1))
        self.deviation.copy_(deviation.view(1, -1, 1, 1))
        self.scale.copy_(layer_scale(deviation).view(1, -1, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """`features` are hypercolumns as `hypercolumns` gives them, not scaled."""
        return self.paint(self.entered(features))

    def entered(self, features: Tensor) -> Tensor:
        """Hypercolumns (B, 640, h, w), not scaled -> what the decoder sees of them, (B, C, h, w): an affine map of each
        place, so that sums of hypercolumns may be taken after it."""
        hidden: Tensor = self.enter((features - self.mean) / self.deviation)
        return hidden

    def paint(self, entered: Tensor) -> Tensor:
        """The picture (B, 3, 4h, 4w) of what `entered` gives."""
        h = self.body(entered)  # (B, C, h, w)
        y = self.res1(upsample(self.up1(F.relu(h))))  # (B, C', 2h, 2w)
        y = F.relu(self.detail(upsample(F.relu(self.up2(F.relu(y))))))  # (B, C", 4h, 4w)
        # Colours come from a small picture, so that the layers at full size have detail alone to add.
        base = F.interpolate(self.low(h), scale_factor=STRIDE, mode="bilinear", align_corners=False)
        picture: Tensor = self.out(y) + base
        return picture
