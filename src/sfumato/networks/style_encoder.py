"""The style sub-network: a picture to a style code, by pooled statistics at every scale and so without any layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.perceptual import LAYERS, MEAN_BGR, VGG19
from sfumato.networks.statistics import ColourStats
from sfumato.style_code import COLOUR_STATS_SIZE

_WIDTHS = (64, 64, 128, 128, 256)  # VGG19 up to relu3_1
POOLED = (2, 4)  # convolutions with a pool of 2 before them
STATS_CONVOLUTIONS = (0, 2, 4)  # those whose statistics are a style's channel statistics: relu1_1, relu2_1, relu3_1
_READ = {0: 0, 2: 16, 4: 24}  # convolution: directions of its features whose covariance is read (0: none)
DESCRIPTOR = sum(2 * _WIDTHS[i] + size * (size + 1) // 2 for i, size in _READ.items())


def trunk_features(trunk: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Pictures (B, 3, H, W) in [0, 1] -> the rectified features after each convolution of VGG19's `trunk`."""
    h = x.flip(1) * 255 - torch.tensor(MEAN_BGR, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    features = []
    for i, convolution in enumerate(trunk):
        h = F.relu(convolution(F.max_pool2d(h, 2) if i in POOLED else h))
        features.append(h)
    return features


def channel_stats(features: Sequence[Tensor]) -> Tensor:
    """What `trunk_features` gave -> channel statistics (B, 896): each layer's log(1 + mean) and log(1 + deviation)."""
    parts = []
    for i in STATS_CONVOLUTIONS:
        variance, mean = torch.var_mean(features[i], (2, 3), correction=0)
        parts += [(mean + 1).log(), (variance.sqrt() + 1).log()]
    return torch.cat(parts, 1)


class StyleEncoder(nn.Module):
    """Picture (B, 3, h, w) in [0, 1], sides 16 or more -> code (B, `texture_size` + COLOUR_STATS_SIZE).

    The last values are measured (`statistics.ColourStats`): palette and contrast. The others are a linear map of a
    *descriptor* of texture: the statistics of the first five convolutions of VGG19, which do not train, so that each
    picture's descriptor can be kept. The map starts from the principal components of the paintings' descriptors
    (`fit`) and is trained on: a style code means something from the first step, also of paintings never seen. Pooling
    removes positions, so nothing of the style picture's layout can reach the output.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, texture_size: int) -> None:
        super().__init__()
        pairs = zip((3, *_WIDTHS), _WIDTHS, strict=False)
        self.trunk = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in pairs]).requires_grad_(False)
        generator = torch.Generator().manual_seed(2)
        for i, size in _READ.items():
            if size:
                directions = torch.randn(size, _WIDTHS[i], generator=generator) / _WIDTHS[i] ** 0.5
                self.register_buffer(f"directions{i}", directions, persistent=False)
        self.register_buffer("mean", torch.zeros(DESCRIPTOR))
        self.register_buffer("deviation", torch.ones(DESCRIPTOR))
        self.head = nn.Linear(DESCRIPTOR, texture_size)
        self.code_size = texture_size + COLOUR_STATS_SIZE

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self.describe(x))

    def encode_full(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Code; features (B, 256, h/4, w/4) of VGG19's relu3_1, which say where things are (guidance's measure); and
        the channel statistics (B, 896), which guidance measures with."""
        description, features = self._read(x)
        return self.code(description), features[-1], channel_stats(features)

    def code(self, description: Tensor) -> Tensor:
        """What `describe` gave -> code."""
        texture = (description[:, :-COLOUR_STATS_SIZE] - self.mean) / self.deviation
        return torch.cat([self.head(texture).float(), description[:, -COLOUR_STATS_SIZE:]], 1)

    @torch.no_grad()
    def describe(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, h, w) -> (B, DESCRIPTOR + COLOUR_STATS_SIZE): all that is measured on them, nothing learnt
        here.

        Per layer the logarithms of the channels' means and deviations; and of random directions through its channels
        the logarithms of their variances and their correlations (a Gram matrix in few numbers).
        """
        return self._read(x)[0]

    @torch.no_grad()
    def _read(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = x.float()
        parts = []
        features = trunk_features(self.trunk, x)
        for i, h in enumerate(features):
            if i in _READ:
                variance, mean = torch.var_mean(h, (2, 3), correction=0)
                parts += [(mean + 1).log(), (variance + 1).log() / 2]
            if directions := _READ.get(i):
                centred = torch.einsum("dc,bchw->bdhw", self.get_buffer(f"directions{i}"), h - mean[:, :, None, None])
                flat = centred.flatten(2)
                covariance = flat @ flat.transpose(1, 2) / flat.shape[2]
                own = covariance.diagonal(dim1=1, dim2=2) + 1
                correlation = covariance * own[:, :, None].rsqrt() * own[:, None, :].rsqrt()
                rows, columns = torch.triu_indices(directions, directions, 1)
                parts += [own.log() / 2, correlation[:, rows, columns]]
        return torch.cat([*parts, ColourStats.of(x)[0].pack()], 1), features

    @torch.no_grad()
    def load_vgg_weights(self, vgg: VGG19) -> None:
        """Take over the first convolutions of a VGG19."""
        for own, given in zip(self.trunk, vgg.convs.values(), strict=False):
            own.load_state_dict(given.state_dict())

    def as_vgg(self) -> VGG19:
        """Its convolutions as a VGG19 of the same depth."""
        convs = zip(LAYERS, self.trunk, strict=False)
        weights = {
            f"{name.replace('relu', 'conv')}.{part}": tensor
            for name, convolution in convs
            for part, tensor in convolution.state_dict().items()
        }
        return VGG19(weights, LAYERS[: len(self.trunk)])

    @torch.no_grad()
    def fit(self, descriptions: Sequence[Tensor]) -> None:
        """Centre and scale descriptors as those of many pictures (each (1, ...)) ask, and map them to their
        principal components, the strongest with a deviation of 1."""
        texture = torch.cat(list(descriptions))[:, :-COLOUR_STATS_SIZE]
        self.mean.copy_(texture.mean(0))
        self.deviation.copy_(texture.std(0, correction=0) + 0.05)
        _, sizes, components = torch.linalg.svd((texture - self.mean) / self.deviation, full_matrices=False)
        # Only directions in which they differ: few pictures have fewer of those than the head has outputs, and what is
        # left is rounding, which would be magnified.
        differing = int((sizes > 1e-3 * sizes[0].clamp(min=1)).sum())
        count = min(differing, self.head.out_features)
        scale = texture.shape[0] ** 0.5 / sizes[:count]
        # Square root: weaker components are heard less than the strong ones, but more than they would be on their own.
        scale = (scale * scale[:1]).sqrt()
        self.head.weight.zero_()
        self.head.bias.zero_()
        self.head.weight[:count] = components[:count] * scale[:, None]
