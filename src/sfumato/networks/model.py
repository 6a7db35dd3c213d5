"""The assembled models, one a kind, each from a config of plain numbers."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator
from torch import Tensor, nn

from sfumato.config import Config
from sfumato.networks.collection_generator import CollectionGenerator, Normalization
from sfumato.networks.decoder import Decoder
from sfumato.networks.discriminator import (
    CombinedDiscriminator,
    PairDiscriminator,
    PatchDiscriminator,
    ProjectedDiscriminator,
)
from sfumato.networks.generator import Generator
from sfumato.networks.noise_generator import WIDTHS, NoiseGenerator
from sfumato.networks.patch_head import PatchSampler
from sfumato.networks.perceptual import VGG19
from sfumato.networks.style_encoder import StyleEncoder

#: What the discriminator looks with: with layers of its own, or with VGG19's (`networks.discriminator`).
DiscriminatorKind: TypeAlias = Literal["patch", "projected"]
# Bounds are several times what was ever of use. A file of weights brings its config along: without bounds, one of a few
# kilobytes could ask for any time and memory.
_Channels: TypeAlias = Annotated[int, Field(ge=1, le=1024)]
_Features: TypeAlias = Annotated[int, Field(ge=1, le=4096)]  # numbers of a vector, which no kernel multiplies
_Blocks: TypeAlias = Annotated[int, Field(ge=1, le=64)]
_Halvings: TypeAlias = Annotated[tuple[_Channels, ...], Field(min_length=1, max_length=5)]
_Scales: TypeAlias = Annotated[int, Field(ge=1, le=3)]


class ModelConfig(Config):
    """Shapes of the networks; the defaults are the shipped model's."""

    widths: tuple[_Channels, _Channels, _Channels] = (32, 64, 128)  # generator channels at strides 2, 4, 8
    blocks: _Blocks = 2  # residual blocks at stride 8
    texture_size: _Features = 96  # learnt part of a style code
    style_size: _Features = 256  # features that the generator's affines read
    discriminator: DiscriminatorKind = "patch"
    discriminator_widths: _Halvings = (32, 64, 128)  # of patch, as scales and spectral
    discriminator_scales: _Scales = 2
    discriminator_spectral: bool = True  # spectral norm; without it a penalty must hold the slope
    discriminator_conditional: bool = True  # it is told the style code


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
    """`vgg` is what a projected one looks with."""
    return _discriminator(config, code_size if config.discriminator_conditional else 0, vgg)


def _discriminator(
    config: ModelConfig | CollectionConfig | NoiseConfig, code_size: int, vgg: VGG19 | None
) -> OneDiscriminator:
    if config.discriminator == "projected":
        assert vgg is not None, "a projected discriminator looks with VGG19"
        return ProjectedDiscriminator(vgg, code_size)
    widths, scales = config.discriminator_widths, config.discriminator_scales
    return PatchDiscriminator(widths, code_size, scales, config.discriminator_spectral)


class CollectionConfig(Config):
    """Shapes of the networks of one collection."""

    widths: tuple[_Channels, _Channels, _Channels] = (32, 64, 128)  # generator channels at strides 2, 4, 8
    blocks: _Blocks = 6  # residual blocks at stride 8
    normalization: Normalization = "instance"
    discriminator: DiscriminatorKind = "patch"
    discriminator_widths: _Halvings = (32, 64, 128)  # of patch, as scales and spectral
    discriminator_scales: _Scales = 2
    discriminator_spectral: bool = True  # spectral norm; without it a penalty must hold the slope
    cycle: bool = False  # there and back (CycleGAN); otherwise contrast of patches keeps the photo (CUT)


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
    """Unconditional; with `cycle` one of paintings and one of photos. `vgg` is what projected ones look with."""
    paintings = _discriminator(config, 0, vgg)
    return PairDiscriminator(paintings, _discriminator(config, 0, vgg)) if config.cycle else paintings


class NoiseConfig(Config):
    """Shapes of a generator of pictures out of noise, and of its discriminator."""

    z_size: _Features = 100  # as DCGAN's (Radford et al. 2016)
    side: Literal[64, 128] = 64  # pixels
    widths: tuple[_Channels, ...] | None = None  # channels at sides 4, 8, ..., `side`; None: about 1 M weights
    discriminator: DiscriminatorKind = "patch"
    # Of patch. Four halvings, at two scales: a patch of the coarser one sees 92 pixels, the whole of a picture of 64.
    # Without a photo nothing else asks for a composition.
    discriminator_widths: _Halvings = (32, 64, 128, 128)
    discriminator_scales: _Scales = 2
    discriminator_spectral: bool = False  # R1 and R2 hold its slope

    @model_validator(mode="after")
    def _check(self) -> Self:
        octaves = len(WIDTHS[self.side])
        if self.widths is not None and len(self.widths) != octaves:
            raise ValueError(f"widths must be {octaves} numbers for a side of {self.side}, one an octave")
        if self.side >> (len(self.discriminator_widths) + self.discriminator_scales - 1) < 1:
            raise ValueError(f"the discriminator halves a side of {self.side} away; give it fewer widths or scales")
        return self


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
    """`vgg` is what a projected one looks with."""
    return _discriminator(config, 0, vgg)


class MatchingConfig(Config):
    """Shapes of a decoder of hypercolumns, and of its discriminators."""

    widths: tuple[_Channels, _Channels, _Channels] = (160, 64, 32)  # channels at strides 4, 2, 1
    blocks: _Blocks = 4  # residual blocks at stride 4
    discriminator: Literal["patch", "projected", "both"] = "patch"
    discriminator_widths: _Halvings = (32, 64, 128)  # patch
    discriminator_scales: _Scales = 2  # of patch


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
