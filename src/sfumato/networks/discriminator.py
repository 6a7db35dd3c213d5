"""Patch discriminators, conditional on a style code or unconditional."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sfumato.networks.perceptual import VGG19, WIDTHS

#: Layers of VGG19 that a `ProjectedDiscriminator` reads. The next block would cost as much as these together.
READ = ("relu2_1", "relu3_1")


def _patch_logits(h: Tensor, logit: nn.Module, project: nn.Module | None, code: Tensor | None) -> Tensor:
    """Map features (B, C, h, w) to logits (B, 1, h, w); with `project`, conditional on the code (B, D)."""
    logits: Tensor = logit(h)
    if project is not None:
        assert code is not None, "a conditional discriminator needs a code"
        logits = logits + (h * project(code)[:, :, None, None]).mean(1, keepdim=True)
    return logits


class _OneScale(nn.Module):
    def __init__(self, widths: tuple[int, ...], code_size: int, spectral: bool) -> None:
        super().__init__()

        def normed(layer: nn.Module) -> nn.Module:
            return spectral_norm(layer) if spectral else layer

        pairs = zip((3, *widths), widths, strict=False)
        self.convs = nn.ModuleList([normed(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairs])
        self.logit = normed(nn.Conv2d(widths[-1], 1, 1))
        self.project = normed(nn.Linear(code_size, widths[-1], bias=False)) if code_size else None

    def forward(self, x: Tensor, code: Tensor | None) -> Tensor:
        h = x
        for convolution in self.convs:
            h = F.leaky_relu(convolution(h), 0.2)
        return _patch_logits(h, self.logit, self.project, code)


class PatchDiscriminator(nn.Module):
    """A patch discriminator (Isola et al. 2017) at several scales (Wang et al. 2018).

    It is conditional by projection (Miyato & Koyama 2018, eq. 3); with a `code_size` of 0 it is unconditional and takes
    no code. It has spectral norm instead of normalisation layers, which cause droplets (Karras et al. 2020). Without
    `spectral` its gradient is not bounded, so a gradient penalty is needed (R1, R3GAN), which is then cheaper to
    differentiate twice.
    """

    def __init__(self, widths: tuple[int, ...], code_size: int, scales: int = 2, spectral: bool = True) -> None:
        super().__init__()
        self.scales = nn.ModuleList([_OneScale(widths, code_size, spectral) for _ in range(scales)])

    def forward(self, x: Tensor, code: Tensor | None = None) -> list[Tensor]:
        """Map pictures (B, 3, H, W) in [0, 1], codes (B, D) to logit maps (B, 1, h, w) by scale, the coarsest last."""
        x, logits = 2 * x - 1, []
        for scale in self.scales:
            logits.append(scale(x, code))
            x = F.avg_pool2d(x, 2)
        return logits


class _Head(nn.Module):
    """A head that maps features (B, C, h, w) to logits (B, 1, h/2, w/2), conditional by projection given codes."""

    def __init__(self, channels: int, width: int, code_size: int) -> None:
        super().__init__()
        self.enter = spectral_norm(nn.Conv2d(channels, width, 1))
        self.conv = spectral_norm(nn.Conv2d(width, width, 4, 2, 1))
        self.logit = spectral_norm(nn.Conv2d(width, 1, 1))
        self.project = spectral_norm(nn.Linear(code_size, width, bias=False)) if code_size else None

    def forward(self, features: Tensor, code: Tensor | None) -> Tensor:
        h = F.leaky_relu(self.conv(F.leaky_relu(self.enter(features), 0.2)), 0.2)
        return _patch_logits(h, self.logit, self.project, code)


class ProjectedDiscriminator(nn.Module):
    """A discriminator of small heads on frozen VGG19 features (Projected GANs, Sauer et al. 2021; Kumari et al. 2022).

    It distinguishes paintings from outputs after some hundred samples, whereas a `PatchDiscriminator` must first learn
    features. The papers' random mixing across channels and scales is left out. Heads read log(1 + h), because the sizes
    of VGG19's features differ by orders of magnitude. VGG19 is shared and not a submodule: it is neither moved nor
    saved with this module.
    """

    def __init__(self, vgg: VGG19, code_size: int, layers: tuple[str, ...] = READ, width: int = 64) -> None:
        """Build one head for each of `layers`.

        Args:
            vgg: a network that computes at least these layers; this is not checked here.
            code_size: length of the style code; 0 for an unconditional discriminator.
            layers: names of layers of VGG19.
            width: hidden channels of each head.

        Raises:
            KeyError: a name is not that of a layer.
        """
        super().__init__()
        self._vgg = (vgg,)  # a tuple keeps it from being registered as a submodule
        self.heads = nn.ModuleDict({name: _Head(WIDTHS[name], width, code_size) for name in layers})

    @property
    def vgg(self) -> VGG19:
        """The shared VGG19."""
        return self._vgg[0]

    def forward(self, x: Tensor, code: Tensor | None = None) -> list[Tensor]:
        """Map pictures (B, 3, H, W) in [0, 1], codes (B, D) to logit maps (B, 1, h, w) by layer, the deepest last."""
        features = self.vgg(x, tuple(self.heads))
        return [head(torch.log1p(features[name]), code) for name, head in self.heads.items()]


class CombinedDiscriminator(nn.Module):
    """Several unconditional discriminators as one: it concatenates their lists of logit maps."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map pictures (B, 3, H, W) in [0, 1] to logit maps as `PatchDiscriminator` does."""
        return [logits for part in self.parts for logits in part(x)]


class PairDiscriminator(nn.Module):
    """The two discriminators of a cycle (Zhu et al. 2017), one of paintings and one of photos."""

    def __init__(self, paintings: nn.Module, photos: nn.Module) -> None:
        super().__init__()
        self.paintings, self.photos = paintings, photos

    def forward(self, x: Tensor, of_photos: bool = False) -> list[Tensor]:
        """Map pictures (B, 3, H, W) in [0, 1] to logit maps by the discriminator of paintings, or of photos."""
        side = self.photos if of_photos else self.paintings
        logits: list[Tensor] = side(x)
        return logits


class OfPhotos(nn.Module):
    """An adapter that calls a `PairDiscriminator` (or a wrapper of one) for photos."""

    def __init__(self, pair: nn.Module) -> None:
        super().__init__()
        self.pair = pair

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map pictures (B, 3, H, W) in [0, 1] to logit maps by the discriminator of photos."""
        logits: list[Tensor] = self.pair(x, of_photos=True)
        return logits
