"""Torch to ONNX: graphs that take any picture size, or any number of z, checked against torch before they are kept."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Mapping
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
from sfumato.checkpoint import Model, kind_of, load_model, new_directory
from sfumato.data.batches import STYLE_THUMBNAIL
from sfumato.errors import ModelError
from sfumato.networks.model import NoiseModel, StyleTransferModel, build_discriminator
from sfumato.style_code import MEASURED
from sfumato.training.state import best_checkpoint, checkpoint, checkpoints

OPSET = 18
TOLERANCE = 1e-3  # largest difference of a pixel in [0, 1] between torch and ONNX Runtime
PARITY_SIZES = ((16, 16), (17, 31), (75, 93), (128, 200))
PARITY_BATCHES = (1, 2, 5)  # z at once
_Graph: TypeAlias = tuple[nn.Module, tuple[Tensor, ...], list[str], list[str]]  # module, inputs, their names, outputs


class _StyleEncoder(nn.Module):
    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.style_encoder = model.style_encoder

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        return self.style_encoder.look(picture)


class _Statistics(nn.Module):
    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        return self.generator.measure(thumbnail, code)


class _Generator(nn.Module):
    def __init__(self, model: StyleTransferModel) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, picture: Tensor, affines: Tensor, origin: Tensor) -> Tensor:
        output: Tensor = self.generator(picture, affines, origin)
        return output.clamp(0, 1)


class _Discriminator(nn.Module):
    """Its opinion (B, 1, h/8, w/8): the mean of the logits at all scales, above 0 where it sees paint."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, picture: Tensor, code: Tensor) -> Tensor:
        finest, *others = self.discriminator(picture, code)
        size = finest.shape[2:]
        enlarged = [F.interpolate(logits, size, mode="bilinear", align_corners=False) for logits in others]
        return torch.stack([finest, *enlarged]).mean(0)


def export_model(
    model: StyleTransferModel,
    directory: Path,
    model_id: str,
    card: Mapping[str, Any] | None = None,
    discriminator: nn.Module | None = None,
) -> dict[str, float]:
    """Write the bundle style_encoder.onnx, statistics.onnx, generator.onnx, with a discriminator also
    discriminator.onnx (which paints nothing, and says in `sfumato explain` what it thinks), and card.json to
    `directory`.

    Weights are rounded to 16 bits and stored so (computed with in 32): half the download, and torch is compared with
    the same rounded weights. Returns the largest differences by graph. ModelError, and nothing kept, where one exceeds
    `TOLERANCE`.
    """
    _round(model.cpu().eval())
    thumbnail, photo, origin = torch.rand(1, 3, 48, 67), torch.rand(1, 3, 75, 93), torch.tensor([16, 32])
    with torch.no_grad():
        code = model.style_encoder(thumbnail)
        affines = model.generator.measure(thumbnail, code)
    graphs: dict[str, _Graph] = {
        "style_encoder": (_StyleEncoder(model), (thumbnail,), ["picture"], ["code", "features"]),
        "statistics": (_Statistics(model), (thumbnail, code), ["thumbnail", "code"], ["affines"]),
        "generator": (_Generator(model), (photo, affines, origin), ["picture", "affines", "origin"], ["stylized"]),
    }
    if discriminator is not None:
        graphs["discriminator"] = (_rounded(discriminator), (photo, code), ["picture", "code"], ["opinion"])
    # Where a code has its mean colour and the root of its covariance (`Measured.pack`): what a palette is.
    palette = code.shape[1] - MEASURED, code.shape[1] - MEASURED + 9
    with new_directory(directory) as folder:
        for name, (module, inputs, input_names, output_names) in graphs.items():
            _export(module, inputs, folder / f"{name}.onnx", input_names, output_names)
        parity = _parity(model, {name: module for name, (module, *_) in graphs.items()}, folder)
        facts = {
            "thumbnail": STYLE_THUMBNAIL,
            "code_size": int(code.shape[1]),
            "affines": int(affines.shape[1]),
            "palette": list(palette),
        }
        _write_card(folder, model, model_id, facts, parity, card)
    return parity


def export_noise(
    model: NoiseModel, directory: Path, model_id: str, card: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Write the bundle generator.onnx, from z (B, Z) to pictures (B, 3, side, side), and card.json to `directory`.

    As `export_model` otherwise.
    """
    _round(model.cpu().eval())
    z = torch.randn(2, model.config.z_size)
    with new_directory(directory) as folder:
        axes = {"z": {0: "batch"}, "pictures": {0: "batch"}}
        _export(model, (z,), folder / "generator.onnx", ["z"], ["pictures"], axes)
        session = onnxruntime.InferenceSession(folder / "generator.onnx")
        generator, worst = torch.Generator().manual_seed(0), 0.0
        for batch in PARITY_BATCHES:
            z = torch.randn(batch, model.config.z_size, generator=generator)
            with torch.no_grad():
                expected = model(z).numpy()
            (got,) = session.run(None, {"z": z.numpy()})
            worst = float(np.maximum(worst, np.abs(got - expected).max()))  # max() would pass over a NaN
        facts = {"z_size": model.config.z_size, "side": model.config.side}
        _write_card(folder, model, model_id, facts, {"generator": worst}, card)
    return {"generator": worst}


def _write_card(
    folder: Path,
    model: Model,
    model_id: str,
    facts: Mapping[str, Any],
    parity: dict[str, float],
    card: Mapping[str, Any] | None,
) -> None:
    """Write card.json beside the graphs; ModelError where one of them differs from torch by more than `TOLERANCE`."""
    if bad := {name: d for name, d in parity.items() if not d <= TOLERANCE}:
        raise ModelError(f"the exported graphs differ from torch by {bad}, more than {TOLERANCE}; nothing was kept")
    facts = {
        "model": model_id,
        "kind": kind_of(model),
        "version": __version__,
        **facts,
        "parameters": sum(p.numel() for p in model.parameters()),
        "config": model.config.model_dump(mode="json"),
        "parity": parity,
        "files": {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.glob("*.onnx"))},
    }
    (folder / "card.json").write_text(
        json.dumps({**facts, **(card or {})}, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )


def _round(model: nn.Module) -> None:
    """Round its weights to 16 bits, as they are stored."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())


def export_run(source: Path, directory: Path, model_id: str | None = None, *, newest: bool = False) -> dict[str, float]:
    """Export a run's folder (its best checkpoint by validation, where it has one; otherwise or with `newest` its newest
    one), or one model.safetensors file."""
    path, which = source, {}
    if source.is_dir():
        found = checkpoints(source)
        if not found:
            raise ModelError(f"{source} holds no checkpoint; give the --out folder of a training run")
        best = None if newest else best_checkpoint(source)
        path = (checkpoint(source, best.step) if best else found[-1]) / "model.safetensors"
        which = {"checkpoint": "best by validation" if best else "newest"}
    model, about = load_model(path)
    model_id = model_id or f"sfumato-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    card = {"training": {k: v for k, v in about.items() if k not in ("config", "format", "kind")} | which}
    if isinstance(model, NoiseModel):
        return export_noise(model, directory, model_id, card)
    discriminator = _discriminator_of(path.with_name("state.safetensors"), model)
    return export_model(model, directory, model_id, card, discriminator)


def _discriminator_of(state: Path, model: StyleTransferModel) -> nn.Module | None:
    """The discriminator beside a checkpoint's model; a model.safetensors alone comes without."""
    if not state.is_file():
        return None
    prefix = "discriminator."
    try:
        with safe_open(state, "pt") as file:
            tensors = {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
        discriminator = build_discriminator(model.config, model.code_size)
        discriminator.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(f"cannot read the discriminator in {state}: {reason}; export an older checkpoint") from error
    return discriminator


def _rounded(discriminator: nn.Module) -> nn.Module:
    """As it will be stored: spectral norms worked into the weights, and these rounded to 16 bits."""
    plain = copy.deepcopy(discriminator).cpu().eval()
    for module in list(plain.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    _round(plain)
    return _Discriminator(plain).eval()


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: list[str],
    outputs: list[str],
    axes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write one graph. `axes` are those whose length is free; without, the sizes of the pictures and maps."""
    if axes is None:
        size = {2: "height", 3: "width"}
        # Pictures and maps; codes and affines are of one size.
        axes = dict.fromkeys([names[0], *(o for o in outputs if o in ("stylized", "features", "opinion"))], size)
    with warnings.catch_warnings():
        # This exporter is called deprecated and traces sizes with warnings; `_parity` is what proves it right here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: dict(free) for name, free in axes.items()},
            opset_version=OPSET,
            dynamo=False,
        )
    proto = onnx.load(path)
    _join_aliases(proto)
    _store_half(proto)
    onnx.checker.check_model(proto, full_check=True)
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


def _store_half(proto: onnx.ModelProto) -> None:
    """Keep large weights as float16 with a Cast behind each, which ONNX Runtime folds away when it loads the graph."""
    graph, casts = proto.graph, []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= 256:
            full, stored = tensor.name, f"{tensor.name}.half"
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), stored))
            casts.append(helper.make_node("Cast", [stored], [full], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _parity(model: StyleTransferModel, modules: Mapping[str, nn.Module], folder: Path) -> dict[str, float]:
    """Largest difference from torch by graph, each fed the same input, over sizes that do not divide."""
    sessions = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in modules}
    generator = torch.Generator().manual_seed(0)
    origin = torch.tensor([4096, 272])
    worst = dict.fromkeys(sessions, 0.0)
    for height, width in PARITY_SIZES:
        # Smooth pictures: statistics of white noise are not what the graphs will meet.
        noise = torch.rand(1, 3, 8, 8, generator=generator)
        picture = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)
        with torch.no_grad():
            code = model.style_encoder(picture)
            affines = model.generator.measure(picture, code)
        inputs = {"style_encoder": (picture,), "statistics": (picture, code), "generator": (picture, affines, origin)}
        inputs["discriminator"] = (picture, code)
        for name, session in sessions.items():
            feeds = {i.name: t.numpy() for i, t in zip(session.get_inputs(), inputs[name], strict=True)}
            with torch.no_grad():
                found = modules[name](*inputs[name])
            expected_ones = found if isinstance(found, tuple) else (found,)
            for tensor, got in zip(expected_ones, session.run(None, feeds), strict=True):
                expected = tensor.numpy()
                scale = max(1.0, float(np.abs(expected).max()))  # affines and codes are no pixels: relative to size
                # np.maximum, because max() would pass over a NaN.
                worst[name] = float(np.maximum(worst[name], np.abs(got - expected).max() / scale))
    return worst
