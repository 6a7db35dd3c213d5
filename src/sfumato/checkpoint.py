"""Bundle files: a model that rebuilds itself from one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from sfumato.config import Config
from sfumato.errors import ModelError, UsageError, first_line
from sfumato.files import atomic_file
from sfumato.networks.config import CollectionConfig, MatchingConfig, ModelConfig, NoiseConfig
from sfumato.networks.model import CollectionModel, MatchingModel, NoiseModel, StyleTransferModel

FORMAT = "sfumato-model-1"
# What a file holds, and a run trains
Model: TypeAlias = StyleTransferModel | CollectionModel | NoiseModel | MatchingModel
_KINDS: dict[str, tuple[type[Config], Callable[[Any], Model]]] = {  # by the name that files and cards have them under
    "arbitrary": (ModelConfig, StyleTransferModel),
    "collection": (CollectionConfig, CollectionModel),
    "noise": (NoiseConfig, NoiseModel),
    "matching": (MatchingConfig, MatchingModel),
}


def kind_of(model: nn.Module) -> str:
    """The name of a model's kind, as files and cards have it."""
    return next(kind for kind, (_, make) in _KINDS.items() if make is type(model))


def save_model(path: Path, model: Model, about: Mapping[str, str], weights: Mapping[str, Tensor]) -> None:
    """Write `weights` (a state dict of `model`), its config and `about` into one file; whole or not at all."""
    metadata = {**about, "format": FORMAT, "kind": kind_of(model)}
    metadata["config"] = model.config.model_dump_json()
    with atomic_file(path) as file:
        file.write(_in_order(save({name: tensor.contiguous() for name, tensor in weights.items()}, metadata)))


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata sorted, which otherwise come in an order that changes from run to run: equal
    models should be equal files."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[start:]


def to_levels(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight (O, I, ...) as whole numbers from -127 to 127, and what each output channel's are multiplied by."""
    scale = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True).clamp(min=1e-12) / 127
    return (weight / scale).round().to(torch.int8), scale


def is_weight(name: str, tensor: Tensor) -> bool:
    """Whether that is a layer's kernel or matrix, of which 8 bits are enough; and no bias, code or table."""
    return name.endswith(".weight") and tensor.ndim >= 2


def packed(model: nn.Module, in_bytes: bool) -> dict[str, Tensor]:
    """A model's state as bundles store it: parameters in 16 bits or, `in_bytes`, kernels and matrices
    in 8 (`to_levels`) beside NAME.scale (O, 1, ...)."""
    learnt = dict(model.named_parameters())
    found = {}
    for name, tensor in model.state_dict().items():
        if in_bytes and name in learnt and is_weight(name, tensor):
            found[name], found[f"{name}.scale"] = to_levels(tensor)
        else:
            found[name] = tensor.half() if name in learnt else tensor
    return found


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state in 32 bits that `packed` stored."""
    scales = {f"{name}.scale" for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    return {
        name: tensor * tensors[f"{name}.scale"] if tensor.dtype == torch.int8 else tensor.float()
        for name, tensor in tensors.items()
        if name not in scales  # a decoder has a buffer of its own that is called `scale`
    }


def load_model(path: Path) -> tuple[Model, dict[str, str]]:
    """The model in evaluation mode, and what its file says about itself; ModelError where it is not one of ours.

    It is a run's, or an exported bundle's.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, and a device read without end
            raise ModelError(f"{path} is no regular file; give a model.safetensors of a run or a bundle")
        path.open("rb").close()  # safetensors calls all that it may not open "No such file"
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
        if about.get("format") != FORMAT:
            raise ModelError(f"{path} is no Sfumato model ({FORMAT}); give a model.safetensors of a run or a bundle")
        kind = about.setdefault("kind", "arbitrary")  # files from before there were others do not say
        if kind not in _KINDS:
            raise ModelError(f"{path} holds a model of the kind {kind!r}, which this Sfumato does not know; update it")
        config, make = _KINDS[kind]
        model = make(config.parse(json.loads(about["config"]), str(path)))
        model.load_state_dict(unpacked(load_file(path)))
    except (
        OSError,
        SafetensorError,
        RuntimeError,
        KeyError,
        TypeError,
        ValueError,
        UsageError,
        RecursionError,
    ) as error:
        message = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise ModelError(f"cannot read the model {path}: {message}") from error
    return model.eval(), about
