"""The assembled models, from configs of plain numbers: any style by its code, or one collection's own."""

from __future__ import annotations

from torch import Tensor, nn

from sfumato.config import Config
from sfumato.networks.collection_generator import CollectionGenerator, Normalization
from sfumato.networks.discriminator import PairDiscriminator, PatchDiscriminator
from sfumato.networks.generator import Generator
from sfumato.networks.patch_head import PatchSampler
from sfumato.networks.style_encoder import StyleEncoder


class ModelConfig(Config):
    """Shapes of the networks; the defaults are the shipped model's."""

    widths: tuple[int, int, int] = (32, 64, 128)  # generator channels at strides 2, 4, 8
    blocks: int = 2  # residual blocks at stride 8
    texture_size: int = 96  # learnt part of a style code
    style_size: int = 256  # features that the generator's affines read
    discriminator_widths: tuple[int, ...] = (32, 64, 128)
    discriminator_scales: int = 2
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


def fuse(style: Tensor, content: Tensor, strength: float | Tensor) -> Tensor:
    """z = s·z_style + (1 - s)·z_content, codes (B, D), strength in [0, 1]."""
    return strength * style + (1 - strength) * content


def build_discriminator(config: ModelConfig, code_size: int) -> PatchDiscriminator:
    told = code_size if config.discriminator_conditional else 0
    widths, scales = config.discriminator_widths, config.discriminator_scales
    return PatchDiscriminator(widths, told, scales, config.discriminator_spectral)


class CollectionConfig(Config):
    """Shapes of the networks of one collection."""

    widths: tuple[int, int, int] = (32, 64, 128)  # generator channels at strides 2, 4, 8
    blocks: int = 6  # residual blocks at stride 8
    normalization: Normalization = "instance"
    discriminator_widths: tuple[int, ...] = (32, 64, 128)
    discriminator_scales: int = 2
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


def build_collection_discriminator(config: CollectionConfig) -> PatchDiscriminator | PairDiscriminator:
    """Unconditional; with `cycle` one of paintings and one of photos."""

    def new() -> PatchDiscriminator:
        widths, scales = config.discriminator_widths, config.discriminator_scales
        return PatchDiscriminator(widths, 0, scales, config.discriminator_spectral)

    return PairDiscriminator(new(), new()) if config.cycle else new()
