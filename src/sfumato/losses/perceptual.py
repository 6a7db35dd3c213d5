"""Content, style, identity and smoothness: what the generator is asked for besides fooling the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.networks.layers import full_precision

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
GRAM_LAYERS = STYLE_LAYERS[:3]  # relu4_1 of a training crop has fewer positions than channels: its Gram is noise
CONTENT_LAYER = "relu4_1"


@dataclass(frozen=True)
class StyleTarget:
    """What a style loss compares: per layer the channels' mean and deviation (B, C), and centred Gram (B, C, C)."""

    mean: dict[str, Tensor]
    deviation: dict[str, Tensor]
    gram: dict[str, Tensor]


def luma_view(x: Tensor) -> Tensor:
    """Luma (BT.601) of pictures (B, 3, H, W) with mean 0.5 and deviation 0.2 each, on three channels.

    What is left is texture: a crop's brightness and palette, which need not be the whole painting's, play no part.
    """
    luma = 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]
    variance, mean = torch.var_mean(luma, (2, 3), correction=0, keepdim=True)
    return ((luma - mean) * (variance + 1e-6).rsqrt() * 0.2 + 0.5).expand(-1, 3, -1, -1)


def alternate_views(x: Tensor) -> Tensor:
    """What VGG19 is shown of a batch (B, 3, H, W): even samples as they are, odd ones as their `luma_view`."""
    odd = torch.arange(x.shape[0], device=x.device) % 2 == 1
    return torch.where(odd[:, None, None, None], luma_view(x), x)


def style_target(features: Mapping[str, Tensor]) -> StyleTarget:
    """Features {layer: (B, C, H, W)} -> their statistics, float32. The Gram matrix is centred and divided by H·W."""
    mean, deviation, grams = {}, {}, {}
    for layer in STYLE_LAYERS:
        flat = features[layer].float().flatten(2)
        if layer in GRAM_LAYERS:
            # E[ffᵀ] - μμᵀ: one product instead of three passes over the largest tensors; its diagonal is the variance.
            mean[layer] = flat.mean(2)
            with full_precision(flat):
                gram = flat @ flat.transpose(1, 2) / flat.shape[2] - mean[layer][:, :, None] * mean[layer][:, None, :]
            grams[layer], variance = gram, gram.diagonal(dim1=1, dim2=2).clamp(min=0)
        else:
            variance, mean[layer] = torch.var_mean(flat, 2, correction=0)
        deviation[layer] = (variance + 1e-4).sqrt()
    return StyleTarget(mean, deviation, grams)


def statistics_distance(a: StyleTarget, b: StyleTarget, layer: str) -> Tensor:
    """Squared distance of means and deviations at one layer (Huang & Belongie 2017, eq. 13), (B,)."""
    d_mean = (a.mean[layer] - b.mean[layer]).square().mean(1)
    return (d_mean + (a.deviation[layer] - b.deviation[layer]).square().mean(1)) / 2


def gram_distance(a: StyleTarget, b: StyleTarget, layer: str) -> Tensor:
    """Squared distance of Gram matrices at one layer (Gatys et al. 2016, eq. 4), (B,)."""
    return (a.gram[layer] - b.gram[layer]).square().mean((1, 2))


def statistics_loss(output: StyleTarget, target: StyleTarget) -> Tensor:
    """Mean over layers and samples of the distance relative to the variances of both: faint ink counts as oil.

    The output's is taken as a number, without its gradient: growing it must not be a way to lower the loss.
    """
    terms = []
    for layer in STYLE_LAYERS:
        size = (target.deviation[layer].square() + output.deviation[layer].detach().square()).mean(1)
        terms.append((statistics_distance(output, target, layer) / size).mean())
    return torch.stack(terms).mean()


def gram_loss(output: StyleTarget, target: StyleTarget) -> Tensor:
    """As `statistics_loss`, for Gram matrices: which channels fire together, hence strokes rather than colours."""
    terms = []
    for layer in GRAM_LAYERS:
        size = target.gram[layer].square().mean((1, 2)) + output.gram[layer].detach().square().mean((1, 2))
        size = size.clamp(min=1e-4)  # a plain canvas has none
        terms.append((gram_distance(output, target, layer) / size).mean())
    return torch.stack(terms).mean()


def normalise_features(features: Tensor) -> Tensor:
    """Instance-normalised features (B, C, H, W): where things are, without how strong the style shows them."""
    return F.instance_norm(features.float(), eps=1e-4)


def content_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of two normalised feature maps (B, C, H, W); 2 is "unrelated"."""
    return F.mse_loss(normalise_features(output), target)


def identity_loss(output: Tensor, photo: Tensor) -> Tensor:
    """L1 of pixels and of their differences: strength 0 gives the photo back, sharp. Pictures (B, 3, H, W)."""
    error = output - photo
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + across + down


def total_variation_loss(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbours (Rudin et al. 1992, anisotropic) of pictures (B, 3, H, W)."""
    return (x[..., 1:] - x[..., :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()


def range_loss(x: Tensor) -> Tensor:
    """Mean squared excursion out of [0, 1]: what clipping at the end would cut."""
    return (x - x.clamp(0, 1)).square().mean()


def consistency_loss(large: Tensor, thumbnail_region: Tensor) -> Tensor:
    """L1 between a crop painted at a larger scale and the same region of the painted thumbnail, both as 2×2 means.

    Keeps colour and brightness from drifting when the statistics come from a much smaller picture.
    """
    pooled = F.adaptive_avg_pool2d(large, 2), F.adaptive_avg_pool2d(thumbnail_region.detach(), 2)
    return F.l1_loss(*pooled)
