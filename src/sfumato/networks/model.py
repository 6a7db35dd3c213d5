"""The assembled models, one a kind, each from a config of plain numbers."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor, nn

from sfumato.networks.collection_generator import CollectionGenerator
from sfumato.networks.config import CollectionConfig, MatchingConfig, ModelConfig, NoiseConfig
from sfumato.networks.decoder import Decoder
from sfumato.networks.discriminator import (
    CombinedDiscriminator,
    PairDiscriminator,
    PatchDiscriminator,
    ProjectedDiscriminator,
)
from sfumato.networks.generator import Generator
from sfumato.networks.noise_generator import NoiseGenerator
from sfumato.networks.patch_head import PatchSampler
from sfumato.networks.perceptual import VGG19
from sfumato.networks.style_encoder import StyleEncoder


class StyleTransferModel(nn.Module):
    """`style_encoder` and `generator`: all that a user runs."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.style_encoder = StyleEncoder(config.texture_size)
        self.generator = Generator(config.widths, config.blocks, self.style_encoder.code_size, config.style_size)

    @property
    def code_size(self) -> int:
        return self.style_encoder.code_size

    def forward(self, photo: Tensor, thumbnail: Tensor, style: Tensor, strength: float = 1.0) -> Tensor:
        """Photo (B, 3, H, W), its thumbnail and a style picture, all in [0, 1] -> stylised picture (B, 3, H, W)."""
        code = fuse(self.style_encoder(style), self.style_encoder(thumbnail), strength)
        output: Tensor = self.generator(photo, self.generator.measure(thumbnail, code)).clamp(0, 1)
        return output


OneDiscriminator: TypeAlias = PatchDiscriminator | ProjectedDiscriminator


def fuse(style: Tensor, content: Tensor, strength: float | Tensor) -> Tensor:
    """z = s·z_style + (1 - s)·z_content, codes (B, D), strength in [0, 1]."""
    return strength * style + (1 - strength) * content


def build_discriminator(config: ModelConfig, code_size: int, vgg: VGG19 | None = None) -> OneDiscriminator:
    """`vgg` computes the features of a projected one."""
    return _discriminator(config, code_size if config.discriminator_conditional else 0, vgg)


def _discriminator(
    config: ModelConfig | CollectionConfig | NoiseConfig, code_size: int, vgg: VGG19 | None
) -> OneDiscriminator:
    if config.discriminator == "projected":
        assert vgg is not None, "a projected discriminator needs VGG19"
        return ProjectedDiscriminator(vgg, code_size)
    widths, scales = config.discriminator_widths, config.discriminator_scales
    return PatchDiscriminator(widths, code_size, scales, config.discriminator_spectral)


class CollectionModel(nn.Module):
    """`generator`, all that a user runs, and what trains with it: the `heads` of contrast, or the generator `back`."""

    def __init__(self, config: CollectionConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = self._new_generator()
        fine, middle, deep = config.widths
        self.heads = None if config.cycle else PatchSampler((fine, middle, deep, deep))
        self.back = self._new_generator() if config.cycle else None  # from paintings to photos

    def _new_generator(self) -> CollectionGenerator:
        return CollectionGenerator(self.config.widths, self.config.blocks, self.config.normalization)

    def forward(self, photo: Tensor, thumbnail: Tensor) -> Tensor:
        """Photo (B, 3, H, W) and its thumbnail, both in [0, 1] -> the photo as a painting (B, 3, H, W) in [0, 1]."""
        output: Tensor = self.generator(photo, self.generator.measure(thumbnail)).clamp(0, 1)
        return output


def build_collection_discriminator(
    config: CollectionConfig, vgg: VGG19 | None = None
) -> OneDiscriminator | PairDiscriminator:
    """Unconditional; with `cycle` one of paintings and one of photos. `vgg` computes the features of projected ones."""
    paintings = _discriminator(config, 0, vgg)
    return PairDiscriminator(paintings, _discriminator(config, 0, vgg)) if config.cycle else paintings


class NoiseModel(nn.Module):
    """`generator`: all that a user runs."""

    def __init__(self, config: NoiseConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = NoiseGenerator(config.z_size, config.side, config.widths)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, Z), N(0, I) -> pictures (B, 3, side, side) in [0, 1]."""
        pictures: Tensor = self.generator(z)
        return pictures


def build_noise_discriminator(config: NoiseConfig, vgg: VGG19 | None = None) -> OneDiscriminator:
    """`vgg` computes the features of a projected one."""
    return _discriminator(config, 0, vgg)


class MatchingModel(nn.Module):
    """`decoder`: all that a user runs besides VGG19, which is frozen and no part of it."""

    def __init__(self, config: MatchingConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = Decoder(config.widths, config.blocks)

    def forward(self, features: Tensor) -> Tensor:
        """Hypercolumns (B, 640, h, w), not scaled -> pictures (B, 3, 4h, 4w) in [0, 1]."""
        pictures: Tensor = self.decoder(features).clamp(0, 1)
        return pictures


def build_matching_discriminator(
    config: MatchingConfig, vgg: VGG19 | None = None
) -> OneDiscriminator | CombinedDiscriminator:
    """Unconditional. `vgg` is what a projected one reads features of.

    A patch discriminator has no spectral norm: with it, it stayed at chance (recipes give it R1 instead).
    """
    patch = PatchDiscriminator(config.discriminator_widths, 0, config.discriminator_scales, spectral=False)
    if config.discriminator == "patch":
        return patch
    assert vgg is not None, "a projected discriminator needs VGG19"
    projected = ProjectedDiscriminator(vgg, 0)
    return projected if config.discriminator == "projected" else CombinedDiscriminator(patch, projected)
