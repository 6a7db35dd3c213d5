"""The generator's losses besides the adversarial one: content, style, identity and smoothness."""

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
GRAM_LAYERS = STYLE_LAYERS[:3]  # relu4_1 of a training crop has fewer positions than channels: a noisy Gram matrix
CONTENT_LAYER = "relu4_1"
DIRECTIONS = 16  # random projections of a layer's features, drawn anew each step; sorting them dominates the cost


@dataclass(frozen=True)
class StyleTarget:
    """The statistics compared by a style loss: by layer, mean and deviation (B, C), and centred Gram (B, C, C)."""

    mean: dict[str, Tensor]
    deviation: dict[str, Tensor]
    gram: dict[str, Tensor]


def luma_view(x: Tensor) -> Tensor:
    """Return the luma (BT.601) of each picture (B, 3, H, W), normalised to mean 0.5 and deviation 0.2, 3 channels.

    Only texture is left: brightness and palette of a crop may differ from those of the whole painting.
    """
    luma = 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]
    variance, mean = torch.var_mean(luma, (2, 3), correction=0, keepdim=True)
    return ((luma - mean) * (variance + 1e-6).rsqrt() * 0.2 + 0.5).expand(-1, 3, -1, -1)


def alternate_views(x: Tensor, rows: Rows = WHOLE) -> Tensor:
    """Return a batch (B, 3, H, W) with the odd samples replaced by their `luma_view`, as input for VGG19.

    `rows` are the samples' indices in the global batch, which decide what is odd.
    """
    odd = torch.tensor([in_luma(row) for row in rows.own(len(x) * rows.of)], device=x.device)
    return torch.where(odd[:, None, None, None], luma_view(x), x)


def in_luma(row: int) -> bool:
    """Return whether `alternate_views` replaces a sample by its `luma_view`: ``row`` of the global batch is odd."""
    return row % 2 == 1


def style_target(features: Mapping[str, Tensor]) -> StyleTarget:
    """Compute the float32 statistics of features {layer: (B, C, H, W)}; Gram matrices are centred, divided by H·W."""
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
    """Return the squared distance of means and deviations at one layer (Huang & Belongie 2017, eq. 13), (B,)."""
    d_mean = (a.mean[layer] - b.mean[layer]).square().mean(1)
    return (d_mean + (a.deviation[layer] - b.deviation[layer]).square().mean(1)) / 2


def gram_distance(a: StyleTarget, b: StyleTarget, layer: str) -> Tensor:
    """Return the squared distance of Gram matrices at one layer (Gatys et al. 2016, eq. 4), (B,)."""
    return (a.gram[layer] - b.gram[layer]).square().mean((1, 2))


def statistics_loss(output: StyleTarget, target: StyleTarget) -> Tensor:
    """Return the mean over layers and samples of `statistics_distance`, relative to the sum of both variances.

    The division gives faint ink the same weight as oil. The output's variance in the divisor is detached, because
    increasing it must not lower the loss.
    """
    terms = []
    for layer in STYLE_LAYERS:
        size = (target.deviation[layer].square() + output.deviation[layer].detach().square()).mean(1)
        terms.append((statistics_distance(output, target, layer) / size).mean())
    return torch.stack(terms).mean()


def gram_loss(output: StyleTarget, target: StyleTarget) -> Tensor:
    """Return the relative `gram_distance` as `statistics_loss` does: co-activation of channels, hence strokes."""
    terms = []
    for layer in GRAM_LAYERS:
        size = target.gram[layer].square().mean((1, 2)) + output.gram[layer].detach().square().mean((1, 2))
        size = size.clamp(min=1e-4)  # a plain canvas has 0
        terms.append((gram_distance(output, target, layer) / size).mean())
    return torch.stack(terms).mean()


def directions(channels: int, *key: int) -> Tensor:
    """Draw random unit vectors (channels, DIRECTIONS), float64; equal keys (integers ≥ 0) give equal vectors."""
    drawn = torch.from_numpy(np.random.default_rng(key).standard_normal((channels, DIRECTIONS)))
    return F.normalize(drawn, dim=0)


def sorted_projections(features: Tensor, along: Tensor) -> Tensor:
    """Project features (B, C, H, W) on unit vectors (C, K) and sort each over positions: (B, K, H·W), ascending."""
    flat = features.to(torch.promote_types(features.dtype, torch.float32)).flatten(2)
    with full_precision(flat):
        return (along.to(flat).t() @ flat).sort(2).values


def sliced_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared sliced Wasserstein distance of sorted projections (B, K, N), (B, K, M), as (B,).

    The mean of squared differences of equal ranks (Heitz et al. 2021). If M differs from N, b's quantiles are
    interpolated at the ranks of a.
    """
    if b.shape[2] != a.shape[2]:
        b = F.interpolate(b, a.shape[2], mode="linear", align_corners=False)  # value i of N is the quantile (i + ½)/N
    return (a - b).square().mean((1, 2))


def sliced_loss(output: Mapping[str, Tensor], target: Mapping[str, Tensor], *key: int) -> Tensor:
    """Return the mean over layers of `sliced_distance`, relative to the variance along the random directions.

    Args:
        output: features {layer: (B, C, H, W)}.
        target: features of the same layers and channels; the number of positions may differ.
        key: integers ≥ 0 that determine the directions.
    """
    terms = []
    for index, layer in enumerate(STYLE_LAYERS):
        along = directions(output[layer].shape[1], *key, index)
        own, other = (sorted_projections(features[layer], along) for features in (output, target))
        size = sum(x.detach().var(2, correction=0).mean(1) for x in (own, other)) + 1e-4  # a plain canvas has 0
        terms.append((sliced_distance(own, other) / size).mean())
    return torch.stack(terms).mean()


def normalise_features(features: Tensor) -> Tensor:
    """Return instance-normalised features (B, C, H, W): they hold the layout without the style's contrast."""
    return F.instance_norm(features.float(), eps=1e-4)


def content_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared distance of normalised feature maps (B, C, H, W); unrelated maps have about 2.

    `output` is normalised here; `target` must be normalised already (`normalise_features`).
    """
    return F.mse_loss(normalise_features(output), target)


def raw_content_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return ½ Σ (F - P)² of feature maps (B, C, H, W), divided by ½ Σ P² (Gatys et al. 2016, eq. 1), mean over B.

    Features without normalisation hold colours and contrasts too. Their squares are about 10⁶ at relu4_1, hence the
    division: 0 means equal features, 1 an output without features.
    """
    a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (output, target))
    return ((a - b).square().mean((1, 2, 3)) / b.square().mean((1, 2, 3)).clamp(min=1e-4)).mean()


def laplacian(x: Tensor) -> Tensor:
    """Return the sum over channels of 4·centre - the four neighbours: (B, 3, H, W) -> (B, 1, H, W)."""
    # Replicated borders: a flat picture has a Laplacian of 0 at the border too.
    x = F.pad(x.sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    sides = x[..., 1:-1, :-2] + x[..., 1:-1, 2:] + x[..., :-2, 1:-1] + x[..., 2:, 1:-1]
    return 4 * x[..., 1:-1, 1:-1] - sides


def laplacian_loss(output: Tensor, photo: Tensor, pools: Sequence[int] = (4, 16)) -> Tensor:
    """Return the mean squared difference of the Laplacians of pictures (B, 3, H, W) (Li et al. 2017).

    It holds the photo's edges and corners at scales coarser than a stroke. Pictures are first averaged over p × p
    pixels; the result is the mean over the p in `pools`, each at most the shorter side.
    """
    error = output - photo  # pooling and Laplacian are linear
    return torch.stack([laplacian(F.avg_pool2d(error, p)).square().mean() for p in pools]).mean()


def identity_loss(output: Tensor, photo: Tensor) -> Tensor:
    """Return the L1 of pixels plus that of their differences, which keeps edges sharp; pictures (B, 3, H, W)."""
    error = output - photo
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + across + down


def total_variation_loss(x: Tensor) -> Tensor:
    """Return the anisotropic total variation (Rudin et al. 1992) of pictures (B, 3, H, W), as a mean over pixels."""
    return (x[..., 1:] - x[..., :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()


def range_loss(x: Tensor) -> Tensor:
    """Return the mean squared excursion outside [0, 1], which clipping would remove."""
    return (x - x.clamp(0, 1)).square().mean()


def consistency_loss(zoomed: Tensor, thumbnail_region: Tensor) -> Tensor:
    """Return the L1 between a crop painted at a larger scale and its region of the thumbnail, both as 2 × 2 means.

    It keeps colour and brightness from drifting when the statistics come from a much smaller picture.
    """
    pooled = F.adaptive_avg_pool2d(zoomed, 2), F.adaptive_avg_pool2d(thumbnail_region.detach(), 2)
    return F.l1_loss(*pooled)
