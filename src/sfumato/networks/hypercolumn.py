"""Hypercolumns: VGG19's shallow features at one place, concatenated to one vector (Hariharan et al. 2015).

They hold the colour and the brushwork around a place. `networks.matching` compares them, and `networks.decoder` turns
them back into a picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.checks import check_shape
from sfumato.errors import InputError
from sfumato.networks.perceptual import VGG19, WIDTHS

#: VGG19's layers in a hypercolumn, in this order.
HYPERCOLUMN_LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
#: Channels of each of these layers, and of a whole hypercolumn.
LAYER_CHANNELS = tuple(WIDTHS[name] for name in HYPERCOLUMN_LAYERS)
CHANNELS = sum(LAYER_CHANNELS)
#: Side, in pixels, of the picture's cell that one hypercolumn stands for.
STRIDE = 4


def hypercolumns(vgg: VGG19, pictures: Tensor) -> Tensor:
    """Compute the hypercolumns of pictures.

    Layers of a higher resolution are averaged down. Under autocast VGG19 runs in 16 bits; the result is float32.

    Args:
        vgg: computes at least `HYPERCOLUMN_LAYERS`.
        pictures: (B, 3, H, W) in [0, 1], H and W at least 4.

    Returns:
        (B, 640, H // 4, W // 4), float32, not scaled.

    Raises:
        InputError: the pictures have another shape, or a side under 4 pixels.
    """
    sizes = check_shape(pictures, "B 3 H W", "pictures")
    if min(sizes["H"], sizes["W"]) < STRIDE:
        raise InputError(f"pictures must have sides of at least {STRIDE} pixels, but have {sizes['H']} x {sizes['W']}")
    columns = stack_layers(vgg(pictures.contiguous(memory_format=torch.channels_last), HYPERCOLUMN_LAYERS)).float()
    if columns.requires_grad:  # a loss's gradient may have another memory format, in which pooling is 5 times as slow
        columns.register_hook(lambda slope: slope.contiguous(memory_format=torch.channels_last))
    return columns


def stack_layers(features: Mapping[str, Tensor]) -> Tensor:
    """Concatenate features by layer, relu1_1 (B, 64, H, W) and so on, to hypercolumns (B, 640, H // 4, W // 4)."""
    return torch.cat(pooled_layers(features), 1)


def pooled_layers(features: Mapping[str, Tensor]) -> list[Tensor]:
    """List the features of `HYPERCOLUMN_LAYERS`, each averaged down to (B, C, H // 4, W // 4)."""
    pooled = []
    for name in HYPERCOLUMN_LAYERS:
        block = int(name[4])  # relu{block}_{index}; each block has half the resolution of the one before
        factor = STRIDE >> (block - 1)
        pooled.append(F.avg_pool2d(features[name], factor) if factor > 1 else features[name])
    return pooled


def layer_scale(deviation: Tensor) -> Tensor:
    """Return the weight that makes all layers count the same: 1 / the mean of a layer's deviations.

    Args:
        deviation: standard deviation of each channel, (640,), above 0.

    Returns:
        Weights (640,), equal within a layer, so that distances within a layer keep their proportions.
    """
    layers = deviation.split(LAYER_CHANNELS)
    return torch.cat([(1 / layer.mean()).expand(len(layer)) for layer in layers])
