"""Refinement: a painting walks a few steps down the style loss itself, from where the generator left it.

Gatys et al. 2016 walk hundreds of steps from noise or from the photo; from a good start four are enough (what the walk
costs, and what it brings, is in docs/theory.md). The gradient is written out as an ordinary forward pass, so that it
runs without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.style_encoder import LOOKED, POOLED, trunk_features

STRIDE = 4
CONTENT = 0.3  # weight of the content loss
CORRELATED = LOOKED[1:]  # relu2_1 and relu3_1; the Gram matrix of relu1_1 brings nothing that the look has not brought
GRAM = 0.5  # weight of the Gram loss at each of them
MOMENTUM = 0.8
_FLOOR = 0.3  # of a pixel's step: places of a gradient far below the whole picture's move less


def refinement_loss(
    trunk: Iterable[nn.Module],
    picture: Tensor,
    features: Tensor,
    look: Tensor,
    content: float | Tensor = CONTENT,
    correlations: Sequence[Tensor] = (),
    gram: float | Tensor = GRAM,
) -> Tensor:
    """What refiners walk down, (B,): Σ_l (|μ - μ*|² + |σ - σ*|²) / |σ*|² over the layers looked at, plus ``content``
    times the mean squared difference of instance-normalised relu3_1 features (Huang & Belongie 2017, Eq. 12 and 13),
    and with ``correlations`` plus ``gram`` times Σ_l |G - G*|² / |G*|² (Gatys et al. 2016, Eq. 3 to 5, centred)."""
    found = trunk_features(trunk, picture)
    loss = content * (_normal(found[-1])[0] - _normal(features)[0]).square().mean((1, 2, 3))
    correlated = dict(zip(CORRELATED, correlations, strict=False))
    for i, (f, mean, deviation) in _targets(found, look).items():
        variance, own = torch.var_mean(f, (2, 3), correction=0)
        gap = (own - mean).square().mean(1) + ((variance + 1).sqrt() - deviation).square().mean(1)
        loss = loss + gap / deviation.square().mean(1)
        if i in correlated:
            aim = _covariance(correlated[i], deviation)
            loss = loss + gram * (_gram(f)[0] - aim).square().sum((1, 2)) / aim.square().sum((1, 2))
    return loss


class RefinementGradient(nn.Module):
    """What refiners have in common: VGG19's first convolutions, and how `refinement_loss` falls from there."""

    def __init__(self, trunk: nn.ModuleList) -> None:
        super().__init__()
        self.trunk = trunk

    def gradient(
        self,
        picture: Tensor,
        features: Tensor,
        look: Tensor,
        content: float | Tensor = CONTENT,
        correlations: Sequence[Tensor] = (),
        gram: float | Tensor = GRAM,
    ) -> Tensor:
        """The gradient of `refinement_loss` by the picture, times its pixels (their number has no part in a step)."""
        found = trunk_features(self.trunk, picture)
        aims = _targets(found, look)
        correlated = dict(zip(CORRELATED, correlations, strict=False))
        last = len(found) - 1
        slope = torch.zeros_like(found[last])
        for i in range(last, -1, -1):
            f = found[i]
            if i in aims:
                # Means over this layer's places, each of which stands for 4^pools of the picture's pixels.
                here = _style_slope(*aims[i])
                if i in correlated:
                    here = here + gram * _gram_slope(f, _covariance(correlated[i], aims[i][2]))
                slope = slope + 4.0 ** sum(i >= pool for pool in POOLED) * here
            if i == last:
                slope = slope + content * _content_slope(f, features)
            slope = slope * (f > 0)
            weight = self.trunk[i].get_parameter("weight")
            # The adjoint of a convolution is one with its kernel turned round and its channels exchanged.
            slope = F.conv2d(slope, weight.transpose(0, 1).flip(2, 3), padding=1)
            if i in POOLED:  # to where the maximum was; where there are several, they are zeros and stop it themselves
                below = found[i - 1]
                top = F.interpolate(F.max_pool2d(below, 2), scale_factor=2.0)
                slope = F.interpolate(slope, scale_factor=2.0) * (below == top)
        return slope.flip(1) * 255


class Refiner(RefinementGradient):
    """One step of momentum down `refinement_loss`.

    `forward(picture, features, look, velocity, rate)`: picture (B, 3, H, W) in [0, 1], sides divided by `STRIDE`;
    features (B, 256, H/4, W/4) of the photo (relu3_1); the look aimed at (B, `LOOK`); the velocity of the step before,
    or zeros; rate (1,), about how far a pixel moves -> picture and velocity. A pixel's step is softly bounded: a
    gradient has peaks that a plain step would burn in.
    """

    def forward(
        self, picture: Tensor, features: Tensor, look: Tensor, velocity: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        velocity = MOMENTUM * velocity + self.gradient(picture, features, look)
        power = velocity.square()
        step = velocity * (power + _FLOOR * power.mean((1, 2, 3), keepdim=True) + 1e-20).rsqrt()
        return (picture - rate * step).clamp(0, 1), velocity


class GramRefiner(RefinementGradient):
    """The gradient of a loss that also knows how features go together, for styles that do (`inference.marks`).

    `forward(picture, features, look, correlations2, correlations3, gram, content)`: as `Refiner`, with the covariances
    aimed at of relu2_1 (B, 128, 128) and relu3_1 (B, 256, 256), relative to the look's deviations; gram (1,), of `GRAM`
    the part; content (1,), the content loss's weight -> gradient (B, 3, H, W), times its pixels.
    """

    def forward(
        self,
        picture: Tensor,
        features: Tensor,
        look: Tensor,
        correlations2: Tensor,
        correlations3: Tensor,
        gram: Tensor,
        content: Tensor,
    ) -> Tensor:
        return self.gradient(picture, features, look, content, (correlations2, correlations3), GRAM * gram)


@torch.no_grad()
def correlations_of(trunk: Iterable[nn.Module], picture: Tensor, look: Tensor) -> list[Tensor]:
    """For each layer of `CORRELATED` the covariances (B, C, C) of a picture's (B, 3, H, W) features, relative to the
    deviations of a look (B, `LOOK`), which need not be its own."""
    targets = _targets(trunk_features(trunk, picture), look)
    some = [targets[i] for i in CORRELATED]
    return [_gram(f)[0] / _covariance(torch.ones(()), deviation) for f, _, deviation in some]


def _targets(found: list[Tensor], look: Tensor) -> dict[int, tuple[Tensor, Tensor, Tensor]]:
    """By layer looked at its features, and the mean and deviation aimed at, (B, C) each."""
    sizes = [int(found[i].shape[1]) for i in LOOKED for _ in range(2)]
    parts = iter((look.exp() - 1).split(sizes, 1))  # expm1 and log1p have no ONNX
    return {i: (found[i], next(parts), (next(parts).square() + 1).sqrt()) for i in LOOKED}


def _normal(f: Tensor) -> tuple[Tensor, Tensor]:
    """Instance-normalised features, and by what they were multiplied."""
    variance, mean = torch.var_mean(f, (2, 3), keepdim=True, correction=0)
    scale = (variance + 1).rsqrt()
    return (f - mean) * scale, scale


def _style_slope(f: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """By the features, of one layer's part of the loss, times its places."""
    variance, own = torch.var_mean(f, (2, 3), correction=0)
    spread = (variance + 1).sqrt()
    size = 2 / (int(f.shape[1]) * deviation.square().mean(1, keepdim=True))
    straight, curved = size * (own - mean), size * (spread - deviation) / spread
    offset = straight - curved * own
    return torch.addcmul(offset[:, :, None, None], curved[:, :, None, None], f)


def _covariance(correlation: Tensor, deviation: Tensor) -> Tensor:
    return deviation[:, :, None] * correlation * deviation[:, None, :]


def _gram(f: Tensor) -> tuple[Tensor, Tensor]:
    """Centred Gram matrix (B, C, C) over places, and the centred features (B, C, H·W)."""
    flat = f.flatten(2)
    flat = flat - flat.mean(2, keepdim=True)
    return flat @ flat.transpose(1, 2) / flat.shape[2], flat


def _gram_slope(f: Tensor, aim: Tensor) -> Tensor:
    """By the features, of one layer's part of the Gram loss, times its places."""
    own, flat = _gram(f)
    size = 4 / aim.square().sum((1, 2), keepdim=True)
    return ((size * (own - aim)) @ flat).view_as(f)


def _content_slope(f: Tensor, features: Tensor) -> Tensor:
    """By the features, of the content loss, times the picture's pixels (Ioffe & Szegedy 2015, section 3)."""
    (own, scale), (photo, _) = _normal(f), _normal(features)
    slope = (2.0 * STRIDE**2 / int(f.shape[1])) * (own - photo)
    centred = slope - slope.mean((2, 3), keepdim=True) - own * (slope * own).mean((2, 3), keepdim=True)
    return scale * centred
