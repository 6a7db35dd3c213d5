"""The style encoder: pictures to style codes, by statistics pooled over positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.networks.perceptual import LAYERS, MEAN_BGR, VGG19
from sfumato.networks.statistics import ColourStats
from sfumato.style_code import COLOUR_STATS_SIZE

_WIDTHS = (64, 64, 128, 128, 256)  # VGG19 up to relu3_1
POOLED = (2, 4)  # indices of the convolutions with a max pooling of 2 before them
STATS_CONVOLUTIONS = (0, 2, 4)  # convolutions of the channel statistics: relu1_1, relu2_1, relu3_1
_READ = {0: 0, 2: 16, 4: 24}  # convolution: number of random directions whose correlations are read (0: none)
DESCRIPTOR = sum(2 * _WIDTHS[i] + size * (size + 1) // 2 for i, size in _READ.items())


def trunk_features(trunk: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Compute the rectified features of pictures (B, 3, H, W) in [0, 1] after each convolution of VGG19's `trunk`."""
    h = x.flip(1) * 255 - torch.tensor(MEAN_BGR, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    features = []
    for i, convolution in enumerate(trunk):
        h = F.relu(convolution(F.max_pool2d(h, 2) if i in POOLED else h))
        features.append(h)
    return features


def channel_stats(features: Sequence[Tensor]) -> Tensor:
    """Return the channel statistics (B, 896) of `trunk_features`: log(1 + mean) and log(1 + deviation) by layer."""
    parts = []
    for i in STATS_CONVOLUTIONS:
        variance, mean = torch.var_mean(features[i], (2, 3), correction=0)
        parts += [(mean + 1).log(), (variance.sqrt() + 1).log()]
    return torch.cat(parts, 1)


class StyleEncoder(nn.Module):
    """The encoder of pictures to style codes (B, `texture_size` + COLOUR_STATS_SIZE).

    The last values of a code are measured colour statistics (`statistics.ColourStats`). The others are a linear map of
    a *texture descriptor*: statistics of the first five convolutions of VGG19, which are frozen, so that descriptors
    can be cached. The map starts from the principal components of the paintings' descriptors (`fit`) and is trained
    from there: codes are useful from the first step, even for unseen paintings. Pooling removes positions, so the
    layout of the style picture cannot reach the output.
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
        """Encode pictures (B, 3, h, w) in [0, 1], with sides of 16 or more, as codes."""
        return self.code(self.describe(x))

    def encode_full(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode pictures (B, 3, h, w), and return the features that guidance needs too.

        Returns:
            Code; VGG19's features of relu3_1 (B, 256, h/4, w/4), with which guidance measures content; and the channel
            statistics (B, 896), with which it measures style.
        """
        description, features = self._read(x)
        return self.code(description), features[-1], channel_stats(features)

    def code(self, description: Tensor) -> Tensor:
        """Map the output of `describe` to codes."""
        texture = (description[:, :-COLOUR_STATS_SIZE] - self.mean) / self.deviation
        return torch.cat([self.head(texture).float(), description[:, -COLOUR_STATS_SIZE:]], 1)

    @torch.no_grad()
    def describe(self, x: Tensor) -> Tensor:
        """Measure texture descriptor and colour statistics of pictures (B, 3, h, w); nothing here is learnt.

        The descriptor holds, for each layer, the logarithms of the channels' means and deviations; and for random
        directions in its feature space, the logarithms of their variances, and their correlations (a Gram matrix in
        few numbers).

        Returns:
            (B, DESCRIPTOR + COLOUR_STATS_SIZE).
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
        """Copy the first convolutions of a VGG19 into the trunk."""
        for own, given in zip(self.trunk, vgg.convs.values(), strict=False):
            own.load_state_dict(given.state_dict())

    def as_vgg(self) -> VGG19:
        """Return the trunk as a VGG19 of the same depth."""
        convs = zip(LAYERS, self.trunk, strict=False)
        weights = {
            f"{name.replace('relu', 'conv')}.{part}": tensor
            for name, convolution in convs
            for part, tensor in convolution.state_dict().items()
        }
        return VGG19(weights, LAYERS[: len(self.trunk)])

    @torch.no_grad()
    def fit(self, descriptions: Sequence[Tensor]) -> None:
        """Initialise the map with the principal components of many pictures' descriptors.

        Args:
            descriptions: outputs (1, DESCRIPTOR + COLOUR_STATS_SIZE) of `describe`. Their mean and deviation become
                those that descriptors are normalised by; the strongest component gets a deviation of 1.
        """
        texture = torch.cat(list(descriptions))[:, :-COLOUR_STATS_SIZE]
        self.mean.copy_(texture.mean(0))
        self.deviation.copy_(texture.std(0, correction=0) + 0.05)
        _, sizes, components = torch.linalg.svd((texture - self.mean) / self.deviation, full_matrices=False)
        # Few pictures have fewer components than the head has outputs; the rest is rounding and must not be amplified.
        differing = int((sizes > 1e-3 * sizes[0].clamp(min=1)).sum())
        count = min(differing, self.head.out_features)
        scale = texture.shape[0] ** 0.5 / sizes[:count]
        # The geometric mean of whitening and no whitening: weaker components are amplified, but stay weaker.
        scale = (scale * scale[:1]).sqrt()
        self.head.weight.zero_()
        self.head.bias.zero_()
        self.head.weight[:count] = components[:count] * scale[:, None]
