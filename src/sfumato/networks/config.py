"""Shapes of the models, one config a kind: plain numbers, known without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from sfumato.config import Config

#: How a collection's features are normalised (`networks.collection_generator.Norm`).
Normalization: TypeAlias = Literal["instance", "batch", "none"]
#: Channels of a noise generator at sides 4, 8, ..., by the side that it paints: about 1 M weights.
NOISE_WIDTHS = {64: (160, 160, 128, 64, 32), 128: (160, 160, 128, 64, 32, 16)}
#: What the discriminator sees pictures through: layers of its own, or VGG19's (`networks.discriminator`).
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
    style_size: _Features = 256  # features that the generator's norm_params read
    discriminator: DiscriminatorKind = "patch"  # layers of its own, or heads on VGG19's features
    discriminator_widths: _Halvings = (32, 64, 128)  # of patch, as scales and spectral: channels, a halving each
    discriminator_scales: _Scales = 2  # sizes of the picture that are judged, each half of the one before
    discriminator_spectral: bool = True  # spectral norm; without it a penalty must hold the slope
    discriminator_conditional: bool = True  # it is told the style code


class CollectionConfig(Config):
    """Shapes of the networks of one collection."""

    widths: tuple[_Channels, _Channels, _Channels] = (32, 64, 128)  # generator channels at strides 2, 4, 8
    blocks: _Blocks = 6  # residual blocks at stride 8
    normalization: Normalization = "instance"  # by each picture's statistics, or by running averages, or not at all
    discriminator: DiscriminatorKind = "patch"  # layers of its own, or heads on VGG19's features
    discriminator_widths: _Halvings = (32, 64, 128)  # of patch, as scales and spectral: channels, a halving each
    discriminator_scales: _Scales = 2  # sizes of the picture that are judged, each half of the one before
    discriminator_spectral: bool = True  # spectral norm; without it a penalty must hold the slope
    cycle: bool = False  # there and back (CycleGAN); otherwise contrast of patches keeps the photo (CUT)


class NoiseConfig(Config):
    """Shapes of a generator of pictures out of noise, and of its discriminator."""

    z_size: _Features = 100  # as DCGAN's (Radford et al. 2016)
    side: Literal[64, 128] = 64  # pixels
    widths: tuple[_Channels, ...] | None = None  # channels at sides 4, 8, ..., `side`; None: about 1 M weights
    discriminator: DiscriminatorKind = "patch"  # layers of its own, or heads on VGG19's features
    # Of patch. Four halvings, at two scales: a patch of the coarser one sees 92 pixels, the whole of a picture of 64.
    # Without a photo nothing else asks for a composition.
    discriminator_widths: _Halvings = (32, 64, 128, 128)  # of patch, as scales and spectral: channels, a halving each
    discriminator_scales: _Scales = 2  # sizes of the picture that are judged, each half of the one before
    discriminator_spectral: bool = False  # R1 and R2 hold its slope

    @model_validator(mode="after")
    def _check(self) -> Self:
        octaves = len(NOISE_WIDTHS[self.side])
        if self.widths is not None and len(self.widths) != octaves:
            raise ValueError(f"widths must be {octaves} numbers for a side of {self.side}, one an octave")
        if self.side >> (len(self.discriminator_widths) + self.discriminator_scales - 1) < 1:
            raise ValueError(f"the discriminator halves a side of {self.side} away; give it fewer widths or scales")
        return self


class MatchingConfig(Config):
    """Shapes of a decoder of hypercolumns, and of its discriminators."""

    widths: tuple[_Channels, _Channels, _Channels] = (160, 64, 32)  # channels at strides 4, 2, 1
    blocks: _Blocks = 4  # residual blocks at stride 4
    discriminator: Literal["patch", "projected", "both"] = "patch"  # layers of its own, or heads on VGG19's features
    discriminator_widths: _Halvings = (32, 64, 128)  # of patch: channels, a halving each
    discriminator_scales: _Scales = 2  # of patch: sizes of the picture that are judged, each half of the one before
