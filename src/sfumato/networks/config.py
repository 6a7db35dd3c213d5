"""Shapes of the networks, one config for each kind of model, readable without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from sfumato.config import Config

#: How a collection's features are normalised (`networks.collection_generator.Norm`).
Normalization: TypeAlias = Literal["instance", "batch", "none"]
#: Channels of a noise generator at sides 4, 8, ..., by the side of its pictures: about 1 M weights.
NOISE_WIDTHS = {64: (160, 160, 128, 64, 32), 128: (160, 160, 128, 64, 32, 16)}
#: Channels of a generator of feature maps, by the side of its pictures.
FEATURE_WIDTHS = {64: (64,), 128: (64,), 256: (48,)}
#: Channels of the discriminator of feature maps from their full size down to a side of 4, by the side of the pictures.
FEATURE_DISCRIMINATOR_WIDTHS = {64: (64, 128, 256), 128: (64, 128, 192, 256), 256: (48, 64, 128, 192, 256)}
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
    """Shapes of a generator of pictures from noise, and of its discriminator.

    Attributes:
        generator: `features`: a generator of feature maps, which the shipped decoder paints, with a discriminator of
            feature maps; `pixels`: a generator of pixels (DCGAN).
        components: channels of the feature maps; only for `features`.
        crops: different crops of each painting, every second one mirrored; their features are kept in memory; only for
            `features`.
        widths: channels of the generator: for `pixels` at sides 4, 8, ..., up to `side`, for `features` one number;
            None: usual ones.
        discriminator_widths: channels of the stride-2 convolutions for `pixels`; for `features` those from `side` / 4
            down to 4; None: usual ones.
    """

    generator: Literal["features", "pixels"] = "features"
    z_size: _Features = 100  # size of z, as in DCGAN (Radford et al. 2016)
    side: Literal[64, 128, 256] = 128  # side of the pictures, in pixels; 256 only for features
    components: Annotated[int, Field(ge=1, le=160)] = 32
    crops: Annotated[int, Field(ge=1, le=64)] = 6
    widths: tuple[_Channels, ...] | None = None
    discriminator: DiscriminatorKind = "patch"  # pixels only; projected: heads on VGG19's features
    discriminator_widths: _Halvings | None = None
    discriminator_scales: _Scales = 2  # pixels and patch only: number of picture sizes, each half the one before
    discriminator_spectral: bool = False  # pixels and patch only: spectral norm; R1 and R2 bound the gradient instead

    @property
    def generator_widths(self) -> tuple[int, ...]:
        """Channels of the generator."""
        return self.widths or (FEATURE_WIDTHS if self.generator == "features" else NOISE_WIDTHS)[self.side]

    @property
    def critic_widths(self) -> tuple[int, ...]:
        """Channels of the discriminator."""
        if self.generator == "features":
            return self.discriminator_widths or FEATURE_DISCRIMINATOR_WIDTHS[self.side]
        # Four stride-2 convolutions at two scales give the coarser one a receptive field of 92 pixels, more than a
        # picture of 64. Without a photo nothing else rewards a composition.
        return self.discriminator_widths or (32, 64, 128, 128)

    @model_validator(mode="after")
    def _check(self) -> Self:
        features = self.generator == "features"
        if not features and self.side not in NOISE_WIDTHS:
            raise ValueError(f"side must be {' or '.join(map(str, NOISE_WIDTHS))} for pixels, not {self.side}")
        count = len((FEATURE_WIDTHS if features else NOISE_WIDTHS)[self.side])
        if len(self.generator_widths) != count:
            if features:
                raise ValueError("widths must be one number for features")
            raise ValueError(f"widths must be {count} numbers for a side of {self.side}, one for each octave")
        if features:
            octaves = len(FEATURE_DISCRIMINATOR_WIDTHS[self.side])
            if len(self.critic_widths) != octaves:
                raise ValueError(
                    f"discriminator_widths must be {octaves} numbers for a side of {self.side}, one for each octave"
                )
            if self.discriminator != "patch":
                raise ValueError("a discriminator of features has no other kind; leave noise.discriminator out")
        elif self.side >> (len(self.critic_widths) + self.discriminator_scales - 1) < 1:
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
