"""Torch to ONNX: graphs that take any picture size, or any number of z, checked against torch before they are kept."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from sfumato import __version__
from sfumato.checkpoint import (
    Model,
    is_weight,
    kind_of,
    load_model,
    packed,
    save_model,
    to_levels,
    unpacked,
)
from sfumato.data.batches import STYLE_THUMBNAIL
from sfumato.errors import ModelError
from sfumato.export.eight_bits import calibration_pictures, quantise
from sfumato.files import new_directory
from sfumato.inference.feature_networks import MARGIN
from sfumato.inference.session import WEIGHTS
from sfumato.networks.discriminator import PairDiscriminator, ProjectedDiscriminator
from sfumato.networks.hypercolumn import CHANNELS, HYPERCOLUMN_LAYERS, LAYER_CHANNELS, pooled_layers
from sfumato.networks.hypercolumn import STRIDE as CELL
from sfumato.networks.hypercolumn_gradient import HypercolumnGradient
from sfumato.networks.model import (
    CollectionModel,
    MatchingModel,
    NoiseModel,
    StyleTransferModel,
    build_collection_discriminator,
    build_discriminator,
)
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.networks.upscaler import SCALE, Upscaler
from sfumato.style_code import MEASURED
from sfumato.training.state import shipped_weights

OPSET = 18
#: Numbers of a weight, at least, that lies in the bundle's file: smaller ones stay in their graph, in 32 bits.
LEAST = 256
#: What follows a weight's name where graphs have it in 16 or 8 bits, before a Cast.
STORED = ".stored"
_DTYPES = {"F16": TensorProto.FLOAT16, "I8": TensorProto.INT8}  # of safetensors and of ONNX
TOLERANCE = 1e-3  # largest difference of a pixel in [0, 1] between torch and ONNX Runtime
# The style encoder takes roots of covariances, which amplify the last bits: 1.04e-3 was seen on a processor with AMX.
# The gradient changes by jumps where a feature passes 0: 2.5e-3 was seen on a processor with AVX2.
_TOLERANCES = {"style_encoder": 2e-3, "gradient": 1e-2}
PARITY_SIZES = ((16, 16), (17, 31), (75, 93), (128, 200))
PARITY_BATCHES = (1, 2, 5)  # z at once
_SIZE, _COUNT = {2: "height", 3: "width"}, {0: "batch"}
_FREE = {  # axes of any length, by the name of an input or output; codes and affines have none
    **dict.fromkeys(("picture", "thumbnail", "stylized", "features", "opinion", "painted"), _SIZE),
    **dict.fromkeys(("upscaled", "gradient", "places", "entered"), _SIZE),
    **dict.fromkeys(("z", "pictures"), _COUNT),
}
_Graph: TypeAlias = tuple[nn.Module, tuple[Tensor, ...], list[str], list[str]]  # module, inputs, their names, outputs


class _StyleEncoder(nn.Module):
    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.style_encoder = model.style_encoder

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.style_encoder.look(picture)


class _Statistics(nn.Module):
    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        return self.generator.measure(thumbnail, code)


class _OwnStatistics(nn.Module):
    def __init__(self, model: CollectionModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, thumbnail: Tensor) -> Tensor:
        return self.generator.measure(thumbnail)


class _Generator(nn.Module):
    def __init__(self, model: StyleTransferModel | CollectionModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, picture: Tensor, affines: Tensor, origin: Tensor) -> Tensor:
        output: Tensor = self.generator(picture, affines, origin)
        return output.clamp(0, 1)


class _Discriminator(nn.Module):
    """Its opinion (B, 1, h', w'): the mean of the logits at all scales, above 0 where it sees paint."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, picture: Tensor, code: Tensor | None = None) -> Tensor:
        finest, *others = self.discriminator(picture, code)
        size = finest.shape[2:]
        enlarged = [F.interpolate(logits, size, mode="bilinear", align_corners=False) for logits in others]
        return torch.stack([finest, *enlarged]).mean(0)


@dataclass(frozen=True)
class _Bundle:
    """What a kind of model is exported as.

    Attributes:
        graphs: by name.
        inputs: what each is fed where parity is looked at with one of `tried`.
        tried: pictures (1, 3, h, w), or z (B, Z).
        shipped: whose weights are stored, and counted.
        facts: of the card.
    """

    graphs: dict[str, _Graph]
    inputs: Callable[[Tensor], dict[str, tuple[Tensor, ...]]]
    tried: list[Tensor]
    shipped: nn.Module
    facts: dict[str, Any] = field(default_factory=dict)


_THUMBNAIL, _PHOTO = (1, 3, 48, 67), (1, 3, 75, 93)  # sizes that graphs are traced at
_ORIGIN, _FAR = (16, 32), (4096, 272)  # places, there and where parity is looked at


def export_model(
    model: Model,
    directory: Path,
    model_id: str,
    card: Mapping[str, Any] | None = None,
    discriminator: nn.Module | None = None,
    overwrite: bool = True,
) -> dict[str, float]:
    """Write the bundle statistics.onnx, generator.onnx, model.safetensors and card.json to `directory`; for a model of
    any style also style_encoder.onnx, with a discriminator discriminator.onnx (which paints nothing, and says in
    `sfumato explain` what it thinks). Of noise, generator.onnx and card.json are all.

    model.safetensors holds the weights once: graphs refer to places in it (ONNX external data), and
    `checkpoint.load_model` makes torch's model of it.

    Weights are rounded to 16 bits, kernels and matrices of a collection and of a decoder to 8 with a scale for each
    channel, and stored so (computed with in 32): a small download, and torch is compared with the same rounded
    weights. Then a decoder's widest convolutions are made 8-bit (`eight_bits.quantise`); the card's ``rounding`` is the
    mean change of a pixel in [0, 1]. Returns the largest differences by graph, before that. ModelError, and nothing
    kept, where one exceeds `TOLERANCE`; OutputError where `directory` is there and not to be overwritten.
    """
    in_bytes = isinstance(model, CollectionModel | MatchingModel)
    _round(model.cpu().eval(), in_bytes)
    with torch.no_grad():
        judge = None if discriminator is None else _rounded(discriminator, in_bytes)
        bundle = _bundle(model, judge)
    with new_directory(directory, overwrite) as folder:
        stored = None
        if len(bundle.graphs) > 1:  # a single graph has nothing to share
            # With no word of how they were trained, which the card has: equal weights are to be equal files.
            save_model(folder / WEIGHTS, model, {}, packed(model, in_bytes))
            stored = _Stored(folder / WEIGHTS)
        for name, (module, inputs, input_names, output_names) in bundle.graphs.items():
            # The exporter leaves a module, and what lies in it, in the mode that it found the outermost in.
            _export(module.eval(), inputs, folder / f"{name}.onnx", input_names, output_names, in_bytes, stored)
        parity = _parity(bundle, folder)
        if bad := {name: d for name, d in parity.items() if not d <= _TOLERANCES.get(name, TOLERANCE)}:
            raise ModelError(f"the exported graphs differ from torch by {bad}, more than {TOLERANCE}; nothing was kept")
        if isinstance(model, MatchingModel):
            bundle.facts["rounding"] = _in_eight_bits(bundle, folder / "decoder.onnx")
        facts = {
            "model": model_id,
            "kind": kind_of(model),
            "version": __version__,
            **bundle.facts,
            "parameters": sum(p.numel() for p in bundle.shipped.parameters()),
            "config": model.config.model_dump(mode="json"),
            "parity": parity,
            "files": {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())},
        }
        (folder / "card.json").write_text(
            json.dumps({**facts, **(card or {})}, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
    return parity


@torch.no_grad()
def _in_eight_bits(bundle: _Bundle, decoder: Path) -> float:
    inputs = (bundle.inputs(torch.from_numpy(picture))["decoder"] for picture in calibration_pictures())
    return quantise(decoder, [{"entered": entered.numpy()} for (entered,) in inputs])


def _bundle(model: Model, judge: nn.Module | None) -> _Bundle:
    if isinstance(model, NoiseModel):
        return _of_noise(model)
    if isinstance(model, MatchingModel):
        return _of_matching(model)
    return _of_collection(model, judge) if isinstance(model, CollectionModel) else _of_styles(model, judge)


def _of_styles(model: StyleTransferModel, judge: nn.Module | None) -> _Bundle:
    """Any style, by its code."""
    thumbnail, photo, origin = torch.rand(_THUMBNAIL), torch.rand(_PHOTO), torch.tensor(_ORIGIN)
    code, _, look = model.style_encoder.look(thumbnail)
    affines = model.generator.measure(thumbnail, code)
    graphs: dict[str, _Graph] = {
        "style_encoder": (_StyleEncoder(model), (thumbnail,), ["picture"], ["code", "features", "look"]),
        "statistics": (_Statistics(model), (thumbnail, code), ["thumbnail", "code"], ["affines"]),
        "generator": (_Generator(model), (photo, affines, origin), ["picture", "affines", "origin"], ["stylized"]),
    }
    told = model.config.discriminator_conditional
    if judge is not None:
        given, names = ((photo, code), ["picture", "code"]) if told else ((photo,), ["picture"])
        graphs["discriminator"] = (judge, given, names, ["opinion"])

    def inputs(picture: Tensor) -> dict[str, tuple[Tensor, ...]]:
        code = model.style_encoder(picture)
        painter = picture, model.generator.measure(picture, code), torch.tensor(_FAR)
        with_code = picture, code
        return {
            "style_encoder": (picture,),
            "statistics": with_code,
            "generator": painter,
            "discriminator": with_code if told else (picture,),
        }

    # Where a code has its mean colour and the root of its covariance (`Measured.pack`): what a palette is.
    palette = [code.shape[1] - MEASURED, code.shape[1] - MEASURED + 9]
    sizes = {"code_size": int(code.shape[1]), "look_size": int(look.shape[1]), "affines": int(affines.shape[1])}
    facts = {"thumbnail": STYLE_THUMBNAIL, **sizes, "palette": palette, "conditional": told}
    return _Bundle(graphs, inputs, _pictures(), model, facts)


def _of_collection(model: CollectionModel, judge: nn.Module | None) -> _Bundle:
    """One collection's own style: no code, and so no encoder. The way back and the heads are not run: they are in the
    weights' file, for who trains on."""
    thumbnail, photo, origin = torch.rand(_THUMBNAIL), torch.rand(_PHOTO), torch.tensor(_ORIGIN)
    affines = model.generator.measure(thumbnail)
    graphs: dict[str, _Graph] = {
        "statistics": (_OwnStatistics(model), (thumbnail,), ["thumbnail"], ["affines"]),
        "generator": (_Generator(model), (photo, affines, origin), ["picture", "affines", "origin"], ["stylized"]),
    }
    if judge is not None:
        graphs["discriminator"] = (judge, (photo,), ["picture"], ["opinion"])

    def inputs(picture: Tensor) -> dict[str, tuple[Tensor, ...]]:
        painter = picture, model.generator.measure(picture), torch.tensor(_FAR)
        return {"statistics": (picture,), "generator": painter, "discriminator": (picture,)}

    sizes = {"code_size": 0, "look_size": 0, "affines": int(affines.shape[1])}
    facts = {"thumbnail": STYLE_THUMBNAIL, **sizes, "palette": [], "conditional": False}
    return _Bundle(graphs, inputs, _pictures(), model.generator, facts)


class _Encoder(nn.Module):
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


class _Entry(nn.Module):
    """Scaled hypercolumns to what the decoder sees of them."""

    def __init__(self, model: MatchingModel) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, features: Tensor) -> Tensor:
        return self.decoder.entered(features / self.decoder.scale)


class _Decoder(nn.Module):
    def __init__(self, model: MatchingModel) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, entered: Tensor) -> Tensor:
        return self.decoder.paint(entered)


def _of_matching(model: MatchingModel) -> _Bundle:
    """Encoder of places, entry and rest of the decoder, and the gradient that refines a picture. What lies between
    them, the matching, is NumPy (`inference.matching`)."""
    encoder, entry = _Encoder(model).eval(), _Entry(model)
    _round(encoder.vgg, in_bytes=True)

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
    graphs: dict[str, _Graph] = {
        "encoder": (encoder, shown["encoder"], ["picture"], ["places"]),
        "entry": (entry, shown["entry"], ["features"], ["entered"]),
        "decoder": (_Decoder(model), shown["decoder"], ["entered"], ["painted"]),
        "gradient": (gradient, shown["gradient"], ["picture", "features"], ["gradient"]),
    }
    return _Bundle(graphs, inputs, _pictures(), model)


def _of_noise(model: NoiseModel) -> _Bundle:
    """Pictures (B, 3, side, side) out of z (B, Z). The discriminator stays behind: it is asked about photos' places."""
    z_size, generator = model.config.z_size, torch.Generator().manual_seed(0)
    return _Bundle(
        {"generator": (model, (torch.randn(2, z_size),), ["z"], ["pictures"])},
        lambda z: {"generator": (z,)},
        [torch.randn(batch, z_size, generator=generator) for batch in PARITY_BATCHES],
        model,
        {"z_size": z_size, "side": model.config.side},
    )


def _pictures() -> list[Tensor]:
    """Of sizes that do not divide, and smooth: statistics of white noise are not what the graphs will meet."""
    generator = torch.Generator().manual_seed(0)
    noise = [torch.rand(1, 3, 8, 8, generator=generator) for _ in PARITY_SIZES]
    return [F.interpolate(x, size, mode="bicubic").clamp(0, 1) for x, size in zip(noise, PARITY_SIZES, strict=True)]


def _round(model: nn.Module, in_bytes: bool) -> None:
    """Round its weights as they are stored: to 16 bits, or kernels and matrices to 8."""
    model.load_state_dict(unpacked(packed(model, in_bytes)))


def export_run(
    source: Path, directory: Path, model_id: str | None = None, *, newest: bool = False, overwrite: bool = True
) -> dict[str, float]:
    """Export a run's folder (its best checkpoint by validation, where it has one; otherwise or with `newest` its newest
    one), or one model.safetensors file."""
    path, which = source, {}
    if source.is_dir():
        path, why = shipped_weights(source, newest=newest)
        which = {"checkpoint": why}
    model, about = load_model(path)
    model_id = model_id or f"sfumato-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    card = {"training": {k: v for k, v in about.items() if k not in ("config", "format", "kind")} | which}
    discriminator = _discriminator_of(path.with_name("state.safetensors"), model)
    return export_model(model, directory, model_id, card, discriminator, overwrite)


def export_upscaler(model: Upscaler, directory: Path, card: Mapping[str, Any] | None = None) -> float:
    """Write upscaler.onnx, its weights in 16 bits, and card.json to `directory`. Returns the largest difference of a
    value between torch and ONNX Runtime; ModelError, and nothing kept, where it exceeds `TOLERANCE`."""
    _round(model.cpu().eval(), False)
    with new_directory(directory) as folder:
        path = folder / "upscaler.onnx"
        _export(model, (torch.rand(_PHOTO),), path, ["picture"], ["upscaled"])
        bundle = _Bundle({"upscaler": (model, (), [], [])}, lambda x: {"upscaler": (x,)}, _pictures(), model)
        parity = _parity(bundle, folder)["upscaler"]
        if not parity <= TOLERANCE:
            raise ModelError(f"the exported graph differs from torch by {parity}, more than {TOLERANCE}")
        facts = {
            "model": "upscaler",
            "kind": "upscaler",
            "version": __version__,
            "scale": SCALE,
            "reach": model.reach,
            "parameters": sum(p.numel() for p in model.parameters()),
            "parity": parity,
            "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()},
        }
        (folder / "card.json").write_text(
            json.dumps({**facts, **(card or {})}, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
    return parity


def _discriminator_of(state: Path, model: Model) -> nn.Module | None:
    """The discriminator beside a checkpoint's model. A model.safetensors alone comes without; so does noise, and a
    collection whose discriminator looks with VGG19, which is no part of that model."""
    borrowed = isinstance(model, CollectionModel) and model.config.discriminator == "projected"
    if isinstance(model, NoiseModel | MatchingModel) or borrowed or not state.is_file():
        return None
    prefix = "discriminator."
    try:
        with safe_open(state, "pt") as file:
            tensors = {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
        discriminator = _new_discriminator(model)
        discriminator.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(f"cannot read the discriminator in {state}: {reason}; export an older checkpoint") from error
    return discriminator.paintings if isinstance(discriminator, PairDiscriminator) else discriminator


def _new_discriminator(model: StyleTransferModel | CollectionModel) -> nn.Module:
    if isinstance(model, CollectionModel):
        return build_collection_discriminator(model.config)
    return build_discriminator(model.config, model.code_size, model.style_encoder.eye())


def _rounded(discriminator: nn.Module, in_bytes: bool) -> nn.Module:
    """As it will be stored: spectral norms worked into the weights, and these rounded to 16 bits."""
    plain = copy.deepcopy(discriminator).cpu().eval()
    for module in list(plain.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    _round(plain, in_bytes)
    if isinstance(plain, ProjectedDiscriminator):
        _round(plain.eye.cpu(), in_bytes)
    return _Discriminator(plain).eval()


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: list[str],
    outputs: list[str],
    in_bytes: bool = False,
    stored: _Stored | None = None,
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        # This exporter is called deprecated and traces sizes with warnings; `_parity` is what proves it right here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: _FREE[name] for name in (*names, *outputs) if name in _FREE},
            opset_version=OPSET,
            # Folded here, the gradient would store each kernel twice; ONNX Runtime folds when it loads the graph.
            do_constant_folding=not isinstance(module, HypercolumnGradient),
            dynamo=False,
        )
    proto = onnx.load(path)
    _join_aliases(proto)
    _hoist_constants(proto)
    _store_small(proto, in_bytes)
    _shorten_names(proto)
    onnx.checker.check_model(proto, full_check=True)
    if stored is not None:
        stored.share(proto)
    onnx.save(proto, path)


def _join_aliases(proto: onnx.ModelProto) -> None:
    """Read equal weights under one name. The exporter keeps one and makes the others an Identity of it, over which ONNX
    Runtime's optimiser can stumble ("is not a graph input, initializer, or output of a previous node")."""
    graph = proto.graph
    weights, ends = {tensor.name for tensor in graph.initializer}, {end.name for end in graph.output}
    aliases = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in weights and node.output[0] not in ends
    }
    nodes = [node for node in graph.node if node.output[0] not in aliases]
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = aliases.get(name, name)
    del graph.node[:]
    graph.node.extend(nodes)


def _hoist_constants(proto: onnx.ModelProto) -> None:
    """Make initialisers of the large constants (the field of noise), which are then stored as weights are."""
    graph, nodes = proto.graph, []
    for node in graph.node:
        value = node.attribute[0].t if node.op_type == "Constant" and node.attribute[0].name == "value" else None
        if value is not None and value.data_type == TensorProto.FLOAT and np.prod(value.dims) >= LEAST:
            graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value), node.output[0]))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _shorten_names(proto: onnx.ModelProto) -> None:
    """Number the tensors between nodes, whose names are paths through the modules: a fifth of a small model's file."""
    ends = (*proto.graph.input, *proto.graph.output, *proto.graph.initializer)
    short = {"": "", **{each.name: each.name for each in ends}}

    def number(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            node.name = ""
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = short.setdefault(name, f"t{len(short)}")
            for attribute in node.attribute:  # the branches of an If, which see the tensors around them
                if attribute.HasField("g"):
                    number(attribute.g)
        for each in (*graph.output, *graph.initializer):
            each.name = short.setdefault(each.name, f"t{len(short)}")
        del graph.value_info[:]

    number(proto.graph)


def _store_small(proto: onnx.ModelProto, in_bytes: bool) -> None:
    """Keep large weights as float16, or kernels and matrices as int8 times a scale a channel, with the nodes behind
    each that make float32 of it: ONNX Runtime folds them away when it loads the graph."""
    graph, before = proto.graph, []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < LEAST:
            continue
        full, stored, values = tensor.name, f"{tensor.name}{STORED}", numpy_helper.to_array(tensor)
        weight = torch.from_numpy(values.copy())
        if in_bytes and is_weight(full, weight):
            levels, scale = (part.numpy() for part in to_levels(weight))
            whole, factor = f"{full}.levels", f"{full}.scale"
            graph.initializer.append(numpy_helper.from_array(scale, factor))
            before.append(helper.make_node("Cast", [stored], [whole], to=TensorProto.FLOAT))
            before.append(helper.make_node("Mul", [whole, factor], [full]))
        else:
            levels = values.astype(np.float16)
            before.append(helper.make_node("Cast", [stored], [full], to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(levels, stored))
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


class _Stored:
    """Where the tensors of a safetensors file lie in it, by what they are."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")  # of the data: behind the header and its length
        self._name, self._places = path.name, {}
        for name, entry in json.loads(content[8:start]).items():
            if name != "__metadata__":
                first, last = (start + offset for offset in entry["data_offsets"])
                key = _DTYPES.get(entry["dtype"]), tuple(entry["shape"]), content[first:last]
                self._places[key] = (first, last - first)

    def share(self, proto: onnx.ModelProto) -> None:
        """Let the graph's large weights that lie in the file be read there, instead of holding them."""
        for tensor in proto.graph.initializer:
            values = numpy_helper.to_array(tensor)
            place = self._places.get((tensor.data_type, tuple(tensor.dims), values.tobytes()))
            if place is None or values.size < LEAST:
                continue
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in zip(("location", "offset", "length"), (self._name, *place), strict=True):
                tensor.external_data.add(key=key, value=str(value))


def _parity(bundle: _Bundle, folder: Path) -> dict[str, float]:
    """Largest difference from torch by graph, each fed the same input, over all that the bundle is tried with.

    Of the gradient it is the norm of the difference over the norm: where a feature is 0 but for rounding, one side of
    the ReLU may give a few pixels another slope, and neither is wrong.
    """
    sessions = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in bundle.graphs}
    worst = dict.fromkeys(sessions, 0.0)
    for given in bundle.tried:
        with torch.no_grad():
            inputs = bundle.inputs(given)
        for name, session in sessions.items():
            feeds = {i.name: t.numpy() for i, t in zip(session.get_inputs(), inputs[name], strict=True)}
            with torch.no_grad():
                found = bundle.graphs[name][0](*inputs[name])
            expected_ones = found if isinstance(found, tuple) else (found,)
            for tensor, got in zip(expected_ones, session.run(None, feeds), strict=True):
                expected = tensor.numpy()
                if name == "gradient":
                    difference = np.linalg.norm(got - expected) / np.linalg.norm(expected)
                else:
                    scale = max(1.0, float(np.abs(expected).max()))  # affines and codes are no pixels: relative to size
                    difference = np.abs(got - expected).max() / scale
                worst[name] = float(np.maximum(worst[name], difference))  # max() would pass over a NaN
    return worst
