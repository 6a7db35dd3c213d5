"""Shapes of the networks, one config for each kind of model, readable without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from sfumato.config import Config

#: How a collection's features are normalised (`networks.collection_generator.Norm`).
Normalization: TypeAlias = Literal["instance", "batch", "none"]
#: Channels of a noise generator at sides 4, 8, ..., by the side of its pictures: about 1 M weights.
NOISE_WIDTHS = {64: (160, 160, 128, 64, 32), 128: (160, 160, 128, 64, 32, 16)}
#: The discriminator: `patch` has convolutions of its own, `projected` has heads on VGG19's features.
DiscriminatorKind: TypeAlias = Literal["patch", "projected"]
# Bounds are several times the largest useful values. A weights file contains its config: without bounds, a file of a
# few kilobytes could demand any amount of time and memory.
_Channels: TypeAlias = Annotated[int, Field(ge=1, le=1024)]
_Features: TypeAlias = Annotated[int, Field(ge=1, le=4096)]  # size of a vector; not multiplied by a kernel's area
_Blocks: TypeAlias = Annotated[int, Field(ge=1, le=64)]
_Halvings: TypeAlias = Annotated[tuple[_Channels, ...], Field(min_length=1, max_length=5)]
_Scales: TypeAlias = Annotated[int, Field(ge=1, le=3)]


class ModelConfig(Config):
    """Shapes of the networks of the arbitrary kind; the defaults are those of the shipped model."""

    widths: tuple[_Channels, _Channels, _Channels] = (32, 64, 128)  # generator channels at strides 2, 4, 8
    blocks: _Blocks = 2  # residual blocks at stride 8
    texture_size: _Features = 96  # size of the learnt part of a style code
    style_size: _Features = 256  # size of the style features from which norm_params are computed
    discriminator: DiscriminatorKind = "patch"  # patch: own convolutions; projected: heads on VGG19's features
    discriminator_widths: _Halvings = (32, 64, 128)  # patch only: channels of its stride-2 convolutions
    discriminator_scales: _Scales = 2  # patch only: number of picture sizes, each half the one before
    discriminator_spectral: bool = True  # patch only: spectral norm; without it, use a gradient penalty
    discriminator_conditional: bool = True  # whether the discriminator is conditional on the style code


class CollectionConfig(Config):
    """Shapes of the networks of one collection."""

    widths: tuple[_Channels, _Channels, _Channels] = (32, 64, 128)  # generator channels at strides 2, 4, 8
    blocks: _Blocks = 6  # residual blocks at stride 8
    normalization: Normalization = "instance"  # instance or batch normalisation, or none
    discriminator: DiscriminatorKind = "patch"  # patch: own convolutions; projected: heads on VGG19's features
    discriminator_widths: _Halvings = (32, 64, 128)  # patch only: channels of its stride-2 convolutions
    discriminator_scales: _Scales = 2  # patch only: number of picture sizes, each half the one before
    discriminator_spectral: bool = True  # patch only: spectral norm; without it, use a gradient penalty
    cycle: bool = False  # preserve content by cycle consistency (CycleGAN) instead of PatchNCE (CUT)


class NoiseConfig(Config):
    """Shapes of a generator of pictures from noise, and of its discriminator."""

    z_size: _Features = 100  # size of z, as in DCGAN (Radford et al. 2016)
    side: Literal[64, 128] = 64  # side of the pictures, in pixels
    widths: tuple[_Channels, ...] | None = None  # channels at sides 4, 8, ..., `side`; None: about 1 M weights
    discriminator: DiscriminatorKind = "patch"  # patch: own convolutions; projected: heads on VGG19's features
    # Four stride-2 convolutions at two scales give the coarser one a receptive field of 92 pixels, more than a picture
    # of 64. Without a photo nothing else rewards a composition.
    discriminator_widths: _Halvings = (32, 64, 128, 128)  # patch only: channels of its stride-2 convolutions
    discriminator_scales: _Scales = 2  # patch only: number of picture sizes, each half the one before
    discriminator_spectral: bool = False  # patch only: spectral norm; off, because R1 and R2 bound the gradient

    @model_validator(mode="after")
    def _check(self) -> Self:
        octaves = len(NOISE_WIDTHS[self.side])
        if self.widths is not None and len(self.widths) != octaves:
            raise ValueError(f"widths must be {octaves} numbers for a side of {self.side}, one for each octave")
        if self.side >> (len(self.discriminator_widths) + self.discriminator_scales - 1) < 1:
            raise ValueError(
                f"the discriminator halves a side of {self.side} too often; give fewer discriminator_widths or "
                "discriminator_scales"
            )
        return self


class MatchingConfig(Config):
    """Shapes of a decoder of hypercolumns, and of its discriminators."""

    widths: tuple[_Channels, _Channels, _Channels] = (160, 64, 32)  # channels at strides 4, 2, 1
    blocks: _Blocks = 4  # residual blocks at stride 4
    discriminator: Literal["patch", "projected", "both"] = "patch"  # as for the other kinds; both: one of each
    discriminator_widths: _Halvings = (32, 64, 128)  # patch only: channels of its stride-2 convolutions
    discriminator_scales: _Scales = 2  # patch only: number of picture sizes, each half the one before
