"""The models of the four kinds and their discriminators, each built from a config."""

from __future__ import annotations

from typing import TypeAlias

import torch
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
from sfumato.networks.hypercolumn import STRIDE
from sfumato.networks.noise_features import FeatureDiscriminator, FeatureGenerator, FeatureSpace
from sfumato.networks.noise_generator import NoiseGenerator
from sfumato.networks.patch_head import PatchSampler
from sfumato.networks.perceptual import VGG19
from sfumato.networks.style_encoder import StyleEncoder


class StyleTransferModel(nn.Module):
    """The model of the arbitrary kind: a `style_encoder` and a `generator`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.style_encoder = StyleEncoder(config.texture_size)
        self.generator = Generator(config.widths, config.blocks, self.style_encoder.code_size, config.style_size)

    @property
    def code_size(self) -> int:
        """Number of values of a style code."""
        return self.style_encoder.code_size

    def forward(self, photo: Tensor, thumbnail: Tensor, style: Tensor, strength: float = 1.0) -> Tensor:
        """Stylise a photo (B, 3, H, W), given its thumbnail and a style picture, all in [0, 1]: (B, 3, H, W)."""
        code = fuse(self.style_encoder(style), self.style_encoder(thumbnail), strength)
        output: Tensor = self.generator(photo, self.generator.measure(thumbnail, code)).clamp(0, 1)
        return output


#: Channels of the entry features of the shipped decoder
DECODER_WIDTH = MatchingConfig().widths[0]
OneDiscriminator: TypeAlias = PatchDiscriminator | ProjectedDiscriminator


def fuse(style: Tensor, content: Tensor, strength: float | Tensor) -> Tensor:
    """Interpolate codes (B, D): strength·style + (1 - strength)·content, strength in [0, 1]."""
    return strength * style + (1 - strength) * content


def build_discriminator(config: ModelConfig, code_size: int, vgg: VGG19 | None = None) -> OneDiscriminator:
    """Build the discriminator of the arbitrary kind; a projected one needs `vgg`."""
    return _discriminator(config, code_size if config.discriminator_conditional else 0, vgg)


def _discriminator(config: ModelConfig | CollectionConfig, code_size: int, vgg: VGG19 | None) -> OneDiscriminator:
    if config.discriminator == "projected":
        assert vgg is not None, "a projected discriminator needs VGG19"
        return ProjectedDiscriminator(vgg, code_size)
    widths, scales = config.discriminator_widths, config.discriminator_scales
    return PatchDiscriminator(widths, code_size, scales, config.discriminator_spectral)


class CollectionModel(nn.Module):
    """The model of the collection kind: a `generator`, and for training the `heads` of PatchNCE or a generator `back`.

    `back` maps paintings to photos, for cycle consistency.
    """

    def __init__(self, config: CollectionConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = self._new_generator()
        fine, middle, deep = config.widths
        self.heads = None if config.cycle else PatchSampler((fine, middle, deep, deep))
        self.back = self._new_generator() if config.cycle else None

    def _new_generator(self) -> CollectionGenerator:
        return CollectionGenerator(self.config.widths, self.config.blocks, self.config.normalization)

    def forward(self, photo: Tensor, thumbnail: Tensor) -> Tensor:
        """Stylise a photo (B, 3, H, W), given its thumbnail, both in [0, 1]: (B, 3, H, W) in [0, 1]."""
        output: Tensor = self.generator(photo, self.generator.measure(thumbnail)).clamp(0, 1)
        return output


def build_collection_discriminator(
    config: CollectionConfig, vgg: VGG19 | None = None
) -> OneDiscriminator | PairDiscriminator:
    """Build a collection's unconditional discriminator, or one of paintings and one of photos with `cycle`.

    Projected discriminators need `vgg`.
    """
    paintings = _discriminator(config, 0, vgg)
    return PairDiscriminator(paintings, _discriminator(config, 0, vgg)) if config.cycle else paintings


class NoiseModel(nn.Module):
    """The model of the noise kind that generates pixels: a `generator`."""

    def __init__(self, config: NoiseConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = NoiseGenerator(config.z_size, config.side, config.generator_widths)

    def forward(self, z: Tensor) -> Tensor:
        """Generate pictures (B, 3, side, side) in [0, 1] from z (B, Z), drawn from N(0, I)."""
        pictures: Tensor = self.generator(z)
        return pictures


class FeatureNoiseModel(nn.Module):
    """The model of the noise kind that generates features: a `generator` and the `space` of its output.

    The decoder that paints them is not part of it: all models share the shipped one. `decoder_digest` (32,) has
    the bytes of its SHA-256.
    """

    decoder_digest: Tensor

    def __init__(self, config: NoiseConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = FeatureGenerator(
            config.z_size, config.components, config.side // STRIDE, config.generator_widths[0]
        )
        self.space = FeatureSpace(DECODER_WIDTH, config.components)
        self.register_buffer("decoder_digest", torch.zeros(32))

    def forward(self, z: Tensor) -> Tensor:
        """Generate a decoder's entry features (B, C, side/4, side/4) from z (B, Z), drawn from N(0, I)."""
        return self.space.restore(self.generator(z))


def build_noise_model(config: NoiseConfig) -> NoiseModel | FeatureNoiseModel:
    """Build the model of the noise kind that `config.generator` names."""
    return FeatureNoiseModel(config) if config.generator == "features" else NoiseModel(config)


def build_noise_discriminator(config: NoiseConfig, vgg: VGG19 | None = None) -> OneDiscriminator | FeatureDiscriminator:
    """Build the unconditional discriminator of the noise kind; a projected one needs `vgg`."""
    if config.generator == "features":
        return FeatureDiscriminator(config.components, config.critic_widths)
    if config.discriminator == "projected":
        assert vgg is not None, "a projected discriminator needs VGG19"
        return ProjectedDiscriminator(vgg, 0)
    return PatchDiscriminator(config.critic_widths, 0, config.discriminator_scales, config.discriminator_spectral)


class MatchingModel(nn.Module):
    """The model of the matching kind: a `decoder`. The frozen VGG19 that computes hypercolumns is not part of it."""

    def __init__(self, config: MatchingConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = Decoder(config.widths, config.blocks)

    def forward(self, features: Tensor) -> Tensor:
        """Decode hypercolumns (B, 640, h, w), not scaled, to pictures (B, 3, 4h, 4w) in [0, 1]."""
        pictures: Tensor = self.decoder(features).clamp(0, 1)
        return pictures


def build_matching_discriminator(
    config: MatchingConfig, vgg: VGG19 | None = None
) -> OneDiscriminator | CombinedDiscriminator:
    """Build the unconditional discriminator of the matching kind; `projected` and `both` need `vgg`.

    A patch discriminator has no spectral norm: with it, its accuracy stayed at chance. Recipes use R1 instead.
    """
    patch = PatchDiscriminator(config.discriminator_widths, 0, config.discriminator_scales, spectral=False)
    if config.discriminator == "patch":
        return patch
    assert vgg is not None, "a projected discriminator needs VGG19"
    projected = ProjectedDiscriminator(vgg, 0)
    return projected if config.discriminator == "projected" else CombinedDiscriminator(patch, projected)
