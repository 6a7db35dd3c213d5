"""The gradient of the nearest-neighbour loss with respect to the picture, as a forward pass.

Written this way it can be exported to ONNX and runs without torch.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.hypercolumn import CHANNELS, HYPERCOLUMN_LAYERS, LAYER_CHANNELS, STRIDE, stack_layers
from sfumato.networks.perceptual import VGG19

#: Weight of the mean squared difference beside the cosine distance, which does not depend on contrast.
SIZE_WEIGHT = 0.05


def neighbour_loss(features: Tensor, target: Tensor) -> Tensor:
    """Return the nearest-neighbour loss of scaled hypercolumns (B, 640, h, w), (B,).

    The sum over places of the cosine distance (Kolkin et al. 2022, equation 4), plus `SIZE_WEIGHT` times the mean
    squared difference over channels, which is our addition.
    """
    distance = 1 - F.cosine_similarity(features, target, dim=1, eps=1e-6)
    return (distance + SIZE_WEIGHT * (features - target).square().mean(1)).sum((1, 2))


class HypercolumnGradient(nn.Module):
    """The gradient of `neighbour_loss` with respect to a picture, as a module."""

    scale: Tensor

    def __init__(self, vgg: VGG19, scale: Tensor) -> None:
        """Build the module from a VGG19 and the decoder's `scale` (1, 640, 1, 1)."""
        super().__init__()
        self.vgg = vgg
        self.register_buffer("scale", scale.detach().clone())

    def forward(self, picture: Tensor, target: Tensor) -> Tensor:
        """Return the gradient (B, 3, H, W) at a picture.

        Args:
            picture: (B, 3, H, W) in [0, 1], sides divisible by 4.
            target: scaled hypercolumns (B, 640, H/4, W/4) that the picture should have.
        """
        layers = self.vgg(picture, HYPERCOLUMN_LAYERS)
        features = stack_layers(layers) * self.scale
        own = features.square().sum(1, keepdim=True).sqrt() + 1e-6
        wanted = target.square().sum(1, keepdim=True).sqrt() + 1e-6
        cosine = (features * target).sum(1, keepdim=True) / (own * wanted)
        slope = cosine * features / (own * own) - target / (own * wanted)
        slope = (slope + (2 * SIZE_WEIGHT / CHANNELS) * (features - target)) * self.scale
        return self._back(dict(zip(HYPERCOLUMN_LAYERS, slope.split(LAYER_CHANNELS, 1), strict=True)), layers)

    def _back(self, slopes: dict[str, Tensor], layers: dict[str, Tensor]) -> Tensor:
        """Backpropagate gradients with respect to each layer's part of the hypercolumns to the picture."""
        slope: Tensor | None = None
        for i in range(len(HYPERCOLUMN_LAYERS) - 1, -1, -1):
            name = HYPERCOLUMN_LAYERS[i]
            factor = STRIDE >> (int(name[4]) - 1)  # side of the means taken of this layer
            part = slopes[name]
            if factor > 1:
                part = F.interpolate(part, scale_factor=float(factor)) / factor**2
            slope = part if slope is None else slope + part
            slope = slope * (layers[name] > 0)
            weight = self.vgg.convs[name.replace("relu", "conv")].get_parameter("weight")
            # The adjoint of a convolution is the convolution with the kernel flipped and its channels exchanged.
            slope = F.conv2d(slope, weight.transpose(0, 1).flip(2, 3), padding=1)
            if name.endswith("_1") and i:  # max pooling routes the gradient to the maximum; ties are zeros, masked next
                below = layers[HYPERCOLUMN_LAYERS[i - 1]]
                top = F.interpolate(F.max_pool2d(below, 2), scale_factor=2.0)
                slope = F.interpolate(slope, scale_factor=2.0) * (below == top)
        assert slope is not None
        gradient: Tensor = slope.flip(1) * 255
        return gradient
