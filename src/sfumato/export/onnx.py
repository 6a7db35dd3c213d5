"""Torch to ONNX: graphs that take any picture size, or any number of z, checked against torch before they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from sfumato import __version__
from sfumato.checkpoint import Model, kind_of, load_model, packed, save_model
from sfumato.errors import ModelError
from sfumato.export.bundle import Bundle, bundle_of, exported_discriminator, round_weights, write_card
from sfumato.export.eight_bits import calibration_pictures, quantise
from sfumato.export.graph import StoredWeights, export_graph
from sfumato.export.parity import TOLERANCE, check_parity, measure_parity
from sfumato.files import digest, new_directory
from sfumato.inference.session import WEIGHTS
from sfumato.networks.discriminator import PairDiscriminator
from sfumato.networks.model import (
    CollectionModel,
    MatchingModel,
    NoiseModel,
    StyleTransferModel,
    build_collection_discriminator,
    build_discriminator,
)
from sfumato.onnx_file import MAX_GRAPH_BYTES
from sfumato.training.state import shipped_weights


def export_model(
    model: Model,
    directory: Path,
    model_id: str,
    card: Mapping[str, Any] | None = None,
    discriminator: nn.Module | None = None,
    overwrite: bool = True,
    tolerance: float = TOLERANCE,
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
    kept, where one exceeds ``tolerance``; OutputError where `directory` is there and not to be overwritten.
    """
    in_bytes = isinstance(model, CollectionModel | MatchingModel)
    round_weights(model.cpu().eval(), in_bytes)
    with torch.no_grad():
        exported = None if discriminator is None else exported_discriminator(discriminator, in_bytes)
        bundle = bundle_of(model, exported)
    with new_directory(directory, overwrite) as folder:
        stored = None
        if len(bundle.graphs) > 1:  # a single graph has nothing to share
            # With no word of how they were trained, which the card has: equal weights are to be equal files.
            save_model(folder / WEIGHTS, model, {}, packed(model, in_bytes))
            stored = StoredWeights(folder / WEIGHTS)
        for name, (module, inputs, input_names, output_names) in bundle.graphs.items():
            # The exporter leaves a module, and what lies in it, in the mode that it found the outermost in.
            export_graph(module.eval(), inputs, folder / f"{name}.onnx", input_names, output_names, in_bytes, stored)
        parity = measure_parity(bundle, folder)
        check_parity(parity, tolerance)
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
            "files": {f.name: digest(f, MAX_GRAPH_BYTES) for f in sorted(folder.iterdir())},
        }
        write_card(folder, {**facts, **(card or {})})
    return parity


@torch.no_grad()
def _in_eight_bits(bundle: Bundle, decoder: Path) -> float:
    inputs = (bundle.inputs(torch.from_numpy(picture))["decoder"] for picture in calibration_pictures())
    return quantise(decoder, [{"entered": entered.numpy()} for (entered,) in inputs])


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
    model_id = model_id or f"sfumato-{digest(path, MAX_GRAPH_BYTES)[:12]}"
    card = {
        "training": {k: v for k, v in about.items() if k not in ("config", "format", "kind", "data")} | which,
        "data": _data_of(path, about),
    }
    discriminator = _discriminator_of(path.with_name("state.safetensors"), model)
    return export_model(model, directory, model_id, card, discriminator, overwrite)


def _data_of(path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    """What the run wrote about its pictures (`data.folders.about_data`); runs of earlier versions wrote nothing."""
    try:
        found = json.loads(about.get("data", "{}"))
    except (ValueError, RecursionError) as problem:
        raise ModelError(f"{path} says nothing readable about its data; export an older checkpoint") from problem
    return found if isinstance(found, dict) else {}


def _discriminator_of(state: Path, model: Model) -> nn.Module | None:
    """The discriminator beside a checkpoint's model. A model.safetensors alone comes without; so does noise, and a
    collection whose discriminator uses VGG19, which is no part of that model."""
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
    return build_discriminator(model.config, model.code_size, model.style_encoder.as_vgg())
