"""Model files: weights and config in one safetensors file, from which the model is rebuilt."""

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
from sfumato.networks.model import (
    CollectionModel,
    FeatureNoiseModel,
    MatchingModel,
    NoiseModel,
    StyleTransferModel,
    build_noise_model,
)

FORMAT = "sfumato-model-1"
# The models that files hold and runs train
Model: TypeAlias = StyleTransferModel | CollectionModel | NoiseModel | FeatureNoiseModel | MatchingModel
_KINDS: dict[str, tuple[type[Config], Callable[[Any], Model]]] = {  # by the kind's name in files and cards
    "arbitrary": (ModelConfig, StyleTransferModel),
    "collection": (CollectionConfig, CollectionModel),
    "noise": (NoiseConfig, build_noise_model),
    "matching": (MatchingConfig, MatchingModel),
}


def kind_of(model: nn.Module) -> str:
    """Return the name of a model's kind, as in files and cards."""
    return next(kind for kind, (config, _) in _KINDS.items() if isinstance(model.config, config))


def save_model(path: Path, model: Model, about: Mapping[str, str], weights: Mapping[str, Tensor]) -> None:
    """Write a model file, whole or not at all.

    Args:
        path: the file.
        model: gives kind and config.
        about: further metadata.
        weights: a state dict of `model`.
    """
    metadata = {**about, "format": FORMAT, "kind": kind_of(model)}
    metadata["config"] = model.config.model_dump_json()
    with atomic_file(path) as file:
        file.write(_sort_metadata(save({name: tensor.contiguous() for name, tensor in weights.items()}, metadata)))


def _sort_metadata(content: bytes) -> bytes:
    """Sort the metadata of a safetensors file, so that equal models are equal files.

    Without it, their order changes from run to run.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # tensors must begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[start:]


def to_levels(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise a weight (O, I, ...) to int8 in [-127, 127]; return that and the output channels' scales (O, 1, ...)."""
    scale = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True).clamp(min=1e-12) / 127
    return (weight / scale).round().to(torch.int8), scale


def is_weight(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor is a layer's kernel or matrix, for which 8 bits suffice, not a bias, code or table."""
    return name.endswith(".weight") and tensor.ndim >= 2


def packed(model: nn.Module, in_bytes: bool) -> dict[str, Tensor]:
    """Return a model's state as bundles store it: parameters in 16 bits.

    With `in_bytes`, kernels and matrices are int8 (`to_levels`), each with a scale (O, 1, ...) called NAME.scale.
    """
    learnt = dict(model.named_parameters())
    stored = {}
    for name, tensor in model.state_dict().items():
        if in_bytes and name in learnt and is_weight(name, tensor):
            stored[name], stored[f"{name}.scale"] = to_levels(tensor)
        else:
            stored[name] = tensor.half() if name in learnt else tensor
    return stored


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state in 32 bits that `packed` stored."""
    scales = {f"{name}.scale" for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    return {
        name: tensor * tensors[f"{name}.scale"] if tensor.dtype == torch.int8 else tensor.float()
        for name, tensor in tensors.items()
        if name not in scales  # a decoder also has a buffer called `scale`, which belongs to the state
    }


def load_model(path: Path) -> tuple[Model, dict[str, str]]:
    """Load a model.safetensors of a run or of an exported bundle.

    Returns:
        The model in evaluation mode, and the file's metadata.

    Raises:
        ModelError: the file cannot be read, or is not a Sfumato model of a known kind.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would block, and a device may never end
            raise ModelError(f"{path} is not a regular file; give a model.safetensors of a run or a bundle")
        path.open("rb").close()  # safetensors reports "No such file" for every file it cannot open
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
        if about.get("format") != FORMAT:
            raise ModelError(f"{path} is not a Sfumato model ({FORMAT}); give a model.safetensors of a run or a bundle")
        kind = about.setdefault("kind", "arbitrary")  # files written before other kinds existed do not name one
        if kind not in _KINDS:
            raise ModelError(f"{path} holds a model of the unknown kind {kind!r}; update Sfumato to load it")
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
