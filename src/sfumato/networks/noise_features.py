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
_SLOPE = 0.2  # of LeakyReLU


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
    """A convolution, LeakyReLU, instance normalisation, and a scale and shift of each channel by the style w."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.style = _conv(inputs, outputs), nn.Linear(STYLE, 2 * outputs)
        with torch.no_grad():
            nn.init.kaiming_normal_(self.conv.weight, _SLOPE)
            self.style.weight.normal_(0, 0.5 * STYLE**-0.5)
            self.conv.get_parameter("bias").zero_()
            self.style.bias.zero_()

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        h = F.instance_norm(F.leaky_relu(self.conv(h), _SLOPE).float(), eps=1e-4)
        scale, shift = self.style(w).float()[:, :, None, None].chunk(2, 1)
        styled: Tensor = h * (1 + scale) + shift
        return styled


class FeatureGenerator(nn.Module):
    """A light generator of feature maps, in the form of StyleGAN (Karras et al. 2019), without its noise.

    z gives the first map and a style w, which scales and shifts the channels of every stage. An octave upsamples and
    has two stages, the last one only one. Instance normalisation keeps the contrast of every map. With a normalisation
    of each pixel (`NoiseGenerator`) maps became flat within 200 steps and stayed so: a map that is the same everywhere
    is normalised too.
    """

    def __init__(self, z_size: int, components: int, widths: tuple[int, ...]) -> None:
        """Build the network for `components` channels; `widths` are those at sides 4, 8, ..."""
        super().__init__()
        self.map = nn.Linear(z_size, STYLE)
        self.enter = nn.Linear(z_size, widths[0] * START**2)
        self.first = _Stage(widths[0], widths[0])
        self.grow = nn.ModuleList([_Stage(a, b) for a, b in pairwise(widths)])
        self.refine = nn.ModuleList([_Stage(width, width) for width in widths[1:-1]])
        self.leave = _conv(widths[-1], components)
        with torch.no_grad():
            self.enter.weight.normal_(0, z_size**-0.5)
            self.enter.bias.normal_(0, 0.5)  # as in `NoiseGenerator`: for truncation
            self.leave.weight.mul_(0.5)

    def forward(self, z: Tensor) -> Tensor:
        """Generate components (B, K, h, h) from z (B, Z), drawn from N(0, I)."""
        w = F.leaky_relu(self.map(z), _SLOPE)
        h = self.first(self.enter(z).unflatten(1, (-1, START, START)), w)
        for octave, grow in enumerate(self.grow):
            h = grow(upsample(h), w)
            if octave < len(self.refine):
                h = self.refine[octave](h, w)
        components: Tensor = self.leave(h).float()
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
