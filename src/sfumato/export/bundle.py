"""The bundle of each kind of model: its graphs, the inputs of its parity check, and entries of its card."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from sfumato.checkpoint import Model, packed, unpacked
from sfumato.data.batches import STYLE_THUMBNAIL
from sfumato.export.networks import (
    CollectionStatisticsGraph,
    DecoderGraph,
    DiscriminatorGraph,
    EncoderGraph,
    EntryGraph,
    GeneratorGraph,
    StatisticsGraph,
    StyleEncoderGraph,
)
from sfumato.inference.feature_networks import MARGIN
from sfumato.networks.discriminator import ProjectedDiscriminator
from sfumato.networks.hypercolumn import CHANNELS
from sfumato.networks.hypercolumn import STRIDE as CELL
from sfumato.networks.hypercolumn_gradient import HypercolumnGradient
from sfumato.networks.model import (
    CollectionModel,
    FeatureNoiseModel,
    MatchingModel,
    NoiseModel,
    StyleTransferModel,
)
from sfumato.style_code import COLOUR_STATS_SIZE

#: Shapes of the pictures that graphs are traced with.
_THUMBNAIL, PHOTO = (1, 3, 48, 67), (1, 3, 75, 93)
_ORIGIN, _FAR = (16, 32), (4096, 272)  # origins of a tile, in tracing and in the parity check
#: Sizes of the pictures of the parity check, height and width in pixels.
PARITY_SIZES = ((16, 16), (17, 31), (75, 93), (128, 200))
PARITY_BATCHES = (1, 2, 5)  # batch sizes of z in the parity check
#: A graph: its module, the inputs for tracing, their names, and its outputs' names.
Graph: TypeAlias = tuple[nn.Module, tuple[Tensor, ...], list[str], list[str]]


@dataclass(frozen=True)
class Bundle:
    """The parts of an exported model.

    Attributes:
        graphs: graphs by name.
        inputs: maps one of `tried` to the inputs of each graph in the parity check.
        tried: pictures (1, 3, h, w), or z (B, Z).
        shipped: the module whose parameters the card counts.
        facts: entries of the card.
    """

    graphs: dict[str, Graph]
    inputs: Callable[[Tensor], dict[str, tuple[Tensor, ...]]]
    tried: list[Tensor]
    shipped: nn.Module
    facts: dict[str, Any] = field(default_factory=dict)


def bundle_of(model: Model, discriminator: nn.Module | None) -> Bundle:
    """Return the bundle of a model; `discriminator` is an output of `exported_discriminator`, or None."""
    if isinstance(model, NoiseModel | FeatureNoiseModel):
        return _of_noise(model)
    if isinstance(model, MatchingModel):
        return _of_matching(model)
    return (
        _of_collection(model, discriminator) if isinstance(model, CollectionModel) else _of_styles(model, discriminator)
    )


def _of_styles(model: StyleTransferModel, discriminator: nn.Module | None) -> Bundle:
    """Return the bundle of a model of the arbitrary kind."""
    thumbnail, photo, origin = torch.rand(_THUMBNAIL), torch.rand(PHOTO), torch.tensor(_ORIGIN)
    code, _, channel_stats = model.style_encoder.encode_full(thumbnail)
    norm_params = model.generator.measure(thumbnail, code)
    graphs: dict[str, Graph] = {
        "style_encoder": (StyleEncoderGraph(model), (thumbnail,), ["picture"], ["code", "features", "channel_stats"]),
        "statistics": (StatisticsGraph(model), (thumbnail, code), ["thumbnail", "code"], ["norm_params"]),
        "generator": (
            GeneratorGraph(model),
            (photo, norm_params, origin),
            ["picture", "norm_params", "origin"],
            ["stylized"],
        ),
    }
    conditional = model.config.discriminator_conditional
    if discriminator is not None:
        given, names = ((photo, code), ["picture", "code"]) if conditional else ((photo,), ["picture"])
        graphs["discriminator"] = (discriminator, given, names, ["logits"])

    def inputs(picture: Tensor) -> dict[str, tuple[Tensor, ...]]:
        code = model.style_encoder(picture)
        painter = picture, model.generator.measure(picture, code), torch.tensor(_FAR)
        with_code = picture, code
        return {
            "style_encoder": (picture,),
            "statistics": with_code,
            "generator": painter,
            "discriminator": with_code if conditional else (picture,),
        }

    # The range of a code that holds the palette: mean colour and root of the covariance (`ColourStats.pack`).
    palette = [code.shape[1] - COLOUR_STATS_SIZE, code.shape[1] - COLOUR_STATS_SIZE + 9]
    sizes = {
        "code_size": int(code.shape[1]),
        "channel_stats_size": int(channel_stats.shape[1]),
        "norm_params": int(norm_params.shape[1]),
    }
    facts = {"thumbnail": STYLE_THUMBNAIL, **sizes, "palette": palette, "conditional": conditional}
    return Bundle(graphs, inputs, parity_pictures(), model, facts)


def _of_collection(model: CollectionModel, discriminator: nn.Module | None) -> Bundle:
    """Return the bundle of a collection's model, which has no style code and no encoder.

    The generator back to photos and the heads have no graph. The weights file holds them for further training.
    """
    thumbnail, photo, origin = torch.rand(_THUMBNAIL), torch.rand(PHOTO), torch.tensor(_ORIGIN)
    norm_params = model.generator.measure(thumbnail)
    graphs: dict[str, Graph] = {
        "statistics": (CollectionStatisticsGraph(model), (thumbnail,), ["thumbnail"], ["norm_params"]),
        "generator": (
            GeneratorGraph(model),
            (photo, norm_params, origin),
            ["picture", "norm_params", "origin"],
            ["stylized"],
        ),
    }
    if discriminator is not None:
        graphs["discriminator"] = (discriminator, (photo,), ["picture"], ["logits"])

    def inputs(picture: Tensor) -> dict[str, tuple[Tensor, ...]]:
        painter = picture, model.generator.measure(picture), torch.tensor(_FAR)
        return {"statistics": (picture,), "generator": painter, "discriminator": (picture,)}

    sizes = {"code_size": 0, "channel_stats_size": 0, "norm_params": int(norm_params.shape[1])}
    facts = {"thumbnail": STYLE_THUMBNAIL, **sizes, "palette": [], "conditional": False}
    return Bundle(graphs, inputs, parity_pictures(), model.generator, facts)


def _of_matching(model: MatchingModel) -> Bundle:
    """Return the bundle of a model of the matching kind.

    Its graphs are the encoder, the decoder in two parts, and the gradient that refines a picture. The matching between
    encoder and decoder is done in NumPy (`inference.matching`).
    """
    encoder, entry = EncoderGraph(model).eval(), EntryGraph(model)
    round_weights(encoder.vgg, in_bytes=True)

    def inputs(picture: Tensor) -> dict[str, tuple[Tensor, ...]]:
        picture = picture[:, :, : picture.shape[2] // CELL * CELL, : picture.shape[3] // CELL * CELL]
        framed = F.pad(picture, [MARGIN] * 4, mode="replicate")
        features, others = encoder(framed)[:, :CHANNELS], encoder(framed.flip(3))[:, :CHANNELS]
        return {
            "encoder": (framed,),
            "entry": (features,),
            "decoder": (entry(features),),
            "gradient": (picture, others),
        }

    shown = inputs(torch.rand(1, 3, 76, 92))
    gradient = HypercolumnGradient(encoder.vgg, encoder.scale)
    graphs: dict[str, Graph] = {
        "encoder": (encoder, shown["encoder"], ["picture"], ["places"]),
        "entry": (entry, shown["entry"], ["features"], ["entered"]),
        "decoder": (DecoderGraph(model), shown["decoder"], ["entered"], ["painted"]),
        "gradient": (gradient, shown["gradient"], ["picture", "features"], ["gradient"]),
    }
    return Bundle(graphs, inputs, parity_pictures(), model)


def _of_noise(model: NoiseModel | FeatureNoiseModel) -> Bundle:
    """Return the bundle of a model of the noise kind; it has no discriminator, which only explains stylised photos.

    The graph of a generator of features ends at the decoder's entry features. The decoder is a graph of its own, which
    `onnx.export_model` copies.
    """
    z_size, generator = model.config.z_size, torch.Generator().manual_seed(0)
    output = "pictures" if isinstance(model, NoiseModel) else "generated"
    return Bundle(
        {"generator": (model, (torch.randn(2, z_size),), ["z"], [output])},
        lambda z: {"generator": (z,)},
        [torch.randn(batch, z_size, generator=generator) for batch in PARITY_BATCHES],
        model,
        {"z_size": z_size, "side": model.config.side, "generator": model.config.generator},
    )


def parity_pictures() -> list[Tensor]:
    """Make smooth pictures for the parity check, some with sizes that are not multiples of the networks' strides."""
    generator = torch.Generator().manual_seed(0)
    noise = [torch.rand(1, 3, 8, 8, generator=generator) for _ in PARITY_SIZES]
    return [F.interpolate(x, size, mode="bicubic").clamp(0, 1) for x, size in zip(noise, PARITY_SIZES, strict=True)]


def round_weights(model: nn.Module, in_bytes: bool) -> None:
    """Round a model's weights as bundles store them: to 16 bits or, with `in_bytes`, kernels and matrices to 8."""
    model.load_state_dict(unpacked(packed(model, in_bytes)))


def exported_discriminator(discriminator: nn.Module, in_bytes: bool) -> nn.Module:
    """Return a copy for export: spectral norms are folded into the weights, which are rounded as bundles store them."""
    plain = copy.deepcopy(discriminator).cpu().eval()
    for module in list(plain.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    round_weights(plain, in_bytes)
    if isinstance(plain, ProjectedDiscriminator):
        round_weights(plain.vgg.cpu(), in_bytes)
    return DiscriminatorGraph(plain).eval()


def write_card(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the bundle's card.json."""
    (folder / "card.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
