"""Export from torch to ONNX: graphs for any picture size, or any number of z, checked against torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from sfumato import __version__
from sfumato.assets import weights_dir
from sfumato.checkpoint import Model, kind_of, load_model, packed, save_model
from sfumato.errors import ModelError
from sfumato.export.bundle import Bundle, bundle_of, exported_discriminator, round_weights, write_card
from sfumato.export.eight_bits import calibration_pictures, quantise
from sfumato.export.graph import StoredWeights, export_graph
from sfumato.export.parity import TOLERANCE, check_parity, measure_parity
from sfumato.files import digest, new_directory
from sfumato.inference.feature_networks import DECODER
from sfumato.inference.session import WEIGHTS
from sfumato.networks.discriminator import PairDiscriminator
from sfumato.networks.model import (
    CollectionModel,
    FeatureNoiseModel,
    MatchingModel,
    NoiseModel,
    StyleTransferModel,
    build_collection_discriminator,
    build_discriminator,
)
from sfumato.onnx_file import MAX_GRAPH_BYTES
from sfumato.training.noise_features import check_decoder, decoder_digest
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
    """Write a model's bundle to `directory`, after checking its graphs against torch.

    A bundle has card.json, one .onnx file for each graph (`bundle.bundle_of`) and, for several graphs,
    model.safetensors. That file holds the weights once: graphs refer to positions in it (ONNX external data), and
    `checkpoint.load_model` loads it in torch. The graph of the discriminator serves `sfumato explain`.

    Weights are stored in 16 bits; those of a collection, of a decoder and of a
    generator of features have kernels and matrices in 8 bits with a
    scale for each output channel. Computation is in 32 bits. Parity is checked with the same rounded weights. After the
    check a decoder's widest convolutions are quantised (`eight_bits.quantise`); the card's `rounding` is the mean
    change of a pixel in [0, 1] by that.

    Args:
        model: its weights are rounded in place.
        directory: the bundle's folder.
        model_id: name of the model on the card.
        card: further entries of the card.
        discriminator: the model's discriminator, whose graph is written too.
        overwrite: whether an existing folder may be replaced.
        tolerance: largest difference between torch and ONNX Runtime (`parity.check_parity`).

    Returns:
        The largest difference of each graph, before quantisation.

    Raises:
        ModelError: a difference exceeds the tolerance; nothing is written.
        OutputError: `directory` exists and `overwrite` is False.
    """
    in_bytes = isinstance(model, CollectionModel | MatchingModel | FeatureNoiseModel)
    if isinstance(model, FeatureNoiseModel):
        check_decoder(model, decoder_digest(), model_id)
    round_weights(model.cpu().eval(), in_bytes)
    with torch.no_grad():
        exported = None if discriminator is None else exported_discriminator(discriminator, in_bytes)
        bundle = bundle_of(model, exported)
    with new_directory(directory, overwrite) as folder:
        stored = None
        if len(bundle.graphs) > 1:  # a single graph has nothing to share
            # Without facts about the training, which the card has: equal weights should give equal files.
            save_model(folder / WEIGHTS, model, {}, packed(model, in_bytes))
            stored = StoredWeights(folder / WEIGHTS)
        for name, (module, inputs, input_names, output_names) in bundle.graphs.items():
            # eval() on each module: the exporter sets all submodules to the mode of the outermost module.
            export_graph(module.eval(), inputs, folder / f"{name}.onnx", input_names, output_names, in_bytes, stored)
        parity = measure_parity(bundle, folder)
        check_parity(parity, tolerance)
        if isinstance(model, MatchingModel):
            bundle.facts["rounding"] = _quantise_decoder(bundle, folder / DECODER)
        if isinstance(model, FeatureNoiseModel):  # a copy, so that the bundle outlives the shipped decoder
            shutil.copyfile(weights_dir("matching") / DECODER, folder / DECODER)
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
def _quantise_decoder(bundle: Bundle, decoder: Path) -> float:
    inputs = (bundle.inputs(torch.from_numpy(picture))["decoder"] for picture in calibration_pictures())
    return quantise(decoder, [{"entered": entered.numpy()} for (entered,) in inputs])


def export_run(
    source: Path, directory: Path, model_id: str | None = None, *, newest: bool = False, overwrite: bool = True
) -> dict[str, float]:
    """Export a run, or one model.safetensors file.

    Args:
        source: a run's folder, of which the best checkpoint by validation is exported, or the newest if there is no
            best; or a model.safetensors file.
        directory: see `export_model`.
        model_id: name on the card; None: a name made of the file's hash.
        newest: export the run's newest checkpoint instead.
        overwrite: see `export_model`.

    Returns:
        The largest difference of each graph from torch.

    Raises:
        ModelError: the source cannot be read; or see `export_model`.
        OutputError: see `export_model`.
    """
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
    """Return the run's facts about its pictures (`data.folders.about_data`); {} for runs of earlier versions."""
    try:
        found = json.loads(about.get("data", "{}"))
    except (ValueError, RecursionError) as problem:
        raise ModelError(f"cannot read the entry `data` of {path}; export an older checkpoint") from problem
    return found if isinstance(found, dict) else {}


def _discriminator_of(state: Path, model: Model) -> nn.Module | None:
    """Load the discriminator from a checkpoint's state file, to be exported with its model.

    Returns:
        None for a model.safetensors alone, for the kinds noise and matching, and for a collection with a projected
        discriminator, which would need VGG19, which is not part of that model.
    """
    needs_vgg = isinstance(model, CollectionModel) and model.config.discriminator == "projected"
    if isinstance(model, NoiseModel | FeatureNoiseModel | MatchingModel) or needs_vgg or not state.is_file():
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
