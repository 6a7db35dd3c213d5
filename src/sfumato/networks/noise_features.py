"""The GAN of pictures from noise that works on features: its space, its generator and its discriminator.

Generated and real samples are maps of the features that the shipped decoder reads, so the discriminator judges features
of a frozen VGG19 without a pass through it (as Projected GANs do, Sauer et al. 2021), and the decoder paints.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.layers import upsample
from sfumato.networks.noise_generator import START

STYLE = 128  # size of the generator's style w
LAYOUT = 32  # largest side of the layout
_SLOPE = 0.2  # of LeakyReLU
_STAGES = 3  # residual blocks of the generator at each of its two sides


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)  # pads with zeros, as VGG19 and the decoder do


class FeatureSpace(nn.Module):
    """The principal components of a decoder's entry features (`Decoder.entered`), as paintings have them.

    A component is divided by the geometric mean of its own deviation and that of the first one. So the weak components,
    which hold fine detail, count more than in the features, and less than with equal deviations.

    Attributes:
        mean: (1, C, 1, 1), of the entry features.
        directions: (C, K), orthonormal.
        scale: (1, K, 1, 1).
    """

    mean: Tensor
    directions: Tensor
    scale: Tensor

    def __init__(self, channels: int, components: int) -> None:
        """Prepare for entry features of `channels` channels and `components` components; `fit` sets the values."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("directions", torch.eye(channels, components))
        self.register_buffer("scale", torch.ones(1, components, 1, 1))

    @torch.no_grad()
    def fit(self, mean: Tensor, covariance: Tensor) -> float:
        """Set mean (C,) and covariance (C, C) of the entry features, in float64.

        Returns:
            The share of the variance that the components hold.
        """
        values, vectors = torch.linalg.eigh(covariance)
        values, vectors = values.flip(0).clamp(min=1e-12), vectors.flip(1)
        count = self.directions.shape[1]
        # The sign of an eigenvector is arbitrary; fixed, so that equal pictures give equal spaces.
        vectors = vectors * torch.where(vectors.sum(0) < 0, -1.0, 1.0)
        self.mean.copy_(mean.view(1, -1, 1, 1))
        self.directions.copy_(vectors[:, :count])
        self.scale.copy_((values[:count] * values[0]).pow(0.25).view(1, -1, 1, 1))
        return float(values[:count].sum() / values.sum())

    def project(self, entered: Tensor) -> Tensor:
        """Return the components (B, K, h, w) of entry features (B, C, h, w)."""
        return F.conv2d(entered - self.mean, self.directions.T[:, :, None, None].to(entered.dtype)) / self.scale

    def restore(self, components: Tensor) -> Tensor:
        """Return the entry features (B, C, h, w) of components (B, K, h, w)."""
        return F.conv2d(components.float() * self.scale, self.directions[:, :, None, None]) + self.mean


class _Stage(nn.Module):
    """A residual block whose features w scales and shifts; it begins near the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = _conv(channels, channels), _conv(channels, channels)
        self.style = nn.Linear(STYLE, 2 * channels)
        with torch.no_grad():
            nn.init.kaiming_normal_(self.a.weight, _SLOPE)
            self.a.get_parameter("bias").zero_()
            self.b.weight.mul_(0.1)
            self.b.get_parameter("bias").zero_()
            self.style.weight.normal_(0, 0.02)
            self.style.bias.zero_()

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        scale, shift = self.style(w)[:, :, None, None].chunk(2, 1)
        change = self.a(F.leaky_relu(h, _SLOPE)) * (1 + scale) + shift
        out: Tensor = h + self.b(F.leaky_relu(change, _SLOPE))
        return out


class FeatureGenerator(nn.Module):
    """A generator of feature maps: a layout that is linear in z, and what a small residual network adds to it.

    The layout is the mean map of the paintings plus their first principal components, each weighted by one value of z,
    at a side of at most `LAYOUT`. So different z give different compositions from the first step on, which few hundred
    paintings and a short training do not teach a network that begins with random weights. The network adds what is not
    linear: edges, contrast and brushwork. It works at the map's side and at half of it.

    Attributes:
        mean: (1, K, s, s), of the paintings' maps.
        layout: (Z, K, s, s): their principal components, times their deviations; zero beyond the number of maps.
    """

    mean: Tensor
    layout: Tensor

    def __init__(self, z_size: int, components: int, side: int, width: int) -> None:
        """Build the network for maps of `components` channels and that side; `fit` sets the layout."""
        super().__init__()
        self.side, small = side, min(LAYOUT, side)
        self.register_buffer("mean", torch.zeros(1, components, small, small))
        self.register_buffer("layout", torch.zeros(z_size, components, small, small))
        self.map = nn.Linear(z_size, STYLE)
        self.enter, self.leave = _conv(components, width), _conv(width, components)
        self.halve = nn.Conv2d(width, width, 4, 2, 1)
        self.low = nn.ModuleList([_Stage(width) for _ in range(_STAGES)])
        self.high = nn.ModuleList([_Stage(width) for _ in range(_STAGES)])
        with torch.no_grad():
            self.leave.weight.mul_(0.1)  # begins near the layout
            self.leave.get_parameter("bias").zero_()

    @torch.no_grad()
    def fit(self, maps: Tensor) -> float:
        """Set the layout from maps of paintings (N, K, h, h), N at least 2.

        Returns:
            The share of the variance, at the layout's side, that it holds.
        """
        small = self.mean.shape[-1]
        rows = torch.cat([F.adaptive_avg_pool2d(part.float(), small) for part in maps.split(256)]).flatten(1)
        mean = rows.mean(0)
        centred = (rows - mean).double()
        # Through the products of the maps with each other: they are fewer than the values of one.
        values, vectors = torch.linalg.eigh(centred @ centred.T / len(rows))
        values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
        vectors = vectors * torch.where(vectors.sum(0) < 0, -1.0, 1.0)  # the sign is arbitrary
        count = min(len(self.layout), len(rows) - 1)
        self.mean.copy_(mean.view_as(self.mean))
        self.layout.zero_()
        # A principal component times its deviation is the mean of the maps, weighted by the eigenvector.
        found = vectors[:, :count].T @ centred / len(rows) ** 0.5
        self.layout[:count] = found.view(count, *self.layout.shape[1:]).float()
        return float(values[:count].sum() / values.sum().clamp(min=1e-12))

    def forward(self, z: Tensor) -> Tensor:
        """Generate components (B, K, h, h) from z (B, Z), drawn from N(0, I)."""
        layout = (self.mean.flatten(1) + z.float() @ self.layout.flatten(1)).unflatten(1, self.mean.shape[1:])
        if self.side != layout.shape[-1]:
            layout = F.interpolate(layout, size=(self.side, self.side), mode="bilinear", align_corners=False)
        w = F.leaky_relu(self.map(z), _SLOPE)
        h = self.enter(layout)
        low = self.halve(h)
        for stage in self.low:
            low = stage(low, w)
        h = h + upsample(low)
        for stage in self.high:
            h = stage(h, w)
        components: Tensor = layout + self.leave(F.leaky_relu(h, _SLOPE)).float()
        return components


class FeatureDiscriminator(nn.Module):
    """A discriminator of feature maps with a head at each scale: patches, regions, and the whole picture.

    It has no normalisation and no bounded gradient, so it needs a gradient penalty.
    """

    def __init__(self, components: int, widths: tuple[int, ...]) -> None:
        """Build the network; `widths` are its channels at the full size, a half, ..., down to a side of 4."""
        super().__init__()
        self.enter = _conv(components, widths[0])
        self.halve = nn.ModuleList([nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(widths)])
        self.heads = nn.ModuleList([nn.Conv2d(width, 1, 1) for width in widths[1:-1]])
        last = widths[-1]
        self.whole = nn.Sequential(nn.Conv2d(last, last, START), nn.LeakyReLU(_SLOPE), nn.Conv2d(last, 1, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map components (B, K, h, h) to logit maps (B, 1, h', h') by scale, the last (B, 1, 1, 1)."""
        h, logits = F.leaky_relu(self.enter(x), _SLOPE), []
        for halve, head in zip(self.halve, (*self.heads, self.whole), strict=True):
            h = F.leaky_relu(halve(h), _SLOPE)
            logits.append(head(h))
        return logits
