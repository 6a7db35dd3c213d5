"""The networks as their graphs have them: torch modules with one graph's inputs and outputs each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.inference.feature_networks import MARGIN
from sfumato.networks.hypercolumn import HYPERCOLUMN_LAYERS, LAYER_CHANNELS, pooled_layers
from sfumato.networks.hypercolumn import STRIDE as CELL
from sfumato.networks.model import CollectionModel, MatchingModel, StyleTransferModel
from sfumato.networks.perceptual import VGG19, load_vgg19_weights


class StyleEncoderGraph(nn.Module):
    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.style_encoder = model.style_encoder

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.style_encoder.encode_full(picture)


class StatisticsGraph(nn.Module):
    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        return self.generator.measure(thumbnail, code)


class CollectionStatisticsGraph(nn.Module):
    def __init__(self, model: CollectionModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, thumbnail: Tensor) -> Tensor:
        return self.generator.measure(thumbnail)


class GeneratorGraph(nn.Module):
    def __init__(self, model: StyleTransferModel | CollectionModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, picture: Tensor, norm_params: Tensor, origin: Tensor) -> Tensor:
        output: Tensor = self.generator(picture, norm_params, origin)
        return output.clamp(0, 1)


class DiscriminatorGraph(nn.Module):
    """Its logits (B, 1, h', w'): the mean of the logits at all scales, above 0 where it sees paint."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, picture: Tensor, code: Tensor | None = None) -> Tensor:
        finest, *others = self.discriminator(picture, code)
        size = finest.shape[2:]
        enlarged = [F.interpolate(logits, size, mode="bilinear", align_corners=False) for logits in others]
        return torch.stack([finest, *enlarged]).mean(0)


class EncoderGraph(nn.Module):
    """Pictures to places: hypercolumns, each layer weighted by the decoder's scale, and mean colours. The places near
    the border, where VGG19 sees the padding, are left out."""

    scale: Tensor

    def __init__(self, model: MatchingModel) -> None:
        super().__init__()
        self.vgg = VGG19(load_vgg19_weights(), HYPERCOLUMN_LAYERS)
        self.register_buffer("scale", model.decoder.scale.clone())

    def forward(self, picture: Tensor) -> Tensor:
        inner = slice(MARGIN // CELL, -MARGIN // CELL)
        layers, scales = pooled_layers(self.vgg(picture, HYPERCOLUMN_LAYERS)), self.scale.split(LAYER_CHANNELS, 1)
        # Layer by layer, so that only one array has all channels.
        parts = [layer[:, :, inner, inner] * scale for layer, scale in zip(layers, scales, strict=True)]
        return torch.cat([*parts, F.avg_pool2d(picture, CELL)[:, :, inner, inner]], 1)


class EntryGraph(nn.Module):
    """Scaled hypercolumns to what the decoder sees of them."""

    def __init__(self, model: MatchingModel) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, features: Tensor) -> Tensor:
        return self.decoder.entered(features / self.decoder.scale)


class DecoderGraph(nn.Module):
    def __init__(self, model: MatchingModel) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, entered: Tensor) -> Tensor:
        return self.decoder.paint(entered)
