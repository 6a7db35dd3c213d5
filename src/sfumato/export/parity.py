"""The parity check: differences between ONNX Runtime and torch on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from sfumato.errors import ModelError
from sfumato.export.bundle import Bundle

TOLERANCE = 1e-3  # largest difference of a pixel in [0, 1] between torch and ONNX Runtime
# The style encoder takes roots of covariances, which amplify rounding: 1.04e-3 was measured on a processor with AMX.
# The gradient is discontinuous where a feature passes 0: 2.5e-3 was measured on a processor with AVX2.
_TOLERANCES = {"style_encoder": 2e-3, "gradient": 1e-2}


def measure_parity(bundle: Bundle, folder: Path) -> dict[str, float]:
    """Return each graph's largest difference from torch over the bundle's `tried` inputs.

    Differences are relative to the output's largest value where that exceeds 1. For the gradient it is the norm of the
    difference relative to the norm: where a feature is 0 up to rounding, either slope of the ReLU is right for a few
    pixels.
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
                    scale = max(1.0, float(np.abs(expected).max()))  # norm_params and codes may be larger than pixels
                    difference = np.abs(got - expected).max() / scale
                worst[name] = float(np.maximum(worst[name], difference))  # max() could drop a NaN
    return worst


def check_parity(parity: Mapping[str, float], tolerance: float = TOLERANCE) -> None:
    """Check the differences that `measure_parity` returned.

    Raises:
        ModelError: a graph differs from torch by more than `tolerance`, or than its own tolerance in `_TOLERANCES`.
    """
    if bad := {name: d for name, d in parity.items() if not d <= _TOLERANCES.get(name, tolerance)}:
        raise ModelError(f"the exported graphs differ from torch by {bad}, more than {tolerance}; nothing was written")
