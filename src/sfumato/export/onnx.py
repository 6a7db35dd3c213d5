"""Torch to ONNX: three graphs that any picture size goes through, checked against torch before they are kept."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from sfumato import __version__
from sfumato.checkpoint import load_model, new_directory
from sfumato.data.batches import STYLE_THUMBNAIL
from sfumato.errors import ModelError
from sfumato.networks.model import StyleTransferModel
from sfumato.networks.statistics import MEASURED
from sfumato.training.state import checkpoints

OPSET = 18
TOLERANCE = 1e-3  # largest difference of a pixel in [0, 1] between torch and ONNX Runtime
PARITY_SIZES = ((16, 16), (17, 31), (75, 93), (128, 200))


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


def export_model(
    model: StyleTransferModel, directory: Path, model_id: str, card: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Write the bundle style_encoder.onnx, statistics.onnx, generator.onnx and card.json to `directory`.

    Weights are rounded to 16 bits and stored so (computed with in 32): half the download, and torch is compared with
    the same rounded weights. Returns the largest differences by graph. ModelError, and nothing kept, where one exceeds
    `TOLERANCE`.
    """
    model = model.cpu().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    thumbnail, photo, origin = torch.rand(1, 3, 48, 67), torch.rand(1, 3, 75, 93), torch.tensor([16, 32])
    with torch.no_grad():
        code = model.style_encoder(thumbnail)
        affines = model.generator.measure(thumbnail, code)
    graphs: dict[str, tuple[nn.Module, tuple[Tensor, ...], list[str], str]] = {
        "style_encoder": (model.style_encoder, (thumbnail,), ["picture"], "code"),
        "statistics": (_Statistics(model), (thumbnail, code), ["thumbnail", "code"], "affines"),
        "generator": (_Generator(model), (photo, affines, origin), ["picture", "affines", "origin"], "stylized"),
    }
    # Where a code has its mean colour and the root of its covariance (`Measured.pack`): what a palette is.
    palette = code.shape[1] - MEASURED, code.shape[1] - MEASURED + 9
    with new_directory(directory) as folder:
        for name, (module, inputs, input_names, output_name) in graphs.items():
            _export(module, inputs, folder / f"{name}.onnx", input_names, output_name)
        parity = _parity(model, folder)
        if bad := {name: d for name, d in parity.items() if not d <= TOLERANCE}:
            raise ModelError(f"the exported graphs differ from torch by {bad}, more than {TOLERANCE}; nothing was kept")
        facts = {
            "model": model_id,
            "version": __version__,
            "thumbnail": STYLE_THUMBNAIL,
            "code_size": int(code.shape[1]),
            "affines": int(affines.shape[1]),
            "palette": list(palette),
            "parameters": sum(p.numel() for p in model.parameters()),
            "config": model.config.model_dump(mode="json"),
            "parity": parity,
            "files": {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.glob("*.onnx"))},
        }
        (folder / "card.json").write_text(
            json.dumps({**facts, **(card or {})}, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
    return parity


def export_run(source: Path, directory: Path, model_id: str | None = None) -> dict[str, float]:
    """Export a run's folder (its newest checkpoint), or one model.safetensors file."""
    path = source
    if source.is_dir():
        found = checkpoints(source)
        if not found:
            raise ModelError(f"{source} holds no checkpoint; give the --out folder of a training run")
        path = found[-1] / "model.safetensors"
    model, about = load_model(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    training = {k: v for k, v in about.items() if k not in ("config", "format")}
    return export_model(model, directory, model_id or f"sfumato-{digest}", {"training": training})


def _export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, names: list[str], output: str) -> None:
    size = {2: "height", 3: "width"}
    axes = {names[0]: size, **({output: size} if output == "stylized" else {})}
    with warnings.catch_warnings():
        # This exporter is called deprecated and traces sizes with warnings; `_parity` is what proves it right here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            output_names=[output],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    proto = onnx.load(path)
    _store_half(proto)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


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


def _parity(model: StyleTransferModel, folder: Path) -> dict[str, float]:
    """Largest difference from torch by graph, each fed the same input, over sizes that do not divide."""
    sessions = {
        n: onnxruntime.InferenceSession(folder / f"{n}.onnx") for n in ("style_encoder", "statistics", "generator")
    }
    modules: dict[str, Callable[..., Tensor]] = {
        "style_encoder": model.style_encoder,
        "statistics": _Statistics(model),
        "generator": _Generator(model),
    }
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
        for name, session in sessions.items():
            feeds = {i.name: t.numpy() for i, t in zip(session.get_inputs(), inputs[name], strict=True)}
            with torch.no_grad():
                expected = modules[name](*inputs[name]).numpy()
            got = session.run(None, feeds)[0]
            scale = max(1.0, float(np.abs(expected).max()))  # affines and codes are no pixels: relative to their size
            # np.maximum, because max() would pass over a NaN.
            worst[name] = float(np.maximum(worst[name], np.abs(got - expected).max() / scale))
    return worst
