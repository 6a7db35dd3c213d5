"""Export of the upscaler, whose bundle ships with Sfumato (made by `tools/train_upscaler.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sfumato import __version__
from sfumato.export.bundle import PHOTO, Bundle, parity_pictures, round_weights, write_card
from sfumato.export.graph import export_graph
from sfumato.export.parity import TOLERANCE, check_parity, measure_parity
from sfumato.files import digest, new_directory
from sfumato.networks.upscaler import SCALE, Upscaler
from sfumato.onnx_file import MAX_GRAPH_BYTES


def export_upscaler(
    model: Upscaler, directory: Path, card: Mapping[str, Any] | None = None, tolerance: float = TOLERANCE
) -> float:
    """Write upscaler.onnx, with weights in 16 bits, and card.json to `directory`.

    Returns:
        The largest difference of a value between torch and ONNX Runtime.

    Raises:
        ModelError: the difference exceeds `tolerance`; nothing is written.
    """
    round_weights(model.cpu().eval(), False)
    with new_directory(directory) as folder:
        path = folder / "upscaler.onnx"
        export_graph(model, (torch.rand(PHOTO),), path, ["picture"], ["upscaled"])
        bundle = Bundle({"upscaler": (model, (), [], [])}, lambda x: {"upscaler": (x,)}, parity_pictures(), model)
        parity = measure_parity(bundle, folder)
        check_parity(parity, tolerance)
        facts = {
            "model": "upscaler",
            "kind": "upscaler",
            "version": __version__,
            "scale": SCALE,
            "reach": model.reach,
            "parameters": sum(p.numel() for p in model.parameters()),
            "parity": parity["upscaler"],
            "files": {path.name: digest(path, MAX_GRAPH_BYTES)},
        }
        write_card(folder, {**facts, **(card or {})})
    return parity["upscaler"]
