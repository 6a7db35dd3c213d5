"""Modules to be exported: each has the inputs and outputs of one graph."""

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
    """The graph of the style encoder."""

    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.style_encoder = model.style_encoder

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return code, features and channel statistics of a picture, as `StyleEncoder.encode_full` does."""
        return self.style_encoder.encode_full(picture)


class StatisticsGraph(nn.Module):
    """The graph that measures norm_params under a style code."""

    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        """Return norm_params (B, A) of a thumbnail (B, 3, h, w) under a code (B, D)."""
        return self.generator.measure(thumbnail, code)


class CollectionStatisticsGraph(nn.Module):
    """The graph that measures a collection's norm_params."""

    def __init__(self, model: CollectionModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, thumbnail: Tensor) -> Tensor:
        """Return norm_params (B, A) of a thumbnail (B, 3, h, w)."""
        return self.generator.measure(thumbnail)


class GeneratorGraph(nn.Module):
    """The graph of a generator, clipped to [0, 1]."""

    def __init__(self, model: StyleTransferModel | CollectionModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, picture: Tensor, norm_params: Tensor, origin: Tensor) -> Tensor:
        """Paint a picture or tile (B, 3, H, W) at `origin` (2,) under norm_params (B, A): (B, 3, H, W) in [0, 1]."""
        output: Tensor = self.generator(picture, norm_params, origin)
        return output.clamp(0, 1)


class DiscriminatorGraph(nn.Module):
    """The graph of a discriminator, with one logit map."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, picture: Tensor, code: Tensor | None = None) -> Tensor:
        """Return the mean of the logit maps of all scales, (B, 1, h', w'): above 0 for "painted"."""
        finest, *others = self.discriminator(picture, code)
        size = finest.shape[2:]
        enlarged = [F.interpolate(logits, size, mode="bilinear", align_corners=False) for logits in others]
        return torch.stack([finest, *enlarged]).mean(0)


class EncoderGraph(nn.Module):
    """The graph that encodes pictures as places: hypercolumns scaled by the decoder's `scale`, and mean colours.

    Places near the border, whose receptive field includes VGG19's padding, are left out.
    """

    scale: Tensor

    def __init__(self, model: MatchingModel) -> None:
        super().__init__()
        self.vgg = VGG19(load_vgg19_weights(), HYPERCOLUMN_LAYERS)
        self.register_buffer("scale", model.decoder.scale.clone())

    def forward(self, picture: Tensor) -> Tensor:
        """Return the places (B, 640 + 3, h, w) of pictures (B, 3, H, W), without `MARGIN` pixels on each side."""
        inner = slice(MARGIN // CELL, -MARGIN // CELL)
        layers, scales = pooled_layers(self.vgg(picture, HYPERCOLUMN_LAYERS)), self.scale.split(LAYER_CHANNELS, 1)
        # Layer by layer, so that only one tensor has all channels.
        parts = [layer[:, :, inner, inner] * scale for layer, scale in zip(layers, scales, strict=True)]
        return torch.cat([*parts, F.avg_pool2d(picture, CELL)[:, :, inner, inner]], 1)


class EntryGraph(nn.Module):
    """The graph of the decoder's first layer."""

    def __init__(self, model: MatchingModel) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, features: Tensor) -> Tensor:
        """Map scaled hypercolumns (B, 640, h, w) to the decoder's entry features (B, C, h, w)."""
        return self.decoder.entered(features / self.decoder.scale)


class DecoderGraph(nn.Module):
    """The graph of the decoder's other layers."""

    def __init__(self, model: MatchingModel) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, entered: Tensor) -> Tensor:
        """Decode entry features (B, C, h, w) to pictures (B, 3, 4h, 4w)."""
        return self.decoder.paint(entered)
