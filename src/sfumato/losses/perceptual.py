"""Content, style, identity and smoothness: what the generator is asked for besides fooling the discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.networks.layers import full_precision
from sfumato.parallel import WHOLE, Rows

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
GRAM_LAYERS = STYLE_LAYERS[:3]  # relu4_1 of a training crop has fewer positions than channels: its Gram is noise
CONTENT_LAYER = "relu4_1"
DIRECTIONS = 16  # that a layer's features are projected on, drawn anew each step; sorting along them is what it costs


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


def alternate_views(x: Tensor, rows: Rows = WHOLE) -> Tensor:
    """What VGG19 is shown of a batch (B, 3, H, W): even samples as they are, odd ones as their `luma_view`. `rows` says
    which of the whole batch's samples these are."""
    odd = torch.tensor([in_luma(row) for row in rows.own(len(x) * rows.of)], device=x.device)
    return torch.where(odd[:, None, None, None], luma_view(x), x)


def in_luma(row: int) -> bool:
    """Whether a sample of the batch is seen in luma."""
    return row % 2 == 1


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


def directions(channels: int, *key: int) -> Tensor:
    """Random unit vectors (channels, DIRECTIONS), float64; equal keys (whole numbers from 0 up) draw equally."""
    drawn = torch.from_numpy(np.random.default_rng(key).standard_normal((channels, DIRECTIONS)))
    return F.normalize(drawn, dim=0)


def sorted_projections(features: Tensor, along: Tensor) -> Tensor:
    """Features (B, C, H, W) projected on unit vectors (C, K), each in rising order over positions: (B, K, H·W)."""
    flat = features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
    with full_precision(flat):
        return (along.to(flat).t() @ flat).sort(2).values


def sliced_distance(a: Tensor, b: Tensor) -> Tensor:
    """Sliced Wasserstein distance, squared, of sorted projections (B, K, N) and (B, K, M) (Heitz et al. 2021), (B,).

    The mean over K of squared differences in order. Where M is not N, b's quantiles are read at the ranks of a's.
    """
    if b.shape[2] != a.shape[2]:
        b = F.interpolate(b, a.shape[2], mode="linear", align_corners=False)  # point i of N is the quantile (i + ½)/N
    return (a - b).square().mean((1, 2))


def sliced_loss(output: Mapping[str, Tensor], target: Mapping[str, Tensor], *key: int) -> Tensor:
    """As `statistics_loss`, for whole distributions of features {layer: (B, C, H, W)}, seen along random directions.

    The size is the variance along those directions. Number of positions may differ; `key` draws the directions.
    """
    terms = []
    for index, layer in enumerate(STYLE_LAYERS):
        along = directions(output[layer].shape[1], *key, index)
        own, other = (sorted_projections(features[layer], along) for features in (output, target))
        size = sum(x.detach().var(2, correction=0).mean(1) for x in (own, other)) + 1e-4  # a plain canvas has none
        terms.append((sliced_distance(own, other) / size).mean())
    return torch.stack(terms).mean()


def normalise_features(features: Tensor) -> Tensor:
    """Instance-normalised features (B, C, H, W): where things are, without how strong the style shows them."""
    return F.instance_norm(features.float(), eps=1e-4)


def content_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of two normalised feature maps (B, C, H, W); 2 is "unrelated"."""
    return F.mse_loss(normalise_features(output), target)


def raw_content_loss(output: Tensor, target: Tensor) -> Tensor:
    """½ Σ (F - P)² of two feature maps (B, C, H, W) (Gatys et al. 2016, eq. 1) in units of ½ Σ P², mean over samples.

    Bare features hold colours and contrasts too. Their squares are about 10⁶ at relu4_1, hence the unit: 0 is the same,
    1 is an output without features.
    """
    a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (output, target))
    return ((a - b).square().mean((1, 2, 3)) / b.square().mean((1, 2, 3)).clamp(min=1e-4)).mean()


def laplacian(x: Tensor) -> Tensor:
    """Sum over channels of 4·middle - the four neighbours: (B, 3, H, W) -> (B, 1, H, W)."""
    # Beyond the border it repeats, so that a flat picture has none there either.
    x = F.pad(x.sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    sides = x[..., 1:-1, :-2] + x[..., 1:-1, 2:] + x[..., :-2, 1:-1] + x[..., 2:, 1:-1]
    return 4 * x[..., 1:-1, 1:-1] - sides


def laplacian_loss(output: Tensor, photo: Tensor, pools: Sequence[int] = (4, 16)) -> Tensor:
    """Mean squared difference of Laplacians of two pictures (B, 3, H, W), averaged over p×p first (Li et al. 2017).

    It keeps the photo's edges and corners, at scales coarser than a stroke. The mean over `pools`, each at most a side.
    """
    error = output - photo  # pooling and Laplacian are linear
    return torch.stack([laplacian(F.avg_pool2d(error, p)).square().mean() for p in pools]).mean()


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


def consistency_loss(zoomed: Tensor, thumbnail_region: Tensor) -> Tensor:
    """L1 between a crop painted at a larger scale and the same region of the painted thumbnail, both as 2×2 means.

    Keeps colour and brightness from drifting when the statistics come from a much smaller picture.
    """
    pooled = F.adaptive_avg_pool2d(zoomed, 2), F.adaptive_avg_pool2d(thumbnail_region.detach(), 2)
    return F.l1_loss(*pooled)
