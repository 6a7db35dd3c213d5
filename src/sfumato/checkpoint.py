"""Bundle files: a model that rebuilds itself from one safetensors file; directories that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sfumato import __version__
from sfumato.config import Config
from sfumato.errors import ModelError, UsageError
from sfumato.networks.model import (
    CollectionConfig,
    CollectionModel,
    ModelConfig,
    NoiseConfig,
    NoiseModel,
    StyleTransferModel,
)

FORMAT = "sfumato-model-1"
Model: TypeAlias = StyleTransferModel | CollectionModel | NoiseModel  # what a file holds, and a run trains
_KINDS: dict[str, tuple[type[Config], Callable[[Any], Model]]] = {  # by the name that files and cards have them under
    "arbitrary": (ModelConfig, StyleTransferModel),
    "collection": (CollectionConfig, CollectionModel),
    "noise": (NoiseConfig, NoiseModel),
}


def kind_of(model: nn.Module) -> str:
    """The name of a model's kind, as files and cards have it."""
    return next(kind for kind, (_, make) in _KINDS.items() if make is type(model))


def save_model(path: Path, model: Model, about: Mapping[str, str], weights: Mapping[str, Tensor]) -> None:
    """Write `weights` (a state dict of `model`), its config and `about` into one file; whole or not at all."""
    metadata = {**about, "format": FORMAT, "version": __version__, "kind": kind_of(model)}
    metadata["config"] = model.config.model_dump_json()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary, metadata)
    os.replace(temporary, path)


def load_model(path: Path) -> tuple[Model, dict[str, str]]:
    """The model in evaluation mode, and what its file says about itself; ModelError where it is not one of ours."""
    try:
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
        if about.get("format") != FORMAT:
            raise ModelError(f"{path} is no Sfumato model ({FORMAT}); give a model.safetensors of a run")
        kind = about.setdefault("kind", "arbitrary")  # files from before there were others do not say
        if kind not in _KINDS:
            raise ModelError(f"{path} holds a model of the kind {kind!r}, which this Sfumato does not know; update it")
        config, make = _KINDS[kind]
        model = make(config.parse(json.loads(about["config"]), str(path)))
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError, UsageError) as error:
        raise ModelError(f"cannot read the model {path}: {str(error).splitlines()[0]}") from error
    return model.eval(), about


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary directory beside `path`, renamed to it when the block ends well and removed when it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        old = path.with_name(f".{path.name}.old.{os.getpid()}")
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
